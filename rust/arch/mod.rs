// SPDX-License-Identifier: GPL-2.0

//! The architecture. There is one so far.

mod x86_64;

pub use self::x86_64::*;
