// SPDX-License-Identifier: GPL-2.0

//! Atomics: loom's, with the kernel's orderings.

use std::cell::RefCell;
use std::collections::HashMap;

use loom::sync::atomic as loom_atomic;
use loom::sync::atomic::Ordering;

pub struct Relaxed;
pub struct Acquire;
pub struct Release;
/// As strong as a full barrier on both sides.
pub struct Full;

pub trait Order {
    const LOAD: Ordering = Ordering::Relaxed;
    const STORE: Ordering = Ordering::Relaxed;
    const BOTH: Ordering = Ordering::Relaxed;

    fn fence() {}
}

impl Order for Relaxed {}
impl Order for Acquire {
    const LOAD: Ordering = Ordering::Acquire;
}
impl Order for Release {
    const STORE: Ordering = Ordering::Release;
}
impl Order for Full {
    const BOTH: Ordering = Ordering::AcqRel;

    fn fence() {
        full_barrier();
    }
}

/// `smp_mb()`
pub fn full_barrier() {
    loom_atomic::fence(Ordering::SeqCst);
}

/// A type that can be atomic.
pub trait Value: Sized {
    type Cell;

    fn cell(self) -> Self::Cell;
    fn load(cell: &Self::Cell, order: Ordering) -> Self;
    fn store(cell: &Self::Cell, value: Self, order: Ordering);
    fn swap(cell: &Self::Cell, value: Self, order: Ordering) -> Self;
    fn exchange(cell: &Self::Cell, old: Self, new: Self, order: Ordering) -> Result<Self, Self>;
}

/// One that can be added to.
pub trait Number: Value {
    fn add(cell: &Self::Cell, value: Self, order: Ordering) -> Self;
    fn sub(cell: &Self::Cell, value: Self, order: Ordering) -> Self;
}

pub struct Atomic<T: Value>(T::Cell);

impl<T: Value> Atomic<T> {
    pub fn new(value: T) -> Self {
        Self(value.cell())
    }

    pub fn load<O: Order>(&self, _: O) -> T {
        T::load(&self.0, O::LOAD)
    }

    pub fn store<O: Order>(&self, value: T, _: O) {
        T::store(&self.0, value, O::STORE);
    }

    pub fn xchg<O: Order>(&self, value: T, _: O) -> T {
        O::fence();
        let old = T::swap(&self.0, value, O::BOTH);
        O::fence();
        old
    }

    pub fn cmpxchg<O: Order>(&self, old: T, new: T, _: O) -> Result<T, T> {
        O::fence();
        let result = T::exchange(&self.0, old, new, O::BOTH);
        if result.is_ok() {
            O::fence();
        }
        result
    }
}

impl<T: Number> Atomic<T> {
    pub fn fetch_add<O: Order>(&self, value: T, _: O) -> T {
        T::add(&self.0, value, O::BOTH)
    }

    pub fn fetch_sub<O: Order>(&self, value: T, _: O) -> T {
        T::sub(&self.0, value, O::BOTH)
    }
}

macro_rules! values {
    ($([$($generic:ident)?] $type:ty: $cell:ty;)*) => {$(
        impl$(<$generic>)? Value for $type {
            type Cell = $cell;

            fn cell(self) -> $cell {
                <$cell>::new(self)
            }
            fn load(cell: &$cell, order: Ordering) -> Self {
                cell.load(order)
            }
            fn store(cell: &$cell, value: Self, order: Ordering) {
                cell.store(value, order);
            }
            fn swap(cell: &$cell, value: Self, order: Ordering) -> Self {
                cell.swap(value, order)
            }
            fn exchange(cell: &$cell, old: Self, new: Self, order: Ordering) -> Result<Self, Self> {
                cell.compare_exchange(old, new, order, Ordering::Relaxed)
            }
        }
    )*};
}

values! {
    [] bool: loom_atomic::AtomicBool;
    [] usize: loom_atomic::AtomicUsize;
    [] u64: loom_atomic::AtomicU64;
    [] u32: loom_atomic::AtomicU32;
    [] i32: loom_atomic::AtomicI32;
    [T] *mut T: loom_atomic::AtomicPtr<T>;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn add(cell: &Self::Cell, value: Self, order: Ordering) -> Self {
                cell.fetch_add(value, order)
            }
            fn sub(cell: &Self::Cell, value: Self, order: Ordering) -> Self {
                cell.fetch_sub(value, order)
            }
        }
    )*};
}

numbers!(i32, u64);

// Loom's threads are one thread of the system's.
thread_local! {
    static PLACES: RefCell<HashMap<usize, &'static Atomic<u32>>> = RefCell::default();
}

/// To be called when a run begins: loom's atomics live no longer.
pub(crate) fn forget_places() {
    PLACES.with_borrow_mut(HashMap::clear);
}

impl Atomic<u32> {
    /// The atomic that stands for the word at `ptr`, which begins with what is there.
    pub unsafe fn from_ptr<'a>(ptr: *mut u32) -> &'a Self {
        PLACES.with_borrow_mut(|places| {
            *places
                .entry(ptr as usize)
                .or_insert_with(|| Box::leak(Box::new(Self::new(unsafe { *ptr }))))
        })
    }
}
