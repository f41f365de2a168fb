// SPDX-License-Identifier: GPL-2.0

//! The means of each way: programs, a pool thread, `io_uring`.

mod pool;
mod programs;
mod uring;

pub use pool::Pool;
pub use programs::{atom, Programs};
pub use uring::Uring;
