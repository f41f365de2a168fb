// SPDX-License-Identifier: GPL-2.0

//! The completion ring.
//!
//! The ring's pages are shared with user space, which may write anything to them at any time. The
//! kernel reads one word from them, the user's head, and takes it for a number and nothing more;
//! its own tail and size it keeps to itself.
//!
//! A completion that finds the ring full is kept back until the user has made room. There is
//! always a place for it, because a program that will complete holds a [`Place`] from its start.
//!
//! ```text
//! kernel (under the lock)                user
//! =======================                ====
//! head = load_acquire(head)              tail = load_acquire(tail)
//!   if tail - head < entries:              if tail != head:
//!     cqes[tail & mask] = cqe                cqe = cqes[head & mask]
//!     store_release(tail, tail + 1)          store_release(head, head + 1)
//! ```
//!
//! The user's acquire of `tail` sees the entry that was written before it; the kernel's acquire of
//! `head` means that the user has done reading the entry which is about to be overwritten.

use core::mem::size_of;
use core::ptr::NonNull;

use kernel::alloc::allocator::VmallocPageIter;
use kernel::bindings;
use kernel::fs::File;
use kernel::mm::virt;
use kernel::mm::virt::VmaNew;
use kernel::new_spinlock;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::static_lock_class;
use kernel::sync::atomic::Acquire;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::atomic::Release;
use kernel::sync::SpinLock;

use crate::indices;
use crate::notify::Deadline;
use crate::notify::EventFd;
use crate::notify::Unmet;
use crate::notify::WaitQueue;
use crate::uapi::Cqe;
use crate::uapi::RingHeader;

/// Offset of the entries in the mapping.
pub const CQES_OFFSET: usize = size_of::<RingHeader>();

/// What the ring's lock protects.
struct Inner {
    /// Index behind the last entry; the ring's own copy follows it.
    tail: u32,
    /// Entries kept back: a circular buffer that never grows.
    kept: VVec<Cqe>,
    kept_head: usize,
    kept_len: usize,
    eventfd: Option<EventFd>,
}

/// A completion ring.
///
/// # Invariants
///
/// - `base` is the start of `pages`, which are zeroed or written through it, and hold a
///   [`RingHeader`] and behind it `entries` [`Cqe`]s.
/// - `entries` is a power of two.
/// - At most `limit` places are taken, and `kept` has that many slots: there is one for each
///   completion to come and each that is kept back.
#[pin_data]
pub struct Ring {
    pages: VVec<u8>,
    base: NonNull<u8>,
    entries: u32,
    limit: i32,
    kept_limit: usize,
    places: Atomic<i32>,
    #[pin]
    inner: SpinLock<Inner>,
    #[pin]
    wait: WaitQueue,
}

// SAFETY: `base` points into `pages`, which move with the ring; the rest is `Send`.
unsafe impl Send for Ring {}
// SAFETY: What `base` points to is written under the lock, or with atomics.
unsafe impl Sync for Ring {}

/// The right to post one completion, which then has somewhere to go.
///
/// It must end in [`Ring::post`] or [`Ring::give_back`].
#[must_use]
pub struct Place(());

/// How many completions a ring of `entries` keeps back before `EXEC` refuses more.
const fn kept_limit(entries: u32) -> usize {
    4 * entries as usize
}

impl Ring {
    /// A ring of `entries` entries, for up to `in_flight` programs besides those kept back.
    pub fn new(entries: u32, in_flight: u32) -> impl PinInit<Self, Error> {
        let kept_limit = kept_limit(entries);
        let slots = kept_limit + in_flight as usize;

        try_pin_init!(Self {
            pages: {
                let bytes = Self::bytes_for(entries);
                let mut pages = VVec::with_capacity(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO)?;
                pages.resize(bytes, 0, GFP_KERNEL_ACCOUNT)?;
                pages
            },
            base: NonNull::new(pages.as_mut_ptr()).ok_or(ENOMEM)?,
            entries,
            limit: slots.try_into()?,
            kept_limit,
            places: Atomic::new(0),
            inner <- new_spinlock!(Inner {
                tail: 0,
                kept: VVec::from_elem(Cqe::default(), slots, GFP_KERNEL_ACCOUNT)?,
                kept_head: 0,
                kept_len: 0,
                eventfd: None,
            }, "syslet_ring"),
            wait <- WaitQueue::new(c"syslet_wait", static_lock_class!()),
        }? Error)
        .pin_chain(|ring: Pin<&mut Self>| {
            ring.header_u32(core::mem::offset_of!(RingHeader, entries))
                .store(ring.entries, Relaxed);
            ring.header_u32(core::mem::offset_of!(RingHeader, mask))
                .store(ring.entries - 1, Relaxed);
            Ok(())
        })
    }

    /// Length of the mapping of a ring of `entries` entries.
    pub const fn bytes_for(entries: u32) -> usize {
        (CQES_OFFSET + entries as usize * size_of::<Cqe>()).next_multiple_of(PAGE_SIZE)
    }

    /// Length of the mapping.
    pub fn bytes(&self) -> usize {
        Self::bytes_for(self.entries)
    }

    /// How many entries the ring has.
    pub fn entries(&self) -> u32 {
        self.entries
    }

    fn header_u32(&self, offset: usize) -> &Atomic<u32> {
        // SAFETY: By the type invariants the header is there, all its fields are aligned `u32`s,
        // and nobody makes other than atomic accesses to them.
        unsafe { Atomic::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    fn user_head(&self) -> u32 {
        self.header_u32(core::mem::offset_of!(RingHeader, head))
            .load(Acquire)
    }

    /// Takes a place for a completion to come; `None` when all are taken.
    ///
    /// Lock-free: the scheduler hook calls it.
    #[inline]
    pub fn take_place(&self) -> Option<Place> {
        if self.places.fetch_add(1, Relaxed) < self.limit {
            return Some(Place(()));
        }
        self.places.fetch_sub(1, Relaxed);
        None
    }

    /// Gives back a place that will not be used.
    #[inline]
    pub fn give_back(&self, place: Place) {
        let Place(()) = place;
        self.places.fetch_sub(1, Relaxed);
    }

    /// Whether so many completions are kept back that no more programs should start.
    pub fn is_clogged(&self) -> bool {
        // A racy look is enough: the places bound what is kept.
        if self.places.load(Relaxed) < self.kept_limit as i32 {
            return false;
        }
        let mut inner = self.inner.lock();
        self.unkeep(&mut inner);
        inner.kept_len >= self.kept_limit
    }

    /// Posts a completion, or keeps it back until there is room, and tells those who wait.
    pub fn post(&self, place: Place, cqe: Cqe) {
        let mut inner = self.inner.lock();
        self.unkeep(&mut inner);
        if inner.kept_len == 0 && self.has_room(&inner) {
            self.write(&mut inner, &cqe);
            self.give_back(place);
        } else {
            // The place stays taken by what is kept: the slot is there by the type invariant.
            let Place(()) = place;
            let slots = inner.kept.len();
            let at = (inner.kept_head + inner.kept_len) % slots;
            inner.kept[at] = cqe;
            inner.kept_len += 1;
            self.show_overflow(&inner);
        }
        if let Some(eventfd) = &inner.eventfd {
            eventfd.signal();
        }
        drop(inner);
        self.wait.wake_all();
    }

    fn has_room(&self, inner: &Inner) -> bool {
        indices::room(self.user_head(), inner.tail, self.entries) > 0
    }

    /// Moves entries kept back into the ring, as far as there is room. Returns how many.
    fn unkeep(&self, inner: &mut Inner) -> usize {
        let mut moved = 0;
        while inner.kept_len > 0 && self.has_room(inner) {
            let cqe = inner.kept[inner.kept_head];
            inner.kept_head = (inner.kept_head + 1) % inner.kept.len();
            inner.kept_len -= 1;
            self.write(inner, &cqe);
            self.give_back(Place(()));
            moved += 1;
        }
        if moved > 0 {
            self.show_overflow(inner);
        }
        moved
    }

    fn show_overflow(&self, inner: &Inner) {
        // CAST: Bounded by `limit`, an `i32`.
        self.header_u32(core::mem::offset_of!(RingHeader, overflow))
            .store(inner.kept_len as u32, Relaxed);
    }

    /// Writes an entry for which there is room.
    fn write(&self, inner: &mut Inner, cqe: &Cqe) {
        let index = (inner.tail & (self.entries - 1)) as usize;
        // SAFETY: By the type invariants `index` is within the array. User space may read or write
        // the entry meanwhile, which is its own loss: the kernel never reads it.
        unsafe {
            self.base
                .as_ptr()
                .add(CQES_OFFSET + index * size_of::<Cqe>())
                .cast::<Cqe>()
                .write_volatile(*cqe)
        };
        inner.tail = inner.tail.wrapping_add(1);
        self.header_u32(core::mem::offset_of!(RingHeader, tail))
            .store(inner.tail, Release);
    }

    /// Moves in what is kept back, and returns how many entries wait in the ring.
    pub fn available(&self) -> u32 {
        let mut inner = self.inner.lock();
        let moved = self.unkeep(&mut inner);
        let available = indices::used(self.user_head(), inner.tail, self.entries);
        drop(inner);
        if moved > 0 {
            self.wait.wake_all();
        }
        available
    }

    /// Waits until at least `min` entries are in the ring; returns how many.
    pub fn wait(&self, min: u32, deadline: Option<Deadline>) -> Result<u32, Unmet> {
        let met = || Some(self.available()).filter(|&available| available >= min);
        if let Some(available) = met() {
            return Ok(available);
        }
        let Some(deadline) = deadline else {
            return Err(Unmet::TimedOut);
        };
        // Without waking the others, who would wake this one in turn for ever.
        self.wait.wait(deadline, || {
            let mut inner = self.inner.lock();
            self.unkeep(&mut inner);
            let available = indices::used(self.user_head(), inner.tail, self.entries);
            Some(available).filter(|&available| available >= min)
        })
    }

    /// The `poll()` of the file that the ring belongs to.
    ///
    /// # Safety
    ///
    /// `table` must be null or valid, as `poll()` got it for `file`, and the ring must live as long
    /// as `file` does.
    pub unsafe fn poll(&self, file: &File, table: *mut bindings::poll_table) -> u32 {
        // SAFETY: By the safety requirements.
        unsafe { self.wait.poll_wait(file, table) };
        if self.available() > 0 {
            bindings::POLLIN | bindings::POLLRDNORM
        } else {
            0
        }
    }

    /// Sets or removes the eventfd.
    pub fn set_eventfd(&self, eventfd: Option<EventFd>) {
        let old = core::mem::replace(&mut self.inner.lock().eventfd, eventfd);
        drop(old);
    }

    /// How many completions are kept back.
    pub fn kept(&self) -> usize {
        self.inner.lock().kept_len
    }

    /// Maps the ring: shared, at offset 0, in its whole length, and not inherited over fork.
    pub fn mmap(&self, vma: &VmaNew) -> Result {
        // SAFETY: The VMA is being set up by this call.
        let offset = unsafe { (*vma.as_ptr()).vm_pgoff };
        if offset != 0
            || vma.end() - vma.start() != self.bytes()
            || vma.flags() & virt::flags::SHARED == 0
        {
            return Err(EINVAL);
        }
        vma.try_clear_mayexec()?;
        vma.set_dontcopy();
        vma.set_dontexpand();

        let vma_pages = vma.set_mixedmap();
        // SAFETY: `base` is the page-aligned start of a vmalloc allocation of this length, which
        // lives as long as `self`.
        let pages = unsafe { VmallocPageIter::new(self.base, self.bytes()) };
        for (index, page) in pages.enumerate() {
            vma_pages.vm_insert_page(vma.start() + index * PAGE_SIZE, &page)?;
        }
        Ok(())
    }
}

#[cfg(CONFIG_SYSLET_KUNIT_TEST)]
#[path = "kunit/ring.rs"]
mod kunit;
