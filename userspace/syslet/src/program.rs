// SPDX-License-Identifier: GPL-2.0

//! Programs: atoms, what they keep alive, and what became of them.

mod arg;
mod draft;
mod fs;
mod handle;
mod net;
mod ran;
mod task;

pub use arg::{Adopted, Data, FdArg, FdClose, FdMut, Num, PathArg, RawArg, Word, CWD};
pub use handle::{Bytes, Close, Count, Fd, Handle, Holds, Number, Pipe, Size, Unit};
pub use task::Counter;

use handle::AtomRef;

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::buffer::{address, Kept};
use crate::error::BuildError;
use crate::outcome::Outcome;
use crate::uapi;

bitflags::bitflags! {
    /// When an atom ends its program, or skips: conditions on its result. Any true one counts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Stop: u32 {
        /// The result is not 0.
        const NONZERO = uapi::STOP_ON_NONZERO;
        /// The result is 0.
        const ZERO = uapi::STOP_ON_ZERO;
        /// The call failed. What every atom starts with.
        const NEGATIVE = uapi::STOP_ON_NEGATIVE;
        /// The result is 0 or the call failed.
        const NON_POSITIVE = uapi::STOP_ON_NON_POSITIVE;
    }
}

/// Which descriptors an atom makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    Nothing,
    /// Its result, which this atom closes.
    Result {
        closed_by: Option<u8>,
    },
    /// The two in the memory that it fills.
    Pair,
}

/// What the builder knows of an atom and the kernel need not.
#[derive(Clone, Copy, Debug)]
struct Meta {
    name: &'static str,
    opens: Opens,
    /// Where in `Program::kept` the memory is that the atom fills, if the program owns it.
    memory: Option<u16>,
    /// Where in `Program::kept` the descriptor is that the atom closes, if it is an adopted one.
    closes: Option<u16>,
    /// The address of the buffer that it fills; 0 if it fills none.
    buffer: u64,
    /// The result is never more than the buffer holds.
    bounded: bool,
    /// Another atom takes the result as a length.
    is_length: bool,
}

/// How far a program has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not run since it was built or changed.
    Built,
    /// It has.
    Ran {
        /// Return value of the last atom that ran.
        result: i64,
        /// Index of that atom.
        last: usize,
    },
}

/// A sequence of system calls that borrows for `'a`.
///
/// See the [crate's page](crate) for an example. The methods that add an atom are named after
/// their system calls and return a handle of its result. They fail, leaving the atoms as they are,
/// with [`BuildError::TooManyAtoms`] beyond 64 atoms, [`BuildError::ForeignHandle`] for a handle
/// of another program, and [`BuildError::PathWithNul`].
///
/// # Lifetimes
///
/// Whatever is lent to an atom stays lent until the last use of the program. A
/// `Program<'static>` owns what it touches, and can be submitted to run in the background.
///
/// ```compile_fail,E0597
/// # use syslet::{Head, Program, CWD};
/// # let head = Head::open()?;
/// let mut p = Program::new();
/// {
///     let mut buf = [0; 64];
///     p.readlinkat(CWD, c"/proc/self", &mut buf)?;
/// } // `buf` does not live long enough
/// head.run(&mut p)?;
/// # Ok::<(), syslet::Error>(())
/// ```
///
/// ```compile_fail,E0502
/// # use syslet::{Head, Program, CWD};
/// # let head = Head::open()?;
/// let mut buf = [0; 64];
/// let mut p = Program::new();
/// p.readlinkat(CWD, c"/proc/self", &mut buf)?;
/// let early = buf[0]; // still lent
/// head.run(&mut p)?;
/// # Ok::<(), syslet::Error>(())
/// ```
///
/// ```compile_fail,E0597
/// # use syslet::{Head, Program, SubmitFlags, CWD};
/// # let head = Head::open()?;
/// let mut buf = [0; 64];
/// let mut p = Program::new();
/// p.readlinkat(CWD, c"/proc/self", &mut buf)?; // lent, not given
/// head.submit(p, SubmitFlags::empty())?;
/// # Ok::<(), syslet::Error>(())
/// ```
///
/// A descriptor lent to a program stays open while the program lives, but for what other code may
/// do to it through its number; see [I/O safety](std::os::fd#io-safety).
pub struct Program<'a> {
    id: u64,
    atoms: Vec<uapi::Atom>,
    meta: Vec<Meta>,
    kept: Vec<Kept>,
    results: Vec<i64>,
    /// Descriptors that the last run opened and did not close, by atom.
    opened: Vec<(u8, OwnedFd)>,
    progress: Progress,
    /// Something that it would need to run again is gone.
    spent: bool,
    tag: u64,
    // The kernel writes to what is lent, so it is lent as by `&mut`.
    lent: PhantomData<&'a mut [u8]>,
}

/// The next number for a program, so that handles tell programs apart.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Default for Program<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Program<'a> {
    /// A program without atoms.
    pub fn new() -> Self {
        Self {
            id: next_id(),
            atoms: Vec::new(),
            meta: Vec::new(),
            kept: Vec::new(),
            results: Vec::new(),
            opened: Vec::new(),
            progress: Progress::Built,
            spent: false,
            tag: 0,
            lent: PhantomData,
        }
    }

    /// An empty program made from this one, which may borrow for another time.
    ///
    /// Memory is used again; everything that the old program kept is dropped, and its handles are
    /// no longer good for anything.
    pub fn recycle<'b>(self) -> Program<'b> {
        let Self {
            mut atoms,
            mut meta,
            mut kept,
            mut results,
            mut opened,
            ..
        } = self;
        atoms.clear();
        meta.clear();
        kept.clear();
        results.clear();
        opened.clear();
        Program {
            atoms,
            meta,
            kept,
            results,
            opened,
            ..Program::new()
        }
    }

    /// How many atoms it has.
    pub fn len(&self) -> usize {
        self.atoms.len()
    }

    /// Whether it has no atoms.
    pub fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }

    /// The atoms as the kernel will see them.
    pub fn atoms(&self) -> &[uapi::Atom] {
        &self.atoms
    }

    /// The name of the call of each atom.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'static str> + '_ {
        self.meta.iter().map(|meta| meta.name)
    }

    /// A number for the caller's own use, 0 at first.
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// Sets the number for the caller's own use.
    pub fn set_tag(&mut self, tag: u64) {
        self.tag = tag;
    }

    /// Takes a descriptor over, for atoms to use and perhaps to [`close`](Self::close); one that
    /// they did not close is closed when the program is dropped.
    ///
    /// # Errors
    ///
    /// None but [`BuildError::KeepsTooMuch`].
    pub fn adopt(&mut self, fd: OwnedFd) -> Result<Adopted, BuildError> {
        let number = fd.as_raw_fd();
        Ok(Adopted {
            program: self.id,
            slot: self.keep(Kept::Fd(fd))?,
            number,
        })
    }

    /// Keeps something for the program's life and says where.
    fn keep(&mut self, kept: Kept) -> Result<u16, BuildError> {
        let slot = u16::try_from(self.kept.len()).map_err(|_| BuildError::KeepsTooMuch)?;
        self.kept.push(kept);
        Ok(slot)
    }

    /// Ends the program after the atom if a condition in `on` holds for its result, and only then.
    ///
    /// # Errors
    ///
    /// [`BuildError::UncheckedLength`] if the result is another atom's length and `on` does not
    /// cover failure; [`BuildError::ForeignHandle`].
    pub fn stop_if(&mut self, atom: &impl Handle, on: Stop) -> Result<(), BuildError> {
        self.set_condition(atom.at(), on, 0)
    }

    /// Jumps over the next `atoms` atoms, those still to be added included, if a condition in `on`
    /// holds for the atom's result; goes on with the next one otherwise.
    ///
    /// A jump to just behind the last atom ends the program. An atom that takes a result which
    /// was jumped over is not called; its own result is `EINVAL`.
    ///
    /// # Errors
    ///
    /// [`BuildError::EmptySkip`] without a condition or with `atoms` 0;
    /// [`BuildError::UncheckedLength`] if the result is another atom's length;
    /// [`BuildError::ForeignHandle`]. [`BuildError::SkipTooFar`] when the program is run.
    pub fn skip_if(&mut self, atom: &impl Handle, on: Stop, atoms: u8) -> Result<(), BuildError> {
        let at = self.own("skip_if", atom.at())?;
        if on.is_empty() || atoms == 0 {
            let name = self.meta[at].name;
            return Err(BuildError::EmptySkip { index: at, name });
        }
        self.set_condition(atom.at(), on, atoms)
    }

    /// Goes on with the next atom whatever the result.
    ///
    /// # Errors
    ///
    /// [`BuildError::UncheckedLength`] if the result is another atom's length;
    /// [`BuildError::ForeignHandle`].
    pub fn carry_on(&mut self, atom: &impl Handle) -> Result<(), BuildError> {
        self.set_condition(atom.at(), Stop::empty(), 0)
    }

    fn set_condition(&mut self, at: AtomRef, on: Stop, skip: u8) -> Result<(), BuildError> {
        let index = self.own("stop_if", at)?;
        let flags = on.bits() | if skip == 0 { 0 } else { uapi::SKIP_ON_STOP };
        let Meta {
            name, is_length, ..
        } = self.meta[index];
        if is_length && !ends_on_failure(flags) {
            return Err(BuildError::UncheckedLength { index, name });
        }
        self.atoms[index].flags = flags;
        self.atoms[index].skip = skip;
        self.progress = Progress::Built;
        Ok(())
    }

    /// The index of an atom of this program, for the call `name`.
    #[inline]
    fn own(&self, name: &'static str, at: AtomRef) -> Result<usize, BuildError> {
        if at.program == self.id {
            Ok(usize::from(at.index))
        } else {
            Err(BuildError::ForeignHandle { name })
        }
    }

    /// What became of the program when it last ran; `None` if it has not run since it was built
    /// or changed.
    pub fn outcome(&mut self) -> Option<Outcome<'_, 'a>> {
        match self.progress {
            Progress::Built => None,
            Progress::Ran { result, last } => Some(Outcome::new(self, result, last)),
        }
    }

    /// The program as the kernel takes it.
    ///
    /// What is returned points into `self`. It is good until `self` is changed or dropped; moving
    /// `self` does not matter.
    pub(crate) fn encode(&mut self, flags: u32) -> Result<uapi::Program, BuildError> {
        self.check()?;
        self.opened.clear();
        self.progress = Progress::Built;
        self.results.clear();
        self.results.resize(self.atoms.len(), uapi::NOT_RUN);
        Ok(uapi::Program {
            atoms: address(self.atoms.as_ptr()),
            // CAST: At most `MAX_ATOMS`.
            #[expect(clippy::cast_possible_truncation, reason = "at most MAX_ATOMS")]
            nr_atoms: self.atoms.len() as u32,
            flags,
            results: address(self.results.as_mut_ptr()),
            ..uapi::Program::default()
        })
    }

    fn check(&self) -> Result<(), BuildError> {
        if self.atoms.is_empty() {
            return Err(BuildError::Empty);
        }
        if self.spent {
            return Err(BuildError::Spent);
        }
        for (index, atom) in self.atoms.iter().enumerate() {
            let (skip, left) = (usize::from(atom.skip), self.atoms.len() - index - 1);
            if skip > left {
                let name = self.meta[index].name;
                return Err(BuildError::SkipTooFar {
                    index,
                    name,
                    skip,
                    left,
                });
            }
        }
        Ok(())
    }
}

/// Whether an atom with these flags ends its program when its call fails.
fn ends_on_failure(flags: u32) -> bool {
    let on = Stop::from_bits_truncate(flags);
    flags & uapi::SKIP_ON_STOP == 0
        && on.intersects(Stop::NEGATIVE | Stop::NON_POSITIVE | Stop::NONZERO)
}

impl fmt::Debug for Program<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("calls", &self.names().collect::<Vec<_>>())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
