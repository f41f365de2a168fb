// SPDX-License-Identifier: GPL-2.0

//! Tasks, and how they sleep and are woken.
//!
//! ```text
//! schedule()                             wake_up_process()
//! ==========                             =================
//! lock the task                          full barrier
//! state RUNNING? then go on              lock the task
//! hook of preempt notifiers              state RUNNING? then that is all
//! registers are saved                    state = RUNNING
//! irq_work, in a thread of its own       asleep? then it goes on
//! unlock; asleep until woken             unlock
//! ```
//!
//! The task's lock stands for the locks of its run queue and `pi_lock`: a task that is being switched
//! out cannot be woken halfway.

use core::cell::Cell;
use core::ffi::c_int;
use core::ptr;

use loom::cell::UnsafeCell;
use loom::sync::Condvar;
use loom::sync::Mutex;
use loom::sync::MutexGuard;
use loom::thread::JoinHandle;

use crate::atomic::full_barrier;
use crate::atomic::Acquire;
use crate::atomic::Atomic;
use crate::atomic::Full;
use crate::atomic::Relaxed;
use crate::atomic::Release;
use crate::bindings as b;

/// What a task has in the model.
pub(crate) struct Sched {
    run: Mutex<Run>,
    woken: Condvar,
    /// Bits of [`crate::model::Signal`].
    pub(crate) signals: Atomic<u32>,
    work: Mutex<Vec<Queued>>,
    /// The registers of the user, which are in memory once the task is switched out, until it goes
    /// back to user mode.
    pub(crate) saved: UnsafeCell<()>,
    in_memory: Cell<bool>,
    /// Whether it has the user context.
    pub(crate) has_user: UnsafeCell<bool>,
    raised: Cell<*mut b::irq_work>,
    pub(crate) interrupts: Cell<Option<JoinHandle<()>>>,
}

impl Sched {
    pub(crate) fn new(has_user: bool) -> Self {
        Self {
            run: Mutex::new(Run::default()),
            woken: Condvar::new(),
            signals: Atomic::new(0),
            work: Mutex::new(Vec::new()),
            saved: UnsafeCell::new(()),
            in_memory: Cell::new(false),
            has_user: UnsafeCell::new(has_user),
            raised: Cell::new(ptr::null_mut()),
            interrupts: Cell::new(None),
        }
    }
}

#[derive(Default)]
struct Run {
    asleep: bool,
    /// Its timer has run out.
    expired: bool,
    /// It sleeps without a timer.
    untimed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskPtr(pub(crate) *mut b::task_struct);

// SAFETY: What threads share of a task is loom's.
unsafe impl Send for TaskPtr {}

struct Queued(*mut b::callback_head);

// SAFETY: As above.
unsafe impl Send for Queued {}

struct IrqWork(*mut b::irq_work);

// SAFETY: As above.
unsafe impl Send for IrqWork {}

loom::thread_local! {
    static CURRENT: Cell<*mut b::task_struct> = Cell::new(ptr::null_mut());
}

pub(crate) fn current() -> *mut b::task_struct {
    CURRENT.with(Cell::get)
}

pub(crate) fn set_current(task: *mut b::task_struct) {
    CURRENT.with(|current| current.set(task));
}

/// What the model has of a task, all of which outlive its run.
pub(crate) fn model_of<'a>(task: *mut b::task_struct) -> &'a Sched {
    // SAFETY: By the above; what threads share of it is loom's.
    unsafe { &(*task).model }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar
        .wait(guard)
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(crate) fn state_of<'a>(task: *mut b::task_struct) -> &'a Atomic<u32> {
    unsafe { Atomic::<u32>::from_ptr(&raw mut (*task).__state) }
}

/// `set_current_state()`
pub fn set_current_state(state: u32) {
    state_of(current()).xchg(state, Full);
}

pub unsafe fn schedule() {
    let task = current();
    let model = model_of(task);
    let mut run = lock(&model.run);
    let state = state_of(task);
    let interruptible = state.load(Relaxed) == b::TASK_INTERRUPTIBLE;
    if interruptible && model.signals.load(Relaxed) != 0 {
        state.store(b::TASK_RUNNING, Relaxed);
    }
    if state.load(Relaxed) == b::TASK_RUNNING {
        return;
    }

    unsafe {
        (*task).on_rq = 0;
        let mut link = (*task).preempt_notifiers.first;
        while !link.is_null() {
            let notifier = crate::container_of!(link, b::preempt_notifier, link);
            link = (*link).next;
            if let Some(hook) = (*(*notifier).ops).sched_out {
                hook(notifier, ptr::null_mut());
            }
        }
    }
    if !model.in_memory.replace(true) {
        model.saved.with_mut(|_| ());
    }
    run.asleep = true;
    let raised = model.raised.replace(ptr::null_mut());
    if !raised.is_null() {
        let work = IrqWork(raised);
        let interrupt = loom::thread::spawn(move || interrupt(work));
        assert!(model.interrupts.replace(Some(interrupt)).is_none());
    }
    while run.asleep {
        run = wait(&model.woken, run);
    }
    unsafe { (*task).on_rq = 1 };
}

/// Runs what was raised, on the CPU that the task has left.
fn interrupt(IrqWork(work): IrqWork) {
    let work = unsafe { &*work };
    if let Some(func) = work.func {
        unsafe { func(ptr::from_ref(work).cast_mut()) };
    }
    let mut busy = lock(&work.busy);
    work.alive.with(|_| ());
    *busy = false;
    work.idle.notify_all();
}

/// Raises the interrupt, which comes when the task was switched out. Hooks only call it.
pub unsafe fn irq_work_queue(work: *mut b::irq_work) {
    *lock(unsafe { &(*work).busy }) = true;
    model_of(current()).raised.set(work);
}

pub unsafe fn irq_work_sync(work: *mut b::irq_work) {
    let work = unsafe { &*work };
    let mut busy = lock(&work.busy);
    while *busy {
        busy = wait(&work.idle, busy);
    }
}

pub unsafe fn wake_up_process(task: *mut b::task_struct) {
    wake_if(task, b::TASK_NORMAL);
}

/// Wakes a task that is in one of these states.
pub(crate) fn wake_if(task: *mut b::task_struct, states: u32) {
    let model = model_of(task);
    full_barrier();
    let mut run = lock(&model.run);
    let state = state_of(task);
    if state.load(Relaxed) & states == 0 {
        return;
    }
    state.store(b::TASK_RUNNING, Relaxed);
    if run.asleep {
        run.asleep = false;
        model.woken.notify_one();
    }
}

/// The time does not pass by itself: see [`crate::model::expire`].
pub unsafe fn schedule_timeout(left: isize) -> isize {
    let run = || lock(&model_of(current()).run);
    if left == isize::MAX {
        run().untimed = true;
        unsafe { schedule() };
        run().untimed = false;
        return left;
    }
    if !run().expired {
        unsafe { schedule() };
    }
    if core::mem::take(&mut run().expired) {
        0
    } else {
        left
    }
}

pub unsafe fn schedule_hrtimeout_range(
    _at: *mut i64,
    _delta: u64,
    _mode: b::hrtimer_mode,
) -> c_int {
    c_int::from(unsafe { schedule_timeout(1) } != 0)
}

pub(crate) fn expire(task: *mut b::task_struct) {
    let timed = {
        let mut run = lock(&model_of(task).run);
        run.expired = true;
        !run.untimed
    };
    if timed {
        wake_if(task, b::TASK_NORMAL);
    }
}

#[derive(Default)]
pub(crate) struct Completion {
    done: u32,
    waiting: Vec<TaskPtr>,
}

pub unsafe fn complete(completion: *mut b::completion) {
    let mut inner = lock(unsafe { &(*completion).inner });
    inner.done = inner.done.saturating_add(1);
    if !inner.waiting.is_empty() {
        wake_if(inner.waiting.remove(0).0, b::TASK_NORMAL);
    }
}

pub unsafe fn complete_all(completion: *mut b::completion) {
    let mut inner = lock(unsafe { &(*completion).inner });
    inner.done = u32::MAX;
    for task in inner.waiting.drain(..) {
        wake_if(task.0, b::TASK_NORMAL);
    }
}

pub unsafe fn wait_for_completion(completion: *mut b::completion) {
    let me = TaskPtr(current());
    loop {
        {
            let mut inner = lock(unsafe { &(*completion).inner });
            inner.waiting.retain(|&task| task != me);
            if inner.done > 0 {
                if inner.done != u32::MAX {
                    inner.done -= 1;
                }
                break;
            }
            inner.waiting.push(me);
            set_current_state(b::TASK_UNINTERRUPTIBLE);
        }
        unsafe { schedule() };
    }
    state_of(me.0).store(b::TASK_RUNNING, Relaxed);
}

/// No signal comes for who waits so in a model.
pub unsafe fn wait_for_completion_interruptible(completion: *mut b::completion) -> c_int {
    unsafe { wait_for_completion(completion) };
    0
}

/// Only behind the other, which no signal interrupts here.
pub unsafe fn wait_for_completion_timeout(completion: *mut b::completion, _: usize) -> usize {
    unsafe { wait_for_completion(completion) };
    1
}

pub unsafe fn prepare_to_wait_event(
    queue: *mut b::wait_queue_head,
    _entry: *mut b::wait_queue_entry,
    state: c_int,
) -> isize {
    let me = TaskPtr(current());
    let mut waiting = lock(unsafe { &(*queue).waiting });
    waiting.retain(|&task| task != me);
    if model_of(me.0).signals.load(Acquire) != 0 {
        return -512;
    }
    waiting.push(me);
    set_current_state(state.unsigned_abs());
    0
}

pub unsafe fn finish_wait(queue: *mut b::wait_queue_head, _entry: *mut b::wait_queue_entry) {
    let me = TaskPtr(current());
    state_of(me.0).store(b::TASK_RUNNING, Relaxed);
    lock(unsafe { &(*queue).waiting }).retain(|&task| task != me);
}

pub unsafe fn __wake_up(
    queue: *mut b::wait_queue_head,
    mode: u32,
    _count: c_int,
    _key: *mut core::ffi::c_void,
) {
    for task in lock(unsafe { &(*queue).waiting }).drain(..) {
        wake_if(task.0, mode);
    }
}

pub unsafe fn eventfd_signal_mask(ctx: *mut b::eventfd_ctx, _mask: u32) {
    let ctx = unsafe { &*ctx };
    *lock(&ctx.count) += 1;
    ctx.more.notify_all();
}

/// What a blocking `read()` of it returns.
pub(crate) fn eventfd_read(ctx: &b::eventfd_ctx) -> u64 {
    let mut count = lock(&ctx.count);
    while *count == 0 {
        count = wait(&ctx.more, count);
    }
    core::mem::take(&mut count)
}

pub unsafe fn task_work_add(
    task: *mut b::task_struct,
    work: *mut b::callback_head,
    mode: b::task_work_notify_mode,
) -> c_int {
    unsafe {
        (*work).alive.with(|_| ());
        lock(&model_of(task).work).push(Queued(work));
        if mode == b::task_work_notify_mode_TWA_SIGNAL {
            crate::model::send(task, crate::model::Signal::Work);
        }
    }
    0
}

pub fn task_work_run() {
    let model = model_of(current());
    crate::model::clear(crate::model::Signal::Work);
    let queued = core::mem::take(&mut *lock(&model.work));
    for Queued(work) in queued {
        unsafe {
            (*work).alive.with(|_| ());
            if let Some(func) = (*work).func {
                func(work);
            }
        }
    }
}

pub unsafe fn preempt_notifier_register(notifier: *mut b::preempt_notifier) {
    unsafe {
        let task = current();
        (*notifier).link.next = (*task).preempt_notifiers.first;
        (*task).preempt_notifiers.first = &raw mut (*notifier).link;
    }
}

/// A task has one at most here.
pub unsafe fn preempt_notifier_unregister(notifier: *mut b::preempt_notifier) {
    unsafe { (*current()).preempt_notifiers.first = (*notifier).link.next };
}

pub(crate) fn announce_signal(task: *mut b::task_struct, bit: u32) {
    let signals = &model_of(task).signals;
    // One at a time sends, or it is the task's own lock that orders them.
    let old = signals.load(Relaxed);
    signals.store(old | bit, Release);
    wake_if(task, b::TASK_INTERRUPTIBLE);
}
