// SPDX-License-Identifier: GPL-2.0

//! What comes late to a task that a user's context has left, from who has looked it up before:
//! signals and CPU timers. `signals.c` and `timers.c` draw the races.
//!
//! Who sends such a thing is in an RCU read-side section until it has. So a grace period after each
//! handoff all have, and a callback gives the user's thread what has come. Many handoffs share one:
//!
//! ```text
//! handoff                                callback
//! =======                                ========
//! old = xchg(state, NEW)                 forward
//! if old == NONE: call_rcu               if cmpxchg(state, QUIET, NONE) fails:
//!                                            state = QUIET; call_rcu
//! ```
//!
//! Each handoff is followed by a `call_rcu`: its own, or that of the callback that finds NEW, or, if
//! this has stored QUIET over it, that very one's.
//!
//! A task that exits within that grace period of any handoff in its process waits for its end: see
//! [`wait_in_exit`].

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

use crate::run;
use crate::symbols::raw;
use crate::worker::Worker;

/// No callback is queued.
const NONE: u32 = 0;
/// One is, and there was no handoff since.
const QUIET: u32 = 1;
/// One is, and there may have been some.
const NEW: u32 = 2;

/// A worker's part in this.
///
/// # Invariants
///
/// `head` is queued if `state` is not [`NONE`], and owns a reference to the worker then.
pub struct Late {
    head: Opaque<bindings::callback_head>,
    state: Atomic<u32>,
}

impl Late {
    /// That of a worker that no context was handed to.
    pub fn new() -> Self {
        Self {
            head: Opaque::new(bindings::callback_head::default()),
            state: Atomic::new(NONE),
        }
    }
}

/// `worker` has become the task that a user's context has left.
pub fn expect(worker: &Arc<Worker>) {
    if worker.late.state.xchg(NEW, Full) == NONE {
        // SAFETY: No callback was queued, by the state; the pointer is a reference's, of its own.
        unsafe { queue(Arc::into_raw(worker.clone())) };
    }
}

/// Gives the user's thread that the current task was, as `worker`, what was sent to it, and drops
/// what else is pending. What comes when no sender can be late any more is not for that thread.
#[inline]
pub fn hand_over(worker: &Worker) {
    let me = Task::current_raw();
    // SAFETY: The current task's own; others add to them at any time. `Symbols` lives as long as
    // the device does.
    unsafe {
        if (&raw const (*me).pending.signal.sig[0]).read_volatile() != 0 {
            let user = if worker.late.state.load(Acquire) == NONE {
                0
            } else {
                worker.user.load(Relaxed)
            };
            let rest = raw::syslet_forward_signals(me, (*me).pid, user);
            raw::syslet_drop_signals(rest);
        }
    }
}

/// The same, if `worker`, which has left its pool, is about to end: for all that can come.
pub fn settle(worker: &Worker) {
    if worker.late.state.load(Acquire) != NONE {
        let me = Task::current_raw();
        // SAFETY: Process context, without locks; `Symbols` lives as long as the device does.
        unsafe {
            if !run::fatal_signal_pending() {
                bindings::synchronize_rcu();
            }
            raw::syslet_forward_signals(me, (*me).pid, worker.user.load(Relaxed));
        }
    }
    hand_over(worker);
    worker.task.store(core::ptr::null_mut(), Relaxed);
}

/// # Safety
///
/// The callback must not be queued, and `worker` a reference that it may have.
unsafe fn queue(worker: *const Worker) {
    // SAFETY: By the safety requirement; `Symbols` waits for all callbacks before it goes.
    unsafe { raw::syslet_after_senders((*worker).late.head.get(), forward) };
}

/// The callback, in softirq context.
///
/// # Safety
///
/// `head` must be a worker's, queued by [`queue`].
unsafe extern "C" fn forward(head: *mut bindings::callback_head) {
    // SAFETY: By the safety requirement.
    let worker = unsafe {
        let late = kernel::container_of!(Opaque::cast_from(head), Late, head);
        kernel::container_of!(late, Worker, late)
    };
    // SAFETY: The reference is the callback's.
    let this = unsafe { &*worker };
    let rcu = kernel::sync::rcu::read_lock();
    // The two change together, and are looked at without the pool's lock: see `Pool::hand_on`. From
    // when the task is another user's until then its TID tells.
    let user = this.user.load(Acquire);
    let task = this.task.load(Acquire);
    if !task.is_null() && this.user.load(Relaxed) == user {
        // SAFETY: A task that exits is taken off its worker before, and freed by RCU.
        unsafe { raw::syslet_forward_signals(task, this.tid.load(Relaxed), user) };
    }
    drop(rcu);
    if this.late.state.cmpxchg(QUIET, NONE, Full).is_ok() {
        // SAFETY: It came from `into_raw`, and nothing is queued any more.
        drop(unsafe { Arc::from_raw(worker) });
        return;
    }
    this.late.state.store(QUIET, Relaxed);
    // SAFETY: This is the callback, which is queued no more; it passes its reference on.
    unsafe { queue(worker) };
}

/// When the last of some handoffs was, as RCU counts.
pub struct LastHandoff(Atomic<usize>);

impl LastHandoff {
    /// Long ago.
    pub fn never() -> Self {
        // SAFETY: It may be called anywhere.
        Self(Atomic::new(unsafe {
            bindings::get_completed_synchronize_rcu()
        }))
    }

    /// Now. The TIDs have been exchanged.
    #[inline]
    pub fn note(&self) {
        // SAFETY: It may be called anywhere.
        let now = unsafe { bindings::get_state_synchronize_rcu() };
        self.0.store(now, Relaxed);
    }

    /// Whether somebody may be about to send something to a task that was another before it.
    pub fn is_recent(&self) -> bool {
        // SAFETY: It may be called anywhere.
        !unsafe { bindings::poll_state_synchronize_rcu(self.0.load(Relaxed)) }
    }
}

/// How many tasks wait so.
static WAITING: Atomic<i32> = Atomic::new(0);

/// A task's wait in its exit.
#[repr(C)]
struct Wait {
    work: bindings::callback_head,
    /// Until when, as RCU counts.
    until: usize,
}

/// Has the current task, which exits, not give its TID up before nobody can have armed a CPU timer
/// for that in another task, and none is there.
///
/// For the exit probe. That may not sleep; the task runs its work later on its way out.
pub fn wait_in_exit() {
    // SAFETY: It may be called anywhere.
    let until = unsafe { bindings::get_state_synchronize_rcu() };
    let work = bindings::callback_head {
        func: Some(settle_timers),
        ..Default::default()
    };
    // Without memory, of which this takes the reserves, it is the callback that sees to such a timer.
    let Ok(wait) = KBox::new(Wait { work, until }, GFP_ATOMIC) else {
        return;
    };
    WAITING.add(1, Relaxed);
    // SAFETY: The current task runs its work before it is gone, and that frees it.
    unsafe {
        bindings::task_work_add(
            Task::current_raw(),
            KBox::into_raw(wait).cast(),
            bindings::task_work_notify_mode_TWA_NONE,
        )
    };
}

/// # Safety
///
/// `work` must be the start of a [`Wait`] in a box, which nobody else uses.
unsafe extern "C" fn settle_timers(work: *mut bindings::callback_head) {
    // SAFETY: By the safety requirement.
    let wait = unsafe { KBox::from_raw(work.cast::<Wait>()) };
    // SAFETY: Process context, without locks; `Symbols` waits for all that are waiting.
    unsafe {
        bindings::cond_synchronize_rcu_expedited(wait.until);
        raw::syslet_settle_timers();
    }
    drop(wait);
    WAITING.fetch_sub(1, Release);
}

/// Waits until no task is in [`settle_timers`] any more; none will come.
pub fn await_exits() {
    while WAITING.load(Acquire) != 0 {
        // SAFETY: Process context, without locks.
        unsafe { bindings::schedule_timeout_uninterruptible(1) };
    }
    // The last one may be about to return.
    // SAFETY: As above.
    unsafe { bindings::synchronize_rcu_tasks() };
}
