// SPDX-License-Identifier: GPL-2.0

//! Handles: what an atom will return, before it has run.

use std::marker::PhantomData;

use crate::buffer::{Kept, Plain};

/// One atom of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtomRef {
    /// Which program: no two have the same number, nor one before and after it was cleared.
    pub(crate) program: u64,
    pub(crate) index: u8,
}

/// The result of an atom, as a later atom of the same program takes it and as
/// [`Outcome::get`](crate::Outcome::get) decodes it.
pub trait Handle: sealed::Sealed {
    /// What the call returns if it succeeds.
    type Value;

    #[doc(hidden)]
    fn at(&self) -> AtomRef;

    /// Turns a return value that is no error into the call's value.
    #[doc(hidden)]
    fn decode(raw: i64) -> Self::Value;
}

/// A handle of an atom whose memory the program owns: `Outcome::take` gives it out.
pub trait Holds: Handle {
    /// What is given out.
    type Owned;

    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn reclaim(kept: Kept, raw: i64) -> Option<Self::Owned>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! handle {
    ($(#[$meta:meta])* $name:ident, $value:ty, $decode:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name(AtomRef);

        impl $name {
            #[inline]
            pub(crate) fn new(at: AtomRef) -> Self {
                Self(at)
            }
        }

        handle!(impl [] $name, $value, $decode, 0);
    };
    ($(#[$meta:meta])* $name:ident<O>, $value:ty, $decode:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name<O = ()> {
            at: AtomRef,
            owned: PhantomData<fn() -> O>,
        }

        impl<O> $name<O> {
            #[inline]
            pub(crate) fn new(at: AtomRef) -> Self {
                Self {
                    at,
                    owned: PhantomData,
                }
            }
        }

        handle!(impl [O] $name<O>, $value, $decode, at);
    };
    (impl [$($param:ident)?] $type:ty, $value:ty, $decode:expr, $field:tt) => {
        impl<$($param)?> sealed::Sealed for $type {}

        impl<$($param)?> Handle for $type {
            type Value = $value;

            #[inline]
            fn at(&self) -> AtomRef {
                self.$field
            }

            #[inline]
            fn decode(raw: i64) -> $value {
                $decode(raw)
            }
        }
    };
}

/// A count that the kernel returned; it fits, for it counts what is in memory.
fn count(raw: i64) -> usize {
    usize::try_from(raw).unwrap_or(0)
}

/// A descriptor number; the kernel's are `int`.
fn descriptor(raw: i64) -> i32 {
    i32::try_from(raw).unwrap_or(-1)
}

handle!(
    /// A descriptor that the program opens.
    ///
    /// Neither copied nor cloned: [`Program::close`](crate::Program::close) consumes it, so a
    /// program does not use a descriptor that it has closed. Its value is the bare number, which
    /// the program goes on owning; [`Outcome::take_fd`](crate::Outcome::take_fd) takes it over.
    Fd,
    i32,
    descriptor
);
handle!(
    /// A pipe that the program makes; [`Outcome::take_pipe`](crate::Outcome::take_pipe) takes its
    /// ends over.
    Pipe,
    (),
    |_| ()
);
handle!(
    /// The closing of a descriptor.
    ///
    /// If the program ends before it gets there,
    /// [`Outcome::take_unclosed`](crate::Outcome::take_unclosed) has the descriptor.
    Close,
    (),
    |_| ()
);
handle!(
    /// Bytes in a buffer: how many there are, and, for a `Vec` given to the program, the buffer.
    ///
    /// Later atoms can take them as their data, see [`Data`](crate::Data).
    Bytes<O>,
    usize,
    count
);
handle!(
    /// Items in a buffer: how many there are, and, for a `Vec` given to the program, the buffer.
    Count<O>,
    usize,
    count
);
handle!(
    /// How much was written, sent or woken.
    Size,
    usize,
    count
);
handle!(
    /// A number: a position, an identifier, or whatever an untyped call returns.
    Number,
    i64,
    |raw| raw
);
handle!(
    /// Success; and, for [`Alloc`](crate::Alloc), the object that was filled.
    Unit<O>,
    (),
    |_| ()
);

impl<T: Plain> Holds for Bytes<Vec<T>> {
    type Owned = Vec<T>;

    #[allow(private_interfaces)]
    fn reclaim(kept: Kept, raw: i64) -> Option<Vec<T>> {
        let mut items = T::reclaim(kept)?;
        items.truncate(count(raw));
        Some(items)
    }
}

impl<T: Plain> Holds for Count<Vec<T>> {
    type Owned = Vec<T>;

    #[allow(private_interfaces)]
    fn reclaim(kept: Kept, raw: i64) -> Option<Vec<T>> {
        let mut items = T::reclaim(kept)?;
        items.truncate(count(raw));
        Some(items)
    }
}

impl<T: Plain> Holds for Unit<T> {
    type Owned = T;

    #[allow(private_interfaces)]
    fn reclaim(kept: Kept, _: i64) -> Option<T> {
        T::reclaim(kept)?.pop()
    }
}
