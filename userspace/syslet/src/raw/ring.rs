// SPDX-License-Identifier: GPL-2.0

//! The completion ring: a mapping that the kernel writes and this process reads.

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};

use crate::uapi::{Cqe, RingHeader, Setup};

/// The ring of a head, mapped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: NonZeroUsize,
    cqes: usize,
    entries: u32,
}

// SAFETY: A shared mapping belongs to the process, not to a thread; nothing here reads or writes it.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the ring that `setup`, as the kernel filled it in, describes.
    ///
    /// Fails with `EPROTO` if the description is not that of a ring: entries no power of two, or
    /// not within the mapping.
    pub fn new(fd: BorrowedFd<'_>, setup: &Setup) -> Result<Self, Errno> {
        let (len, cqes) = layout(setup).ok_or(Errno::EPROTO)?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self {
            start: start.cast(),
            len,
            cqes,
            entries: setup.cq_entries,
        })
    }

    /// The reading end of the ring.
    ///
    /// # Safety
    ///
    /// At any time only one reader takes entries: two would take the same ones.
    pub unsafe fn ring(&self) -> Ring<'_> {
        // SAFETY: `layout` has checked that header and entries are within the mapping and
        // aligned, the mapping lives as long as the borrow, and the kernel keeps to the protocol.
        unsafe {
            Ring::new(
                self.start.cast(),
                self.start.add(self.cqes).cast(),
                self.entries,
            )
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: Nothing refers to the mapping: `Ring` borrows it.
        // The kernel can only refuse a range that was never mapped.
        let _ = unsafe { munmap(self.start.cast(), self.len.get()) };
    }
}

/// Length of the mapping and offset of the entries, if they make sense together.
fn layout(setup: &Setup) -> Option<(NonZeroUsize, usize)> {
    let len = usize::try_from(setup.ring_bytes).ok()?;
    let cqes = usize::try_from(setup.cqes_offset).ok()?;
    let bytes = usize::try_from(setup.cq_entries)
        .ok()?
        .checked_mul(Cqe::SIZE)?;

    let fits = setup.cq_entries.is_power_of_two()
        && cqes >= RingHeader::SIZE
        && cqes % align_of::<Cqe>() == 0
        && cqes.checked_add(bytes)? <= len;
    fits.then_some((NonZeroUsize::new(len)?, cqes))
}

/// The reading end of a completion ring.
///
/// ```text
///     kernel                              reader
///     write entry at tail & mask          tail: load, acquire    (A)
///     tail + 1: store, release     (A)    read entry at head & mask
///     head: load, acquire          (B)    head + 1: store, release (B)
///     room = entries - (tail - head)
/// ```
///
/// (A) makes an entry visible before the index that announces it; (B) keeps the kernel from
/// writing over one that is still being read. Indices run freely through all of `u32`.
#[derive(Debug)]
pub struct Ring<'a> {
    header: NonNull<RingHeader>,
    cqes: NonNull<Cqe>,
    // From the setup, not from the shared header: no index leads out of the mapping whatever is
    // written there.
    mask: u32,
    mapping: PhantomData<&'a Mapping>,
}

impl Ring<'_> {
    /// A reader of `entries` entries at `cqes`.
    ///
    /// # Safety
    ///
    /// For the lifetime of the value: `header` and `cqes` are valid and aligned for a header and
    /// `entries` entries, `entries` is a power of two, the head index is written by nobody else, and
    /// whoever writes entries keeps to the protocol above.
    pub unsafe fn new(header: NonNull<RingHeader>, cqes: NonNull<Cqe>, entries: u32) -> Self {
        Self {
            header,
            cqes,
            mask: entries - 1,
            mapping: PhantomData,
        }
    }

    fn head(&self) -> &AtomicU32 {
        // SAFETY: Valid and aligned by the contract of `new`; both sides access it atomically.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).head) }
    }

    fn tail(&self) -> &AtomicU32 {
        // SAFETY: As for `head`.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).tail) }
    }

    /// How many entries are in the ring.
    pub fn len(&self) -> u32 {
        let head = self.head().load(Ordering::Relaxed);
        let tail = self.tail().load(Ordering::Acquire);
        tail.wrapping_sub(head).min(self.mask + 1)
    }

    /// Whether no entry is in the ring.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries the kernel keeps back for want of room.
    pub fn overflow(&self) -> u32 {
        // SAFETY: As for `head`.
        let overflow = unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).overflow) };
        overflow.load(Ordering::Relaxed)
    }

    /// Takes the oldest entry.
    pub fn pop(&mut self) -> Option<Cqe> {
        if self.is_empty() {
            return None;
        }
        let head = self.head().load(Ordering::Relaxed);
        let index = (head & self.mask) as usize;
        // SAFETY: The index is below `entries`. `len` has acquired the tail, so the entry is
        // written, and the kernel leaves it alone until the head has passed it.
        let cqe = unsafe { self.cqes.add(index).read() };
        self.head().store(head.wrapping_add(1), Ordering::Release);
        Some(cqe)
    }
}

#[cfg(test)]
#[path = "ring_test.rs"]
mod tests;
