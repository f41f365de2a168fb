// SPDX-License-Identifier: GPL-2.0

//! What comes late to a task that a user's context has left, from who has looked it up before:
//! signals and CPU timers. `signals.c` and `timers.c` draw the races; what has to be over before a
//! task may end is in `settle.rs`.
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

use kernel::bindings;
use kernel::sync::atomic::Acquire;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Full;
use kernel::sync::atomic::Relaxed;
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
        unsafe {
            raw::syslet_forward_signals(task, this.tid.load(Relaxed), user);
            raw::syslet_lead_back(task);
        }
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
