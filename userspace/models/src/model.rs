// SPDX-License-Identifier: GPL-2.0

//! What a test makes a model of.

use core::ptr;
use std::cell::RefCell;
use std::collections::HashMap;

use loom::sync::Mutex;

use crate::atomic::Acquire;
use crate::atomic::Relaxed;
use crate::bindings as b;
use crate::bindings::task_struct;
use crate::mm::Mm;
use crate::sched;
use crate::sched::Sched;
use crate::sched::TaskPtr;

/// Runs `run` in every order, but for those with more than `preemptions` switches from a thread that
/// could have gone on.
pub fn check(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = builder.max_branches.max(20_000);
    let runs = std::sync::Arc::new(core::sync::atomic::AtomicUsize::new(0));
    let count = runs.clone();
    builder.check(move || {
        count.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        crate::atomic::forget_places();
        SHARED.with_borrow_mut(HashMap::clear);
        run();
    });
    println!(
        "{} orders",
        runs.load(core::sync::atomic::Ordering::Relaxed)
    );
}

/// A pending signal, or what looks like one.
#[derive(Clone, Copy)]
pub enum Signal {
    Stop = 1,
    Kill = 2,
    Work = 4,
}

/// A task, which is the current one of the thread that says so.
pub struct Task(Box<task_struct>);

// SAFETY: What threads share of a task is loom's.
unsafe impl Send for Task {}
// SAFETY: As above.
unsafe impl Sync for Task {}

impl Task {
    /// A task, with a user context or without.
    pub fn new(has_user: bool) -> Self {
        let mut task = Box::new(task_struct {
            __state: b::TASK_RUNNING,
            on_rq: 1,
            se: b::sched_entity { sched_delayed: 0 },
            flags: 0,
            ptrace: 0,
            preempt_notifiers: b::hlist_head {
                first: ptr::null_mut(),
            },
            group_leader: ptr::null_mut(),
            signal: ptr::null_mut(),
            mm: ptr::null_mut(),
            exit_code: 0,
            pid: 0,
            pending: crate::bindings::sigpending::default(),
            gone: false,
            regs: b::pt_regs::default(),
            model: Sched::new(has_user),
        });
        // Loom wants an atomic to be made before it is shared.
        sched::state_of(&raw mut *task);
        Self(task)
    }

    pub fn as_ptr(&self) -> *mut task_struct {
        ptr::from_ref(&*self.0).cast_mut()
    }

    /// Makes it the current task of this thread.
    pub fn enter(&self) {
        sched::set_current(self.as_ptr());
    }

    /// Its user context is at `ip`.
    pub fn set_ip(&mut self, ip: usize) {
        self.0.regs.ip = ip;
    }

    /// Whether it has the user context.
    pub fn has_user(&self) -> bool {
        self.0.model.has_user.with(|has| unsafe { *has })
    }

    pub fn send(&self, signal: Signal) {
        send(self.as_ptr(), signal);
    }

    /// Its timer runs out.
    pub fn expire(&self) {
        sched::expire(self.as_ptr());
    }

    /// Makes it the leader of its thread group.
    pub fn lead(mut self) -> Self {
        self.0.group_leader = &raw mut *self.0;
        self
    }

    pub fn wake(&self) {
        unsafe { b::wake_up_process(self.as_ptr()) };
    }

    /// Waits until the interrupts that it has raised are over. To be called at the end, by anybody.
    pub fn join_interrupts(&self) {
        if let Some(interrupt) = self.0.model.interrupts.take() {
            interrupt.join().expect("an interrupt");
        }
    }
}

/// Where the parking page is.
pub const PARKING_PAGE: usize = 0x10000;

/// A process, which is told of the tasks that it begins with.
pub struct Process(Box<b::signal_struct>, Box<Mm>);

// SAFETY: What threads share of a process is loom's, or changes under its lock.
unsafe impl Send for Process {}
// SAFETY: As above.
unsafe impl Sync for Process {}

impl Process {
    pub fn new(tasks: &mut [Task]) -> Self {
        let count = i32::try_from(tasks.len()).expect("few");
        let mut process = Self(
            Box::new(b::signal_struct {
                live: b::atomic_t { counter: count },
                flags: 0,
                group_exit_code: 0,
                threads: tasks.iter().map(|task| TaskPtr(task.as_ptr())).collect(),
                quick_threads: Mutex::new(count),
            }),
            Box::new(Mm::any()),
        );
        for task in tasks {
            task.0.signal = &raw mut *process.0;
            task.0.mm = process.1.as_raw();
        }
        process
    }

    pub fn mm(&self) -> &Mm {
        &self.1
    }

    pub fn exit_code(&self) -> i32 {
        self.0.group_exit_code
    }
}

/// `do_exit()` of the current task, as far as its probe; `probe` is the module's.
pub fn exit(code: i32, probe: fn(*mut task_struct)) {
    let task = sched::current();
    unsafe {
        let signal = (*task).signal;
        {
            let mut quick_threads = (*signal).quick_threads.lock().expect("no panic");
            *quick_threads -= 1;
            if *quick_threads == 0 && (*signal).flags & b::SIGNAL_GROUP_EXIT == 0 {
                (*signal).flags |= b::SIGNAL_GROUP_EXIT;
                (*signal).group_exit_code = code;
            }
        }
        (*task).flags |= b::PF_EXITING;
        // Each is where others may run.
        crate::atomic::full_barrier();
        (*signal).live.counter -= 1;
        (*task).exit_code = code;
        crate::atomic::full_barrier();
        probe(task);
    }
}

/// `syslet_exits_last()`
pub fn exits_last(task: *mut task_struct) -> bool {
    unsafe {
        (*task).gone = true;
        let signal = &*(*task).signal;
        signal.live.counter == 0 && signal.threads.iter().all(|other| (*other.0).gone)
    }
}

/// `syslet_count_threads()`
pub fn count_threads(most: i32) -> i32 {
    let signal = unsafe { &*(*sched::current()).signal };
    let lives = |task: &&TaskPtr| unsafe { (*task.0).flags & b::PF_EXITING == 0 };
    let count = signal.threads.iter().filter(lives).count();
    most.min(i32::try_from(count).expect("few"))
}

pub(crate) fn send(task: *mut task_struct, signal: Signal) {
    sched::announce_signal(task, signal as u32);
}

/// The current task has seen to it.
pub fn clear(signal: Signal) {
    let signals = &sched::model_of(sched::current()).signals;
    let old = signals.load(Relaxed);
    if old & signal as u32 != 0 {
        signals.store(old & !(signal as u32), Relaxed);
    }
}

/// What is pending for the current task.
pub fn signals() -> u32 {
    sched::model_of(sched::current()).signals.load(Acquire)
}

/// Sleeps until `met`, as a system call does.
pub fn sleep_until(mut met: impl FnMut() -> bool) {
    loop {
        sched::set_current_state(b::TASK_UNINTERRUPTIBLE);
        if met() {
            break;
        }
        unsafe { b::schedule() };
    }
    sched::state_of(sched::current()).store(b::TASK_RUNNING, Relaxed);
}

/// The user context goes from `from`, which is switched out, to the current task.
///
/// Fails if the registers of `from` are not in memory yet.
pub fn take_user(from: *mut task_struct) {
    let from = sched::model_of(from);
    let to = sched::model_of(sched::current());
    from.saved.with(|_| ());
    let had = from
        .has_user
        .with_mut(|has| unsafe { core::mem::take(&mut *has) });
    assert!(had, "the user context was not there");
    to.has_user.with_mut(|has| unsafe { *has = true });
}

/// A completion's event counter, for who reads it.
pub fn read_eventfd(ctx: *const b::eventfd_ctx) -> u64 {
    sched::eventfd_read(unsafe { &*ctx })
}

/// As `core`'s, but who looks at what is in it has to be done before it is freed.
pub struct UnsafeCell<T> {
    value: core::cell::UnsafeCell<T>,
    alive: loom::cell::UnsafeCell<()>,
}

impl<T> UnsafeCell<T> {
    pub fn new(value: T) -> Self {
        Self {
            value: core::cell::UnsafeCell::new(value),
            alive: loom::cell::UnsafeCell::new(()),
        }
    }

    pub fn get(&self) -> *mut T {
        self.alive.with(|_| ());
        self.value.get()
    }
}

impl<T> Drop for UnsafeCell<T> {
    fn drop(&mut self) {
        self.alive.with_mut(|_| ());
    }
}

thread_local! {
    static SHARED: RefCell<HashMap<usize, &'static loom::cell::UnsafeCell<()>>> = RefCell::default();
}

fn shared(at: usize) -> &'static loom::cell::UnsafeCell<()> {
    SHARED.with_borrow_mut(|cells| {
        *cells
            .entry(at)
            .or_insert_with(|| Box::leak(Box::new(loom::cell::UnsafeCell::new(()))))
    })
}

/// Writes to memory that user space may be reading.
pub unsafe fn write_shared<T>(at: *mut T, value: T) {
    shared(at as usize).with_mut(|_| ());
    unsafe { at.write_volatile(value) };
}

/// Reads what [`write_shared`] has written.
pub unsafe fn read_shared<T: Copy>(at: *const T) -> T {
    shared(at as usize).with(|_| ());
    unsafe { at.read_volatile() }
}
