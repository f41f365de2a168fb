// SPDX-License-Identifier: GPL-2.0

//! Handing programs over, to be run now or in the background, and getting them back.
//!
//! A program is in the head's table before the kernel hears of it, because its completion can be
//! taken by another thread before the call that submitted it returns. From then on nobody but the
//! table has it, so nothing moves, reads or frees what the kernel may write to.

use std::fmt;
use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::error::{BuildError, Error};
use crate::flight::Ticket;
use crate::head::{Head, Shared};
use crate::outcome::Outcome;
use crate::program::Program;
use crate::{raw, uapi};

bitflags::bitflags! {
    /// How programs are submitted.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SubmitFlags: u32 {
        /// Not even tried in the caller: straight to the background.
        const BACKGROUND = 1 << 0;
        /// A completion through the ring also for those that finish at once.
        const ALWAYS_QUEUE = 1 << 1;
        /// `EAGAIN`, with nothing run, where a program that blocks is known to block the caller.
        const NOWAIT = 1 << 2;
    }
}

bitflags::bitflags! {
    /// How a program ended.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CompletionFlags: u32 {
        /// It left the caller, because it would have blocked.
        const ASYNC = uapi::CQE_ASYNC;
        /// A stop condition ended it.
        const STOPPED = uapi::CQE_STOPPED;
        /// It was canceled.
        const CANCELED = uapi::CQE_CANCELED;
        /// A result could not be stored.
        const FAULT = uapi::CQE_FAULT;
        // Newer kernels know others.
        const _ = !0;
    }
}

/// A program that has run, with everything that it owns.
#[derive(Debug)]
pub struct Completion {
    ticket: Ticket,
    program: Program<'static>,
    result: i64,
    last: usize,
    flags: Option<CompletionFlags>,
}

impl Completion {
    /// # Safety
    ///
    /// As for [`Program::ran`].
    unsafe fn new(
        ticket: Ticket,
        mut program: Program<'static>,
        (result, last): (i64, u32),
        flags: Option<CompletionFlags>,
    ) -> Self {
        // SAFETY: By the safety requirements.
        let last = unsafe { program.ran(result, last) };
        Self {
            ticket,
            program,
            result,
            last,
            flags,
        }
    }

    /// What the program was called in flight.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// [`Program::tag`].
    pub fn tag(&self) -> u64 {
        self.program.tag()
    }

    /// How it ended, if that came through the ring; `None` if it finished in the caller.
    pub fn flags(&self) -> Option<CompletionFlags> {
        self.flags
    }

    /// Its results.
    pub fn outcome(&mut self) -> Outcome<'_, 'static> {
        Outcome::new(&mut self.program, self.result, self.last)
    }

    /// The program, to be run again or taken apart.
    pub fn into_program(self) -> Program<'static> {
        self.program
    }
}

/// What became of a submitted program by the time the call returned.
#[derive(Debug)]
pub enum Submitted {
    /// It has finished.
    Done(Completion),
    /// It goes on; its completion will come through the ring.
    InFlight(Ticket),
}

/// Why programs were not submitted, or not all of them.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct SubmitError {
    /// What happened.
    #[source]
    pub error: Error,
    /// Those before it, which have run or are in flight.
    pub submitted: Vec<Submitted>,
    /// Those that have not run, in order.
    pub rest: Vec<Program<'static>>,
}

impl fmt::Debug for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError")
            .field("error", &self.error)
            .field("submitted", &self.submitted.len())
            .field("rest", &self.rest.len())
            .finish()
    }
}

impl From<SubmitError> for Error {
    fn from(error: SubmitError) -> Self {
        error.error
    }
}

/// Programs on their way to the kernel, and what it says of them.
struct Batch {
    tickets: Vec<Ticket>,
    encoded: Vec<uapi::Program>,
}

impl Head {
    /// Submits one program, which may go on after this returns.
    ///
    /// # Errors
    ///
    /// See [`submit_all`](Self::submit_all); the program is in [`SubmitError::rest`].
    pub fn submit(
        &self,
        program: Program<'static>,
        flags: SubmitFlags,
    ) -> Result<Submitted, SubmitError> {
        let mut submitted = self.submit_all(vec![program], flags)?;
        submitted.pop().ok_or(SubmitError {
            error: Error::Protocol("a program was left out"),
            submitted,
            rest: Vec::new(),
        })
    }

    /// Submits programs in one go. Each runs in the caller until it would block; then it goes on
    /// in the background, and the next one begins.
    ///
    /// Where the kernel cannot do that ([`Features::ASYNC`](crate::Features::ASYNC)) a program that
    /// blocks blocks the caller, and all are done when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Build`] for a program that cannot run; [`Error::Command`] with `EBUSY` while too
    /// many completions wait to be taken, `EAGAIN` with [`SubmitFlags::NOWAIT`], `EINTR` when a signal
    /// handler ran while the first call waited, `EOPNOTSUPP` for
    /// [`SubmitFlags::BACKGROUND`] where there is none; [`Error::Refused`] for an untyped call that
    /// may not be in a program. The programs that did not run are given back.
    pub fn submit_all(
        &self,
        programs: Vec<Program<'static>>,
        flags: SubmitFlags,
    ) -> Result<Vec<Submitted>, SubmitError> {
        let mut submitted = Vec::with_capacity(programs.len());
        let mut rest = programs.into_iter();
        loop {
            let batch: Vec<_> = rest.by_ref().take(self.max_programs()).collect();
            if batch.is_empty() {
                return Ok(submitted);
            }
            match self.submit_batch(batch, flags, &mut submitted) {
                Ok(()) => {}
                Err((error, mut not_run)) => {
                    not_run.extend(rest);
                    return Err(SubmitError {
                        error,
                        submitted,
                        rest: not_run,
                    });
                }
            }
        }
    }

    /// One batch of at most as many programs as the kernel takes; again from where it stopped, if
    /// a signal made it return before it had begun all of them.
    fn submit_batch(
        &self,
        programs: Vec<Program<'static>>,
        flags: SubmitFlags,
        submitted: &mut Vec<Submitted>,
    ) -> Result<(), (Error, Vec<Program<'static>>)> {
        let mut batch = self.board(programs, flags)?;
        let mut exec_flags = 0;
        if flags.contains(SubmitFlags::ALWAYS_QUEUE) {
            exec_flags |= uapi::EXEC_RING_ALL;
        }
        if flags.contains(SubmitFlags::NOWAIT) {
            exec_flags |= uapi::EXEC_NOWAIT;
        }
        let mut from = 0;
        let result = loop {
            // SAFETY: Each program was made by safe calls, or by unsafe ones with a promise that
            // covers this. It owns all that it touches, and it is in the table, which keeps it
            // until its completion was seen, and leaks it otherwise.
            match unsafe { self.exec(&mut batch.encoded[from..], exec_flags) } {
                Ok(0) => break Err(Error::command("EXEC")(Errno::EINTR)),
                Ok(handled) => from += handled,
                Err(error) => break Err(error),
            }
            if from >= batch.encoded.len() {
                break Ok(());
            }
        };
        let not_run = self.disembark(&batch, flags, submitted);
        result.map_err(|error| (error.blaming(&not_run, submitted.len()), not_run))
    }

    /// Puts programs into the table; all, or none if one of them cannot run.
    fn board(
        &self,
        mut programs: Vec<Program<'static>>,
        flags: SubmitFlags,
    ) -> Result<Batch, (Error, Vec<Program<'static>>)> {
        let flags = if flags.contains(SubmitFlags::BACKGROUND) {
            uapi::ASYNC
        } else {
            0
        };
        let encoded: Result<Vec<_>, BuildError> =
            programs.iter_mut().map(|p| p.encode(flags)).collect();
        let mut encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return Err((error.into(), programs)),
        };
        let mut shared = self.shared();
        let tickets = programs
            .into_iter()
            .zip(&mut encoded)
            .map(|(program, encoded)| {
                let ticket = shared.flight.insert(program);
                encoded.user_data = ticket.user_data();
                ticket
            })
            .collect();
        Ok(Batch { tickets, encoded })
    }

    /// Takes out of the table what the kernel is done with, and returns what it never began.
    fn disembark(
        &self,
        batch: &Batch,
        flags: SubmitFlags,
        submitted: &mut Vec<Submitted>,
    ) -> Vec<Program<'static>> {
        let queued = flags.contains(SubmitFlags::ALWAYS_QUEUE);
        let mut not_run = Vec::new();
        let mut shared = self.shared();
        for (&ticket, encoded) in batch.tickets.iter().zip(&batch.encoded) {
            match encoded.status {
                0 => not_run.extend(shared.flight.remove(ticket)),
                uapi::DONE if !queued => {
                    let program = shared.flight.remove(ticket);
                    let ran = (encoded.result, encoded.last);
                    submitted.extend(program.map(|program| {
                        // SAFETY: It ran to its end, and this is the only place to hear of it:
                        // no entry was queued.
                        Submitted::Done(unsafe { Completion::new(ticket, program, ran, None) })
                    }));
                }
                // Pending, or queued; or a status of a kernel to come, which is none of an end.
                _ => submitted.push(Submitted::InFlight(ticket)),
            }
        }
        not_run
    }

    /// The completions that are in the ring, oldest first; does not wait for others.
    pub fn completions(&self) -> Completions<'_> {
        Completions { head: self }
    }
}

/// See [`Head::completions`].
#[derive(Debug)]
pub struct Completions<'a> {
    head: &'a Head,
}

impl Iterator for Completions<'_> {
    type Item = Completion;

    fn next(&mut self) -> Option<Completion> {
        if let Some(completion) = self.head.shared().complete() {
            return Some(completion);
        }
        // Those that found no room are moved into the ring by a wait, even one that does not.
        if self.head.shared().overflow() == 0 {
            return None;
        }
        let mut refill = uapi::Wait {
            size: raw::size_field::<uapi::Wait>(),
            ..uapi::Wait::default()
        };
        // SAFETY: There is no signal mask.
        unsafe { raw::wait(self.head.as_fd(), &mut refill) }.ok()?;
        self.head.shared().complete()
    }
}

impl Shared {
    /// Takes the oldest completion whose program is known.
    pub(crate) fn complete(&mut self) -> Option<Completion> {
        loop {
            let cqe = self.pop()?;
            let ticket = Ticket::from_user_data(cqe.user_data);
            // Entries of programs that were submitted past this layer are none of ours.
            let Some(program) = self.flight.remove(ticket) else {
                continue;
            };
            let flags = CompletionFlags::from_bits_retain(cqe.flags);
            let ran = (cqe.result, cqe.last);
            // SAFETY: The kernel announces a program once, when it has ended and it will write
            // nothing more. Taking the entry has made its writes visible.
            return Some(unsafe { Completion::new(ticket, program, ran, Some(flags)) });
        }
    }
}
