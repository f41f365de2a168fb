// SPDX-License-Identifier: GPL-2.0

//! Errors.

use core::convert::Infallible;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(i32);

pub type Result<T = (), E = Error> = core::result::Result<T, E>;

pub const EAGAIN: Error = Error(-11);
pub const ENOMEM: Error = Error(-12);
pub const EBADF: Error = Error(-9);
pub const ESRCH: Error = Error(-3);
pub const EFAULT: Error = Error(-14);
pub const EINVAL: Error = Error(-22);

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<core::num::TryFromIntError> for Error {
    fn from(_: core::num::TryFromIntError) -> Self {
        EINVAL
    }
}

impl Error {
    pub fn from_errno(errno: i32) -> Self {
        Self(errno)
    }
}

pub fn from_err_ptr<T>(ptr: *mut T) -> Result<*mut T> {
    Ok(ptr)
}
