// SPDX-License-Identifier: GPL-2.0

//! A flight: the running of programs in one task, and what a handoff needs to know of it.
//!
//! The task that runs the programs owns its flight. From the moment the scheduler hook has chosen
//! a worker until that worker says that it has taken over, the worker uses it, too:
//!
//! ```text
//! the task that blocks (A)                     its worker (B)
//! ========================                     ==============
//! sched_out, once:
//!   worker: RESERVED for A's flight -> CHOSEN
//!   state = Detached
//!   queue irq_work
//! switched out: registers are in memory
//! irq_work, on the same CPU: CALLED, wake -->  wakes, sees CALLED
//! blocked, or running kernel code:             takes user, mask, batch, next; leaves its own
//!   uses none of what B takes                  registers in user
//! after the call:                              swaps identity
//!   wait(taken)   <--------------------------  complete(taken), and never looks here again
//! A is a cachemiss thread
//! ```
//!
//! B wins every race with A, because A cannot return to user mode, end its program or exit before
//! it has waited for `taken`.

use core::cell::UnsafeCell;
use core::ptr;

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Full;
use kernel::sync::atomic::Relaxed;
use kernel::sync::Arc;
use kernel::task::Task;
use kernel::types::Opaque;

use crate::batch::Batch;
use crate::block;
use crate::head::Head;
use crate::identity;
use crate::program::Results;
use crate::ring::Place;
use crate::worker::Worker;

/// Where a flight stands; only its own task changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A block is just a block.
    Unarmed,
    /// A block hands the user context over.
    Armed,
    /// It was handed over to the worker, which may not have got to it yet.
    Detached,
    /// It is gone for good: this is a cachemiss thread.
    Settled,
}

/// How far a program has come.
pub struct Progress {
    /// The atom that is next.
    pub index: usize,
    /// What the atoms before it returned.
    pub results: Results,
    /// The restart code of the call that was interrupted in this atom, or 0.
    pub restart: i64,
}

/// The part of a flight that has one user at a time.
pub struct Owned {
    /// Where the flight stands.
    pub state: State,
    /// The spare that is reserved for this flight; once detached, its own worker.
    pub worker: Option<Arc<Worker>>,
    /// The user registers that atoms change in the frame, put aside; once the user context has
    /// left, all of the parked one's.
    pub user: bindings::pt_regs,
    /// The user's signal mask. No atom may change it, and what a call puts in force for a while is
    /// not it.
    pub mask: usize,
    /// The private signals that were pending when the context left: none that a call has raised
    /// since is the user's.
    pub pending: usize,
    /// What is run.
    pub batch: Option<Arc<Batch>>,
    /// The program of it that comes after the one that runs.
    pub next: usize,
    /// `EXEC_*`.
    pub flags: u32,
    /// The call has undone a close of the head.
    pub reopened: bool,
    /// How far the program has come.
    pub progress: Progress,
    /// Whether the program will post a completion if it leaves the caller.
    pub posts: bool,
    /// Where that goes.
    pub place: Option<Place>,
    /// Whether the task waits to be detached, and has to be told if that fails.
    pub eager: bool,
    /// Set by the worker: it could not take over.
    pub refused: bool,
    /// Set by the worker: the TID that the task had, which the call that it is in may use; or null.
    pub tid: *mut bindings::pid,
    /// The worker that is being forked for this flight, or null.
    pub forking: *const Worker,
    /// The burial has been put off once.
    pub buried: bool,
    /// The head; `file` keeps it.
    pub head: *const Head,
    /// The file that the task's frames use.
    pub file: *mut bindings::file,
    /// How many references to it would be lost if the task never returned.
    pub file_refs: usize,
}

/// The running of programs in one task.
///
/// # Invariants
///
/// `owned` is used by `task`, and from `CHOSEN` to `taken` as the module's comment says.
#[pin_data]
pub struct Flight {
    #[pin]
    notifier: Opaque<bindings::preempt_notifier>,
    /// Wakes the worker from the scheduler hook.
    #[pin]
    kick: Opaque<bindings::irq_work>,
    /// Task work that interrupts a call.
    #[pin]
    nudge: Opaque<bindings::callback_head>,
    /// Task work that completes the program of a task that exits inside a call.
    #[pin]
    burial: Opaque<bindings::callback_head>,
    #[pin]
    taken: Opaque<bindings::completion>,
    task: Atomic<*mut bindings::task_struct>,
    user_data: Atomic<u64>,
    canceled: Atomic<bool>,
    owned: UnsafeCell<Owned>,
}

// SAFETY: By the type invariant `owned` has one user at a time; the rest is atomic or has the
// kernel's own synchronisation.
unsafe impl Send for Flight {}
// SAFETY: As above.
unsafe impl Sync for Flight {}

impl Flight {
    /// A flight that runs nothing yet.
    pub fn new() -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                notifier <- Opaque::ffi_init(|slot: *mut bindings::preempt_notifier| {
                    // SAFETY: `slot` is valid for writes.
                    unsafe { slot.write(block::notifier()) }
                }),
                kick <- Opaque::ffi_init(|slot: *mut bindings::irq_work| {
                    // SAFETY: `slot` is valid for writes; as IRQ_WORK_INIT().
                    unsafe {
                        slot.write(bindings::irq_work::default());
                        (*slot).func = Some(block::kick);
                    }
                }),
                nudge <- Opaque::ffi_init(|slot: *mut bindings::callback_head| {
                    // SAFETY: `slot` is valid for writes.
                    unsafe { slot.write(bindings::callback_head::default()) }
                }),
                burial <- Opaque::ffi_init(|slot: *mut bindings::callback_head| {
                    // SAFETY: `slot` is valid for writes.
                    unsafe { slot.write(bindings::callback_head::default()) }
                }),
                taken <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                    // SAFETY: `slot` is valid for writes.
                    unsafe { bindings::init_completion(slot) }
                }),
                task: Atomic::new(ptr::null_mut()),
                user_data: Atomic::new(0),
                canceled: Atomic::new(false),
                owned: UnsafeCell::new(Owned {
                    state: State::Unarmed,
                    worker: None,
                    user: bindings::pt_regs::default(),
                    mask: 0,
                    pending: 0,
                    batch: None,
                    next: 0,
                    flags: 0,
                    reopened: false,
                    progress: Progress {
                        index: 0,
                        results: Results::new(),
                        restart: 0,
                    },
                    posts: false,
                    place: None,
                    eager: false,
                    refused: false,
                    tid: ptr::null_mut(),
                    forking: ptr::null(),
                    buried: false,
                    head: ptr::null(),
                    file: ptr::null_mut(),
                    file_refs: 0,
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The part that has one user at a time; it is that user who may follow the pointer.
    #[inline]
    pub fn owned(&self) -> *mut Owned {
        self.owned.get()
    }

    /// The task that runs the programs.
    #[inline]
    pub fn task(&self) -> *mut bindings::task_struct {
        self.task.load(Relaxed)
    }

    /// Makes the current task the owner, and watches it.
    ///
    /// # Safety
    ///
    /// The flight must stay where it is until [`Self::unwatch`] was called, or the task has exited.
    #[inline]
    pub unsafe fn watch(&self) {
        self.task.store(Task::current_raw(), Relaxed);
        // SAFETY: The module holds `Notifiers` while it has a device; by the safety requirement
        // the notifier outlives its being registered.
        unsafe { bindings::preempt_notifier_register(self.notifier.get()) };
    }

    /// Ends that.
    ///
    /// # Safety
    ///
    /// [`Self::watch`] was called in the current task.
    #[inline]
    pub unsafe fn unwatch(&self) {
        // SAFETY: By the safety requirement.
        unsafe { bindings::preempt_notifier_unregister(self.notifier.get()) };
    }

    /// The flight whose notifier this is.
    ///
    /// # Safety
    ///
    /// `notifier` must be the notifier of a flight.
    #[inline]
    pub unsafe fn of_notifier(notifier: *mut bindings::preempt_notifier) -> *const Self {
        // SAFETY: By the safety requirement.
        unsafe { kernel::container_of!(Opaque::cast_from(notifier), Self, notifier) }
    }

    /// The flight whose kick this is.
    ///
    /// # Safety
    ///
    /// `kick` must be the kick of a flight.
    #[inline]
    pub unsafe fn of_kick(kick: *mut bindings::irq_work) -> *const Self {
        // SAFETY: By the safety requirement.
        unsafe { kernel::container_of!(Opaque::cast_from(kick), Self, kick) }
    }

    /// The flight whose burial this is.
    ///
    /// # Safety
    ///
    /// `burial` must be the burial of a flight.
    pub unsafe fn of_burial(burial: *mut bindings::callback_head) -> *const Self {
        // SAFETY: By the safety requirement.
        unsafe { kernel::container_of!(Opaque::cast_from(burial), Self, burial) }
    }

    /// Wakes whom the flight's state tells to; for the scheduler hook.
    #[inline]
    pub fn queue_kick(&self) {
        // SAFETY: The work is initialised, and `settle` and `wait_detached` see to it that it has
        // run before the flight goes.
        unsafe { bindings::irq_work_queue(self.kick.get()) };
    }

    /// Sees to it that no kick is under way.
    fn sync_kick(&self) {
        // SAFETY: The work is initialised; process context.
        unsafe { bindings::irq_work_sync(self.kick.get()) };
    }

    /// Tells the task that its user context is gone. The flight may be freed at any time then.
    pub fn complete_taken(&self) {
        // SAFETY: The completion is initialised. Whoever waits for it takes its lock after this
        // has given it back, so it is not freed underfoot.
        unsafe { bindings::complete(self.taken.get()) };
    }

    /// Waits until the worker has taken over, once the flight is detached; the current task is a
    /// cachemiss thread then. If the worker could not, the program stays with the caller.
    #[cold]
    pub fn settle(&self) {
        // SAFETY: The completion is initialised. The worker has been woken and does nothing but
        // take over, so this is short.
        unsafe { bindings::wait_for_completion(self.taken.get()) };
        self.sync_kick();
        // SAFETY: The worker is done with it.
        let owned = unsafe { &mut *self.owned() };
        if core::mem::take(&mut owned.refused) {
            owned.state = State::Unarmed;
            owned.worker = None;
            return;
        }
        owned.state = State::Settled;
        let tid = core::mem::replace(&mut owned.tid, ptr::null_mut());
        // SAFETY: The worker took the identity before it completed, and left a reference to the TID,
        // which no call uses any more.
        unsafe {
            bindings::put_pid(tid);
            identity::become_cachemiss_thread();
        }
    }

    /// Hands the user context over at once, as if the task had blocked. Returns with the flight
    /// settled, or, if that was not possible, unarmed.
    pub fn leave_now(&self) {
        // SAFETY: The current task owns the flight, which is armed.
        unsafe { (*self.owned()).eager = true };
        // The wait itself is the block that hands over. If no worker was there for it any more,
        // the kick completes the wait instead.
        // SAFETY: The completion is initialised.
        unsafe { bindings::wait_for_completion(self.taken.get()) };
        // SAFETY: As above; nobody else uses it now.
        let owned = unsafe { &mut *self.owned() };
        owned.eager = false;
        if owned.state == State::Detached {
            // The wait is over already: let `settle` find it so.
            self.complete_taken();
            self.settle();
        } else {
            self.sync_kick();
            owned.state = State::Unarmed;
        }
    }

    /// Whether somebody has asked for the program's end.
    #[inline]
    pub fn is_canceled(&self) -> bool {
        self.canceled.load(Relaxed)
    }

    /// The program's user data.
    pub fn user_data(&self) -> u64 {
        self.user_data.load(Relaxed)
    }

    /// Sets it, before the flight can be found by it.
    pub fn set_user_data(&self, user_data: u64) {
        self.user_data.store(user_data, Relaxed);
    }

    /// Makes the flight ready for other programs, once nobody can cancel it any more.
    pub fn forget_cancel(&self) {
        self.canceled.store(false, Relaxed);
    }

    /// Asks for the program's end: interrupts the call that it is in.
    ///
    /// The caller holds the lock of the worker's pool, and the worker carries this flight.
    pub fn cancel(&self) {
        if self.canceled.xchg(true, Full) {
            return;
        }
        // SAFETY: The task is alive while its worker is in the pool. The work is queued once, and
        // `finish_cancel` sees to it that it has run before the flight goes.
        unsafe {
            (*self.nudge.get()).func = Some(nudge);
            bindings::task_work_add(
                self.task(),
                self.nudge.get(),
                bindings::task_work_notify_mode_TWA_SIGNAL,
            );
        }
    }

    /// Queues the completion of the program of the current task, which is exiting.
    ///
    /// # Safety
    ///
    /// `bury` must cope with a flight whose task exits inside a call.
    pub unsafe fn queue_burial(&self, bury: unsafe extern "C" fn(*mut bindings::callback_head)) {
        // SAFETY: The current task runs its work before it is gone; the flight lasts until then,
        // by the safety requirement.
        unsafe {
            (*self.burial.get()).func = Some(bury);
            bindings::task_work_add(
                Task::current_raw(),
                self.burial.get(),
                bindings::task_work_notify_mode_TWA_NONE,
            );
        }
    }
}

/// The interruption is all there is to it.
///
/// # Safety
///
/// May always be called.
unsafe extern "C" fn nudge(_work: *mut bindings::callback_head) {}
