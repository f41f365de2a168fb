// SPDX-License-Identifier: GPL-2.0

//! Memory. No allocation fails.

use core::ops::BitOr;
use core::ops::Deref;
use core::ops::DerefMut;
use core::pin::Pin;
use core::ptr::NonNull;

use crate::error::Result;
use crate::error::EINVAL;
use crate::init::InPlace;

#[derive(Clone, Copy)]
pub struct Flags(());

pub const GFP_KERNEL_ACCOUNT: Flags = Flags(());
pub const __GFP_ZERO: Flags = Flags(());

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, _: Self) -> Self {
        self
    }
}

/// Initialises memory of its own.
pub(crate) fn init_box<T>(init: impl InPlace<T>) -> Result<Box<T>> {
    let mut place = Box::<T>::new_uninit();
    unsafe {
        init.init(place.as_mut_ptr())?;
        Ok(place.assume_init())
    }
}

pub struct KBox<T>(Box<T>);

impl<T> KBox<T> {
    pub fn new(value: T, _: Flags) -> Result<Self> {
        Ok(Self(Box::new(value)))
    }

    pub fn pin_init(init: impl InPlace<T>, _: Flags) -> Result<Pin<Self>> {
        Ok(Self::into_pin(Self(init_box(init)?)))
    }

    pub fn into_raw(this: Self) -> *mut T {
        Box::into_raw(this.0)
    }

    pub unsafe fn from_raw(raw: *mut T) -> Self {
        Self(unsafe { Box::from_raw(raw) })
    }

    pub fn into_pin(this: Self) -> Pin<Self> {
        unsafe { Pin::new_unchecked(this) }
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

pub struct KVVec<T>(Vec<T>);
pub type VVec<T> = KVVec<T>;

impl<T> KVVec<T> {
    pub fn with_capacity(capacity: usize, _: Flags) -> Result<Self> {
        Ok(Self(Vec::with_capacity(capacity)))
    }

    pub fn from_elem(value: T, count: usize, _: Flags) -> Result<Self>
    where
        T: Clone,
    {
        Ok(Self(vec![value; count]))
    }

    pub fn resize(&mut self, len: usize, value: T, _: Flags) -> Result
    where
        T: Clone,
    {
        self.0.resize(len, value);
        Ok(())
    }

    pub fn push_within_capacity(&mut self, value: T) -> Result<(), T> {
        if self.0.len() == self.0.capacity() {
            return Err(value);
        }
        self.0.push(value);
        Ok(())
    }

    pub fn remove(&mut self, at: usize) -> Result<T> {
        if at >= self.0.len() {
            return Err(EINVAL);
        }
        Ok(self.0.remove(at))
    }

    pub fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        self.0.retain(|value| keeps(value));
    }
}

impl<T> Deref for KVVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for KVVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

pub mod allocator {
    use super::NonNull;

    /// No model maps anything.
    pub struct VmallocPageIter(());

    impl VmallocPageIter {
        pub unsafe fn new(_base: NonNull<u8>, _bytes: usize) -> core::iter::Empty<()> {
            core::iter::empty()
        }
    }
}
