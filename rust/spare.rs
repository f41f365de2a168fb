// SPDX-License-Identifier: GPL-2.0

//! Finding a spare for a program that may block, and forking one.

use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::task::Task;

use crate::arch;
use crate::flight::Flight;
use crate::identity;
use crate::policy::Abi;
use crate::session;
use crate::session::Session;
use crate::stats::Fallback;
use crate::symbols::raw;
use crate::trace;
use crate::worker::Worker;

/// How many spares a thread forks at most before one is left for it.
const FORK_TRIES: usize = 8;

/// What is in the way of having a spare.
enum Lack {
    /// A signal, which is to be seen to first.
    Signal,
    /// There is none to be had.
    Spare(Fallback),
}

impl From<Fallback> for Lack {
    fn from(reason: Fallback) -> Self {
        Self::Spare(reason)
    }
}

impl Session<'_> {
    /// Sees to it that the flight has a spare for the current user context. False if that is not
    /// possible; an error if it may be once a signal was seen to.
    pub fn provide_worker(&self, flight: &Flight) -> Result<bool> {
        match self.find_worker(flight) {
            Ok(()) => Ok(true),
            Err(Lack::Signal) => Err(session::restart_unseen()),
            Err(Lack::Spare(reason)) => {
                self.fall_back(reason);
                Ok(false)
            }
        }
    }

    /// Gives back the spare that the flight has reserved, if it has, for others to use.
    pub fn release_worker(&self, flight: &Flight) {
        // SAFETY: Unarmed, so the hook does not look, and this task is the only user.
        if let Some(worker) = unsafe { (*flight.owned()).worker.take() } {
            self.established.pool.release(worker, flight);
        }
    }

    /// Notes why something can only block in the caller.
    pub fn fall_back(&self, reason: Fallback) {
        self.head.stats.fallback(reason);
        trace::fallback(reason as u32);
    }

    fn find_worker(&self, flight: &Flight) -> Result<(), Lack> {
        let owned = flight.owned();
        let page = self.established.parking.ok_or(Fallback::NoPage)?;
        if self.abi != Abi::X86_64 {
            return Err(Fallback::Compat.into());
        }
        identity::check_movable()?;
        if self.frame.with_registers(|regs| arch::is_stepping(regs)) {
            return Err(Fallback::Registers.into());
        }

        // The flight may have been here before, and still have the one that it reserved then.
        // SAFETY: Unarmed, so the hook does not look, and this task is the only user.
        if unsafe { (*owned).worker.as_ref() }.is_some_and(|worker| worker.still_serves(flight)) {
            return Ok(());
        }
        self.release_worker(flight);
        let pool = &self.established.pool;
        // SAFETY: As above.
        let worker = unsafe { &mut (*owned).worker };
        *worker = pool.reserve(flight);
        // What could not be like its own child needs none.
        // SAFETY: The current task.
        if worker.is_none() && !unsafe { identity::same_origin(Task::current_raw()) } {
            return Err(Fallback::TaskState.into());
        }
        for _ in 0..FORK_TRIES {
            if worker.is_some() {
                return Ok(());
            }
            let forked = self.fork_worker(flight, page)?;
            // A child may have given this thread another keyring meanwhile.
            // SAFETY: `Symbols` lives as long as the device does, and no locks are held here.
            unsafe { raw::syslet_task_work_run() };
            // Some threads are unlike their own children, those with a keyring for one.
            if pool.is_unlike(&forked) {
                return Err(Fallback::NoSpare.into());
            }
            // Another thread may be faster to reserve it.
            *worker = pool.reserve(flight);
        }
        worker.as_ref().map(|_| ()).ok_or(Fallback::NoSpare.into())
    }

    /// Forks a spare from the current user context, and waits until it has arrived.
    #[cold]
    fn fork_worker(&self, flight: &Flight, page: usize) -> Result<Arc<Worker>, Lack> {
        const FLAGS: u64 = (bindings::CLONE_VM
            | bindings::CLONE_FS
            | bindings::CLONE_FILES
            | bindings::CLONE_SIGHAND
            | bindings::CLONE_THREAD
            | bindings::CLONE_SYSVSEM
            | bindings::CLONE_IO) as u64;

        let pool = &self.established.pool;
        let worker = pool
            .enlist(&self.established.ring)
            .map_err(|_| Fallback::Limit)?;

        let user = self.frame.save();
        let fd = arch::first_argument(&user, self.abi);
        self.frame
            .with_registers(|regs| arch::prepare_fork(regs, page, fd, worker.id()));
        // The fork probe tells the worker its task, and blocks its signals.
        // SAFETY: The flight is the current task's, and unarmed.
        unsafe { (*flight.owned()).forking = Arc::as_ptr(&worker) };
        let tid = self
            .frame
            .call_internally(arch::NR_CLONE, &[FLAGS, 0, 0, 0, 0, 0]);
        // SAFETY: As above.
        unsafe { (*flight.owned()).forking = core::ptr::null() };
        self.frame.restore(&user);
        if let Err(error) = to_result(tid as c_int) {
            pool.strike_off(&worker);
            return Err(
                if error.to_errno() == -(bindings::ERESTARTNOINTR as c_int) {
                    Lack::Signal
                } else {
                    Fallback::Fork.into()
                },
            );
        }

        self.head.stats.forks.add(1);
        if !worker.await_arrival() {
            return Err(Fallback::NoSpare.into());
        }
        Ok(worker)
    }
}
