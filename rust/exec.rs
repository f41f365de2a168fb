// SPDX-License-Identifier: GPL-2.0

//! `EXEC` and `PARK`: running programs, wherever the user context is meanwhile.
//!
//! Both are one loop, [`Session::carry`], which a task enters with a user context or without, and
//! leaves with one or the other:
//!
//! ```text
//! EXEC ----> run the batch --- all done, here -------------------------> back to the user
//!              ^    |
//!              |    `-- a program blocked: the context left, it goes on here, and completes
//!              |                                       |
//!              |                                       v
//!              `---- take a context over <---- wait in the pool <------- PARK
//!                                                      |
//!                                                      `-- leave -------> end of the thread
//! ```

use kernel::fs::File;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::sync::UniqueArc;

use crate::arch;
use crate::batch::Batch;
use crate::cachemiss::Parked;
use crate::copy::Argument;
use crate::fly::Flown;
use crate::handoff;
use crate::handoff::Work;
use crate::identity;
use crate::late;
use crate::run;
use crate::session::restart_unseen;
use crate::session::Session;
use crate::stats::Fallback;
use crate::trace;
use crate::uapi;
use crate::worker::Worker;

impl Session<'_> {
    /// `EXEC`: runs what `exec` submits; returns how many programs were handled.
    pub fn exec(&self, exec: &uapi::Exec) -> Result<isize> {
        const KNOWN: u32 = uapi::EXEC_RING_ALL | uapi::EXEC_NOWAIT;

        if exec.flags & !KNOWN != 0 || exec.reserved != 0 {
            return Err(EINVAL);
        }
        self.submit(exec.flags, exec.nr_programs, |batch| {
            batch.read(self.abi, exec, self.established.limits)
        })
    }

    /// `EXEC_UATOM`: runs the chain that `argument` submits, as `EXEC` runs one program.
    pub fn exec_uatom(&self, argument: &Argument<uapi::UatomExec>) -> Result<isize> {
        self.submit(0, 1, |batch| {
            batch.read_chain(self.abi, argument, self.established.limits)
        })
    }

    /// Runs what `read` puts into a batch.
    #[inline(always)]
    fn submit(
        &self,
        flags: u32,
        nr_programs: u32,
        read: impl FnOnce(&mut Batch) -> Result,
    ) -> Result<isize> {
        let flight = self.head.take_flight()?;
        // SAFETY: The flight is not in use.
        let kept = unsafe { (*flight.owned()).batch.take() };
        let mut batch = match kept.and_then(Arc::into_unique_or_drop) {
            // SAFETY: A batch may be moved.
            Some(batch) => unsafe { Pin::into_inner_unchecked(batch) },
            None => match UniqueArc::new(Batch::new(), GFP_KERNEL_ACCOUNT) {
                Ok(batch) => batch,
                Err(error) => {
                    self.head.keep_flight(flight);
                    return Err(error.into());
                }
            },
        };
        let read = read(&mut batch);
        let batch = Arc::from(batch);
        if let Err(error) = read.and_then(|()| self.check_room()) {
            // SAFETY: As above.
            unsafe { (*flight.owned()).batch = Some(batch) };
            self.head.keep_flight(flight);
            return Err(error);
        }
        trace::submit(nr_programs, flags);
        let work = Work {
            batch,
            next: 0,
            flags,
            reopened: self.established.pool.reopen(),
        };
        let file = ARef::from(self.file);
        let flown = self.fly(flight, work, true);
        self.carry(file, flown)
    }

    /// `PARK`: the current task says that it is worker `id`.
    pub fn park(&self, id: u64) -> Result<isize> {
        let page = self.established.parking.ok_or(EPERM)?;
        let at_page = self
            .frame
            .with_registers(|regs| arch::is_parked(regs, page) && regs.r13 as u64 == id);
        if !at_page {
            return Err(EPERM);
        }
        let worker = self.established.pool.recognise(id).ok_or(EPERM)?;
        identity::block_signals();
        identity::name_cachemiss_thread();

        let file = ARef::from(self.file);
        let flown = match worker.resume() {
            Some(flight) => self.resume(worker, flight),
            None => Flown::Left(worker),
        };
        self.carry(file, flown)
    }

    fn check_room(&self) -> Result {
        if self.established.ring.is_clogged() {
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Goes on until there is something to go back to user mode with.
    fn carry(&self, file: ARef<File>, mut flown: Flown) -> Result<isize> {
        loop {
            let worker = match flown {
                Flown::Over(result) => return result,
                Flown::Suspended => {
                    // The flight that was put aside keeps the head by it.
                    core::mem::forget(file);
                    return Err(restart_unseen());
                }
                Flown::Condemned => return Err(restart_unseen()),
                Flown::Left(worker) => worker,
            };
            let work = match self.await_context(&worker) {
                Ok(work) => work,
                Err(result) => return result,
            };
            drop(worker);
            let told = handoff::report_pending(&work);
            // As behind a program that ended here: a signal, or a failure to go on, ends the call.
            // Some programs are on their way, so it has not failed.
            let over = told.is_err()
                || work.next == work.batch.programs().len()
                || run::has_signal(self.frame.thread_flags());
            let flight = if over {
                None
            } else {
                self.head.take_flight().ok()
            };
            flown = match flight {
                Some(flight) => self.fly(flight, work, false),
                None => {
                    if work.reopened {
                        self.close_again();
                    }
                    Flown::Over(self.handled(work.next, Ok(0)))
                }
            };
        }
    }

    /// Waits in the pool for a user context, and takes it over.
    ///
    /// The error is what to go back to user mode with instead.
    fn await_context(&self, worker: &Arc<Worker>) -> Result<Work, Result<isize>> {
        let pool = &self.established.pool;
        loop {
            match pool.park(worker) {
                Parked::Chosen(flight) => {
                    if let Some(work) = handoff::take_over(pool, worker, flight, self.frame) {
                        self.head.stats.handoffs.add(1);
                        return Ok(work);
                    }
                    self.fall_back(Fallback::Refused);
                }
                Parked::Interrupted => return Err(Err(restart_unseen())),
                // Behind the call in the parking page the thread ends itself, with this status.
                Parked::Leave(status) => {
                    late::settle(worker);
                    return Err(Ok(status.into()));
                }
            }
        }
    }
}
