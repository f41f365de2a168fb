// SPDX-License-Identifier: GPL-2.0

//! What is to be over before a task gives its TID up: arming CPU timers for that TID in another task
//! (`timers.c` draws the race), and handling those that are armed so.
//!
//! A process is settled if all its threads were looked through, by a *sweep*, at least a grace period
//! after its last handoff. As long as it is not, tasks that exit wait for that, each in a task work:
//!
//! ```text
//! takeover                exit probe, under the registry's lock    its task work
//! ========                =====================================    =============
//! TIDs are exchanged      handoffs = forget them                   wait for the grace period
//! note the handoff        is under way?                            lock; sweep; unlock
//! ... exits itself,       either: under way++, queue the work      under way--
//!     at the earliest     neither: settled
//! ```
//!
//! A probe that finds neither comes behind a whole sweep that has begun a grace period after the last
//! handoff: who has forgotten that handoff is under way until then. Grace periods alone do not tell:
//! those that others have made short are over before the callbacks of `late.rs` run.

use kernel::bindings;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::atomic::Acquire;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Full;
use kernel::sync::atomic::Relaxed;
use kernel::sync::atomic::Release;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use kernel::task::Task;

use crate::symbols::raw;

/// No grace period is counted so.
const NEVER: usize = 1;

/// When the last of some handoffs was, as RCU counts, until that is forgotten.
pub struct LastHandoff(Atomic<usize>);

impl LastHandoff {
    /// There was none.
    pub fn never() -> Self {
        Self(Atomic::new(NEVER))
    }

    /// Now. The TIDs have been exchanged.
    #[inline]
    pub fn note(&self) {
        // SAFETY: It may be called anywhere.
        let now = unsafe { bindings::get_state_synchronize_rcu() };
        self.0.store(now, Relaxed);
    }

    /// Forgets it. If there was one, this is whether somebody may be about to arm a timer for what
    /// the task was before.
    pub fn forget(&self) -> Option<bool> {
        let when = self.0.xchg(NEVER, Full);
        // SAFETY: It may be called anywhere.
        (when != NEVER).then(|| !unsafe { bindings::poll_state_synchronize_rcu(when) })
    }
}

/// The sweeps of a process.
#[pin_data]
pub struct Settling {
    /// Tasks that have forgotten a handoff, or came behind one that had, and are not done.
    under_way: Atomic<i32>,
    /// Sweeps begun.
    begun: Atomic<usize>,
    #[pin]
    sweep: Mutex<()>,
}

impl Settling {
    /// That of a process without handoffs.
    pub fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                under_way: Atomic::new(0),
                begun: Atomic::new(0),
                sweep <- new_mutex!((), "syslet_sweep"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Whether a task that exits has to wait though it finds no handoff.
    pub fn is_under_way(&self) -> bool {
        self.under_way.load(Acquire) != 0
    }

    /// Looks through all threads of the current process, unless somebody has since the call.
    fn sweep(&self) {
        let before = self.begun.load(Acquire);
        let _sweep = self.sweep.lock();
        if self.begun.load(Relaxed) == before {
            self.begun.store(before + 1, Release);
            // SAFETY: Process context, and the lock is a mutex; `Symbols` waits for all that wait.
            unsafe { raw::syslet_settle_timers() };
        }
    }
}

/// How many tasks wait so, of all processes.
static WAITING: Atomic<i32> = Atomic::new(0);

/// A task's wait in its exit.
#[repr(C)]
struct Wait {
    work: bindings::callback_head,
    /// Until when, as RCU counts.
    until: usize,
    settling: Arc<Settling>,
}

/// Has the current task, which exits, see to it that its process is settled, and if `recent` wait for
/// a grace period before; `ENOMEM` without memory, of which this takes the reserves.
///
/// For the exit probe, which may not sleep: the task runs its work later on its way out.
pub fn wait_in_exit(settling: &Arc<Settling>, recent: bool) -> Result {
    // SAFETY: They may be called anywhere.
    let until = unsafe {
        if recent {
            bindings::get_state_synchronize_rcu()
        } else {
            bindings::get_completed_synchronize_rcu()
        }
    };
    let work = bindings::callback_head {
        func: Some(settle),
        ..Default::default()
    };
    let wait = KBox::new(
        Wait {
            work,
            until,
            settling: settling.clone(),
        },
        GFP_ATOMIC,
    )?;
    settling.under_way.add(1, Relaxed);
    WAITING.add(1, Relaxed);
    // SAFETY: The current task runs its work before it is gone, and that frees it.
    unsafe {
        bindings::task_work_add(
            Task::current_raw(),
            KBox::into_raw(wait).cast(),
            bindings::task_work_notify_mode_TWA_NONE,
        )
    };
    Ok(())
}

/// # Safety
///
/// `work` must be the start of a [`Wait`] in a box, which nobody else uses.
unsafe extern "C" fn settle(work: *mut bindings::callback_head) {
    // SAFETY: By the safety requirement.
    let wait = unsafe { KBox::from_raw(work.cast::<Wait>()) };
    // SAFETY: Process context, without locks.
    unsafe { bindings::cond_synchronize_rcu_expedited(wait.until) };
    wait.settling.sweep();
    wait.settling.under_way.fetch_sub(1, Release);
    drop(wait);
    WAITING.fetch_sub(1, Release);
}

/// Waits until no task is in [`settle`] any more; none will come.
pub fn await_exits() {
    while WAITING.load(Acquire) != 0 {
        // SAFETY: Process context, without locks.
        unsafe { bindings::schedule_timeout_uninterruptible(1) };
    }
    // The last one may be about to return.
    // SAFETY: As above.
    unsafe { bindings::synchronize_rcu_tasks() };
}
