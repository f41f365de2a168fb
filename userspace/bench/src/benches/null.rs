// SPDX-License-Identifier: GPL-2.0

//! getppid, which does next to nothing: what it costs to get there.

use std::hint::black_box;
use std::os::unix::process::parent_id;

use anyhow::{ensure, Result};
use io_uring::opcode;

use super::{by_programs, by_uring, flags, looped};
use crate::case::{Case, Way};
use crate::ways::atom;

/// Calls in a batch, of whatever size their programs are.
const CALLS: u32 = 128;

/// By programs of 1 to 64 atoms; one plain call is like the other.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [1, 4, 16, 64] {
        cases.push(looped(size, Way::Plain, CALLS / size, move || {
            Ok(Box::new(move || {
                for _ in 0..size {
                    black_box(parent_id());
                }
                Ok(())
            }))
        }));
        for way in [Way::Syslet, Way::SysletSync] {
            cases.push(looped(size, way, CALLS / size, move || {
                let atoms = vec![atom(libc::SYS_getppid, []); size as usize];
                // SAFETY: It touches no memory.
                unsafe { by_programs(&[atoms], flags(way), is_parent) }
            }));
        }
        cases.push(looped(size, Way::Uring, CALLS / size, move || {
            let entries = vec![opcode::Nop::new().build(); size as usize];
            // SAFETY: It touches no memory.
            unsafe { by_uring(entries, 0) }
        }));
    }
    cases
}

fn is_parent(results: &[i64]) -> Result<()> {
    let parent = i64::from(parent_id());
    ensure!(results.iter().all(|&pid| pid == parent), "{results:?}");
    Ok(())
}
