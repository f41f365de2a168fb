// SPDX-License-Identifier: GPL-2.0

//! What the module's pure code has to do, written a second time.
//!
//! From the header's and the documentation's text, not from the code. Property tests and fuzzers
//! hold the one against the other.

#![allow(
    clippy::missing_panics_doc,
    reason = "an oracle is there to panic, where it finds something"
)]

pub mod interpreter;
pub mod memory;
pub mod policy;
pub mod program;
pub mod ring;
pub mod uatom;

/// All conditions, as far as a result is concerned: whether one in `flags` is true of it.
fn stops(flags: u64, result: i64) -> bool {
    flags & 0x08 != 0 && result != 0
        || flags & 0x10 != 0 && result == 0
        || flags & 0x20 != 0 && result < 0
        || flags & 0x40 != 0 && result <= 0
}
