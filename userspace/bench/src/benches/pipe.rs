// SPDX-License-Identifier: GPL-2.0

//! A read that has to wait: of one byte, on an empty pipe.
//!
//! Each operation begins with everybody idle, and only it is timed; what clears up behind it is
//! not.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::IntoRawFd;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};
use io_uring::{opcode, types};
use nix::sched::sched_yield;
use syslet::uapi;

use super::leaked;
use crate::case::{Case, Way};
use crate::clock::Clock;
use crate::ways::{atom, Pool, Programs, Uring};

/// Reads in a batch.
const READS: u32 = 20;
/// Long enough for every thread to be where it waits.
const SETTLE: Duration = Duration::from_micros(500);

/// Somebody who reads the byte without this thread's having to wait for it.
trait Reader {
    /// Has the read begin.
    fn submit(&mut self) -> Result<()>;
    /// Lets it come to where it waits, if it is not there yet.
    fn let_wait(&mut self) -> Result<()> {
        Ok(())
    }
    /// Waits for its end.
    fn complete(&mut self) -> Result<()>;
}

/// Until who wants the data can do something else.
pub fn handoff() -> Vec<Case> {
    cases(|clock, reader, pipe| {
        let begin = clock.now();
        reader.submit()?;
        let took = clock.now() - begin;
        // Only a read that waits was handed over.
        thread::sleep(SETTLE);
        pipe.write_all(b"x")?;
        reader.complete()?;
        Ok(took)
    })
}

/// Until the data, which is written once the read waits for it, is known to be there.
pub fn roundtrip() -> Vec<Case> {
    cases(|clock, reader, pipe| {
        let begin = clock.now();
        reader.submit()?;
        reader.let_wait()?;
        pipe.write_all(b"x")?;
        reader.complete()?;
        Ok(clock.now() - begin)
    })
}

/// The same with data that is written at once: a thread need not wait for it any more.
pub fn overtaken() -> Vec<Case> {
    cases(|clock, reader, pipe| {
        let begin = clock.now();
        reader.submit()?;
        pipe.write_all(b"x")?;
        reader.complete()?;
        Ok(clock.now() - begin)
    })
}

/// Does it once; returns how long it took.
type Operation = fn(Clock, &mut dyn Reader, &mut File) -> Result<u64>;

fn cases(operation: Operation) -> Vec<Case> {
    vec![
        case(Way::Syslet, operation, |end| {
            Ok(Box::new(ByProgram::new(end)?))
        }),
        case(Way::Pool, operation, |end| Ok(Box::new(ByPool::new(end)))),
        case(Way::Uring, operation, |end| {
            Ok(Box::new(ByUring::new(end)?))
        }),
    ]
}

fn case(way: Way, operation: Operation, reader: fn(File) -> Result<Box<dyn Reader>>) -> Case {
    Case {
        size: 1,
        way,
        operations: READS,
        prepare: Box::new(move |clock| {
            let (end, pipe) = nix::unistd::pipe()?;
            let (mut reader, mut pipe) = (reader(end.into())?, File::from(pipe));
            let cost = clock.cost();
            Ok(Box::new(move || {
                let mut sum = 0;
                for _ in 0..READS {
                    thread::sleep(SETTLE);
                    sum += operation(clock, &mut *reader, &mut pipe)?.saturating_sub(cost);
                }
                Ok(sum)
            }))
        }),
    }
}

struct ByProgram(Programs);

impl ByProgram {
    fn new(end: File) -> Result<Self> {
        let fd = u64::try_from(end.into_raw_fd())?;
        let byte = leaked(1).as_mut_ptr() as u64;
        let read = atom(libc::SYS_read, [fd, byte, 1]);
        // SAFETY: The byte is leaked, and nobody reads it.
        Ok(Self(unsafe { Programs::new(&[vec![read]], 0) }?))
    }
}

impl Reader for ByProgram {
    #[inline]
    fn submit(&mut self) -> Result<()> {
        self.0.exec()?;
        self.0.check_status(uapi::PENDING)
    }

    #[inline]
    fn complete(&mut self) -> Result<()> {
        let result = self.0.complete()?;
        ensure!(result == 1, "the read has returned {result}");
        Ok(())
    }
}

struct ByPool(Pool);

impl ByPool {
    fn new(mut end: File) -> Self {
        Self(Pool::new(move || {
            let read = end.read(&mut [0]);
            read.map_or(-1, |len| i64::from(len == 1))
        }))
    }
}

impl Reader for ByPool {
    #[inline]
    fn submit(&mut self) -> Result<()> {
        self.0.ask()
    }

    /// With one CPU it runs then until it waits.
    #[inline]
    fn let_wait(&mut self) -> Result<()> {
        Ok(sched_yield()?)
    }

    #[inline]
    fn complete(&mut self) -> Result<()> {
        let answer = self.0.answer()?;
        ensure!(answer == 1, "the thread's read has failed");
        Ok(())
    }
}

struct ByUring(Uring);

impl ByUring {
    fn new(end: File) -> Result<Self> {
        let fd = types::Fd(end.into_raw_fd());
        let read = opcode::Read::new(fd, leaked(1).as_mut_ptr(), 1).build();
        // SAFETY: The byte is leaked, and nobody reads it.
        Ok(Self(unsafe { Uring::new(vec![read], 0) }?))
    }
}

impl Reader for ByUring {
    #[inline]
    fn submit(&mut self) -> Result<()> {
        self.0.enter(0)
    }

    #[inline]
    fn complete(&mut self) -> Result<()> {
        self.0.wait()?;
        self.0.take(1)
    }
}
