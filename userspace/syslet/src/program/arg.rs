// SPDX-License-Identifier: GPL-2.0

//! What calls take: descriptors, paths, data, numbers; borrowed, owned, or results of earlier atoms.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::Arc;

use nix::libc;

use super::handle::{AtomRef, Bytes, Fd, Handle, Number};
use crate::buffer::{address, register, Kept};

/// An argument as the atom holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    Value(u64),
    Result(AtomRef),
    /// The number of a descriptor that the program of this id has adopted.
    Adopted(u64, u64),
}

/// An argument and what must be kept for it.
pub(crate) struct Lodged {
    pub(crate) slot: Slot,
    pub(crate) kept: Option<Kept>,
}

impl Lodged {
    #[inline]
    fn value(value: u64) -> Self {
        Self {
            slot: Slot::Value(value),
            kept: None,
        }
    }

    #[inline]
    fn result(at: AtomRef) -> Self {
        Self {
            slot: Slot::Result(at),
            kept: None,
        }
    }

    #[inline]
    fn keeping(value: u64, kept: Kept) -> Self {
        Self {
            slot: Slot::Value(value),
            kept: Some(kept),
        }
    }
}

/// A descriptor as an argument has its sign extended, for `AT_FDCWD`.
#[inline]
pub(crate) fn fd_value(fd: RawFd) -> u64 {
    register(fd.into())
}

/// A descriptor that a call uses.
///
/// From [`CWD`], from anything that is [`AsFd`] and lives for `'a`, from an `OwnedFd` or
/// `Arc<OwnedFd>` that the program then holds, or from the result of an earlier atom (`&Fd`).
pub struct FdArg<'a>(pub(crate) Lodged, PhantomData<BorrowedFd<'a>>);

/// The working directory, where a directory is asked for.
pub const CWD: FdArg<'static> = FdArg(
    Lodged {
        slot: Slot::Value(register(libc::AT_FDCWD as i64)),
        kept: None,
    },
    PhantomData,
);

impl<'a> From<BorrowedFd<'a>> for FdArg<'a> {
    #[inline]
    fn from(fd: BorrowedFd<'a>) -> Self {
        Self(Lodged::value(fd_value(fd.as_raw_fd())), PhantomData)
    }
}

impl<'a, F: AsFd> From<&'a F> for FdArg<'a> {
    #[inline]
    fn from(fd: &'a F) -> Self {
        fd.as_fd().into()
    }
}

impl From<OwnedFd> for FdArg<'_> {
    #[inline]
    fn from(fd: OwnedFd) -> Self {
        let value = fd_value(fd.as_raw_fd());
        Self(Lodged::keeping(value, Kept::Fd(fd)), PhantomData)
    }
}

impl From<Arc<OwnedFd>> for FdArg<'_> {
    #[inline]
    fn from(fd: Arc<OwnedFd>) -> Self {
        let value = fd_value(fd.as_raw_fd());
        Self(Lodged::keeping(value, Kept::SharedFd(fd)), PhantomData)
    }
}

impl From<&Fd> for FdArg<'_> {
    #[inline]
    fn from(fd: &Fd) -> Self {
        Self(Lodged::result(fd.at()), PhantomData)
    }
}

/// A descriptor whose number a call gives another meaning (`dup3`): one that nobody else relies
/// on for `'a`.
pub struct FdMut<'a>(pub(crate) Lodged, PhantomData<&'a mut OwnedFd>);

impl<'a> From<&'a mut OwnedFd> for FdMut<'a> {
    #[inline]
    fn from(fd: &'a mut OwnedFd) -> Self {
        Self(Lodged::value(fd_value(fd.as_raw_fd())), PhantomData)
    }
}

impl From<&Fd> for FdMut<'_> {
    #[inline]
    fn from(fd: &Fd) -> Self {
        Self(Lodged::result(fd.at()), PhantomData)
    }
}

/// A descriptor that a program has taken over: [`Program::adopt`](crate::Program::adopt).
///
/// Neither copied nor cloned: [`Program::close`](crate::Program::close) consumes it, and
/// [`Outcome::take_adopted`](crate::Outcome::take_adopted) gives it back if the program has ended
/// before that.
#[derive(Debug)]
pub struct Adopted {
    pub(crate) program: u64,
    /// Where in `Program::kept` it is.
    pub(crate) slot: u16,
    pub(crate) number: RawFd,
}

impl Adopted {
    #[inline]
    pub(crate) fn argument(&self) -> Slot {
        Slot::Adopted(self.program, fd_value(self.number))
    }
}

impl From<&Adopted> for FdArg<'_> {
    #[inline]
    fn from(fd: &Adopted) -> Self {
        let lodged = Lodged {
            slot: fd.argument(),
            kept: None,
        };
        Self(lodged, PhantomData)
    }
}

/// A descriptor to close: one that the program opens, or one that it has adopted.
#[derive(Debug)]
pub struct FdClose(pub(crate) Closing);

#[derive(Debug)]
pub(crate) enum Closing {
    Opened(Fd),
    Adopted(Adopted),
}

impl From<Fd> for FdClose {
    #[inline]
    fn from(fd: Fd) -> Self {
        Self(Closing::Opened(fd))
    }
}

impl From<Adopted> for FdClose {
    #[inline]
    fn from(fd: Adopted) -> Self {
        Self(Closing::Adopted(fd))
    }
}

/// A path: a `CStr` is borrowed for `'a`, everything else copied with a zero byte behind it.
pub struct PathArg<'a>(Repr<'a>);

enum Repr<'a> {
    Borrowed(&'a CStr),
    /// Not yet known to be free of zero bytes.
    Bytes(Vec<u8>),
    Owned(CString),
}

impl PathArg<'_> {
    /// The argument, or `None` for a path with a zero byte in it.
    pub(crate) fn lodge(self) -> Option<Lodged> {
        let path = match self.0 {
            Repr::Borrowed(path) => return Some(Lodged::value(address(path.as_ptr()))),
            Repr::Bytes(bytes) => CString::new(bytes).ok()?,
            Repr::Owned(path) => path,
        };
        Some(Lodged::keeping(address(path.as_ptr()), Kept::Path(path)))
    }
}

impl<'a> From<&'a CStr> for PathArg<'a> {
    #[inline]
    fn from(path: &'a CStr) -> Self {
        Self(Repr::Borrowed(path))
    }
}

impl From<CString> for PathArg<'_> {
    #[inline]
    fn from(path: CString) -> Self {
        Self(Repr::Owned(path))
    }
}

macro_rules! copied_path {
    ($($type:ty: $path:ident => $bytes:expr,)*) => {
        $(impl From<$type> for PathArg<'_> {
            #[inline]
            fn from($path: $type) -> Self {
                Self(Repr::Bytes($bytes))
            }
        })*
    };
}

/// A copy with room for the zero byte, so that adding it does not move the bytes once more.
fn copied(path: &OsStr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len() + 1);
    bytes.extend_from_slice(path.as_bytes());
    bytes
}

copied_path! {
    &str: path => copied(path.as_ref()),
    &String: path => copied(path.as_ref()),
    &OsStr: path => copied(path),
    &OsString: path => copied(path),
    &Path: path => copied(path.as_ref()),
    &PathBuf: path => copied(path.as_ref()),
    String: path => path.into_bytes(),
    OsString: path => path.into_vec(),
    PathBuf: path => path.into_os_string().into_vec(),
}

/// Data for a call to write: borrowed for `'a`, owned, shared, or the bytes that an earlier atom
/// has read.
///
/// The length of what an atom read is its result, so that atom must end the program when it
/// fails; the builder sees to it.
pub struct Data<'a>(pub(crate) Source, PhantomData<&'a [u8]>);

pub(crate) enum Source {
    Memory(Lodged, usize),
    Atom(AtomRef),
}

impl<'a> From<&'a [u8]> for Data<'a> {
    #[inline]
    fn from(data: &'a [u8]) -> Self {
        let lodged = Lodged::value(address(data.as_ptr()));
        Self(Source::Memory(lodged, data.len()), PhantomData)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Data<'a> {
    #[inline]
    fn from(data: &'a [u8; N]) -> Self {
        data.as_slice().into()
    }
}

impl<'a> From<&'a str> for Data<'a> {
    #[inline]
    fn from(data: &'a str) -> Self {
        data.as_bytes().into()
    }
}

impl From<Vec<u8>> for Data<'_> {
    #[inline]
    fn from(data: Vec<u8>) -> Self {
        let (addr, len) = (address(data.as_ptr()), data.len());
        let lodged = Lodged::keeping(addr, Kept::Bytes(data));
        Self(Source::Memory(lodged, len), PhantomData)
    }
}

impl From<Arc<[u8]>> for Data<'_> {
    #[inline]
    fn from(data: Arc<[u8]>) -> Self {
        let (addr, len) = (address(data.as_ptr()), data.len());
        let lodged = Lodged::keeping(addr, Kept::Any(Box::new(data)));
        Self(Source::Memory(lodged, len), PhantomData)
    }
}

impl<O> From<&Bytes<O>> for Data<'_> {
    #[inline]
    fn from(bytes: &Bytes<O>) -> Self {
        Self(Source::Atom(bytes.at()), PhantomData)
    }
}

/// A word that other threads see as well, for `futex`: borrowed for `'a`, or shared.
pub struct Word<'a>(pub(crate) Lodged, PhantomData<&'a AtomicU32>);

impl<'a> From<&'a AtomicU32> for Word<'a> {
    #[inline]
    fn from(word: &'a AtomicU32) -> Self {
        Self(Lodged::value(address(word.as_ptr())), PhantomData)
    }
}

impl From<Arc<AtomicU32>> for Word<'_> {
    #[inline]
    fn from(word: Arc<AtomicU32>) -> Self {
        let addr = address(word.as_ptr());
        Self(
            Lodged::keeping(addr, Kept::Any(Box::new(word))),
            PhantomData,
        )
    }
}

/// A number that is given, or the result of an earlier atom.
pub struct Num(pub(crate) Lodged);

impl From<u64> for Num {
    #[inline]
    fn from(value: u64) -> Self {
        Self(Lodged::value(value))
    }
}

impl From<&Number> for Num {
    #[inline]
    fn from(number: &Number) -> Self {
        Self(Lodged::result(number.at()))
    }
}

/// An argument of an untyped call.
#[derive(Clone, Copy, Debug)]
pub struct RawArg(pub(crate) Slot);

impl RawArg {
    /// The result of an earlier atom.
    #[inline]
    pub fn result(handle: &impl Handle) -> Self {
        Self(Slot::Result(handle.at()))
    }

    /// An address.
    pub fn pointer<T>(pointer: *const T) -> Self {
        Self(Slot::Value(address(pointer)))
    }
}

impl From<u64> for RawArg {
    #[inline]
    fn from(value: u64) -> Self {
        Self(Slot::Value(value))
    }
}
