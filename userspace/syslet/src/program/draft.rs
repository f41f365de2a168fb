// SPDX-License-Identifier: GPL-2.0

//! Adding one atom: argument by argument, and nothing at all if one of them is no good.

use std::ffi::c_long;
use std::mem::ManuallyDrop;

use nix::libc;

use super::arg::{Closing, FdArg, FdMut, Lodged, Num, PathArg, RawArg, Slot, Source, Word};
use super::handle::{AtomRef, Handle};
use super::{ends_on_failure, Bytes, Close, Count, Data, Fd, FdClose, Meta, Number, Opens, Pipe};
use super::{Program, Progress, Size, Stop, Unit};
use crate::buffer::{register, Kept, Memory, OutBuf, OutRef, Plain};
use crate::error::BuildError;
use crate::uapi;

/// An atom in the making: the last one of its program, which it leaves again unless it is
/// finished.
///
/// An argument that is no good is told of at the end, so that nothing in between can fail.
pub(super) struct Draft<'p, 'a> {
    program: &'p mut Program<'a>,
    /// Which argument is next.
    next: usize,
    /// How much the program kept before.
    kept_before: usize,
    /// The atom whose result is this one's length.
    length_of: Option<usize>,
    /// The first thing that was wrong.
    error: Option<BuildError>,
}

impl Drop for Draft<'_, '_> {
    fn drop(&mut self) {
        self.program.atoms.pop();
        self.program.meta.pop();
        self.program.kept.truncate(self.kept_before);
    }
}

impl<'a> Program<'a> {
    /// Begins an atom that calls `nr`, one of `libc::SYS_*`.
    #[inline]
    pub(super) fn draft(
        &mut self,
        name: &'static str,
        nr: c_long,
    ) -> Result<Draft<'_, 'a>, BuildError> {
        // The numbers of an architecture are small.
        self.draft_numbered(name, u32::try_from(nr).unwrap_or(u32::MAX))
    }

    #[inline]
    pub(super) fn draft_numbered(
        &mut self,
        name: &'static str,
        nr: u32,
    ) -> Result<Draft<'_, 'a>, BuildError> {
        if self.atoms.len() == uapi::MAX_ATOMS {
            return Err(BuildError::TooManyAtoms { name });
        }
        self.atoms.push(uapi::Atom {
            nr,
            flags: Stop::NEGATIVE.bits(),
            ..uapi::Atom::default()
        });
        self.meta.push(Meta {
            name,
            opens: Opens::Nothing,
            memory: None,
            closes: None,
            buffer: 0,
            bounded: true,
            is_length: false,
        });
        Ok(Draft {
            next: 0,
            kept_before: self.kept.len(),
            length_of: None,
            error: None,
            program: self,
        })
    }
}

impl<'a> Draft<'_, 'a> {
    /// The index of the atom.
    #[inline]
    fn index(&self) -> usize {
        self.program.atoms.len() - 1
    }

    #[inline]
    fn atom(&mut self) -> &mut uapi::Atom {
        let index = self.index();
        &mut self.program.atoms[index]
    }

    #[inline]
    fn meta(&mut self) -> &mut Meta {
        let index = self.index();
        &mut self.program.meta[index]
    }

    #[cold]
    fn fail(&mut self, error: impl FnOnce(&'static str) -> BuildError) {
        let name = self.meta().name;
        self.error.get_or_insert_with(|| error(name));
    }

    #[inline]
    fn slot(self, slot: Slot) -> Self {
        match slot {
            Slot::Value(value) => self.value(value),
            Slot::Result(at) => self.result(at),
            Slot::Adopted(program, number) if program == self.program.id => self.value(number),
            Slot::Adopted(..) => self.foreign(),
        }
    }

    /// A plain number.
    #[inline]
    pub(super) fn value(mut self, value: u64) -> Self {
        let next = self.next;
        self.next += 1;
        match self.atom().args.get_mut(next) {
            Some(arg) => *arg = value,
            None => self.fail(|name| BuildError::TooManyArguments { name }),
        }
        self
    }

    /// The result of an atom before this one.
    #[inline]
    fn result(mut self, at: AtomRef) -> Self {
        if at.program != self.program.id {
            return self.foreign();
        }
        let next = self.next;
        self.next += 1;
        match self.atom().arg_from.get_mut(next) {
            Some(from) => *from = at.index + 1,
            None => self.fail(|name| BuildError::TooManyArguments { name }),
        }
        self
    }

    #[cold]
    fn foreign(mut self) -> Self {
        self.fail(|name| BuildError::ForeignHandle { name });
        self
    }

    #[inline]
    fn lodge(mut self, lodged: Lodged) -> Self {
        if let Some(kept) = lodged.kept {
            self.keep(kept);
        }
        self.slot(lodged.slot)
    }

    /// Keeps something for the program's life, and says where.
    fn keep(&mut self, kept: Kept) -> Option<u16> {
        let slot = self.program.keep(kept);
        slot.map_err(|error| self.fail(|_| error)).ok()
    }

    /// An `int` or `long`, its sign extended.
    #[inline]
    pub(super) fn int(self, value: impl Into<i64>) -> Self {
        self.value(register(value.into()))
    }

    /// A null pointer.
    #[inline]
    pub(super) fn null(self) -> Self {
        self.value(0)
    }

    #[inline]
    pub(super) fn fd(self, fd: impl Into<FdArg<'a>>) -> Self {
        self.lodge(fd.into().0)
    }

    #[inline]
    pub(super) fn fd_mut(self, fd: impl Into<FdMut<'a>>) -> Self {
        self.lodge(fd.into().0)
    }

    #[inline]
    pub(super) fn num(self, num: impl Into<Num>) -> Self {
        self.lodge(num.into().0)
    }

    #[inline]
    pub(super) fn word(self, word: impl Into<Word<'a>>) -> Self {
        self.lodge(word.into().0)
    }

    #[inline]
    pub(super) fn raw(self, arg: RawArg) -> Self {
        self.slot(arg.0)
    }

    #[inline]
    pub(super) fn kept(self, value: u64, kept: Kept) -> Self {
        self.lodge(Lodged {
            slot: Slot::Value(value),
            kept: Some(kept),
        })
    }

    #[inline]
    pub(super) fn path(mut self, path: impl Into<PathArg<'a>>) -> Self {
        if let Some(lodged) = path.into().lodge() {
            return self.lodge(lodged);
        }
        self.fail(|name| BuildError::PathWithNul { name });
        self
    }

    /// The address of something that the kernel only reads, kept by the program.
    pub(super) fn input<T: Plain>(mut self, items: Vec<T>) -> Self {
        let memory = Memory::owned(items);
        if let Some(kept) = memory.kept {
            self.keep(kept);
        }
        self.value(memory.addr)
    }

    /// The address of memory that the atom fills.
    #[inline]
    fn fills(mut self, addr: u64, kept: Option<Kept>) -> Self {
        if let Some(kept) = kept {
            self.meta().memory = self.keep(kept);
        }
        self.meta().buffer = addr;
        self.value(addr)
    }

    /// A buffer that the atom fills: its address and its length in items, two arguments.
    #[inline]
    pub(super) fn buffer<T, B: OutBuf<'a, T>>(self, buf: B) -> Self {
        let Memory { addr, len, kept } = buf.into_memory();
        self.fills(addr, kept).value(len as u64)
    }

    /// An object that the atom fills.
    #[inline]
    pub(super) fn object<T, B: OutRef<'a, T>>(self, object: B) -> Self {
        let Memory { addr, kept, .. } = object.into_memory();
        self.fills(addr, kept)
    }

    /// Data to write: its address and its length, two arguments.
    #[inline]
    pub(super) fn data(self, data: impl Into<Data<'a>>) -> Self {
        match data.into().0 {
            Source::Memory(lodged, len) => self.lodge(lodged).value(len as u64),
            Source::Atom(at) => self.data_of(at),
        }
    }

    /// What another atom has put into its buffer: as much as its result says.
    fn data_of(mut self, at: AtomRef) -> Self {
        if at.program != self.program.id {
            return self.foreign();
        }
        let index = usize::from(at.index);
        let Meta {
            name,
            buffer,
            bounded,
            ..
        } = self.program.meta[index];
        // A negative length would be taken as a huge one by some calls, and a length beyond the
        // buffer would have the kernel read what is behind it.
        if !bounded {
            self.fail(|_| BuildError::LengthBeyondBuffer { index, name });
        } else if !ends_on_failure(self.program.atoms[index].flags) {
            self.fail(|_| BuildError::UncheckedLength { index, name });
        }
        self.length_of = Some(index);
        self.value(buffer).result(at)
    }

    /// The result may be more than the buffer holds.
    pub(super) fn unbounded_if(mut self, unbounded: bool) -> Self {
        self.meta().bounded = !unbounded;
        self
    }

    /// The atom starts without a stop condition.
    pub(super) fn carrying_on(mut self) -> Self {
        self.atom().flags = 0;
        self
    }

    /// The atom stays, if nothing is wrong with it.
    #[inline]
    fn add(mut self) -> Result<AtomRef, BuildError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut draft = ManuallyDrop::new(self);
        if let Some(source) = draft.length_of {
            draft.program.meta[source].is_length = true;
        }
        draft.program.progress = Progress::Built;
        // `draft_numbered` has made it one of at most `MAX_ATOMS`.
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_ATOMS")]
        let index = draft.index() as u8;
        Ok(AtomRef {
            program: draft.program.id,
            index,
        })
    }

    #[inline]
    pub(super) fn opens(mut self) -> Result<Fd, BuildError> {
        self.meta().opens = Opens::Result { closed_by: None };
        self.add().map(Fd::new)
    }

    #[inline]
    pub(super) fn opens_pair(mut self) -> Result<Pipe, BuildError> {
        self.meta().opens = Opens::Pair;
        self.add().map(Pipe::new)
    }

    #[inline]
    pub(super) fn bytes<O>(self) -> Result<Bytes<O>, BuildError> {
        self.add().map(Bytes::new)
    }

    #[inline]
    pub(super) fn count<O>(self) -> Result<Count<O>, BuildError> {
        self.add().map(Count::new)
    }

    #[inline]
    pub(super) fn size(self) -> Result<Size, BuildError> {
        self.add().map(Size::new)
    }

    #[inline]
    pub(super) fn number(self) -> Result<Number, BuildError> {
        self.add().map(Number::new)
    }

    #[inline]
    pub(super) fn unit<O>(self) -> Result<Unit<O>, BuildError> {
        self.add().map(Unit::new)
    }
}

/// Closing, which is bookkeeping more than a call.
impl Program<'_> {
    /// `close(2)`: consumes the descriptor.
    ///
    /// A program that closes a descriptor which it has adopted can run only once.
    ///
    /// ```compile_fail,E0382
    /// # use syslet::{Program, CWD};
    /// # use nix::{fcntl::OFlag, sys::stat::Mode};
    /// let mut p = Program::new();
    /// let fd = p.openat(CWD, c"/", OFlag::O_PATH, Mode::empty())?;
    /// p.close(fd)?;
    /// p.fsync(&fd)?; // closed
    /// # Ok::<(), syslet::Error>(())
    /// ```
    pub fn close(&mut self, fd: impl Into<FdClose>) -> Result<Close, BuildError> {
        let mut draft = self.draft("close", libc::SYS_close)?;
        match fd.into().0 {
            Closing::Opened(fd) => {
                let at = fd.at();
                let close = draft.result(at).add().map(Close::new)?;
                self.meta[usize::from(at.index)].opens = Opens::Result {
                    closed_by: Some(close.at().index),
                };
                Ok(close)
            }
            Closing::Adopted(fd) => {
                draft.meta().closes = Some(fd.slot);
                draft.slot(fd.argument()).add().map(Close::new)
            }
        }
    }
}
