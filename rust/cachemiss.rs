// SPDX-License-Identifier: GPL-2.0

//! The cachemiss threads of a head: the pool that they wait in, and who may have one.

use core::ptr;

use kernel::bindings;
use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::sync::atomic::Acquire;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Full;
use kernel::sync::atomic::Relaxed;
use kernel::sync::atomic::Release;
use kernel::sync::lock::spinlock::SpinLockBackend;
use kernel::sync::lock::Guard;
use kernel::sync::Arc;
use kernel::sync::SpinLock;
use kernel::task::Task;

use crate::flight::Flight;
use crate::identity;
use crate::process;
use crate::ring::Ring;
use crate::roster::Census;
use crate::roster::Roster;
use crate::run;
use crate::settle::LastHandoff;
use crate::symbols::raw;
use crate::worker::leads;
use crate::worker::Worker;
use crate::worker::AWAY;
use crate::worker::BUSY;
use crate::worker::CHOSEN;
use crate::worker::DEAD;
use crate::worker::FLIGHTS;
use crate::worker::FORKING;
use crate::worker::IDLE;

/// `MAX_SCHEDULE_TIMEOUT`.
const UNLIMITED: isize = isize::MAX;

/// How waiting in the pool ended.
pub enum Parked {
    /// This flight wants its user context taken over.
    Chosen(*const Flight),
    /// A signal is pending: pass through user mode, and come back.
    Interrupted,
    /// The thread is to end, with this exit status.
    Leave(u8),
}

/// Limits of a pool.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Most workers.
    pub threads: u32,
    /// Idle workers that do not leave by themselves.
    pub spares: u32,
    /// How long the others stay, in milliseconds.
    pub idle_ms: u32,
}

/// The workers of a head.
#[pin_data]
pub struct Pool {
    limits: Limits,
    next_id: Atomic<u64>,
    /// A descriptor was closed and nothing was run since, or all are to leave: workers do so as they
    /// become idle.
    closing: Atomic<bool>,
    /// The process is gone.
    orphaned: Atomic<bool>,
    /// That of its workers.
    pub last_handoff: LastHandoff,
    #[pin]
    roster: SpinLock<Roster>,
}

impl Pool {
    /// A pool without workers.
    pub fn new(limits: Limits) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            limits,
            next_id: Atomic::new(1),
            closing: Atomic::new(false),
            orphaned: Atomic::new(false),
            last_handoff: LastHandoff::never(),
            roster <- new_spinlock!(Roster::new(limits.threads as usize)?, "syslet_pool"),
        }? Error)
    }

    /// Reserves an idle worker for `flight`, whose task is the current one.
    ///
    /// Workers that have become unlike the caller are retired on the way, but for those that have
    /// led.
    #[inline]
    pub fn reserve(&self, flight: &Flight) -> Option<Arc<Worker>> {
        let leads = leads();
        let mut roster = self.roster.lock();
        let mut at = roster.idle.len();
        while at > 0 {
            at -= 1;
            let worker = &roster.idle[at];
            let task = worker.task.load(Relaxed);
            if worker.led.load(Relaxed) && !leads {
                continue;
            }
            // SAFETY: An idle worker's task does not leave while the lock is held.
            if unsafe { identity::same_origin(task) } {
                worker.seat.store(ptr::from_ref(flight) as usize, Relaxed);
                return roster.idle.remove(at).ok();
            }
            if !worker.led.load(Relaxed) {
                worker.retire();
                let _ = roster.idle.remove(at);
            }
        }
        None
    }

    /// Gives a reserved worker back.
    #[inline]
    pub fn release(&self, worker: Arc<Worker>, flight: &Flight) {
        let mut roster = self.roster.lock();
        let reserved = ptr::from_ref(flight) as usize;
        // It may have withdrawn, and be about to come back by itself.
        if worker.seat.cmpxchg(reserved, IDLE, Full).is_ok() {
            if self.is_closing() {
                worker.wake();
            }
            let _ = roster.idle.push_within_capacity(worker);
        }
    }

    /// Registers a worker that is about to be forked; `EAGAIN` at the limit.
    pub fn enlist(&self, ring: &Ring) -> Result<Arc<Worker>> {
        let worker = Worker::new(self.next_id.fetch_add(1, Relaxed), ring)?;
        let mut roster = self.roster.lock();
        if roster.all.len() >= self.limits.threads as usize || roster.dying {
            return Err(EAGAIN);
        }
        let _ = roster.all.push_within_capacity(worker.clone());
        Ok(worker)
    }

    /// Takes back a worker that could not be forked.
    pub fn strike_off(&self, worker: &Arc<Worker>) {
        worker.seat.store(DEAD, Relaxed);
        self.roster.lock().strike_off(worker);
    }

    /// Whether a worker, just forked, is unlike the current task all the same. One that another
    /// thread has sent away meanwhile, being unlike that one, is not.
    pub fn is_unlike(&self, worker: &Worker) -> bool {
        let _roster = self.roster.lock();
        let gone = worker.seat.load(Relaxed) == DEAD;
        // SAFETY: One that is not gone does not leave while the lock is held.
        !gone && !unsafe { identity::same_origin(worker.task.load(Relaxed)) }
    }

    /// The worker that the current task is, as it says itself by `id` from the parking page.
    pub fn recognise(&self, id: u64) -> Option<Arc<Worker>> {
        let me = Task::current_raw();
        let roster = self.roster.lock();
        let worker = roster.all.iter().find(|worker| worker.id() == id)?;
        let task = worker.task.load(Relaxed);
        match worker.seat.load(Relaxed) {
            FORKING | AWAY if task == me => worker.seat.store(AWAY, Relaxed),
            _ => return None,
        }
        Some(worker.clone())
    }

    /// Waits in the pool, as an idle worker, for a user context to take over.
    pub fn park(&self, worker: &Arc<Worker>) -> Parked {
        let arrives = worker.seat.load(Relaxed) == AWAY;
        self.forget_leadership(worker);
        let mut left = self.sit_down(worker);
        if arrives {
            // SAFETY: The completion is initialised.
            unsafe { bindings::complete_all(worker.arrived.get()) };
        }

        loop {
            // Not freezable where it sleeps: a frozen worker could be chosen, but not take over.
            set_state(bindings::TASK_INTERRUPTIBLE);
            if let Some(flight) = worker.called() {
                set_state(bindings::TASK_RUNNING);
                return Parked::Chosen(flight);
            }
            if worker.seat.load(Acquire) == DEAD {
                set_state(bindings::TASK_RUNNING);
                return self.leave(self.roster.lock(), worker);
            }
            if run::signal_pending() {
                set_state(bindings::TASK_RUNNING);
                // A work may wait for what a task does that waits for this one to take over:
                // Landlock has all threads of a process meet in one.
                if !self.withdraw(worker) {
                    Self::await_call(worker);
                    continue;
                }
                // SAFETY: A parked task holds no locks.
                unsafe { raw::syslet_task_work_run() };
                if run::fatal_signal_pending() {
                    return self.leave(self.roster.lock(), worker);
                }
                if run::signal_pending() {
                    return Parked::Interrupted;
                }
                left = self.sit_down(worker);
                continue;
            }
            // Behind the state: who closes the head, or is the last thread that may know one that
            // has led, wakes those who are in the idle list.
            if left == 0 || self.is_closing() {
                self.forget_leadership(worker);
                if let Some(parked) = self.leave_if_idle(worker) {
                    set_state(bindings::TASK_RUNNING);
                    return parked;
                }
                if left == 0 || left == UNLIMITED {
                    left = self.idle_time();
                }
            }
            // SAFETY: The state was set above, and the conditions looked at since.
            left = unsafe { bindings::schedule_timeout(left) };
        }
    }

    /// How long a worker stays that is not needed, in jiffies.
    fn idle_time(&self) -> isize {
        kernel::time::msecs_to_jiffies(self.limits.idle_ms) as isize
    }

    /// Waits until a worker that has been chosen is called, which is soon, or that is to leave.
    fn await_call(worker: &Worker) {
        loop {
            set_state(bindings::TASK_UNINTERRUPTIBLE);
            if worker.called().is_some() || worker.seat.load(Acquire) == DEAD {
                set_state(bindings::TASK_RUNNING);
                return;
            }
            // SAFETY: The state was set above, and the conditions looked at since.
            unsafe { bindings::schedule() };
        }
    }

    /// Becomes reservable, and is told how long to be.
    ///
    /// Where there are no more workers than spares no timer is set: should more come, those find
    /// more, and have one. Who stays in a closed head without one sets one then.
    fn sit_down(&self, worker: &Arc<Worker>) -> isize {
        let mut roster = self.roster.lock();
        worker.seat.store(IDLE, Relaxed);
        let _ = roster.idle.push_within_capacity(worker.clone());
        let few = roster.all.len() <= self.limits.spares as usize;
        if few && !worker.led.load(Relaxed) && !self.is_closing() {
            return UNLIMITED;
        }
        self.idle_time()
    }

    /// Stops being reservable, unless a flight has chosen the worker.
    fn withdraw(&self, worker: &Arc<Worker>) -> bool {
        let mut roster = self.roster.lock();
        match worker.seat.load(Relaxed) {
            IDLE => {
                roster.stand_up(worker);
                worker.seat.store(AWAY, Relaxed);
                true
            }
            slot if slot >= FLIGHTS && slot & CHOSEN == 0 => {
                worker.seat.cmpxchg(slot, AWAY, Full).is_ok()
            }
            _ => false,
        }
    }

    /// Makes a worker that has led like any other, if that does not matter any more.
    fn forget_leadership(&self, worker: &Worker) {
        let away = worker.seat.load(Relaxed) == AWAY;
        if worker.led.load(Relaxed) && process::is_single_threaded(away) {
            worker.led.store(false, Relaxed);
        }
    }

    fn leave(
        &self,
        mut roster: Guard<'_, Roster, SpinLockBackend>,
        worker: &Arc<Worker>,
    ) -> Parked {
        worker.seat.store(DEAD, Relaxed);
        roster.strike_off(worker);
        let status = roster.status;
        drop(roster);
        // SAFETY: The completion is initialised.
        unsafe { bindings::complete_all(worker.arrived.get()) };
        Parked::Leave(status)
    }

    /// Leaves, being idle, if the head is closed or there are spares enough.
    ///
    /// Who has to stay though there are sends another one: that may have no timer.
    fn leave_if_idle(&self, worker: &Arc<Worker>) -> Option<Parked> {
        let mut roster = self.roster.lock();
        let too_many = roster.has_more_spares_than(self.limits.spares);
        let stays = worker.led.load(Relaxed) || !(too_many || self.is_closing());
        let idle = worker.seat.load(Relaxed) == IDLE;
        if idle && (roster.dying || !stays) {
            roster.stand_up(worker);
            return Some(self.leave(roster, worker));
        }
        if too_many {
            let other = roster
                .idle
                .iter()
                .position(|other| !other.led.load(Relaxed));
            if let Some(other) = other.and_then(|at| roster.idle.remove(at).ok()) {
                other.retire();
            }
        }
        None
    }

    /// The worker has taken over: the task that owned `flight` is the worker now.
    pub fn hand_on(&self, worker: &Worker, flight: &Flight, led: bool) {
        let _roster = self.roster.lock();
        self.last_handoff.note();
        // Who looks without the lock finds the user of the task that it finds, or none.
        worker.user.xchg(0, Full);
        worker.task.store(flight.task(), Release);
        // SAFETY: The current task's own TID, which was that of `flight`'s task.
        let user = unsafe { (*Task::current_raw()).pid };
        worker.user.store(user, Release);
        worker
            .flight
            .store(ptr::from_ref(flight).cast_mut(), Relaxed);
        worker.led.store(led, Relaxed);
        worker.seat.store(BUSY, Relaxed);
    }

    /// The worker's flight is over: nobody cancels it any more.
    pub fn land(&self, worker: &Worker) {
        let _roster = self.roster.lock();
        worker.flight.store(ptr::null_mut(), Relaxed);
    }

    /// The worker goes to see to a signal, with its flight.
    pub fn pause(&self, worker: &Worker) {
        let _roster = self.roster.lock();
        worker.seat.store(AWAY, Relaxed);
    }

    /// It is back.
    pub fn unpause(&self, worker: &Worker) {
        let _roster = self.roster.lock();
        worker.seat.store(BUSY, Relaxed);
    }

    /// Cancels the programs in flight that `want` picks by their user data; returns how many.
    pub fn cancel(&self, want: impl Fn(u64) -> bool) -> usize {
        let roster = self.roster.lock();
        let mut count = 0;
        for worker in roster.all.iter() {
            let flight = worker.flight.load(Relaxed);
            // SAFETY: A flight is taken off its worker under this lock before it is freed.
            let Some(flight) = (unsafe { flight.as_ref() }) else {
                continue;
            };
            if want(flight.user_data()) {
                flight.cancel();
                count += 1;
            }
        }
        count
    }

    /// The last descriptor of this process is closed: idle workers leave now, the others later.
    pub fn close(&self) {
        let alone = process::is_single_threaded(false);
        self.closing.xchg(true, Full);
        let mut roster = self.roster.lock();
        roster.retire_idle(|worker| alone || !worker.led.load(Relaxed));
    }

    /// A thread is gone: those that have led may be like any others now, and leave a closed head.
    pub fn reconsider(&self) {
        if self.is_closing() {
            self.roster.lock().retire_idle(|_| false);
        }
    }

    /// No user context is left in the process: everybody leaves.
    ///
    /// Called by the exit probe; what is in flight ends as if it had been canceled. `status` is that
    /// of the last user context, which the process ends with.
    pub fn disband(&self, status: u8) {
        {
            let mut roster = self.roster.lock();
            if !roster.dying {
                roster.status = status;
            }
            roster.dying = true;
            self.closing.store(true, Relaxed);
            roster.retire_idle(|_| true);
            // What is still reserved is so for a flight that nobody will use any more.
            for worker in roster.all.iter() {
                let seat = worker.seat.load(Relaxed);
                if worker.is_spare() && worker.seat.cmpxchg(seat, DEAD, Full).is_ok() {
                    worker.wake();
                }
            }
        }
        self.cancel(|_| true);
    }

    /// Takes the worker out that `task` is, which exits; returns it.
    pub fn bury(&self, task: *const bindings::task_struct) -> Option<Arc<Worker>> {
        let mut roster = self.roster.lock();
        let at = roster
            .all
            .iter()
            .position(|worker| worker.task.load(Relaxed).cast_const() == task)?;
        let worker = roster.all.remove(at).ok()?;
        roster.stand_up(&worker);
        worker.seat.store(DEAD, Relaxed);
        worker.task.store(ptr::null_mut(), Relaxed);
        worker.flight.store(ptr::null_mut(), Relaxed);
        drop(roster);
        // SAFETY: The completion is initialised.
        unsafe { bindings::complete_all(worker.arrived.get()) };
        Some(worker)
    }

    /// The head is going: workers that are in user mode still may end without being missed.
    pub fn forget_tasks(&self) {
        for worker in self.roster.lock().all.iter() {
            worker.task.store(ptr::null_mut(), Relaxed);
        }
    }

    /// The process that the pool belongs to is gone; its signal struct may be another's soon.
    pub fn orphan(&self) {
        self.orphaned.store(true, Relaxed);
    }

    /// Whether that has happened.
    #[inline]
    pub fn is_orphaned(&self) -> bool {
        self.orphaned.load(Relaxed)
    }

    /// Something is run after a descriptor was closed: it may have been one of several. Returns
    /// whether that is so. A pool that was disbanded stays closed, whoever calls.
    pub fn reopen(&self) -> bool {
        if !self.is_closing() {
            return false;
        }
        let roster = self.roster.lock();
        !roster.dying && self.closing.xchg(false, Full)
    }

    /// Whether workers leave as they become idle.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// How many workers do what.
    pub fn census(&self) -> Census {
        self.roster.lock().census()
    }

    /// How many there are.
    pub fn enlisted(&self) -> usize {
        self.roster.lock().all.len()
    }

    /// How many have a task that is not exiting.
    pub fn arrived(&self) -> usize {
        self.roster.lock().count(Worker::is_alive)
    }

    /// How many are parked, or carry a program: they are not in user mode.
    pub fn seated(&self) -> usize {
        self.roster.lock().count(|worker| {
            !matches!(worker.seat.load(Relaxed), AWAY | FORKING | DEAD) && worker.is_alive()
        })
    }
}

fn set_state(state: u32) {
    // SAFETY: The current task's own state; the exchange orders it before what is looked at next,
    // as set_current_state() does.
    unsafe { Atomic::from_ptr(&raw mut (*Task::current_raw()).__state) }.xchg(state, Full);
}
