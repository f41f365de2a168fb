// SPDX-License-Identifier: GPL-2.0

//! Coverage, where the kernel has KCOV: which places of the module a case came by.
//!
//! KCOV counts for one task, and a handoff moves a user thread to another one. So there are many
//! buffers, and a thread turns the next one on whenever its task has none; the task that it has
//! left keeps its own, and is counted as a worker. A task that exits gives its buffer back.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::fs;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{ensure, Context, Result};

use crate::sys;

const INIT_TRACE: usize = 0x8008_6301;
const ENABLE: usize = 0x6364;
const TRACE_PC: usize = 0;
/// Words of a buffer.
const WORDS: usize = 1 << 15;
/// How many tasks of a case are counted.
const BUFFERS: usize = 32;
/// Descriptors above all that a case uses.
const FIRST_FD: c_int = 300;

/// The buffers, and who has them.
pub struct Kcov {
    buffers: Vec<Buffer>,
    sections: Vec<(usize, String)>,
    moved: usize,
}

struct Buffer {
    fd: c_int,
    words: &'static [AtomicU64],
}

impl Kcov {
    /// `None` where the kernel has none.
    pub fn open() -> Result<Option<Self>> {
        if !fs::exists("/sys/kernel/debug/kcov")? {
            return Ok(None);
        }
        let mut buffers = Vec::new();
        for fd in FIRST_FD.. {
            if buffers.len() == BUFFERS {
                break;
            }
            buffers.push(Buffer::open(fd)?);
        }
        let sections = sections().context("where the module's sections are")?;
        let moved = moved().context("where the kernel is")?;
        Ok(Some(Self {
            buffers,
            sections,
            moved,
        }))
    }

    /// Turns the buffer `spare` on for the current task, if that has none; returns the spare one
    /// that is next, from `next`.
    pub fn enable(&self, spare: usize, next: &AtomicUsize) -> usize {
        match self.buffers.get(spare) {
            Some(buffer) if sys::ioctl(buffer.fd, ENABLE, TRACE_PC) == 0 => claim(next),
            _ => spare,
        }
    }

    /// The places of which the first `used` buffers tell, and empties these.
    pub fn collect(&self, used: usize) -> BTreeSet<usize> {
        let mut places = BTreeSet::new();
        for buffer in self.buffers.iter().take(used) {
            let count = buffer.words[0].swap(0, Ordering::Relaxed) as usize;
            let words = buffer.words[1..].iter().take(count);
            places.extend(words.map(|word| word.load(Ordering::Relaxed) as usize));
        }
        places
    }

    /// A place, as its section and the offset in that.
    pub fn name(&self, place: usize) -> Option<String> {
        let place = place.wrapping_add(self.moved);
        let after = self.sections.partition_point(|(start, _)| *start <= place);
        let (start, name) = &self.sections[after.checked_sub(1)?];
        Some(format!("{name} {:#x}", place - start))
    }
}

/// A buffer for whoever asks.
pub fn claim(next: &AtomicUsize) -> usize {
    next.fetch_add(1, Ordering::Relaxed)
}

impl Buffer {
    fn open(at: c_int) -> Result<Self> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/kcov")?;
        let fd = sys::move_fd(&file.into(), at)?;
        ensure!(sys::ioctl(fd, INIT_TRACE, WORDS) == 0, "KCOV_INIT_TRACE");
        // SAFETY: A new mapping.
        let map = unsafe {
            libc::mmap(
                ptr::null_mut(),
                WORDS * size_of::<u64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        ensure!(map != libc::MAP_FAILED, "KCOV's buffer cannot be mapped");
        // The kernel has a mapping of its own; to copy this one takes longer than most cases.
        // SAFETY: It has just been made.
        unsafe { libc::madvise(map, WORDS * size_of::<u64>(), libc::MADV_DONTFORK) };
        // SAFETY: It has that many words, and stays.
        let words = unsafe { std::slice::from_raw_parts(map.cast::<AtomicU64>(), WORDS) };
        Ok(Self { fd, words })
    }
}

fn sections() -> Result<Vec<(usize, String)>> {
    let mut sections = Vec::new();
    for entry in fs::read_dir("/sys/module/syslet/sections")? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        let start = usize::from_str_radix(text.trim().trim_start_matches("0x"), 16)?;
        sections.push((start, entry.file_name().to_string_lossy().into_owned()));
    }
    sections.sort();
    Ok(sections)
}

/// By how much the kernel has been moved at boot, which KCOV leaves out of all addresses.
fn moved() -> Result<usize> {
    const LINKED_AT: usize = 0xffff_ffff_8100_0000;

    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let text = symbols.lines().find(|line| line.ends_with(" _text"));
    let at = text
        .and_then(|line| line.split(' ').next())
        .context("no _text")?;
    Ok(usize::from_str_radix(at, 16)?.wrapping_sub(LINKED_AT))
}
