// SPDX-License-Identifier: GPL-2.0

//! One cachemiss thread, from fork to exit.
//!
//! A [`Worker`] stands for one task that has no user context of its own. The task changes: when a
//! worker takes a user context over, the task that the context has left becomes the worker. What a
//! worker is about is in its seat, one word that changes hands atomically:
//!
//! ```text
//!            fork                reserve              hook chooses          takes over
//! FORKING ---------> IDLE <------------------> flight --------> flight|1, then |3 -------> BUSY
//!                     | ^        release         |                     | refused           |
//!             withdraw| |park            withdraw|                     v                   |
//!                     v |                        v                    IDLE                 |
//!                    AWAY <----------------------+<----------------------------------------+
//!                     |                                                        interrupted |
//!                     v                                                                    |
//!                    DEAD (from IDLE, too: retired)       IDLE <---------------------------'
//!                                                                 program over: park
//! ```
//!
//! All transitions are made under the lock of its pool, but two: the hook cannot take it, so choosing
//! and withdrawing race with `cmpxchg` (see `block::detach`).

use core::ptr;

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::atomic::Acquire;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Full;
use kernel::sync::atomic::Relaxed;
use kernel::sync::atomic::Release;
use kernel::sync::Arc;
use kernel::task::Task;
use kernel::types::Opaque;

use crate::flight::Flight;
use crate::identity;
use crate::late::Late;
use crate::ring::Ring;

/// In the idle list.
pub const IDLE: usize = 0;
/// On its way out of the kernel and back in, or just not in the idle list.
pub const AWAY: usize = 1;
/// Carries a program, or comes from one.
pub const BUSY: usize = 2;
/// Forked, but not yet arrived.
pub const FORKING: usize = 3;
/// To leave.
pub const DEAD: usize = 4;
/// Set in the address of a flight: chosen, no longer just reserved.
pub const CHOSEN: usize = 1;
/// Set besides once the task that has chosen it is off its CPU: to take over.
pub const CALLED: usize = 2;
/// Addresses of flights are not below this.
pub const FLIGHTS: usize = 4096;

/// How long, in jiffies, a signal waits for a worker's arrival. It would be seen to and the call
/// made again, which forks another one.
const PATIENCE: usize = 3;

/// One cachemiss thread.
#[pin_data]
pub struct Worker {
    /// Its number in its head, which its parked user context carries.
    id: u64,
    ring: *const Ring,
    pub seat: Atomic<usize>,
    /// The task, or null before it was forked and after it has left. Changed under the pool's lock,
    /// or by the task itself when it has left; valid while the worker is in the pool, as a task that
    /// exits is taken out by the exit probe.
    pub task: Atomic<*mut bindings::task_struct>,
    /// The flight that it carries; changed under the pool's lock.
    pub flight: Atomic<*mut Flight>,
    /// A flight whose task went to see to a signal; used by the worker's own task.
    suspended: Atomic<*mut Flight>,
    /// The task has led its thread group, and another thread may be about to follow the pointer to
    /// its leader that it read meanwhile: it serves the leader only, and stays.
    pub led: Atomic<bool>,
    /// The TID of whichever task it is, in the first PID namespace: a handoff exchanges them.
    pub tid: Atomic<bindings::pid_t>,
    /// That of the user's thread that the task was last; 0 before.
    pub user: Atomic<bindings::pid_t>,
    pub late: Late,
    #[pin]
    pub arrived: Opaque<bindings::completion>,
}

// SAFETY: The ring outlives all workers of its head; the rest is atomic.
unsafe impl Send for Worker {}
// SAFETY: As above.
unsafe impl Sync for Worker {}

impl Worker {
    pub fn new(id: u64, ring: &Ring) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                id,
                ring,
                seat: Atomic::new(FORKING),
                task: Atomic::new(ptr::null_mut()),
                flight: Atomic::new(ptr::null_mut()),
                suspended: Atomic::new(ptr::null_mut()),
                led: Atomic::new(false),
                tid: Atomic::new(0),
                user: Atomic::new(0),
                late: Late::new(),
                arrived <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                    // SAFETY: `slot` is valid for writes.
                    unsafe { bindings::init_completion(slot) }
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The ring of its head.
    #[inline]
    pub fn ring(&self) -> &Ring {
        // SAFETY: The ring belongs to the head, which a task that has a worker keeps alive.
        unsafe { &*self.ring }
    }

    /// Whether it is reserved for `flight` still.
    ///
    /// Without the pool's lock: nobody but the worker itself ends a reservation.
    #[inline]
    pub fn is_reserved_for(&self, flight: &Flight) -> bool {
        self.seat.load(Acquire) == ptr::from_ref(flight) as usize
            && (!self.led.load(Relaxed) || leads())
    }

    /// The same, and whether the current user context may use it.
    #[inline]
    pub fn still_serves(&self, flight: &Flight) -> bool {
        // A worker that withdraws now may be gone soon, but not before the end of this section.
        let _rcu = kernel::sync::rcu::read_lock();
        let task = self.task.load(Relaxed);
        self.is_reserved_for(flight)
            // SAFETY: A reserved worker is alive, and its task is freed by RCU.
            && unsafe { identity::same_origin(task) }
    }

    /// Whether it may be chosen, by anybody or by the flight that reserved it.
    pub fn is_spare(&self) -> bool {
        let seat = self.seat.load(Relaxed);
        seat == IDLE || (seat >= FLIGHTS && seat & CHOSEN == 0)
    }

    /// Chooses the worker for the flight that reserved it; false if it has withdrawn.
    #[inline]
    pub fn choose(&self, flight: &Flight) -> bool {
        let reserved = ptr::from_ref(flight) as usize;
        self.seat.cmpxchg(reserved, reserved | CHOSEN, Full).is_ok()
    }

    /// Has the worker, which is chosen, take over.
    #[inline]
    pub fn call(&self) {
        // A worker that is awake may be called, refuse, and leave before it would be woken. Interrupts
        // are off, and it is freed by RCU.
        let task = self.task.load(Relaxed);
        // Nobody else changes the seat of a chosen worker.
        let chosen = self.seat.load(Relaxed);
        self.seat.store(chosen | CALLED, Release);
        // SAFETY: As above.
        unsafe { bindings::wake_up_process(task) };
    }

    /// Wakes its task. The worker must be one that cannot leave now.
    #[inline]
    pub fn wake(&self) {
        // SAFETY: By the above its task is alive.
        unsafe { bindings::wake_up_process(self.task.load(Relaxed)) };
    }

    /// Tells it to leave: idle, and not in the idle list any more.
    pub fn retire(&self) {
        self.seat.store(DEAD, Release);
        self.wake();
    }

    /// Whether there is a task that is not exiting. The caller has the pool's lock.
    pub fn is_alive(&self) -> bool {
        let task = self.task.load(Relaxed);
        if task.is_null() {
            return false;
        }
        // SAFETY: Its pool is locked.
        let flags = unsafe { (&raw const (*task).flags).read_volatile() };
        flags & bindings::PF_EXITING == 0
    }

    /// Whether it, which carries a program, sleeps at the moment. The caller has the pool's lock.
    pub fn is_asleep(&self) -> bool {
        // SAFETY: Its pool is locked.
        unsafe {
            let state = &raw const (*self.task.load(Relaxed)).__state;
            state.read_volatile() != bindings::TASK_RUNNING
        }
    }

    /// The flight that has chosen and called it.
    pub fn called(&self) -> Option<*const Flight> {
        let seat = self.seat.load(Acquire);
        (seat >= FLIGHTS && seat & CALLED != 0)
            .then_some((seat & !(CHOSEN | CALLED)) as *const Flight)
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Waits until the worker has arrived, or is known never to. False if a signal came, and it has
    /// not some time after that: if the process is being stopped, so is the worker.
    pub fn await_arrival(&self) -> bool {
        // SAFETY: The completion is initialised.
        unsafe {
            bindings::wait_for_completion_interruptible(self.arrived.get()) == 0
                || bindings::wait_for_completion_timeout(self.arrived.get(), PATIENCE) != 0
        }
    }

    /// Notes which task it is; for the fork probe.
    pub fn note_task(&self, task: *mut bindings::task_struct) {
        // SAFETY: The task has just been forked.
        self.tid.store(unsafe { (*task).pid }, Relaxed);
        self.task.store(task, Relaxed);
    }

    /// Puts a flight aside while its task sees to a signal.
    pub fn suspend(&self, flight: Pin<KBox<Flight>>) {
        // SAFETY: Flights stay pinned: the pointer goes back into a pinned box.
        let flight = KBox::into_raw(unsafe { Pin::into_inner_unchecked(flight) });
        self.suspended.store(flight, Release);
    }

    /// Takes it back.
    pub fn resume(&self) -> Option<Pin<KBox<Flight>>> {
        let flight = self.suspended.xchg(ptr::null_mut(), Full);
        if flight.is_null() {
            return None;
        }
        // SAFETY: `suspend` made it from a box, and the exchange gives it to one taker only.
        Some(KBox::into_pin(unsafe { KBox::from_raw(flight) }))
    }
}

/// Whether the current task leads its thread group.
pub fn leads() -> bool {
    let me = Task::current_raw();
    // SAFETY: The current task; only its own takeover makes it a leader, or no longer one. That of
    // another changes who leads instead.
    unsafe { (&raw const (*me).group_leader).read_volatile() == me }
}
