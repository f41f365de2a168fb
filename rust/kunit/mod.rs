// SPDX-License-Identifier: GPL-2.0

//! KUnit tests: what only the kernel itself can tell.
//!
//! The tests of the host have shown that the pure code does what it is meant to. Here it meets the
//! kernel that it was built for: its structures as its own compiler lays them out, its system call
//! table, its constants, its allocators and its faults. Suites that need what is private to a file
//! are children of it: `ring`, `dispatch`.

mod arch;
mod copy;
pub mod facts;
mod layout;
mod policy;
mod program;
