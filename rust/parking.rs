// SPDX-License-Identifier: GPL-2.0

//! The parking page: where a cachemiss thread is when it is in user mode.

use core::ptr;

use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;

use crate::arch;

/// Maps a page of the current process's own that holds the code of [`arch::PARKING`].
///
/// It has no file behind it, so that neither a `/dev` that is mounted noexec is in its way, nor
/// does it keep the head. The process may change it, and so run what it likes in a cachemiss thread:
/// nothing may rely on such a thread's being where it should be while in user mode.
pub fn map() -> Result<usize> {
    /// `PROT_READ | PROT_EXEC`, which `bindings` lacks.
    const PROT: usize = 0x1 | 0x4;
    /// `MAP_PRIVATE | MAP_ANONYMOUS`, likewise.
    const FLAGS: usize = 0x2 | 0x20;

    // SAFETY: Process context; the current task has an address space.
    let at =
        unsafe { bindings::vm_mmap(ptr::null_mut(), 0, kernel::page::PAGE_SIZE, PROT, FLAGS, 0) };
    if at >= (bindings::MAX_ERRNO as usize).wrapping_neg() {
        // CAST: An errno, by the check.
        return Err(Error::from_errno(at as isize as i32));
    }
    let mut code = arch::PARKING;
    // SAFETY: The buffer is valid for reads of its length.
    let written = unsafe {
        bindings::access_process_vm(
            Task::current_raw(),
            at,
            code.as_mut_ptr().cast(),
            code.len() as c_int,
            bindings::FOLL_FORCE | bindings::FOLL_WRITE,
        )
    };
    if written as usize != code.len() {
        // SAFETY: Just mapped.
        unsafe { bindings::vm_munmap(at, kernel::page::PAGE_SIZE) };
        return Err(EFAULT);
    }
    Ok(at)
}
