// SPDX-License-Identifier: GPL-2.0

//! Noticing that a task is about to sleep.
//!
//! A task that runs programs has the preempt notifier of its flight registered. The notifier also
//! marks the task: that is how a program that drives the device itself is told from its user.
//!
//! The hook runs in the scheduler, with interrupts off and the run queue locked: it may not sleep,
//! allocate, wake anybody, or take a lock that is held elsewhere with interrupts on.

use core::ptr;

use kernel::bindings;
use kernel::ffi::c_int;
use kernel::task::Task;

use crate::flight::Flight;
use crate::flight::State;
use crate::trace;

/// A `preempt_ops` in a static.
#[repr(transparent)]
struct Ops(bindings::preempt_ops);

// SAFETY: Nobody writes to it, and its functions may be called from anywhere.
unsafe impl Sync for Ops {}

static OPS: Ops = Ops(bindings::preempt_ops {
    sched_in: Some(sched_in),
    sched_out: Some(sched_out),
});

/// A notifier that calls the hook.
pub fn notifier() -> bindings::preempt_notifier {
    bindings::preempt_notifier {
        link: bindings::hlist_node::default(),
        ops: (&raw const OPS.0).cast_mut(),
    }
}

/// The permission to register notifiers.
///
/// # Invariants
///
/// `preempt_notifier_inc()` was called for it.
pub struct Notifiers(());

impl Notifiers {
    /// Turns the scheduler's calls of notifiers on.
    pub fn enable() -> Self {
        // SAFETY: May be called any number of times, in process context.
        unsafe { bindings::preempt_notifier_inc() };
        // INVARIANT: Just called.
        Self(())
    }
}

impl Drop for Notifiers {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::preempt_notifier_dec() };
    }
}

/// The current task is being switched in, which is of no interest.
///
/// # Safety
///
/// To be called by the scheduler.
unsafe extern "C" fn sched_in(_notifier: *mut bindings::preempt_notifier, _cpu: c_int) {}

/// The current task is being switched out.
///
/// # Safety
///
/// To be called by the scheduler, with the notifier of a flight that the current task owns.
unsafe extern "C" fn sched_out(
    notifier: *mut bindings::preempt_notifier,
    _next: *mut bindings::task_struct,
) {
    // SAFETY: Only flights register this hook.
    let flight = unsafe { &*Flight::of_notifier(notifier) };
    // SAFETY: This is the task that owns the flight, and it is armed or its own.
    let owned = unsafe { &mut *flight.owned() };
    if owned.state != State::Armed {
        return;
    }
    let task = Task::current_raw();
    // SAFETY: The current task's own fields, and its run queue is locked.
    let (runnable, leaving) = unsafe {
        (
            (*task).on_rq != 0 && (*task).se.sched_delayed == 0,
            (*task).flags & bindings::PF_EXITING != 0,
        )
    };
    if runnable || leaving {
        return;
    }

    // SAFETY: The current task's own; others add to them at any time.
    owned.pending = unsafe { (&raw const (*task).pending.signal.sig[0]).read_volatile() };
    let leaves = detach(flight);
    if let Some(batch) = &owned.batch {
        let user_data = batch.programs()[owned.next - 1].user_data;
        trace::block(user_data, owned.progress.index as u32, leaves);
    }
    if leaves {
        owned.state = State::Detached;
        flight.queue_kick();
    } else {
        owned.state = State::Unarmed;
        if owned.eager {
            flight.queue_kick();
        }
    }
}

/// Chooses the reserved worker, for good. False if the block has to be just a block.
///
/// The other side is `Pool::withdraw`; both go for the worker's slot with one atomic exchange:
///
/// ```text
/// blocking task (here)                       worker that a signal wakes
/// ====================                       ==========================
/// cmpxchg(slot, RESERVED, CHOSEN)            cmpxchg(slot, RESERVED, AWAY)
///   won: detached                              won: goes and sees to its signal
///   lost: block in the caller                  lost: takes over first, once called
/// ```
///
/// The scheduler saves the task's registers after this hook. The worker, which may be awake, must not
/// look at them before: [`kick`] calls it, on this CPU, where no interrupt comes until the switch is
/// over.
fn detach(flight: &Flight) -> bool {
    // SAFETY: Called by the hook, which owns it.
    let owned = unsafe { &mut *flight.owned() };
    // SAFETY: The current task.
    let traced = unsafe { (*Task::current_raw()).ptrace != 0 };
    // Atoms, and other threads, may have changed the task since the worker was reserved: what that
    // means for the worker it judges itself, when it takes over.
    let Some(worker) = owned
        .worker
        .as_ref()
        .filter(|worker| !traced && worker.is_reserved_for(flight))
    else {
        return false;
    };
    if owned.posts && owned.place.is_none() {
        owned.place = worker.ring().take_place();
        if owned.place.is_none() {
            return false;
        }
    }
    worker.choose(flight)
}

/// Calls the worker of a detached flight; or the task itself, which waited to be detached in vain.
///
/// # Safety
///
/// `work` must be the kick of a flight.
pub unsafe extern "C" fn kick(work: *mut bindings::irq_work) {
    // SAFETY: By the safety requirement. The flight's task waits for this before it goes on.
    let flight = unsafe { &*Flight::of_kick(work) };
    // SAFETY: The hook has finished, and until the worker is woken nobody changes these.
    let (state, worker) = unsafe { ((*flight.owned()).state, &(*flight.owned()).worker) };
    match worker {
        Some(worker) if state == State::Detached => worker.call(),
        _ => flight.complete_taken(),
    }
}

/// Keeps the current task's flight from detaching; returns whether it could have.
pub fn disarm() -> bool {
    set_state(State::Armed, State::Unarmed)
}

/// Undoes that.
pub fn rearm(armed: bool) {
    if armed {
        set_state(State::Unarmed, State::Armed);
    }
}

fn set_state(from: State, to: State) -> bool {
    // SAFETY: The flight belongs to the current task.
    current_flight().is_some_and(|flight| unsafe {
        let state = &raw mut (*(*flight).owned()).state;
        let changes = state.read() == from;
        if changes {
            state.write(to);
        }
        changes
    })
}

/// Whether the current task runs a program whose caller has gone on without it.
pub fn in_cachemiss_thread() -> bool {
    // SAFETY: The flight belongs to the current task.
    current_flight().is_some_and(|flight| unsafe { (*(*flight).owned()).state } == State::Settled)
}

/// The flight of the current task, if it runs programs.
pub fn current_flight() -> Option<*const Flight> {
    // SAFETY: The list belongs to the current task; only it adds and removes entries.
    let mut link = unsafe { (*Task::current_raw()).preempt_notifiers.first };
    while !link.is_null() {
        // SAFETY: Every entry of the list is the link of a preempt notifier.
        let notifier = unsafe { kernel::container_of!(link, bindings::preempt_notifier, link) };
        // SAFETY: As above.
        if unsafe { ptr::eq((*notifier).ops, &OPS.0) } {
            // SAFETY: Only flights register our hook.
            return Some(unsafe { Flight::of_notifier(notifier) });
        }
        // SAFETY: As above.
        link = unsafe { (*link).next };
    }
    None
}
