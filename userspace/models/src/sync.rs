// SPDX-License-Identifier: GPL-2.0

//! Locks and references.

use core::ops::Deref;
use core::ops::DerefMut;
use core::pin::Pin;

use crate::alloc::Flags;
use crate::error::Result;
use crate::init::InPlace;

pub use crate::atomic;
pub use lock::Guard;

pub mod lock {
    use super::{Deref, DerefMut, SpinLock};

    pub mod spinlock {
        pub struct SpinLockBackend;
    }

    pub struct Guard<'a, T, B>(
        pub(super) loom::sync::MutexGuard<'a, T>,
        pub(super) core::marker::PhantomData<(B, &'a SpinLock<T>)>,
    );

    impl<T, B> Deref for Guard<'_, T, B> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T, B> DerefMut for Guard<'_, T, B> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}

pub struct SpinLock<T>(loom::sync::Mutex<T>);

impl<T> SpinLock<T> {
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> Guard<'_, T, lock::spinlock::SpinLockBackend> {
        Guard(crate::sched::lock(&self.0), core::marker::PhantomData)
    }
}

#[macro_export]
macro_rules! new_spinlock {
    ($value:expr, $name:literal) => {{
        let lock = $crate::sync::SpinLock::new($value);
        $crate::init::Closure(move |slot: *mut $crate::sync::SpinLock<_>| {
            unsafe { slot.write(lock) };
            Ok(())
        })
    }};
}

pub struct LockClassKey(());

#[macro_export]
macro_rules! static_lock_class {
    () => {
        core::pin::Pin::static_ref($crate::sync::LockClassKey::any())
    };
}

impl LockClassKey {
    pub fn any() -> &'static Self {
        &Self(())
    }

    pub fn as_ptr(&self) -> *mut Self {
        core::ptr::from_ref(self).cast_mut()
    }
}

/// Counted, but not in the model: what the counter orders is not asked for.
pub struct Arc<T>(std::sync::Arc<T>);

impl<T> Arc<T> {
    pub fn pin_init(init: impl InPlace<T>, _: Flags) -> Result<Self> {
        Ok(Self(crate::alloc::init_box(init)?.into()))
    }

    pub fn pin_new(value: T) -> Self {
        Self(std::sync::Arc::new(value))
    }

    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&this.0, &other.0)
    }

    pub fn as_pin(&self) -> Pin<&T> {
        unsafe { Pin::new_unchecked(self) }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub mod rcu {
    pub struct Guard(());

    /// Nothing is freed that RCU would keep.
    pub fn read_lock() -> Guard {
        Guard(())
    }
}

/// One for each run of a model.
pub struct Global<T>(SpinLock<T>);

impl<T> Global<T> {
    pub fn new(value: T) -> Self {
        Self(SpinLock::new(value))
    }

    pub unsafe fn init(&self) {}

    pub fn lock(&self) -> Guard<'_, T, lock::spinlock::SpinLockBackend> {
        self.0.lock()
    }
}

#[macro_export]
macro_rules! global_lock {
    (unsafe(uninit) static $name:ident: SpinLock<$type:ty> = $value:expr;) => {
        $crate::loom::lazy_static! {
            static ref $name: $crate::sync::Global<$type> = $crate::sync::Global::new($value);
        }
    };
}

pub use global_lock;

pub mod aref {
    /// What it refers to stays anyway.
    pub struct ARef<T>(*const T);

    impl<T> From<&T> for ARef<T> {
        fn from(value: &T) -> Self {
            Self(value)
        }
    }

    impl<T> core::ops::Deref for ARef<T> {
        type Target = T;

        fn deref(&self) -> &T {
            unsafe { &*self.0 }
        }
    }
}
