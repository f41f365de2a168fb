// SPDX-License-Identifier: GPL-2.0

//! Reading files by plain system calls, the same ones that the programs make.

use std::ffi::CStr;

use anyhow::Result;
use nix::errno::Errno;
use nix::fcntl::{open, OFlag};
use nix::sys::stat::{fstat, Mode};
use nix::unistd::{close, read};

use crate::reader::CHUNK;

/// Reads files one call after the other.
pub struct Plain {
    memory: Vec<u8>,
    calls: u64,
}

impl Plain {
    /// A reader that has made no calls.
    pub fn new() -> Self {
        Self {
            memory: vec![0; CHUNK],
            calls: 0,
        }
    }

    /// How many system calls it has made so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Reads each file to its end; `done` gets its index and length, or why it cannot be read.
    pub fn read(
        &mut self,
        paths: &[impl AsRef<CStr>],
        mut done: impl FnMut(usize, Result<u64, Errno>) -> Result<()>,
    ) -> Result<()> {
        for (index, path) in paths.iter().enumerate() {
            done(index, self.read_one(path.as_ref()))?;
        }
        Ok(())
    }

    fn read_one(&mut self, path: &CStr) -> Result<u64, Errno> {
        self.calls += 1;
        let fd = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        self.calls += 1;
        fstat(&fd)?;
        let mut len = 0;
        loop {
            self.calls += 1;
            match read(&fd, &mut self.memory)? {
                0 => break,
                more => len += more as u64,
            }
        }
        self.calls += 1;
        close(fd)?;
        Ok(len)
    }
}
