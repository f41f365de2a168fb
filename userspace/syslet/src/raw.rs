// SPDX-License-Identifier: GPL-2.0

//! The commands of `/dev/syslet` as they are: one unsafe function each.
//!
//! Every structure is described in [`uapi`] and, in full, in the kernel header
//! `linux/syslet.h`. These functions check nothing; the rest of the crate does.
//!
//! # Errors
//!
//! All return the error number that the kernel gave.

mod ring;

pub use ring::Mapping;
pub use ring::Ring;

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use crate::uapi;

/// The size of a structure, as its first field has it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no structure of the interface is large"
)]
pub(crate) const fn size_field<T>() -> u32 {
    size_of::<T>() as u32
}

mod ioctl {
    use crate::uapi;

    nix::ioctl_readwrite_bad!(query, uapi::IOC_QUERY, uapi::Query);
    nix::ioctl_readwrite_bad!(setup, uapi::IOC_SETUP, uapi::Setup);
    nix::ioctl_readwrite_bad!(exec, uapi::IOC_EXEC, uapi::Exec);
    nix::ioctl_readwrite_bad!(wait, uapi::IOC_WAIT, uapi::Wait);
    nix::ioctl_readwrite_bad!(cancel, uapi::IOC_CANCEL, uapi::Cancel);
    nix::ioctl_write_ptr_bad!(eventfd, uapi::IOC_EVENTFD, i32);
    nix::ioctl_readwrite_bad!(exec_uatom, uapi::IOC_EXEC_UATOM, uapi::UatomExec);
}

macro_rules! command {
    ($(#[$meta:meta])* $name:ident, $type:ty) => {
        $(#[$meta])*
        pub unsafe fn $name(fd: BorrowedFd<'_>, arg: &mut $type) -> Result<u32, Errno> {
            // SAFETY: `arg` is a valid structure of this command; the rest is the caller's promise.
            let ret = unsafe { ioctl::$name(fd.as_raw_fd(), arg) }?;
            // No command returns more than it was asked for, and `nix` made an error of -1.
            Ok(ret.unsigned_abs())
        }
    };
}

command! {
    /// Limits and features; with `policies`, the verdict on each system call number.
    ///
    /// # Safety
    ///
    /// `policies` is 0 or points to `nr_policies` bytes that may be written.
    query, uapi::Query
}
command! {
    /// Makes the head's ring and sets its limits.
    ///
    /// # Safety
    ///
    /// None beyond `fd` being a syslet device; unsafe like its neighbours.
    setup, uapi::Setup
}
command! {
    /// Runs programs; returns how many were handled.
    ///
    /// # Safety
    ///
    /// `programs` points to `nr_programs` programs that may be written, each with atoms and
    /// result slots as it says. What the atoms do to this process is the caller's doing, as if it
    /// made those system calls itself. The memory that a program without `SYNC` touches, its
    /// result slots included, stays valid and unused by others until its completion.
    exec, uapi::Exec
}
command! {
    /// Waits for completions; returns how many are in the ring.
    ///
    /// # Safety
    ///
    /// `sigmask` is 0 or points to `sigset_size` readable bytes.
    wait, uapi::Wait
}
command! {
    /// Interrupts programs in flight; returns how many.
    ///
    /// # Safety
    ///
    /// None beyond `fd` being a syslet device; unsafe like its neighbours.
    cancel, uapi::Cancel
}
command! {
    /// Runs a chain of classic uatoms; returns 1, as [`exec`] does.
    ///
    /// # Safety
    ///
    /// As for [`exec`], for the chain at `uatom`.
    exec_uatom, uapi::UatomExec
}

/// Sets the eventfd that is signalled at each completion; -1 removes it.
///
/// # Safety
///
/// None beyond `fd` being a syslet device; unsafe like its neighbours.
pub unsafe fn eventfd(fd: BorrowedFd<'_>, eventfd: i32) -> Result<(), Errno> {
    // SAFETY: The kernel reads one `i32`.
    unsafe { ioctl::eventfd(fd.as_raw_fd(), &raw const eventfd) }.map(drop)
}
