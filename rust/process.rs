// SPDX-License-Identifier: GPL-2.0

//! What the heads of a process share, and what becomes of it when tasks exit.

use core::ptr;

use kernel::bindings;
use kernel::mm::Mm;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::rcu;
use kernel::sync::Arc;
use kernel::task::Task;

use crate::block;
use crate::burial;
use crate::cachemiss::Pool;
use crate::parking;
use crate::settle;
use crate::settle::LastHandoff;
use crate::settle::Settling;
use crate::symbols::raw;

kernel::sync::global_lock! {
    // SAFETY: Initialised by `init`, before the device exists.
    unsafe(uninit) static PROCESSES: SpinLock<Processes> = Processes {
        first: None,
        begun: 0,
    };
}

/// How many processes are registered: exits look here first.
///
/// ```text
/// task that exits                 task that registers its process
/// ===============                 ===============================
/// rcu_read_lock                   lock
/// REGISTERED is 0?                REGISTERED is 0? then 1; note a grace period
///   yes: mark                     unlock
///   no:  lock; look; mark; unlock wait for that grace period
/// rcu_read_unlock                 ... exits itself, at the earliest
/// ```
///
/// So all that came by the exit probe before the process was registered are marked when one of its
/// tasks looks whether all are.
static REGISTERED: Atomic<i32> = Atomic::new(0);

/// The processes that have made a head.
struct Processes {
    first: Option<KBox<Process>>,
    /// The end of the last time in which none was registered, as RCU counts.
    begun: usize,
}

// SAFETY: What it points to is used under its lock.
unsafe impl Send for Processes {}

/// A process that has made a head, from then until it is gone or has another address space.
struct Process {
    next: Option<KBox<Process>>,
    signal: *const bindings::signal_struct,
    mm: ARef<Mm>,
    /// The parking page in its address space.
    parking: Option<usize>,
    /// The pools of its heads, linked by `Link::next`.
    pools: *mut Link,
    /// That of the pools that are gone.
    last_handoff: LastHandoff,
    settling: Arc<Settling>,
    /// The exit code of the user context that has ended last.
    last: Option<c_int>,
    /// It was decided otherwise what the process ends with.
    decided: bool,
}

/// A pool's place in its process.
pub struct Link {
    next: *mut Link,
    pool: *const Pool,
}

/// The registry as long as the module is loaded.
pub struct Registry(());

impl Registry {
    /// Makes it. To be called once, before anything else here.
    pub fn new() -> Self {
        // SAFETY: The module's init is the only caller.
        unsafe { PROCESSES.init() };
        Self(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // No head is left, so nobody looks.
        let mut first = PROCESSES.lock().first.take();
        while let Some(mut process) = first {
            first = process.next.take();
        }
    }
}

impl Processes {
    fn find(&mut self, signal: *const bindings::signal_struct) -> Option<&mut KBox<Process>> {
        let mut at = self.first.as_mut();
        while let Some(process) = at {
            if process.signal == signal {
                return Some(process);
            }
            at = process.next.as_mut();
        }
        None
    }

    fn take(&mut self, signal: *const bindings::signal_struct) -> Option<KBox<Process>> {
        let mut at = &mut self.first;
        while at.as_ref().is_some_and(|process| process.signal != signal) {
            // The condition says that there is one.
            at = &mut at.as_mut()?.next;
        }
        let mut process = at.take()?;
        *at = process.next.take();
        Some(process)
    }
}

impl Process {
    fn for_each_pool(&self, mut visit: impl FnMut(&Pool)) {
        let mut link = self.pools;
        // SAFETY: Links leave the list, under the registry's lock, before their pools go.
        while let Some(at) = unsafe { link.as_ref() } {
            // SAFETY: As above.
            visit(unsafe { &*at.pool });
            link = at.next;
        }
    }

    /// How many workers the pools have, as `of` counts them.
    fn workers(&self, of: impl Fn(&Pool) -> usize) -> usize {
        let mut workers = 0;
        self.for_each_pool(|pool| workers += of(pool));
        workers
    }

    /// Whether no user context is left, but workers are. To be asked under the registry's lock:
    ///
    /// ```text
    /// is there another task than workers?    others
    /// ===================================    ======
    /// lock
    /// n = tasks that do not exit             fork: a task more; lock; it is the worker's; unlock
    /// w = workers whose task does not exit   exit: exiting; lock; ask; unlock
    /// unlock
    /// ```
    ///
    /// No worker is counted in `w` only, for one that is new is noted under the lock, having been
    /// counted in `n`. One counted in `n` only makes `n` too great, and it, or who forks it, has its
    /// exit probe to come.
    ///
    /// Neither is counted further than to one more than there are workers: many may exit in a row.
    fn is_left_to_workers(&self, enlisted: usize) -> bool {
        // CAST: At most `max_threads` of each pool.
        let most = enlisted as c_int + 1;
        // SAFETY: `Symbols` exists while probes run, and the current task has its sighand still.
        let count = unsafe { raw::syslet_count_threads(most) };
        // CAST: Not negative.
        count != 0 && count as usize == self.workers(Pool::arrived)
    }

    /// Has the current task, which exits, see to what may have come late to a task of the process.
    fn settle(&self) {
        // Somebody may be on the way, and it is not known since when.
        let mut recent = self.settling.is_under_way();
        let mut settled = !recent;
        let mut look = |handoff: Option<bool>| {
            settled &= handoff.is_none();
            recent |= handoff == Some(true);
        };
        look(self.last_handoff.forget());
        self.for_each_pool(|pool| look(pool.last_handoff.forget()));
        if !settled && settle::wait_in_exit(&self.settling, recent).is_err() {
            // The next one will.
            self.last_handoff.note();
        }
    }

    /// Whether `task`, which is the current one and exits, has no user context: it is at the parking
    /// page, as workers are that have left their pool already.
    fn is_parked(&self, task: *mut bindings::task_struct) -> bool {
        // SAFETY: The current task has a frame, and its address space still.
        let (at, mm) = unsafe { ((*raw::syslet_task_pt_regs(task)).ip, (*task).mm) };
        ptr::eq(mm, self.mm.as_raw())
            && self
                .parking
                .is_some_and(|page| (page..page + kernel::page::PAGE_SIZE).contains(&at))
    }

    /// Notes how `task`, which is the current one and exits with its user context, has ended.
    fn note_end(&mut self, task: *const bindings::task_struct) {
        // SAFETY: The current task and its signal struct.
        let (code, group) = unsafe {
            let signal = (*task).signal;
            (
                (*task).exit_code,
                (&raw const (*signal).group_exit_code).read_volatile(),
            )
        };
        self.last = Some(code);
        self.decided |= is_over(self.signal) && code == group;
    }

    /// Has the process end with the exit code of its last user context.
    ///
    /// The kernel has taken that of the task that was the last to begin to exit, and this may have
    /// been a worker that was on its way out already; or the signal that has killed what was left.
    /// Called by the last task that comes by the exit probe, so nobody else sets it any more, and
    /// nobody has read it yet.
    fn settle_status(&self) {
        /// Where an exit code has the signal.
        const SIGNAL: c_int = 0x7f;

        let Some(code) = self.last.filter(|_| !self.decided) else {
            return;
        };
        // SAFETY: The process is that of the current task.
        let group = unsafe { &mut (*self.signal.cast_mut()).group_exit_code };
        if *group & SIGNAL == 0 {
            *group = code;
        }
    }
}

fn signal_of(task: *const bindings::task_struct) -> *const bindings::signal_struct {
    // SAFETY: Called for the current task only, which has a signal struct until it is reaped.
    unsafe { (*task).signal }
}

/// Whether the current process ends, of itself or by a signal.
fn is_over(signal: *const bindings::signal_struct) -> bool {
    // SAFETY: The current task's signal struct.
    let flags = unsafe { (&raw const (*signal).flags).read_volatile() };
    flags & bindings::SIGNAL_GROUP_EXIT != 0
}

/// How many tasks of the current process do not exit, those that the kernel has made included.
fn live(signal: *const bindings::signal_struct) -> usize {
    // SAFETY: The current task's signal struct.
    let live = unsafe { (&raw const (*signal).live.counter).read_volatile() };
    live as usize
}

/// Whether the leader's is the only user context of the current process. The current task is taken
/// for a worker `if_worker`, though it is not parked.
///
/// There is no other thread then that could have an earlier leader in mind. Where the leader has
/// ended, the one that is left could.
pub fn is_single_threaded(if_worker: bool) -> bool {
    let signal = signal_of(Task::current_raw());
    let mut workers = usize::from(if_worker);
    let mut registry = PROCESSES.lock();
    let live = live(signal);
    if let Some(process) = registry.find(signal) {
        workers += process.workers(Pool::seated);
    }
    // SAFETY: Of the current task's leaders, the earlier and the new one, none is gone before it.
    let leader_exits = unsafe {
        let leader = (&raw const (*Task::current_raw()).group_leader).read_volatile();
        (&raw const (*leader).flags).read_volatile() & bindings::PF_EXITING != 0
    };
    live <= workers + 1 && !leader_exits
}

/// The parking page of the current process, which is registered if it is not; `None` where the
/// process may not have one.
pub fn parking_page(mm: &Mm) -> Result<Option<usize>> {
    let signal = signal_of(Task::current_raw());
    if let Some(process) = PROCESSES.lock().find(signal) {
        if ptr::eq(process.mm.as_raw(), mm.as_raw()) {
            return Ok(process.parking);
        }
    }
    let process = KBox::new(
        Process {
            next: None,
            signal,
            mm: ARef::from(mm),
            parking: parking::map().ok(),
            pools: ptr::null_mut(),
            last_handoff: LastHandoff::never(),
            settling: Settling::new()?,
            last: None,
            decided: false,
        },
        GFP_KERNEL_ACCOUNT,
    )?;
    let parking = process.parking;
    let mut registry = PROCESSES.lock();
    // A second thread may have been here meanwhile: one page more or less is no matter, but the
    // pools that are registered are. An address space that is gone has none left.
    let old = match registry.find(signal) {
        Some(there) if ptr::eq(there.mm.as_raw(), mm.as_raw()) => return Ok(there.parking),
        Some(_) => registry.take(signal),
        None => {
            if REGISTERED.fetch_add(1, Relaxed) == 0 {
                // SAFETY: It may be called anywhere.
                registry.begun = unsafe { bindings::get_state_synchronize_rcu() };
            }
            None
        }
    };
    let begun = registry.begun;
    let rest = registry.first.take();
    let mut process = process;
    process.next = rest;
    if let Some(old) = &old {
        process.pools = old.pools;
        process.settling = old.settling.clone();
        if old.last_handoff.forget().is_some() {
            process.last_handoff.note();
        }
    }
    registry.first = Some(process);
    drop(registry);
    drop(old);
    // SAFETY: Process context, without locks that an RCU reader takes.
    unsafe { bindings::cond_synchronize_rcu_expedited(begun) };
    Ok(parking)
}

/// A pool's registration with its process.
///
/// # Invariants
///
/// The link is in the list of the process with this signal struct, and the pool outlives it.
pub struct Registration {
    signal: *const bindings::signal_struct,
    link: *mut Link,
}

// SAFETY: The pointers are used under the registry's lock only.
unsafe impl Send for Registration {}
// SAFETY: As above.
unsafe impl Sync for Registration {}

impl Registration {
    /// Whether `task`, which is the current one, belongs to the process.
    #[inline]
    pub fn is_of(&self, task: *mut bindings::task_struct) -> bool {
        ptr::eq(signal_of(task), self.signal)
    }

    /// Registers a pool with the current process, which has a parking page.
    ///
    /// # Safety
    ///
    /// The pool must stay where it is until the registration is dropped.
    pub unsafe fn new(pool: &Pool) -> Result<Self> {
        let signal = signal_of(Task::current_raw());
        let link = KBox::new(
            Link {
                next: ptr::null_mut(),
                pool,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        let mut registry = PROCESSES.lock();
        let process = registry.find(signal).ok_or(ESRCH)?;
        let link = KBox::into_raw(link);
        // SAFETY: Just made from a box.
        unsafe { (*link).next = process.pools };
        process.pools = link;
        // INVARIANT: Just linked.
        Ok(Self { signal, link })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registry = PROCESSES.lock();
        if let Some(process) = registry.find(self.signal) {
            // SAFETY: The pool outlives the registration.
            if unsafe { (*(*self.link).pool).last_handoff.forget() }.is_some() {
                process.last_handoff.note();
            }
            let mut at: *mut *mut Link = &mut process.pools;
            // SAFETY: The list is valid under the lock.
            unsafe {
                while !(*at).is_null() && *at != self.link {
                    at = &raw mut (**at).next;
                }
                if *at == self.link {
                    *at = (*self.link).next;
                }
            }
        }
        // The exit probe does not see to it any more.
        // SAFETY: The pool outlives the registration.
        unsafe { (*(*self.link).pool).forget_tasks() };
        drop(registry);
        // SAFETY: By the type invariant it came from a box, and is in no list any more.
        drop(unsafe { KBox::from_raw(self.link) });
    }
}

/// The fork probe: the current task has forked `child`, which has not run yet.
#[no_mangle]
extern "C" fn syslet_task_fork(child: *mut bindings::task_struct) {
    if let Some(flight) = block::current_flight() {
        // No atom forks, so this is the worker that the flight is getting.
        // SAFETY: The flight is the current task's; it is in `fork_worker`, which holds the worker.
        if let Some(worker) = unsafe { (*(*flight).owned()).forking.as_ref() } {
            // SAFETY: The current task has just forked it, and `Symbols` exists while probes run.
            unsafe { raw::syslet_block_spare(child) };
            let _registry = PROCESSES.lock(); // see live()
            worker.note_task(child);
        }
    }
}

/// The exit probe: `task` is the current task, and runs no more of its own code.
///
/// Preemption may be off.
#[no_mangle]
extern "C" fn syslet_task_exit(task: *mut bindings::task_struct) {
    if let Some(flight) = block::current_flight() {
        // A filter, or an oops, ended the thread inside a call of a program.
        // SAFETY: The flight lasts until its burial, which the task comes by later on its way out.
        unsafe { burial::bury(&*flight) };
    }
    let _rcu = rcu::read_lock();
    if REGISTERED.load(Relaxed) == 0 {
        // SAFETY: `task` is the current one, in its probe.
        unsafe { raw::syslet_mark_exit(task) };
        return;
    }

    let signal = signal_of(task);
    let mut registry = PROCESSES.lock();
    let Some(process) = registry.find(signal) else {
        // SAFETY: As above.
        unsafe { raw::syslet_mark_exit(task) };
        return;
    };
    process.settle();
    let mut is_worker = process.is_parked(task);
    process.for_each_pool(|pool| {
        // A worker that its process has made run other code may have become another one, too.
        while let Some(worker) = pool.bury(task) {
            is_worker = true;
            // SAFETY: This is the exit probe, and the worker the current task's.
            unsafe { burial::bury_suspended(&worker) };
        }
    });
    // SAFETY: The current task's own flags. Who has this one never had a user context.
    if !is_worker && unsafe { (*task).flags } & bindings::PF_USER_WORKER == 0 {
        process.note_end(task);
    }
    // SAFETY: `task` is the current one, in its probe, and the lock is held.
    if unsafe { raw::syslet_exits_last(task) } {
        // SAFETY: The current task.
        if ptr::eq(unsafe { (*task).mm }, process.mm.as_raw()) {
            process.settle_status();
        }
        let gone = registry.take(signal);
        if let Some(gone) = &gone {
            gone.for_each_pool(Pool::orphan);
        }
        REGISTERED.fetch_sub(1, Relaxed);
        drop(registry);
        drop(gone);
        return;
    }
    let enlisted = process.workers(Pool::enlisted);
    if enlisted != 0 && !is_over(signal) && process.is_left_to_workers(enlisted) {
        let status = process.last.unwrap_or(0) >> 8;
        process.for_each_pool(|pool| pool.disband(status as u8));
    } else if live(signal) <= enlisted + 1 {
        // Leaving workers are in no pool any more, and were threads that might know the leader. One
        // that is being forked is in a pool, and no thread yet.
        process.for_each_pool(Pool::reconsider);
    }
}
