// SPDX-License-Identifier: GPL-2.0

//! What the process of a case and the judge share.

use std::fmt;
use std::io::{Cursor, Write};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicU8, AtomicUsize, Ordering};

use anyhow::{ensure, Result};

use crate::case::MAX_THREADS;
use crate::sys;

/// With this status a case ends that has found something wrong.
pub const FAILED: i32 = 99;
const TEXT: usize = 512;

/// Memory of both.
pub struct Shared {
    /// How many buffers of KCOV were given out.
    pub buffers: AtomicUsize,
    /// How many threads have begun.
    pub begun: AtomicUsize,
    /// How many of them have something to do still.
    pub working: AtomicUsize,
    /// How often a user context of a case was handed over, as far as that is known.
    pub handoffs: AtomicU64,
    /// The threads, as far as they have begun.
    pub tids: [AtomicI32; MAX_THREADS as usize],
    failing: AtomicU8,
    text: [AtomicU8; TEXT],
}

impl Shared {
    /// All zero.
    pub fn new() -> Result<&'static Self> {
        // SAFETY: A new mapping.
        let map = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        ensure!(map != libc::MAP_FAILED, "no memory");
        // SAFETY: It is large enough, stays, and 0 is a value of every atomic.
        Ok(unsafe { &*map.cast::<Self>() })
    }

    /// For the next case.
    pub fn reset(&self) {
        self.buffers.store(0, Ordering::Relaxed);
        self.begun.store(0, Ordering::Relaxed);
        self.working.store(0, Ordering::Relaxed);
        self.handoffs.store(0, Ordering::Relaxed);
        for tid in &self.tids {
            tid.store(0, Ordering::Relaxed);
        }
        self.failing.store(0, Ordering::Relaxed);
        for byte in &self.text {
            byte.store(0, Ordering::Relaxed);
        }
    }

    /// Says what is wrong, and ends the process.
    pub fn fail(&self, what: fmt::Arguments<'_>) -> ! {
        // The first one counts.
        if self.failing.swap(1, Ordering::Relaxed) == 0 {
            let mut text = [0; TEXT];
            let _ = Cursor::new(&mut text[..]).write_fmt(what);
            for (to, from) in self.text.iter().zip(text) {
                to.store(from, Ordering::Relaxed);
            }
        }
        loop {
            sys::call3(libc::SYS_exit_group, FAILED as usize, 0, 0);
        }
    }

    /// What was wrong, if anything.
    pub fn failure(&self) -> Option<String> {
        let text: Vec<u8> = self
            .text
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect();
        let len = text.iter().position(|&byte| byte == 0)?;
        (len > 0).then(|| String::from_utf8_lossy(&text[..len]).into_owned())
    }
}
