// SPDX-License-Identifier: GPL-2.0

//! What every file of the module has in scope.

pub use core::ffi::c_int;
pub use core::ffi::CStr;
pub use core::pin::Pin;

pub use crate::alloc::Flags;
pub use crate::alloc::KBox;
pub use crate::alloc::KVVec;
pub use crate::alloc::VVec;
pub use crate::alloc::GFP_KERNEL_ACCOUNT;
pub use crate::alloc::__GFP_ZERO;
pub use crate::error::Error;
pub use crate::error::Result;
pub use crate::error::EAGAIN;
pub use crate::error::EBADF;
pub use crate::error::EFAULT;
pub use crate::error::EINVAL;
pub use crate::error::ENOMEM;
pub use crate::error::ESRCH;
pub use crate::init::InPlace;
pub use crate::init::PinInit;
pub use crate::pin_init;
pub use crate::try_pin_init;

/// What the kernel calls this.
pub trait CStrExt {
    fn as_char_ptr(&self) -> *const core::ffi::c_char;
}

impl CStrExt for CStr {
    fn as_char_ptr(&self) -> *const core::ffi::c_char {
        self.as_ptr()
    }
}
