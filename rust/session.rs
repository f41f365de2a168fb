// SPDX-License-Identifier: GPL-2.0

//! A call of `EXEC` or `PARK`, and what it works on.

use core::ptr;

use kernel::bindings;
use kernel::fs::file::LocalFile;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::task::Task;

use crate::arch;
use crate::dispatch::Frame;
use crate::head::Established;
use crate::head::Head;
use crate::policy::Abi;

/// One such call, in the task that makes it or has taken its user context over.
pub struct Session<'a> {
    /// The head.
    pub head: &'a Head,
    /// What its `SETUP` made.
    pub established: &'a Established,
    /// The file it was called on.
    pub file: &'a File,
    /// The current task's frame.
    pub frame: &'a Frame,
    /// The ABI of the caller.
    pub abi: Abi,
    /// What [`file_refs`] said when the call came in.
    pub file_refs: usize,
}

/// How many references to the file the current task's frames hold during the ioctl that it has just
/// entered: the session's, and, if the file table is shared, the ioctl's own.
///
/// The ioctl has looked at that itself a few instructions ago, and does not tell. If who shared the
/// table is gone since, a thread that a filter kills leaves a reference behind.
pub fn file_refs() -> usize {
    // SAFETY: The current task's own file table; others come and go.
    let users =
        unsafe { (&raw const (*(*Task::current_raw()).files).count.counter).read_volatile() };
    1 + usize::from(users > 1)
}

impl Session<'_> {
    /// At the end of a call that has undone a close, in the task that has its user context: the
    /// call may have come by the very descriptor that was closed.
    #[cold]
    pub fn close_again(&self) {
        let fd = self
            .frame
            .with_registers(|regs| arch::first_argument(regs, self.abi));
        let open =
            LocalFile::fget(fd as u32).is_ok_and(|file| ptr::eq(file.as_ptr(), self.file.as_ptr()));
        if !open {
            self.head.close();
        }
    }
}

/// Has the system call made again after the signal was seen to, without the caller's knowing.
pub fn restart_unseen() -> Error {
    Error::from_errno(-(bindings::ERESTARTNOINTR as i32))
}
