// SPDX-License-Identifier: GPL-2.0

//! Memory that a program's calls write to, and who owns it.
//!
//! The kernel's pointer is taken when the call is added, so what it points to must neither move
//! nor be touched until the program has run. Borrowed memory is held by the program's lifetime.
//! Owned memory is held in a `Vec`, whose heap block stays where it is when the `Vec` moves.

use std::any::Any;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::libc;

/// Something a program keeps for its atoms.
pub(crate) enum Kept {
    /// A buffer of bytes; the common case, without a box around it.
    Bytes(Vec<u8>),
    /// A path.
    Path(#[expect(dead_code, reason = "held for the kernel")] CString),
    /// A `Vec` of some [`Plain`] type, or shared memory.
    Any(Box<dyn Any + Send + Sync>),
    /// A descriptor.
    Fd(OwnedFd),
    /// A descriptor that others hold as well.
    SharedFd(#[expect(dead_code, reason = "held for the kernel")] Arc<OwnedFd>),
    /// It was taken out.
    Gone,
}

/// What the program has to remember of memory that it was given.
pub struct Memory {
    pub(crate) addr: u64,
    /// In items, not bytes.
    pub(crate) len: usize,
    pub(crate) kept: Option<Kept>,
}

impl Memory {
    #[inline]
    fn borrowed<T>(start: *mut T, len: usize) -> Self {
        Self {
            addr: address(start),
            len,
            kept: None,
        }
    }

    pub(crate) fn owned<T: Plain>(mut items: Vec<T>) -> Self {
        Self {
            addr: address(items.as_mut_ptr()),
            len: items.len(),
            kept: Some(T::keep(items)),
        }
    }
}

/// The address as an argument of a system call. The kernel may go through it from now on.
#[inline]
pub(crate) fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// A signed number as an argument of a system call.
#[inline]
pub(crate) const fn register(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}

/// Types that the kernel may fill with any bytes, padding included.
///
/// # Safety
///
/// Every pattern of bytes, zeroes among them, is a valid value.
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn keep(items: Vec<Self>) -> Kept {
        Kept::Any(Box::new(items))
    }

    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn reclaim(kept: Kept) -> Option<Vec<Self>> {
        match kept {
            Kept::Any(items) => items.downcast().ok().map(|items| *items),
            _ => None,
        }
    }
}

// SAFETY: An integer.
unsafe impl Plain for u8 {
    #[allow(private_interfaces)]
    fn keep(items: Vec<Self>) -> Kept {
        Kept::Bytes(items)
    }

    #[allow(private_interfaces)]
    fn reclaim(kept: Kept) -> Option<Vec<Self>> {
        match kept {
            Kept::Bytes(items) => Some(items),
            _ => None,
        }
    }
}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {
        // SAFETY: Structures of integers and arrays of them.
        $(unsafe impl Plain for $type {})*
    };
}

plain!(
    i32,
    u32,
    i64,
    u64,
    [i32; 2],
    libc::stat,
    libc::statx,
    libc::timespec,
    libc::pollfd,
    libc::epoll_event,
);

/// A buffer of `T` that a call fills: borrowed for `'a`, or given to the program.
///
/// - `&'a mut [T]`, `&'a mut [T; N]`, `&'a mut Vec<T>` (its items, not its spare capacity) and
///   `&'a mut [MaybeUninit<T>]` are borrowed: look at them once the program is done.
/// - `Vec<T>` is moved into the program: [`Outcome::take`](crate::Outcome::take) gives it back, cut to what was
///   filled.
pub trait OutBuf<'a, T>: sealed::Sealed<sealed::Many> {
    /// What can be taken out afterwards: `Vec<T>` or nothing.
    type Owned;

    #[doc(hidden)]
    fn into_memory(self) -> Memory;
}

impl<'a, T: Plain> OutBuf<'a, T> for &'a mut [T] {
    type Owned = ();

    #[inline]
    fn into_memory(self) -> Memory {
        Memory::borrowed(self.as_mut_ptr(), self.len())
    }
}

impl<'a, T: Plain, const N: usize> OutBuf<'a, T> for &'a mut [T; N] {
    type Owned = ();

    #[inline]
    fn into_memory(self) -> Memory {
        Memory::borrowed(self.as_mut_ptr(), N)
    }
}

impl<'a, T: Plain> OutBuf<'a, T> for &'a mut Vec<T> {
    type Owned = ();

    #[inline]
    fn into_memory(self) -> Memory {
        Memory::borrowed(self.as_mut_ptr(), self.len())
    }
}

impl<'a, T: Plain> OutBuf<'a, T> for &'a mut [MaybeUninit<T>] {
    type Owned = ();

    #[inline]
    fn into_memory(self) -> Memory {
        Memory::borrowed(self.as_mut_ptr(), self.len())
    }
}

impl<T: Plain> OutBuf<'_, T> for Vec<T> {
    type Owned = Self;

    #[inline]
    fn into_memory(self) -> Memory {
        Memory::owned(self)
    }
}

/// One `T` that a call fills: borrowed for `'a`, or made by the program ([`Alloc`]).
pub trait OutRef<'a, T>: sealed::Sealed<sealed::One> {
    /// What can be taken out afterwards: `T` or nothing.
    type Owned;

    #[doc(hidden)]
    fn into_memory(self) -> Memory;
}

impl<'a, T: Plain> OutRef<'a, T> for &'a mut T {
    type Owned = ();

    #[inline]
    fn into_memory(self) -> Memory {
        Memory::borrowed(self, 1)
    }
}

impl<'a, T: Plain> OutRef<'a, T> for &'a mut MaybeUninit<T> {
    type Owned = ();

    #[inline]
    fn into_memory(self) -> Memory {
        Memory::borrowed(self, 1)
    }
}

/// Has the program make the object that a call fills;
/// [`Outcome::take`](crate::Outcome::take) gives it out.
#[derive(Clone, Copy, Debug)]
pub struct Alloc;

impl<T: Plain> OutRef<'_, T> for Alloc {
    type Owned = T;

    #[inline]
    fn into_memory(self) -> Memory {
        // SAFETY: Zeroes are a valid value of a `Plain` type.
        Memory::owned(vec![unsafe { std::mem::zeroed::<T>() }])
    }
}

/// Keeps the traits to the types above: another's could claim a longer life than its memory has.
mod sealed {
    use super::Alloc;
    use super::Plain;
    use std::mem::MaybeUninit;

    /// Marks buffers.
    pub struct Many;
    /// Marks objects.
    pub struct One;

    pub trait Sealed<Kind> {}

    impl<T: Plain> Sealed<Many> for &mut [T] {}
    impl<T: Plain, const N: usize> Sealed<Many> for &mut [T; N] {}
    impl<T: Plain> Sealed<Many> for &mut Vec<T> {}
    impl<T: Plain> Sealed<Many> for &mut [MaybeUninit<T>] {}
    impl<T: Plain> Sealed<Many> for Vec<T> {}

    impl<T: Plain> Sealed<One> for &mut T {}
    impl<T: Plain> Sealed<One> for &mut MaybeUninit<T> {}
    impl Sealed<One> for Alloc {}
}
