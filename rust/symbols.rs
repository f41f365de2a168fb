// SPDX-License-Identifier: GPL-2.0

//! Reaching the parts of the kernel that it does not export; `glue.c` tells how.

use kernel::bindings;
use kernel::error::to_result;
use kernel::ffi::c_char;
use kernel::ffi::c_int;
use kernel::ffi::c_long;
use kernel::ffi::c_uint;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::str::CStr;

use crate::settle;

/// The raw entry points of `glue.c`; they may be called once [`Symbols`] exists.
pub mod raw {
    use super::*;

    // The kernel's structs are C's own, whatever rustc thinks of an empty one.
    #[allow(improper_ctypes)]
    extern "C" {
        pub(super) fn syslet_glue_init(missing: *mut *const c_char) -> c_int;
        pub(super) fn syslet_glue_exit();

        /// Makes the 64-bit system call `nr` with the arguments in `regs`.
        pub fn syslet_call_x64(regs: *const bindings::pt_regs, nr: c_uint) -> c_long;
        /// Makes the 32-bit system call `nr` with the arguments in `regs`.
        pub fn syslet_call_ia32(regs: *const bindings::pt_regs, nr: c_uint) -> c_long;
        /// Runs the seccomp filters over the call in the current task's frame.
        pub fn syslet_seccomp_permit() -> bool;
        /// Runs the task work queued for the current task.
        pub fn syslet_task_work_run();
        /// Reads three words at a user address; false if that is not possible.
        pub fn syslet_get_3_words(to: *mut u64, from: *const c_void) -> bool;
        /// The same for four.
        pub fn syslet_get_4_words(to: *mut u64, from: *const c_void) -> bool;
        /// The same for six.
        pub fn syslet_get_6_words(to: *mut u64, from: *const c_void) -> bool;
        /// Stores two words at a user address; false if that is not possible.
        pub fn syslet_put_2_words(to: *mut c_void, first: u64, second: u64) -> bool;
        /// Reads a word at a user address; false if that is not possible.
        pub fn syslet_get_u64(from: *const c_void, value: *mut u64) -> bool;
        /// The same for one of 32 bits.
        pub fn syslet_get_u32(from: *const c_void, value: *mut u32) -> bool;
        /// Stores a word at a user address; false if that is not possible.
        pub fn syslet_put_u64(to: *mut c_void, value: u64) -> bool;
        /// The same for one of 32 bits.
        pub fn syslet_put_u32(to: *mut c_void, value: u32) -> bool;
        /// Makes the current task `to` the thread that `from` was, with `mask` blocked, and
        /// `users` the signals that its calls may have raised for it: 0 or an errno.
        pub fn syslet_swap_identity(
            from: *mut bindings::task_struct,
            to: *mut bindings::task_struct,
            mask: usize,
            users: usize,
        ) -> c_int;
        /// A reference to the current task's TID, for `put_pid`.
        pub fn syslet_hold_tid() -> *mut bindings::pid;
        /// Gives the current task the signals that have come to `from` since.
        pub fn syslet_late_signals(from: *mut bindings::task_struct);
        /// Gives the user's thread `tid`, which `task` was, what somebody has sent to that, unless
        /// its TID is not `own` any more. Returns what is pending for `task` still.
        pub fn syslet_forward_signals(
            task: *mut bindings::task_struct,
            own: bindings::pid_t,
            tid: bindings::pid_t,
        ) -> usize;
        /// Leads walks of all processes from former leaders to the present one: `task` is a thread
        /// that lives, and a grace period has passed since a handoff.
        pub fn syslet_lead_back(task: *mut bindings::task_struct);
        /// Drops those of the current task's private signals that are in `signals`.
        pub fn syslet_drop_signals(signals: usize);
        /// Calls `func` once all have sent who are sending a signal now.
        pub fn syslet_after_senders(
            head: *mut bindings::callback_head,
            func: unsafe extern "C" fn(*mut bindings::callback_head),
        );
        /// Leaves no thread of the process, whose current one exits, with another's CPU timer.
        pub fn syslet_settle_timers();
        /// Blocks all signals in `task`, which the current one has forked and which has not run.
        pub fn syslet_block_spare(task: *mut bindings::task_struct);
        /// Has the current task see what is pending and not blocked, and only that.
        pub fn syslet_recalc_signals();
        /// Gives the current task the restartable sequence of `from`.
        pub fn syslet_take_rseq(from: *const bindings::task_struct);
        /// Leaves the current task without a restartable sequence.
        pub fn syslet_drop_rseq();
        /// Whether `a` could have been forked from `b` as it is now.
        pub fn syslet_same_origin(
            a: *mut bindings::task_struct,
            b: *const bindings::task_struct,
        ) -> bool;
        /// Whether the current user context has only registers that move.
        pub fn syslet_arch_movable() -> bool;
        /// Gives the current task the registers of `from` that its frame does not hold.
        pub fn syslet_arch_take(from: *mut bindings::task_struct);
        /// Marks the current task as one that has come by the exit probe.
        pub fn syslet_mark_exit(task: *mut bindings::task_struct);
        /// The same. Whether the current task is the last of its process in the exit probe. The caller has the
        /// lock of all processes.
        pub fn syslet_exits_last(task: *mut bindings::task_struct) -> bool;
        /// Anywhere, as long as the current task has a sighand.
        pub fn syslet_count_threads(most: c_int) -> c_int;
        /// The user registers saved at the top of `task`'s kernel stack.
        pub fn syslet_task_pt_regs(task: *mut bindings::task_struct) -> *mut bindings::pt_regs;
    }
}

/// The right to use [`raw`].
///
/// # Invariants
///
/// `syslet_glue_init()` has succeeded, and `syslet_glue_exit()` has not been called since.
pub struct Symbols(());

impl Symbols {
    /// Finds everything that the module needs; names what is missing.
    pub fn resolve() -> Result<Self> {
        let mut missing = core::ptr::null();
        // SAFETY: Called once, from the module's init, with a pointer to write to.
        let result = to_result(unsafe { raw::syslet_glue_init(&mut missing) });
        if !missing.is_null() {
            // SAFETY: On this path the glue set it to a string literal.
            let name = unsafe { CStr::from_char_ptr(missing) };
            pr_err!(
                "this kernel lacks {}, which syslets need\n",
                name.to_str().unwrap_or("?")
            );
        }
        // INVARIANT: The glue is initialised now.
        result.map(|()| Self(()))
    }
}

impl Drop for Symbols {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it was initialised, and this is the only call.
        unsafe { raw::syslet_glue_exit() };
        settle::await_exits();
    }
}
