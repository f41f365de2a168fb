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

use core::ptr;

use kernel::bindings;
use kernel::fs::file::LocalFile;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::sync::UniqueArc;
use kernel::task::Task;

use crate::arch;
use crate::batch::Batch;
use crate::cachemiss::Parked;
use crate::copy::Argument;
use crate::dispatch;
use crate::dispatch::Frame;
use crate::flight::Flight;
use crate::flight::State;
use crate::handoff;
use crate::handoff::Work;
use crate::head::Established;
use crate::head::Head;
use crate::identity;
use crate::late;
use crate::policy::Abi;
use crate::run;
use crate::run::Ended;
use crate::run::Ran;
use crate::stats::Fallback;
use crate::symbols::raw;
use crate::trace;
use crate::uapi;
use crate::uapi::Cqe;
use crate::worker::Worker;

/// A call of `EXEC` or `PARK`, and what it works on.
pub struct Session<'a> {
    /// The head.
    pub head: &'a Head,
    /// What its `SETUP` made.
    pub established: &'a Established,
    /// The file it was called on.
    pub file: &'a File,
    /// The current task's frame.
    pub frame: &'a Frame,
    /// The ABI of the caller.
    pub abi: Abi,
    /// What [`file_refs`] said when the call came in.
    pub file_refs: usize,
}

/// How many references to the file the current task's frames hold during the ioctl that it has just
/// entered: the session's, and, if the file table is shared, the ioctl's own.
///
/// The ioctl has looked at that itself a few instructions ago, and does not tell. If who shared the
/// table is gone since, a thread that a filter kills leaves a reference behind.
pub fn file_refs() -> usize {
    // SAFETY: The current task's own file table; others come and go.
    let users =
        unsafe { (&raw const (*(*Task::current_raw()).files).count.counter).read_volatile() };
    1 + usize::from(users > 1)
}

/// What became of a batch.
enum Flown {
    /// It is over, and the user context is here.
    Over(Result<isize>),
    /// The user context has left, and this task has no program any more.
    Left(Arc<Worker>),
    /// This cachemiss thread has to see to a signal.
    Suspended,
    /// A filter has condemned the process: the signal is fatal.
    Condemned,
}

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

    /// At the end of a call that has undone a close, in the task that has its user context: the
    /// call may have come by the very descriptor that was closed.
    #[cold]
    fn close_again(&self) {
        let fd = self
            .frame
            .with_registers(|regs| arch::first_argument(regs, self.abi));
        let open =
            LocalFile::fget(fd as u32).is_ok_and(|file| ptr::eq(file.as_ptr(), self.file.as_ptr()));
        if !open {
            self.head.close();
        }
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

    /// Runs `work` in the current task, whose user context it is for.
    fn fly(&self, flight: Pin<KBox<Flight>>, work: Work, first: bool) -> Flown {
        let owned = flight.owned();
        // SAFETY: The flight is not in use yet.
        unsafe {
            (*owned).state = State::Unarmed;
            self.frame.keep(&mut (*owned).user);
            (*owned).mask = (*Task::current_raw()).blocked.sig[0];
            (*owned).head = self.head;
            (*owned).file = self.file.as_ptr();
            (*owned).file_refs = self.file_refs;
            (*owned).flags = work.flags;
            (*owned).next = work.next;
            (*owned).reopened = work.reopened;
        }
        // The flight owns the batch: a filter may end the thread inside a call, and what this stack
        // held would never be dropped.
        let Work {
            batch,
            next,
            flags,
            reopened,
        } = work;
        // SAFETY: As above.
        let batch = unsafe { &*Arc::as_ptr((*owned).batch.insert(batch)) };
        // SAFETY: The flight is pinned, and goes only after `unwatch`, or by its burial.
        unsafe { flight.watch() };
        let result = self.fly_watched(&flight, batch, next, flags, first);
        // SAFETY: Watched above, in this task: what goes on here is this stack.
        unsafe { flight.unwatch() };
        match result {
            Ok(handled) => {
                // SAFETY: The flight has not been handed over, or the arm below would be taken.
                let mask = unsafe {
                    self.frame.put_back(&(*owned).user);
                    (*owned).mask
                };
                if !run::has_signal(self.frame.thread_flags()) {
                    identity::end_temporary_mask(mask);
                }
                self.head.keep_flight(flight);
                if reopened {
                    self.close_again();
                }
                Flown::Over(handled)
            }
            Err(ran) => {
                // SAFETY: The flight is settled: this task is its only user.
                let program = &batch.programs()[unsafe { (*owned).next } - 1];
                self.finish_detached(flight, program, ran)
            }
        }
    }

    /// The part of [`Self::fly`] during which the task is watched.
    ///
    /// The error means that the user context is gone, and what came of the program in hand.
    fn fly_watched(
        &self,
        flight: &Flight,
        batch: &Batch,
        next: usize,
        flags: u32,
        first: bool,
    ) -> Result<Result<isize>, Ran> {
        let owned = flight.owned();
        let ring = &self.established.ring;
        let programs = batch.programs();

        let leaves = programs[next..]
            .iter()
            .any(|program| program.flags & uapi::SYNC == 0);
        let mut armed = false;
        if leaves {
            armed = match self.provide_worker(flight) {
                Ok(provided) => provided,
                Err(error) => return Ok(self.handled(next, Err(error))),
            };
        }
        if leaves && !armed && flags & uapi::EXEC_NOWAIT != 0 && first {
            return Ok(Err(EAGAIN));
        }

        for (index, program) in programs.iter().enumerate().skip(next) {
            let posts = program.flags & uapi::NO_COMPLETE == 0;
            let ring_all = posts && flags & uapi::EXEC_RING_ALL != 0;
            // SAFETY: Unarmed, so this task is the only user.
            unsafe {
                (*owned).next = index + 1;
                (*owned).posts = posts;
                (*owned).progress.index = 0;
                (*owned).progress.restart = 0;
                (*owned).progress.results.clear();
                if ring_all && (*owned).place.is_none() {
                    (*owned).place = ring.take_place();
                    if (*owned).place.is_none() {
                        return Ok(self.handled(index, Err(EBUSY)));
                    }
                }
                if armed && program.flags & uapi::SYNC == 0 {
                    (*owned).state = State::Armed;
                    if program.flags & uapi::ASYNC != 0 {
                        flight.leave_now();
                    }
                }
            }

            let restartable = first && index == 0;
            let ran = run::run(flight, self.frame, batch, program, restartable);
            // SAFETY: Between two programs only this task uses the flight, unless it is settled.
            match unsafe { (*owned).state } {
                State::Settled => return Err(ran),
                State::Detached => {
                    flight.settle();
                    // SAFETY: As above.
                    if unsafe { (*owned).state } == State::Settled {
                        return Err(ran);
                    }
                }
                // SAFETY: As above.
                State::Armed | State::Unarmed => unsafe { (*owned).state = State::Unarmed },
            }

            let ended = match ran {
                Ran::Ended(ended) => ended,
                Ran::Restart(errno) => {
                    self.give_back_place(flight);
                    return Ok(Err(Error::from_errno(errno)));
                }
                // Only settled flights are suspended.
                Ran::Suspended => return Ok(Err(EINTR)),
            };
            trace::complete(
                program.user_data,
                ended.result,
                ended.last as u32,
                ended.flags,
            );
            let told = batch.write_outcome(index, ended.result, ended.last as u32, uapi::DONE);
            if ring_all {
                self.post(flight, program, &ended, 0);
            } else {
                self.give_back_place(flight);
            }
            if let Err(error) = told {
                return Ok(Err(error));
            }
            if ended.halt || run::has_signal(self.frame.thread_flags()) {
                return Ok(self.handled(index + 1, Ok(0)));
            }
        }
        Ok(self.handled(programs.len(), Ok(0)))
    }

    /// What `EXEC` returns after `count` programs; `otherwise` if that is none.
    fn handled(&self, count: usize, otherwise: Result<isize>) -> Result<isize> {
        if count == 0 {
            return otherwise;
        }
        self.head.stats.calls.add(1);
        self.head.stats.programs.add(count as u64);
        // CAST: At most `MAX_PROGRAMS`.
        Ok(count as isize)
    }

    /// Goes on with a program that a signal had interrupted.
    fn resume(&self, worker: Arc<Worker>, flight: Pin<KBox<Flight>>) -> Flown {
        let owned = flight.owned();
        // SAFETY: The flight was this task's, and is again; it has kept a reference to the file.
        let batch = unsafe {
            bindings::fput((*owned).file);
            (*owned).file_refs = self.file_refs;
            (*owned).user = self.frame.save();
            (*owned).batch.as_ref().map(Arc::as_ptr)
        };
        // A flight that was put aside has a batch.
        let Some(batch) = batch else {
            return Flown::Over(Err(EINVAL));
        };
        // SAFETY: The flight keeps its batch.
        let batch = unsafe { &*batch };
        // SAFETY: As above.
        let program = &batch.programs()[unsafe { (*owned).next } - 1];
        self.established.pool.unpause(&worker);
        // A filter may end the thread in the program: this stack may hold nothing that has to be
        // dropped.
        drop(worker);
        // SAFETY: The flight is pinned, and goes only after `unwatch`, or by its burial.
        unsafe { flight.watch() };
        let ran = run::run(&flight, self.frame, batch, program, false);
        // SAFETY: Watched above.
        unsafe { flight.unwatch() };
        self.finish_detached(flight, program, ran)
    }

    /// Ends a program whose user context is gone, or puts it aside.
    fn finish_detached(
        &self,
        flight: Pin<KBox<Flight>>,
        program: &uapi::Program,
        ran: Ran,
    ) -> Flown {
        let owned = flight.owned();
        let pool = &self.established.pool;
        // SAFETY: The flight is settled: this task is its only user.
        let worker = unsafe {
            self.frame.restore(&(*owned).user);
            (*owned).worker.clone()
        };
        let Some(worker) = worker else {
            return Flown::Over(Err(EINVAL));
        };
        let ended = match ran {
            Ran::Ended(ended) => ended,
            Ran::Suspended | Ran::Restart(_) => {
                // SAFETY: As above.
                unsafe { (*owned).file_refs = 1 };
                pool.pause(&worker);
                worker.suspend(flight);
                return Flown::Suspended;
            }
        };

        // SAFETY: As above.
        let posts = unsafe { (*owned).batch.as_ref() }
            .is_some_and(|batch| batch.posts(program, ended.last));
        let flags = ended.flags | uapi::CQE_ASYNC;
        trace::complete(program.user_data, ended.result, ended.last as u32, flags);
        pool.land(&worker);
        if flight.is_canceled() {
            // The interruption may still be queued, and lies in the flight.
            // SAFETY: Between two calls a task holds no locks.
            unsafe { raw::syslet_task_work_run() };
            flight.forget_cancel();
        }
        if dispatch::is_condemned() {
            identity::let_sigsys_in();
        } else {
            late::hand_over(&worker);
        }
        if posts {
            self.post(&flight, program, &ended, uapi::CQE_ASYNC);
        } else {
            self.give_back_place(&flight);
        }
        // SAFETY: As above.
        unsafe { (*owned).worker = None };
        self.head.keep_flight(flight);
        if dispatch::is_condemned() {
            return Flown::Condemned;
        }
        Flown::Left(worker)
    }

    fn post(&self, flight: &Flight, program: &uapi::Program, ended: &Ended, flags: u32) {
        // SAFETY: The current task is the flight's only user.
        let Some(place) = (unsafe { (*flight.owned()).place.take() }) else {
            return;
        };
        self.head.stats.completions.add(1);
        self.established.ring.post(
            place,
            Cqe {
                user_data: program.user_data,
                result: ended.result,
                last: ended.last as u32,
                flags: ended.flags | flags,
                reserved: 0,
            },
        );
    }

    fn give_back_place(&self, flight: &Flight) {
        // SAFETY: The current task is the flight's only user.
        if let Some(place) = unsafe { (*flight.owned()).place.take() } {
            self.established.ring.give_back(place);
        }
    }
}

/// Has the system call made again after the signal was seen to, without the caller's knowing.
pub fn restart_unseen() -> Error {
    Error::from_errno(-(bindings::ERESTARTNOINTR as i32))
}
