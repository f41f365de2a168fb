// SPDX-License-Identifier: GPL-2.0

//! Reading files by programs: one program for each, more for those that are larger.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::Mode;
use syslet::{
    AtomError, AtomFailure, BuildError, Bytes, Close, Head, Outcome, Program, Stop, Unit, CWD,
};

/// Bytes that one `read` asks for.
pub const CHUNK: usize = 64 << 10;

/// Reads in the program that opens a file: most files are small, so that the first gets all and
/// the second says that it was all.
const FIRST_READS: usize = 2;

/// Reads in each program that goes on with a larger one.
const MORE_READS: usize = 8;

/// What became of one file: how many bytes were read, or which atom failed.
pub type FileResult = Result<u64, AtomError>;

/// Reads files in batches of programs.
pub struct Reader<'h> {
    head: &'h Head,
    batch: usize,
    /// Programs to build again, for their memory.
    programs: Vec<Program<'static>>,
    first: Vec<u8>,
    stats: Vec<MaybeUninit<libc::stat>>,
    more: Vec<u8>,
    calls: u64,
}

/// The handles of a program that opens a file.
struct Opening {
    stat: Unit,
    reads: [Bytes; FIRST_READS],
    close: Close,
}

/// What a program has read, and the file if it has more and is still open.
type Part = Result<(Vec<usize>, Option<OwnedFd>), AtomError>;

impl<'h> Reader<'h> {
    /// A reader that runs `batch` programs in one entry into the kernel.
    pub fn new(head: &'h Head, batch: usize) -> Self {
        Self {
            head,
            batch,
            programs: Vec::new(),
            first: vec![0; batch * FIRST_READS * CHUNK],
            stats: vec![MaybeUninit::uninit(); batch],
            more: vec![0; MORE_READS * CHUNK],
            calls: 0,
        }
    }

    /// How many system calls the programs have made so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Reads each file to its end. `data` gets the bytes in order, with the index of the file;
    /// `done` is called when there are no more of it.
    ///
    /// Fails only where programs cannot be run at all.
    pub fn read(
        &mut self,
        paths: &[impl AsRef<CStr>],
        mut data: impl FnMut(usize, &[u8]) -> Result<()>,
        mut done: impl FnMut(usize, FileResult) -> Result<()>,
    ) -> Result<()> {
        for (index, paths) in paths.chunks(self.batch).enumerate() {
            let base = index * self.batch;
            self.read_batch(base, paths, &mut data, &mut done)?;
        }
        Ok(())
    }

    fn read_batch(
        &mut self,
        base: usize,
        paths: &[impl AsRef<CStr>],
        data: &mut impl FnMut(usize, &[u8]) -> Result<()>,
        done: &mut impl FnMut(usize, FileResult) -> Result<()>,
    ) -> Result<()> {
        let mut handles = Vec::with_capacity(paths.len());
        let mut programs = Vec::with_capacity(paths.len());
        let memory = self.first.chunks_mut(FIRST_READS * CHUNK);
        for ((path, memory), stat) in paths.iter().zip(memory).zip(&mut self.stats) {
            let mut program = self.programs.pop().unwrap_or_default().recycle();
            handles.push(Opening::build(&mut program, path.as_ref(), stat, memory)?);
            programs.push(program);
        }
        self.head.run_all(&mut programs)?;

        // What they returned; then the buffers are free to be looked at.
        let mut parts = Vec::with_capacity(paths.len());
        for (program, opening) in programs.iter_mut().zip(&handles) {
            let outcome = program.outcome().context("a program did not run")?;
            self.calls += outcome.ran() as u64;
            parts.push(opening.part(outcome));
        }
        self.programs
            .extend(programs.into_iter().map(Program::recycle));

        for ((slot, file), part) in (base..).enumerate().zip(parts) {
            let result = match part {
                Err(error) => Err(error),
                Ok((lens, rest)) => {
                    let memory = &self.first[slot * FIRST_READS * CHUNK..];
                    let len = emit(memory, &lens, |bytes| data(file, bytes))?;
                    match rest {
                        None => Ok(len),
                        Some(fd) => self.go_on(fd, len, |bytes| data(file, bytes))?,
                    }
                }
            };
            done(file, result)?;
        }
        Ok(())
    }

    /// Reads on from where a file is, to its end, and closes it.
    fn go_on(
        &mut self,
        mut fd: OwnedFd,
        mut len: u64,
        mut data: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<FileResult> {
        loop {
            let mut program = self.programs.pop().unwrap_or_default().recycle();
            let adopted = program.adopt(fd)?;
            let mut reads = Vec::with_capacity(MORE_READS);
            for memory in self.more.chunks_mut(CHUNK) {
                reads.push(program.read(&adopted, memory)?);
            }
            until_end(&mut program, &reads)?;
            let close = program.close(adopted)?;

            let mut outcome = self.head.run(&mut program)?;
            self.calls += outcome.ran() as u64;
            let part = read(&outcome, &reads).map(|lens| (lens, outcome.take_unclosed(&close)));
            self.programs.push(program.recycle());
            let (lens, rest) = match part {
                Ok(part) => part,
                Err(error) => return Ok(Err(error)),
            };
            len += emit(&self.more, &lens, &mut data)?;
            match rest {
                None => return Ok(Ok(len)),
                Some(rest) => fd = rest,
            }
        }
    }
}

impl Opening {
    /// Builds the program: open, measure, read until there is no more, close.
    fn build<'a>(
        program: &mut Program<'a>,
        path: &'a CStr,
        stat: &'a mut MaybeUninit<libc::stat>,
        memory: &'a mut [u8],
    ) -> Result<Self, BuildError> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let fd = program.openat(CWD, path, flags, Mode::empty())?;
        let stat = program.fstat(&fd, stat)?;
        let (first, second) = memory.split_at_mut(CHUNK);
        let reads = [program.read(&fd, first)?, program.read(&fd, second)?];
        until_end(program, &reads)?;
        let close = program.close(fd)?;
        Ok(Self { stat, reads, close })
    }

    fn part(&self, mut outcome: Outcome<'_, '_>) -> Part {
        // Where the file could not be opened, this is the error that says so.
        outcome.check()?;
        outcome.get(&self.stat)?;
        let lens = read(&outcome, &self.reads)?;
        Ok((lens, outcome.take_unclosed(&self.close)))
    }
}

/// Has reads in a row end the reading where the file ends: the rest of them is jumped over, to
/// whatever is behind. If even the last one finds something, the program stops there, with the
/// file open.
fn until_end(program: &mut Program<'_>, reads: &[Bytes]) -> Result<(), BuildError> {
    let Some((last, others)) = reads.split_last() else {
        return Ok(());
    };
    // From the last but one, which jumps over one, to the first.
    for (read, over) in others.iter().rev().zip(1..) {
        program.skip_if(read, Stop::NON_POSITIVE, over)?;
    }
    program.stop_if(last, Stop::NONZERO)
}

/// How much each of the reads got, or why one of them failed.
fn read(outcome: &Outcome<'_, '_>, reads: &[Bytes]) -> Result<Vec<usize>, AtomError> {
    let mut lens = Vec::with_capacity(reads.len());
    for read in reads {
        match outcome.get(read) {
            Ok(len) => lens.push(len),
            // Jumped over: the one before has found the end.
            Err(error) if error.failure == AtomFailure::NotRun => break,
            Err(error) => return Err(error),
        }
    }
    Ok(lens)
}

/// Passes on what was read into chunks of `memory`; returns how much.
fn emit(memory: &[u8], lens: &[usize], mut data: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let mut total = 0;
    for (chunk, &len) in memory.chunks(CHUNK).zip(lens) {
        if len > 0 {
            data(&chunk[..len])?;
        }
        total += len as u64;
    }
    Ok(total)
}
