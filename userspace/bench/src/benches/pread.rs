// SPDX-License-Identifier: GPL-2.0

//! Reads of 4 KiB from the page cache: some work in each call.

use std::fs::{self, File};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{ensure, Result};
use io_uring::{opcode, types};

use super::{by_programs, by_uring, flags, leaked, looped};
use crate::case::{Case, Way};
use crate::ways::atom;

const BYTES: usize = 4096;
const CALLS: u32 = 64;

/// By 1 and by 16 atoms, each with a page of its own.
pub fn cases(dir: &Path) -> Result<Vec<Case>> {
    let path = dir.join("pages");
    fs::write(&path, vec![b'x'; 16 * BYTES])?;
    let open = {
        let path = path.clone();
        move || File::open(&path)
    };

    let mut cases = Vec::new();
    for size in [1, 16] {
        let pages = move || (0..u64::from(size)).map(|page| page * BYTES as u64);
        let opened = open.clone();
        cases.push(looped(size, Way::Plain, CALLS / size, move || {
            let file = opened()?;
            let memory = leaked(size as usize * BYTES);
            Ok(Box::new(move || {
                for (buf, at) in memory.chunks_mut(BYTES).zip(pages()) {
                    ensure!(file.read_at(buf, at)? == BYTES, "a short read");
                }
                Ok(())
            }))
        }));
        for way in [Way::Syslet, Way::SysletSync] {
            let opened = open.clone();
            cases.push(looped(size, way, CALLS / size, move || {
                // As long as the process lives, as the memory.
                let fd = u64::try_from(opened()?.into_raw_fd())?;
                let memory = leaked(size as usize * BYTES).chunks_mut(BYTES);
                let atoms = memory
                    .zip(pages())
                    .map(|(buf, at)| {
                        let buf = buf.as_mut_ptr() as u64;
                        atom(libc::SYS_pread64, [fd, buf, BYTES as u64, at])
                    })
                    .collect();
                // SAFETY: The buffers are leaked, and nobody reads them.
                unsafe { by_programs(&[atoms], flags(way), are_full) }
            }));
        }
        let opened = open.clone();
        cases.push(looped(size, Way::Uring, CALLS / size, move || {
            let fd = types::Fd(opened()?.into_raw_fd());
            let memory = leaked(size as usize * BYTES).chunks_mut(BYTES);
            let entries = memory
                .zip(pages())
                .map(|(buf, at)| {
                    opcode::Read::new(fd, buf.as_mut_ptr(), 4096)
                        .offset(at)
                        .build()
                })
                .collect();
            // SAFETY: As above.
            unsafe { by_uring(entries, 0) }
        }));
    }
    Ok(cases)
}

fn are_full(results: &[i64]) -> Result<()> {
    let full = results.iter().all(|&len| usize::try_from(len) == Ok(BYTES));
    ensure!(full, "{results:?}");
    Ok(())
}
