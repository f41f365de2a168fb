// SPDX-License-Identifier: GPL-2.0

//! What the kernel's headers and the running kernel say; `facts.c` asks them.

use kernel::bindings;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::CString;

mod raw {
    use super::*;

    // The kernel's structs are C's own, whatever rustc thinks of an empty one.
    #[allow(improper_ctypes)]
    extern "C" {
        pub fn syslet_fact(name: *const c_char, value: *mut u64) -> bool;
        pub fn syslet_facts_with(prefix: *const c_char) -> c_uint;
        pub fn syslet_kernel_has(nr: c_uint) -> c_int;
        pub fn syslet_thread_clock(which: c_uint) -> u32;
        pub fn syslet_frame_nr(regs: *mut bindings::pt_regs) -> c_int;
        pub fn syslet_frame_arguments(regs: *mut bindings::pt_regs, ia32: bool, args: *mut usize);
        pub fn syslet_user_page() -> usize;
        pub fn syslet_restores_sigmask(task: *const bindings::task_struct) -> bool;
    }
}

/// The value of a constant, the size of a struct, or the offset of a field.
pub fn fact(name: &CStr) -> Result<u64> {
    let mut value = 0;
    // SAFETY: A string, and a place to write to.
    if unsafe { raw::syslet_fact(name.as_char_ptr(), &mut value) } {
        return Ok(value);
    }
    pr_err!("nobody knows {name}\n");
    Err(ENOENT)
}

/// Checks that something is what the kernel says; if not, says which.
pub fn check(name: fmt::Arguments<'_>, ours: u64) -> Result {
    let name = CString::try_from_fmt(name)?;
    let theirs = fact(&name)?;
    if theirs == ours {
        return Ok(());
    }
    pr_err!(
        "{} is {ours:#x} here and {theirs:#x} in the kernel\n",
        &*name
    );
    Err(EINVAL)
}

/// How many facts there are whose name begins with `prefix`.
pub fn count(prefix: fmt::Arguments<'_>) -> Result<usize> {
    let text = CString::try_from_fmt(prefix)?;
    // SAFETY: A string.
    Ok(unsafe { raw::syslet_facts_with(text.as_char_ptr()) } as usize)
}

/// Whether the running kernel has a 64-bit system call of this number.
pub fn kernel_has(nr: u32) -> Result<bool> {
    if u64::from(nr) >= fact(c"NR_syscalls")? {
        return Ok(false);
    }
    // SAFETY: The number is within the table.
    kernel::error::to_result(unsafe { raw::syslet_kernel_has(nr) }.min(0))?;
    // SAFETY: As above.
    Ok(unsafe { raw::syslet_kernel_has(nr) } == 1)
}

/// The ID of a CPU clock of the calling thread.
pub fn thread_clock(which: u32) -> u32 {
    // SAFETY: It computes.
    unsafe { raw::syslet_thread_clock(which) }
}

/// The number of the call that `regs` hold, as the kernel finds it.
pub fn frame_nr(regs: &mut bindings::pt_regs) -> i32 {
    // SAFETY: It reads the registers.
    unsafe { raw::syslet_frame_nr(regs) }
}

/// The arguments of the call that `regs` hold, as the kernel finds them.
pub fn frame_arguments(regs: &mut bindings::pt_regs, ia32: bool) -> [usize; 6] {
    let mut args = [0; 6];
    // SAFETY: It reads the registers, and there are six arguments.
    unsafe { raw::syslet_frame_arguments(regs, ia32, args.as_mut_ptr()) };
    args
}

/// A page of user memory for the current test, in an address space that has no other.
pub fn user_page() -> Result<usize> {
    // SAFETY: Tests run in threads of KUnit's.
    match unsafe { raw::syslet_user_page() } {
        0 => Err(ENOMEM),
        page => Ok(page),
    }
}

/// Whether `task`, of which nothing else is looked at, restores a signal mask.
///
/// # Safety
///
/// `task` must be valid for reads.
pub unsafe fn restores_sigmask(task: *const bindings::task_struct) -> bool {
    // SAFETY: By the safety requirement.
    unsafe { raw::syslet_restores_sigmask(task) }
}
