// SPDX-License-Identifier: GPL-2.0

//! What became of a program that has run.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::error::{AtomError, AtomFailure};
use crate::program::{Adopted, Close, Fd, Handle, Holds, Pipe, Program};
use crate::uapi;

/// The highest error number that a system call returns, negated.
const MAX_ERRNO: i64 = 4095;

/// The results of a program's last run.
///
/// It borrows the program, and through it whatever is lent to it: buffers can be looked at after
/// the last use of both.
#[derive(Debug)]
pub struct Outcome<'p, 'a> {
    program: &'p mut Program<'a>,
    result: i64,
    last: usize,
}

/// The error number in a return value.
fn errno(raw: i64) -> Option<Errno> {
    (-MAX_ERRNO..0)
        .contains(&raw)
        .then(|| Errno::from_raw(i32::try_from(-raw).unwrap_or(0)))
}

impl<'p, 'a> Outcome<'p, 'a> {
    pub(crate) fn new(program: &'p mut Program<'a>, result: i64, last: usize) -> Self {
        Self {
            program,
            result,
            last,
        }
    }

    /// The return value of the last atom that ran.
    pub fn result(&self) -> i64 {
        self.result
    }

    /// The index of the last atom that ran.
    pub fn last(&self) -> usize {
        self.last
    }

    /// Return value of each atom; `None` for those that did not run.
    pub fn results(&self) -> impl ExactSizeIterator<Item = Option<i64>> + '_ {
        let raw = self.program.results().iter();
        raw.map(|raw| (*raw != uapi::NOT_RUN).then_some(*raw))
    }

    /// How many atoms ran.
    pub fn ran(&self) -> usize {
        self.results().flatten().count()
    }

    /// The value of the atom's call.
    ///
    /// # Errors
    ///
    /// [`AtomFailure::Errno`] if the call failed, [`AtomFailure::NotRun`] if the program ended
    /// before it or jumped over it, [`AtomFailure::Foreign`] for a handle of another program.
    pub fn get<H: Handle>(&self, atom: &H) -> Result<H::Value, AtomError> {
        Ok(H::decode(self.raw(atom)?))
    }

    /// The atom's return value, if it is none of a failure.
    fn raw(&self, atom: &impl Handle) -> Result<i64, AtomError> {
        let at = atom.at();
        let index = usize::from(at.index);
        let raw = self.program.results().get(index).copied();
        match raw.filter(|_| at.program == self.program.id()) {
            None => Err(self.failed(index, AtomFailure::Foreign)),
            Some(uapi::NOT_RUN) => Err(self.failed(index, AtomFailure::NotRun)),
            Some(raw) => match errno(raw) {
                Some(errno) => Err(self.failed(index, errno.into())),
                None => Ok(raw),
            },
        }
    }

    fn failed(&self, index: usize, failure: AtomFailure) -> AtomError {
        AtomError {
            index,
            name: self.program.name(index),
            failure,
        }
    }

    /// Whether every atom that ran succeeded.
    ///
    /// # Errors
    ///
    /// Names the first one that did not.
    pub fn check(&self) -> Result<(), AtomError> {
        let failed = self.results().enumerate().find_map(|(index, raw)| {
            let errno = errno(raw?)?;
            Some(self.failed(index, errno.into()))
        });
        // The last one's slot may be the very store that failed.
        let last = || Some(self.failed(self.last, errno(self.result)?.into()));
        failed.or_else(last).map_or(Ok(()), Err)
    }

    /// Takes out the memory that the atom has filled: a `Vec`, cut to what is in it, or the object
    /// of an [`Alloc`](crate::Alloc). The program cannot run again then.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get), with the memory left in the program;
    /// [`AtomFailure::NothingHeld`] the second time.
    pub fn take<H: Holds>(&mut self, atom: &H) -> Result<H::Owned, AtomError> {
        let raw = self.raw(atom)?;
        let index = usize::from(atom.at().index);
        let memory = self.program.take_memory(index);
        memory
            .and_then(|kept| H::reclaim(kept, raw))
            .ok_or_else(|| self.failed(index, AtomFailure::NothingHeld))
    }

    /// Takes over the descriptor that the atom opened and that the program has not closed.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get); [`AtomFailure::NothingHeld`] the second time.
    pub fn take_fd(&mut self, fd: &Fd) -> Result<OwnedFd, AtomError> {
        self.raw(fd)?;
        self.take_opened(usize::from(fd.at().index))
    }

    /// Gives back a descriptor that the program has adopted and not closed; `None` if it has, or
    /// the second time. The program cannot run again then.
    pub fn take_adopted(&mut self, fd: &Adopted) -> Option<OwnedFd> {
        if fd.program != self.program.id() {
            return None;
        }
        self.program.take_adopted(fd.slot)
    }

    /// Takes over the descriptor that the atom was to close, if the program has ended before
    /// that; `None` if it has closed it, never had it, or the second time.
    pub fn take_unclosed(&mut self, close: &Close) -> Option<OwnedFd> {
        let at = close.at();
        if at.program != self.program.id() {
            return None;
        }
        self.program.take_unclosed(at.index)
    }

    /// Takes over the ends of the pipe that the atom made: the one to read from, then the one to
    /// write to.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get); [`AtomFailure::NothingHeld`] the second time.
    pub fn take_pipe(&mut self, pipe: &Pipe) -> Result<(OwnedFd, OwnedFd), AtomError> {
        self.raw(pipe)?;
        let index = usize::from(pipe.at().index);
        Ok((self.take_opened(index)?, self.take_opened(index)?))
    }

    fn take_opened(&mut self, index: usize) -> Result<OwnedFd, AtomError> {
        let fd = self.program.take_opened(index);
        fd.ok_or_else(|| self.failed(index, AtomFailure::NothingHeld))
    }
}
