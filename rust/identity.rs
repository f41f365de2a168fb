// SPDX-License-Identifier: GPL-2.0

//! What moves with a user context, what must be equal for it to move, and what forbids it.
//!
//! The task that takes over writes only to itself, but for what the kernel's own locks protect
//! (TIDs, signals). The task that is left writes only to itself, too, once the other is done:
//! [`become_cachemiss_thread`]. So no field is ever written from two sides.

use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;

use crate::stats::Fallback;
use crate::symbols::raw;

/// All signals but those that nobody can block.
pub const ALL_SIGNALS: usize = !(1 << (bindings::SIGKILL - 1) | 1 << (bindings::SIGSTOP - 1));

/// How many times to try to take a leader's place while another thread forks or the like.
const LEADER_TRIES: usize = 60;
/// How many of them come at once. The others are a tick apart: such a thread may be in an exec from a
/// slow disk.
const LEADER_TRIES_AT_ONCE: usize = 10;

/// Whether the current user context may be handed over at all.
#[inline]
pub fn check_movable() -> Result<(), Fallback> {
    let task = Task::current_raw();
    // SAFETY: The current task's own field.
    if unsafe { (*task).ptrace } != 0 {
        return Err(Fallback::Traced);
    }
    // SAFETY: The current task.
    if unsafe { has_own_state(task) } {
        return Err(Fallback::TaskState);
    }
    // SAFETY: `Symbols` lives as long as the device does.
    if !unsafe { raw::syslet_arch_movable() } {
        return Err(Fallback::Registers);
    }
    Ok(())
}

/// Whether there is something that belongs to `task`, whichever context it has.
///
/// # Safety
///
/// `task` must be the current one.
#[inline]
unsafe fn has_own_state(task: *mut bindings::task_struct) -> bool {
    // SAFETY: The current task's own fields.
    unsafe {
        let user_dispatch = 1 << bindings::syscall_work_bit_SYSCALL_WORK_BIT_SYSCALL_USER_DISPATCH;
        let tracees = &raw const (*task).ptraced;
        let pi_states = &raw const (*task).futex.pi_state_list;
        (*task).thread_info.syscall_work & user_dispatch != 0
            || !(*task).io_uring.is_null()
            || !(*task).io_uring_restrict.is_null()
            || !(*task).utask.is_null()
            || !(*task).vfork_done.is_null()
            || !(*task).perf_event_ctxp.is_null()
            || (*tracees).next.cast_const() != tracees
            || (*pi_states).next.cast_const() != pi_states
            || (*task).posix_cputimers.bases.iter().any(|base| {
                !(&raw const base.tqhead.rb_root.rb_leftmost)
                    .read_volatile()
                    .is_null()
            })
    }
}

/// Whether `spare` is as if it had just been forked from the current task.
///
/// This is the security core: a spare with other credentials or another filter must never become
/// the user's thread.
///
/// # Safety
///
/// `spare` must not exit meanwhile.
#[inline]
pub unsafe fn same_origin(spare: *mut bindings::task_struct) -> bool {
    // SAFETY: By the safety requirement; `Symbols` lives as long as the device does.
    unsafe { raw::syslet_same_origin(spare, Task::current_raw()) }
}

/// Blocks all signals in the current task; returns what was blocked before.
pub fn block_signals() -> usize {
    // SAFETY: The current task's own mask, which only it writes.
    let before = unsafe { (*Task::current_raw()).blocked.sig[0] };
    if before & ALL_SIGNALS != ALL_SIGNALS {
        set_signal_mask(ALL_SIGNALS);
    }
    before
}

/// Makes all signals of a cachemiss thread blocked again, whatever a call has restored.
#[inline]
pub fn block_all_again() {
    let task = Task::current_raw();
    // SAFETY: The current task's own fields, which only it writes.
    unsafe {
        if bindings::task_struct::restore_sigmask_raw(task) != 0 {
            bindings::task_struct::set_restore_sigmask_raw(task, 0);
        }
    }
    block_signals();
}

/// Keeps a call's temporary signal mask, which is in force until a handler has run, from becoming
/// the user's: `mask` is what will be restored. Returns whether one is in force.
#[inline]
pub fn pin_saved_mask(mask: usize) -> bool {
    let task = Task::current_raw();
    // SAFETY: The current task's own fields, which only it writes.
    unsafe {
        if bindings::task_struct::restore_sigmask_raw(task) == 0 {
            return false;
        }
        (*task).saved_sigmask.sig[0] = mask;
    }
    true
}

/// The temporary mask of an interrupted call, if one is in force.
#[inline]
pub fn temporary_mask() -> Option<usize> {
    let task = Task::current_raw();
    // SAFETY: The current task's own fields, which only it writes.
    unsafe {
        (bindings::task_struct::restore_sigmask_raw(task) != 0).then(|| (*task).blocked.sig[0])
    }
}

/// Puts such a mask in force again if a later call has ended it, and made it the user's. `mask` is
/// what will be restored.
pub fn put_back_temporary_mask(temporary: usize, mask: usize) {
    let task = Task::current_raw();
    // SAFETY: The current task's own fields, which only it writes.
    unsafe {
        if bindings::task_struct::restore_sigmask_raw(task) == 0 {
            set_signal_mask(temporary);
            bindings::task_struct::set_restore_sigmask_raw(task, 1);
        }
        (*task).saved_sigmask.sig[0] = mask;
    }
}

/// Ends a temporary mask that no signal will end on the way to user mode, as none is pending any
/// more. `mask` is the user's.
#[inline]
pub fn end_temporary_mask(mask: usize) {
    if temporary_mask().is_some() {
        // SAFETY: The current task's own field, which only it writes.
        unsafe { bindings::task_struct::set_restore_sigmask_raw(Task::current_raw(), 0) };
        set_signal_mask(mask);
    }
}

/// Unblocks SIGSYS, with which a filter has condemned the current process.
pub fn let_sigsys_in() {
    set_signal_mask(ALL_SIGNALS & !(1 << (bindings::SIGSYS - 1)));
}

/// Sets the current task's signal mask.
pub fn set_signal_mask(mask: usize) {
    let mut set = bindings::sigset_t { sig: [mask] };
    // SAFETY: The set is valid for reads.
    unsafe {
        bindings::sigprocmask(
            bindings::SIG_SETMASK as c_int,
            &mut set,
            core::ptr::null_mut(),
        )
    };
}

/// Exchanges the TIDs of `from` and `me`, the current task, with all that goes by them. False, with
/// nothing changed, if that may not be.
///
/// # Safety
///
/// As for [`take`].
unsafe fn swap_identity(
    from: *mut bindings::task_struct,
    me: *mut bindings::task_struct,
    mask: usize,
    users: usize,
) -> bool {
    let mut attempt = 0;
    while attempt < LEADER_TRIES {
        // Another thread can give one a CPU timer, by its TID: the user's thread may not get that.
        // SAFETY: The current task.
        if unsafe { has_own_state(me) } {
            return false;
        }
        // SAFETY: By the safety requirement; `Symbols` lives as long as the device does.
        let result = unsafe { raw::syslet_swap_identity(from, me, mask, users) };
        let busy = result == EBUSY.to_errno();
        if !busy && result != EAGAIN.to_errno() {
            return result == 0;
        }
        // What ends by itself is no try.
        attempt += usize::from(busy);
        // SAFETY: Process context, without locks.
        unsafe {
            if busy && attempt <= LEADER_TRIES_AT_ONCE {
                bindings::schedule();
            } else {
                bindings::schedule_timeout_uninterruptible(1);
            }
        }
    }
    false
}

/// Moves the identity of `from` to the current task. False, with nothing changed, if it may not
/// move after all.
///
/// # Safety
///
/// `from` must be a task of the same thread group that stays in the kernel until it was told that
/// this is over, with `mask` as its user's signal mask, and `users` the private signals that it had
/// when its user context left it.
pub unsafe fn take(from: *mut bindings::task_struct, mask: usize, users: usize) -> bool {
    let me = Task::current_raw();
    // SAFETY: By the safety requirement.
    if !unsafe { swap_identity(from, me, mask, users) } {
        return false;
    }
    // SAFETY: By the safety requirement; `Symbols` lives as long as the device does.
    unsafe { raw::syslet_arch_take(from) };

    // SAFETY: `from` does not touch these fields until it is told, and they are ours in `me`.
    unsafe {
        (*me).clear_child_tid = (*from).clear_child_tid;
        (*me).set_child_tid = (*from).set_child_tid;
        (*me).futex.robust_list = (*from).futex.robust_list;
        (*me).futex.compat_robust_list = (*from).futex.compat_robust_list;
        (*me).default_timer_slack_ns = (*from).default_timer_slack_ns;
        (*me).comm = (*from).comm;
        raw::syslet_take_rseq(from);
        raw::syslet_late_signals(from);
    }
    // SAFETY: The current task's own field, which only it writes.
    if unsafe { (*me).blocked.sig[0] } != mask {
        // This finds another thread for what only a call has let in.
        set_signal_mask(mask);
    }
    true
}

/// A reference to the current task's TID, for `put_pid`: the call that its user context has left may
/// use it still.
pub fn hold_tid() -> *mut bindings::pid {
    // SAFETY: `Symbols` lives as long as the device does.
    unsafe { raw::syslet_hold_tid() }
}

/// Makes the current task, which a user context has left, a nameless thread of its process.
///
/// # Safety
///
/// [`take`] must have moved the current task's identity to another, which is done with it.
pub unsafe fn become_cachemiss_thread() {
    let me = Task::current_raw();
    // SAFETY: The current task's own fields; what they pointed to has another owner now.
    unsafe {
        (*me).clear_child_tid = core::ptr::null_mut();
        (*me).set_child_tid = core::ptr::null_mut();
        (*me).futex.robust_list = core::ptr::null_mut();
        (*me).futex.compat_robust_list = core::ptr::null_mut();
        (*me).sas_ss_sp = 0;
        (*me).sas_ss_size = 0;
        (*me).sas_ss_flags = bindings::SS_DISABLE;
        raw::syslet_drop_rseq();
    }
    name_cachemiss_thread();
    block_signals();
    // The user's signals have left.
    // SAFETY: `Symbols` lives as long as the device does.
    unsafe { raw::syslet_recalc_signals() };
}

/// Names the current task as what it is.
pub fn name_cachemiss_thread() {
    const NAME: [kernel::ffi::c_char; 16] = {
        let text = b"syslet";
        let mut name = [0; 16];
        let mut i = 0;
        while i < text.len() {
            name[i] = text[i] as kernel::ffi::c_char;
            i += 1;
        }
        name
    };
    // SAFETY: The current task's own name; readers see bytes of the old or the new, and the last
    // one is always NUL.
    unsafe { (*Task::current_raw()).comm = NAME };
}
