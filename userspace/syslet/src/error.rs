// SPDX-License-Identifier: GPL-2.0

//! What can go wrong: in building a program, in handing it over, and in an atom.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::program::Program;
use crate::uapi;

/// Why a program could not be built, or not be run as it was built.
///
/// An atom that could not be added leaves the program's other atoms as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The program has as many atoms as a program can have.
    #[error("{name}: a program has at most {} atoms", uapi::MAX_ATOMS)]
    TooManyAtoms {
        /// The call that was to be added.
        name: &'static str,
    },
    /// The program has no atoms.
    #[error("the program has no atoms")]
    Empty,
    /// The handle was given out by another program, or before this one was cleared.
    #[error("{name}: the result belongs to another program")]
    ForeignHandle {
        /// The call that was to take it.
        name: &'static str,
    },
    /// A path has a zero byte in it.
    #[error("{name}: the path has a zero byte in it")]
    PathWithNul {
        /// The call that was to take it.
        name: &'static str,
    },
    /// A system call has at most six arguments.
    #[error("{name}: a system call has at most 6 arguments")]
    TooManyArguments {
        /// The call that was to be added.
        name: &'static str,
    },
    /// The atom's result is the length of another one's data, so it must end the program when it
    /// is negative.
    #[error("atom {index} ({name}): its result is a length, it must stop the program if negative")]
    UncheckedLength {
        /// The atom.
        index: usize,
        /// Its call.
        name: &'static str,
    },
    /// The atom's result can be more than its buffer holds (`MSG_TRUNC`), so it is no length.
    #[error("atom {index} ({name}): its result can be more than its buffer holds")]
    LengthBeyondBuffer {
        /// The atom.
        index: usize,
        /// Its call.
        name: &'static str,
    },
    /// A stop condition that is never true cannot skip, and a skip jumps over one atom at least.
    #[error("atom {index} ({name}): a skip needs a condition and a distance")]
    EmptySkip {
        /// The atom.
        index: usize,
        /// Its call.
        name: &'static str,
    },
    /// A skip leads beyond the end of the program.
    #[error("atom {index} ({name}): skips {skip} atoms, but only {left} stand behind it")]
    SkipTooFar {
        /// The atom.
        index: usize,
        /// Its call.
        name: &'static str,
        /// How many it skips.
        skip: usize,
        /// How many there are.
        left: usize,
    },
    /// The program keeps more things than can be counted: more than 65536.
    #[error("the program keeps too many things")]
    KeepsTooMuch,
    /// The program has run and what it would need again is gone: a buffer was taken out, or it
    /// closed a descriptor that it was given.
    #[error("the program cannot run again: it has given away what it would use")]
    Spent,
}

/// Why an atom has no result to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AtomFailure {
    /// The system call failed.
    #[error(transparent)]
    Errno(#[from] Errno),
    /// The program ended before it, or jumped over it.
    #[error("did not run")]
    NotRun,
    /// The handle was given out by another program, or before this one was cleared.
    #[error("is of another program")]
    Foreign,
    /// What it held is not there: taken already, or never owned by the program.
    #[error("has nothing to take")]
    NothingHeld,
}

/// An atom that failed, or that has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("atom {index} ({name}): {failure}")]
pub struct AtomError {
    /// Which atom of the program, from 0.
    pub index: usize,
    /// The name of its call.
    pub name: &'static str,
    /// What happened.
    pub failure: AtomFailure,
}

impl AtomError {
    /// The error number, if the system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self.failure {
            AtomFailure::Errno(errno) => Some(errno),
            _ => None,
        }
    }
}

/// A reason behind an error number.
fn because(reason: Option<&'static str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    #[error("cannot open {}: {errno}", path.display())]
    Open {
        /// Which device.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// A command to the device failed, with nothing run.
    #[error("{command}: {errno}")]
    Command {
        /// Which one.
        command: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The kernel refuses to have a call in a program, so that nothing was run.
    #[error("program {program}, atom {index} ({name}): {errno}{}", because(*reason))]
    Refused {
        /// Which of the programs, from 0.
        program: usize,
        /// Which of its atoms, from 0.
        index: usize,
        /// The call.
        name: &'static str,
        /// `EPERM`, or `ENOSYS` for a number that the kernel's policy does not know.
        errno: Errno,
        /// Why, as far as this crate knows.
        reason: Option<&'static str>,
    },
    /// The kernel's answer makes no sense.
    #[error("the kernel broke the protocol: {0}")]
    Protocol(&'static str),
    /// A program is not one that can run.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An atom failed. No function that runs programs returns this; it is here so that `?` works
    /// on what [`Outcome`](crate::Outcome) returns.
    #[error(transparent)]
    Atom(#[from] AtomError),
}

impl Error {
    /// The error number behind this error, if there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Open { errno, .. }
            | Self::Command { errno, .. }
            | Self::Refused { errno, .. } => Some(*errno),
            Self::Atom(error) => error.errno(),
            Self::Protocol(_) | Self::Build(_) => None,
        }
    }

    /// The same error; or, if it is that of `EXEC` and one of `programs` has a call that this
    /// crate knows to be refused, one that says so. The first of them is number `first`.
    pub(crate) fn blaming<'p>(
        self,
        programs: impl IntoIterator<Item = &'p Program<'p>>,
        first: usize,
    ) -> Self {
        let Self::Command { errno, .. } = self else {
            return self;
        };
        let refused = programs
            .into_iter()
            .zip(first..)
            .find_map(|(p, program)| Some((program, p.refused_atom(errno)?)));
        match refused {
            None => self,
            Some((program, (index, name, reason))) => Self::Refused {
                program,
                index,
                name,
                errno,
                reason,
            },
        }
    }

    pub(crate) fn command(command: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Command { command, errno }
    }
}
