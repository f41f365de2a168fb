// SPDX-License-Identifier: GPL-2.0

//! openat, fstat, read, close: what it takes to get at a small file.

use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{ensure, Result};
use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};
use syslet::uapi;

use super::{by_programs, by_uring, flags, leaked, looped};
use crate::case::{Case, Way};
use crate::ways::{atom, Pool};

/// What is in each file.
const CONTENT: &[u8] = &[b'x'; 200];
/// Room for what is read.
const ROOM: usize = 4096;
const FILES: u32 = 32;

/// One file, and 32 at once; each its own.
pub fn cases(dir: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for size in [1, FILES] {
        let mut paths = Vec::new();
        for file in 0..size {
            let path = dir.join(format!("file{file:02}"));
            fs::write(&path, CONTENT)?;
            paths.push(CString::new(path.as_os_str().as_bytes())?);
        }
        // The paths that are used are as static as what is read into.
        let paths: &'static [CString] = paths.leak();
        let turns = FILES / size;

        cases.push(looped(size, Way::Plain, turns, move || {
            let memory = leaked(ROOM);
            Ok(Box::new(move || read_all(paths, memory)))
        }));
        for way in [Way::Syslet, Way::SysletSync] {
            cases.push(looped(size, way, turns, move || {
                let programs: Vec<_> = paths.iter().map(program).collect();
                // SAFETY: What the programs write to is leaked.
                unsafe { by_programs(&programs, flags(way), are_read) }
            }));
        }
        // All files are one job.
        cases.push(looped(size, Way::Pool, turns, move || {
            let memory = leaked(ROOM);
            let pool = Pool::new(move || i64::from(read_all(paths, memory).is_ok()));
            Ok(Box::new(move || {
                pool.ask()?;
                ensure!(pool.answer()? == 1, "the thread has failed");
                Ok(())
            }))
        }));
        cases.push(looped(size, Way::Uring, turns, move || {
            let entries = paths.iter().zip(0..).flat_map(|(p, slot)| chain(p, slot));
            // SAFETY: As for the programs.
            unsafe { by_uring(entries.collect(), paths.len()) }
        }));
    }
    Ok(cases)
}

fn read_all(paths: &[CString], memory: &mut [u8]) -> Result<()> {
    paths.iter().try_for_each(|path| plain(path, memory))
}

/// The four calls, by the library's functions. It has another call for fstat in some versions.
fn plain(path: &CString, memory: &mut [u8]) -> Result<()> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: The path ends in 0, and what is written to is large enough.
    unsafe {
        let fd = libc::openat(libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY);
        let stated = libc::syscall(libc::SYS_fstat, fd, stat.as_mut_ptr());
        let len = libc::read(fd, memory.as_mut_ptr().cast(), memory.len());
        let closed = libc::close(fd);
        let done = fd >= 0 && stated == 0 && len.unsigned_abs() == CONTENT.len() && closed == 0;
        ensure!(done, "{path:?}: {fd}, {stated}, {len}, {closed}");
    }
    Ok(())
}

/// The four calls, by a program that ends at the first one that fails.
fn program(path: &CString) -> Vec<uapi::Atom> {
    let stat = leaked(size_of::<libc::stat>()).as_mut_ptr() as u64;
    let memory = leaked(ROOM).as_mut_ptr() as u64;
    #[expect(clippy::cast_sign_loss, reason = "an argument is a word")]
    let cwd = libc::AT_FDCWD as u64;
    let mut atoms = vec![
        atom(libc::SYS_openat, [cwd, path.as_ptr() as u64, 0, 0]),
        atom(libc::SYS_fstat, [0, stat]),
        atom(libc::SYS_read, [0, memory, ROOM as u64]),
        atom(libc::SYS_close, [0]),
    ];
    atoms[0].flags = uapi::STOP_ON_NEGATIVE;
    for atom in &mut atoms[1..] {
        atom.arg_from[0] = 1;
    }
    atoms
}

fn are_read(results: &[i64]) -> Result<()> {
    for results in results.chunks(4) {
        let done = matches!(results, &[fd, 0, len, 0] if fd >= 0 && usize::try_from(len) == Ok(CONTENT.len()));
        ensure!(done, "{results:?}");
    }
    Ok(())
}

/// The four calls, linked, with a descriptor of the ring's own. It cannot stat such a one, so that
/// goes by the path.
fn chain(path: &CString, slot: u32) -> [Entry; 4] {
    let stat = leaked(size_of::<libc::statx>()).as_mut_ptr();
    let memory = leaked(ROOM).as_mut_ptr();
    let cwd = types::Fd(libc::AT_FDCWD);
    let index = types::DestinationSlot::try_from_slot_target(slot).expect("few files");
    let room = u32::try_from(ROOM).unwrap_or(u32::MAX);
    let path = path.as_ptr();
    [
        opcode::OpenAt::new(cwd, path)
            .flags(libc::O_RDONLY)
            .file_index(Some(index))
            .build()
            .flags(Flags::IO_LINK),
        opcode::Statx::new(cwd, path, stat.cast())
            .mask(libc::STATX_BASIC_STATS)
            .build()
            .flags(Flags::IO_LINK),
        // A read of fewer bytes than asked for would break a link, but not a hard one.
        opcode::Read::new(types::Fixed(slot), memory, room)
            .build()
            .flags(Flags::IO_HARDLINK),
        opcode::Close::new(types::Fixed(slot)).build(),
    ]
}
