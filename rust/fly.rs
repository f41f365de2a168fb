// SPDX-License-Identifier: GPL-2.0

//! Running the programs of a batch in a flight, until it is over or its user context has left; and
//! ending the program that the context has left behind.

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::Arc;

use crate::batch::Batch;
use crate::dispatch;
use crate::flight::Flight;
use crate::flight::State;
use crate::handoff::Work;
use crate::identity;
use crate::late;
use crate::run;
use crate::run::Ended;
use crate::run::Ran;
use crate::session::Session;
use crate::symbols::raw;
use crate::trace;
use crate::uapi;
use crate::uapi::Cqe;
use crate::worker::Worker;

/// What became of a batch.
pub enum Flown {
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
    /// Runs `work` in the current task, whose user context it is for.
    pub fn fly(&self, flight: Pin<KBox<Flight>>, work: Work, first: bool) -> Flown {
        let owned = flight.owned();
        // SAFETY: The flight is not in use yet.
        unsafe {
            (*owned).state = State::Unarmed;
            self.frame.keep(&mut (*owned).user);
            (*owned).mask = self.frame.signal_mask();
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
        let armed = if leaves {
            match self.provide_worker(flight) {
                Ok(provided) => provided,
                Err(error) => return Ok(self.handled(next, Err(error))),
            }
        } else {
            // Another thread may need it while these programs block here.
            self.release_worker(flight);
            false
        };
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
    pub fn handled(&self, count: usize, otherwise: Result<isize>) -> Result<isize> {
        if count == 0 {
            return otherwise;
        }
        self.head.stats.calls.add(1);
        self.head.stats.programs.add(count as u64);
        // CAST: At most `MAX_PROGRAMS`.
        Ok(count as isize)
    }

    /// Goes on with a program that a signal had interrupted.
    pub fn resume(&self, worker: Arc<Worker>, flight: Pin<KBox<Flight>>) -> Flown {
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
