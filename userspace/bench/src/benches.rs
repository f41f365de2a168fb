// SPDX-License-Identifier: GPL-2.0

//! What is measured, each in several ways.

pub mod null;
pub mod ofrc;
pub mod pipe;
pub mod pread;

use anyhow::Result;
use syslet::uapi;

use crate::case::{Batch, Case, Way};
use crate::clock::Clock;
use crate::ways::{Programs, Uring};

/// Something to do `turns` times in a batch, between two looks at the clock.
fn looped(
    size: u32,
    way: Way,
    turns: u32,
    prepare: impl FnOnce() -> Result<Box<dyn FnMut() -> Result<()>>> + 'static,
) -> Case {
    let prepare = move |clock: Clock| -> Result<Batch> {
        let mut turn = prepare()?;
        let cost = clock.cost();
        Ok(Box::new(move || {
            let begin = clock.now();
            for _ in 0..turns {
                turn()?;
            }
            Ok((clock.now() - begin).saturating_sub(cost))
        }))
    };
    Case {
        size,
        way,
        operations: turns * size,
        prepare: Box::new(prepare),
    }
}

/// Programs, submitted together, that must not block; `expected` judges their results once.
///
/// # Safety
///
/// As for [`Programs::new`].
unsafe fn by_programs(
    programs: &[Vec<uapi::Atom>],
    flags: u32,
    expected: impl FnOnce(&[i64]) -> Result<()>,
) -> Result<Box<dyn FnMut() -> Result<()>>> {
    // SAFETY: The caller's promise.
    let mut programs = unsafe { Programs::new(programs, flags) }?;
    programs.exec()?;
    programs.check_status(uapi::DONE)?;
    expected(&programs.results())?;
    Ok(Box::new(move || programs.exec()))
}

/// Entries of `io_uring`, submitted together and all waited for.
///
/// # Safety
///
/// As for [`Uring::new`].
unsafe fn by_uring(
    entries: Vec<io_uring::squeue::Entry>,
    files: usize,
) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let count = entries.len();
    // SAFETY: The caller's promise.
    let mut uring = unsafe { Uring::new(entries, files) }?;
    Ok(Box::new(move || {
        uring.enter(count)?;
        uring.take(count)
    }))
}

/// The flags of the programs of a way.
fn flags(way: Way) -> u32 {
    match way {
        Way::SysletSync => uapi::SYNC,
        _ => 0,
    }
}

/// Memory for the process's whole life: what the kernel writes to is never freed underfoot.
fn leaked(len: usize) -> &'static mut [u8] {
    vec![0; len].leak()
}
