// SPDX-License-Identifier: GPL-2.0

//! C's structures, with the fields that the module uses and what makes them work here.

use core::ffi::c_char;
use core::ffi::c_int;
use core::ptr;

use loom::cell::UnsafeCell;
use loom::sync::Condvar;
use loom::sync::Mutex;

pub use crate::sched::__wake_up;
pub use crate::sched::complete;
pub use crate::sched::complete_all;
pub use crate::sched::eventfd_signal_mask;
pub use crate::sched::finish_wait;
pub use crate::sched::irq_work_queue;
pub use crate::sched::irq_work_sync;
pub use crate::sched::preempt_notifier_register;
pub use crate::sched::preempt_notifier_unregister;
pub use crate::sched::prepare_to_wait_event;
pub use crate::sched::schedule;
pub use crate::sched::schedule_hrtimeout_range;
pub use crate::sched::schedule_timeout;
pub use crate::sched::task_work_add;
pub use crate::sched::wait_for_completion;
pub use crate::sched::wait_for_completion_interruptible;
pub use crate::sched::wait_for_completion_timeout;
pub use crate::sched::wake_up_process;

pub const TASK_RUNNING: u32 = 0;
pub const TASK_INTERRUPTIBLE: u32 = 1;
pub const TASK_UNINTERRUPTIBLE: u32 = 2;
pub const TASK_NORMAL: u32 = 3;
pub const PF_EXITING: u32 = 4;
pub const PF_USER_WORKER: u32 = 0x4000;
pub const POLLIN: u32 = 1;
pub const POLLRDNORM: u32 = 0x40;

pub type hrtimer_mode = u32;
pub const hrtimer_mode_HRTIMER_MODE_ABS: hrtimer_mode = 0;
pub type task_work_notify_mode = u32;
pub const task_work_notify_mode_TWA_NONE: task_work_notify_mode = 0;
pub const task_work_notify_mode_TWA_SIGNAL: task_work_notify_mode = 2;

pub struct file(());
pub struct pid(());
pub struct poll_table(());

/// Nobody has a TID here.
pub unsafe fn put_pid(_: *mut pid) {}

pub struct vm_area_struct {
    pub vm_pgoff: usize,
}

/// Registers that are put somewhere: loom sees who writes and who reads them.
pub struct pt_regs {
    pub ip: usize,
    there: UnsafeCell<()>,
}

impl Default for pt_regs {
    fn default() -> Self {
        Self {
            ip: 0,
            there: UnsafeCell::new(()),
        }
    }
}

impl pt_regs {
    pub fn read(&self) {
        self.there.with(|_| ());
    }
}

/// Others come in their place, or they are freed.
impl Drop for pt_regs {
    fn drop(&mut self) {
        self.there.with_mut(|_| ());
    }
}

pub struct hlist_head {
    pub first: *mut hlist_node,
}

pub struct hlist_node {
    pub next: *mut hlist_node,
}

impl Default for hlist_node {
    fn default() -> Self {
        Self {
            next: ptr::null_mut(),
        }
    }
}

#[repr(C)]
pub struct preempt_ops {
    pub sched_in: Option<unsafe fn(*mut preempt_notifier, c_int)>,
    pub sched_out: Option<unsafe fn(*mut preempt_notifier, *mut task_struct)>,
}

#[repr(C)]
pub struct preempt_notifier {
    pub link: hlist_node,
    pub ops: *mut preempt_ops,
}

pub unsafe fn preempt_notifier_inc() {}
pub unsafe fn preempt_notifier_dec() {}

pub struct sched_entity {
    pub sched_delayed: u8,
}

pub struct atomic_t {
    pub counter: c_int,
}

pub const SIGNAL_GROUP_EXIT: u32 = 4;
pub const MAX_ERRNO: u32 = 4095;
pub const FOLL_FORCE: u32 = 8;
pub const FOLL_WRITE: u32 = 1;

/// A process. What `siglock` protects is told to loom by that lock.
pub struct signal_struct {
    pub live: atomic_t,
    pub flags: u32,
    pub group_exit_code: c_int,
    pub(crate) threads: Vec<crate::sched::TaskPtr>,
    pub(crate) quick_threads: Mutex<c_int>,
}

pub unsafe fn vm_mmap(_: *mut file, _: usize, _: usize, _: usize, _: usize, _: usize) -> usize {
    crate::model::PARKING_PAGE
}

pub unsafe fn get_state_synchronize_rcu() -> usize {
    0
}

pub unsafe fn cond_synchronize_rcu_expedited(_: usize) {}

pub unsafe fn vm_munmap(_: usize, _: usize) -> c_int {
    0
}

pub unsafe fn access_process_vm(
    _: *mut task_struct,
    _: usize,
    _: *mut core::ffi::c_void,
    len: c_int,
    _: u32,
) -> c_int {
    len
}

pub type pid_t = c_int;

#[derive(Default)]
pub struct sigset_t {
    pub sig: [usize; 1],
}

#[derive(Default)]
pub struct sigpending {
    pub signal: sigset_t,
}

pub struct task_struct {
    pub __state: u32,
    pub on_rq: c_int,
    pub se: sched_entity,
    pub flags: u32,
    pub ptrace: u32,
    pub preempt_notifiers: hlist_head,
    pub group_leader: *mut task_struct,
    pub signal: *mut signal_struct,
    pub mm: *mut crate::mm::Mm,
    pub exit_code: c_int,
    pub pid: pid_t,
    pub pending: sigpending,
    /// It has come by the exit probe. What the registry's lock protects.
    pub(crate) gone: bool,
    /// The user's registers.
    pub regs: pt_regs,
    pub(crate) model: crate::sched::Sched,
}

#[derive(Default)]
pub struct completion {
    pub(crate) inner: Mutex<crate::sched::Completion>,
}

pub unsafe fn init_completion(slot: *mut completion) {
    unsafe { slot.write(completion::default()) };
}

pub struct irq_work {
    pub func: Option<unsafe fn(*mut irq_work)>,
    pub(crate) busy: Mutex<bool>,
    pub(crate) idle: Condvar,
    /// Written when it is freed, read when it is used last.
    pub(crate) alive: UnsafeCell<()>,
}

impl Default for irq_work {
    fn default() -> Self {
        Self {
            func: None,
            busy: Mutex::new(false),
            idle: Condvar::new(),
            alive: UnsafeCell::new(()),
        }
    }
}

impl Drop for irq_work {
    fn drop(&mut self) {
        self.alive.with_mut(|_| ());
    }
}

pub struct callback_head {
    pub func: Option<unsafe fn(*mut callback_head)>,
    /// As with an [`irq_work`].
    pub(crate) alive: UnsafeCell<()>,
}

impl Default for callback_head {
    fn default() -> Self {
        Self {
            func: None,
            alive: UnsafeCell::new(()),
        }
    }
}

impl Drop for callback_head {
    fn drop(&mut self) {
        self.alive.with_mut(|_| ());
    }
}

#[derive(Default)]
pub struct wait_queue_head {
    pub(crate) waiting: Mutex<Vec<crate::sched::TaskPtr>>,
}

pub struct wait_queue_entry(());

pub unsafe fn __init_waitqueue_head(
    slot: *mut wait_queue_head,
    _name: *const c_char,
    _key: *mut crate::sync::LockClassKey,
) {
    unsafe { slot.write(wait_queue_head::default()) };
}

pub unsafe fn init_wait_entry(_entry: *mut wait_queue_entry, _flags: c_int) {}

pub unsafe fn poll_wait(_file: *mut file, _queue: *mut wait_queue_head, _table: *mut poll_table) {}

/// Its number is its address.
#[derive(Default)]
pub struct eventfd_ctx {
    pub(crate) count: Mutex<u64>,
    pub(crate) more: Condvar,
}

pub unsafe fn eventfd_ctx_fdget(_fd: c_int) -> *mut eventfd_ctx {
    Box::into_raw(Box::default())
}

pub unsafe fn eventfd_ctx_put(ctx: *mut eventfd_ctx) {
    drop(unsafe { Box::from_raw(ctx) });
}
