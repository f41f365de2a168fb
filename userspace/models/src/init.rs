// SPDX-License-Identifier: GPL-2.0

//! Initialising in place.

use core::cell::UnsafeCell;
use core::convert::Infallible;
use core::mem::MaybeUninit;
use core::pin::Pin;

use crate::error::Result;

/// Something that a place can be initialised with.
pub trait InPlace<T>: Sized {
    unsafe fn init(self, slot: *mut T) -> Result;

    fn pin_chain(
        self,
        then: impl FnOnce(Pin<&mut T>) -> Result,
    ) -> Closure<impl FnOnce(*mut T) -> Result> {
        Closure(move |slot: *mut T| {
            unsafe { self.init(slot)? };
            then(unsafe { Pin::new_unchecked(&mut *slot) })
        })
    }
}

/// The same, as signatures have it. `E` is just a word here: all errors are one type.
pub trait PinInit<T, E = Infallible>: InPlace<T> {}

pub struct Closure<F>(pub F);

impl<T, F: FnOnce(*mut T) -> Result> InPlace<T> for Closure<F> {
    unsafe fn init(self, slot: *mut T) -> Result {
        self.0(slot)
    }
}

impl<T, E, F: FnOnce(*mut T) -> Result> PinInit<T, E> for Closure<F> {}

#[macro_export]
macro_rules! pin_init {
    (Self { $($fields:tt)* }) => {
        $crate::try_pin_init!(Self { $($fields)* }? Error)
    };
}

#[macro_export]
macro_rules! try_pin_init {
    (Self { $($fields:tt)* }? Error) => {
        $crate::init::Closure(move |slot: *mut Self| -> $crate::error::Result {
            $crate::init_fields!(slot; $($fields)*);
            Ok(())
        })
    };
}

// A field that has its value may be used in the values of those behind it.
#[macro_export]
macro_rules! init_fields {
    ($slot:ident;) => {};
    ($slot:ident; $field:ident <- $init:expr $(, $($rest:tt)*)?) => {
        unsafe { $crate::init::InPlace::init($init, &raw mut (*$slot).$field)? };
        $crate::init_fields!($slot; $($($rest)*)?);
    };
    ($slot:ident; $field:ident: $value:expr $(, $($rest:tt)*)?) => {
        unsafe { (&raw mut (*$slot).$field).write($value) };
        #[allow(unused)]
        let $field = unsafe { &mut (*$slot).$field };
        $crate::init_fields!($slot; $($($rest)*)?);
    };
    ($slot:ident; $field:ident $(, $($rest:tt)*)?) => {
        $crate::init_fields!($slot; $field: $field $(, $($rest)*)?);
    };
}

/// A value of C. Its being freed is something that loom is told of, so it is dropped.
#[repr(transparent)]
pub struct Opaque<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Opaque<T> {
    pub fn uninit() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    pub fn ffi_init(init: impl FnOnce(*mut T)) -> impl PinInit<Self> {
        Closure(move |slot: *mut Self| {
            init(slot.cast());
            Ok(())
        })
    }

    pub fn get(&self) -> *mut T {
        self.0.get().cast()
    }

    pub fn cast_from(this: *const T) -> *const Self {
        this.cast()
    }
}

impl<T> Drop for Opaque<T> {
    fn drop(&mut self) {
        // Nothing of C that a model leaves uninitialised has anything to drop.
        unsafe { self.get().drop_in_place() };
    }
}
