// SPDX-License-Identifier: GPL-2.0

//! The ring's reader against a fake kernel in the same thread.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What the kernel's side does: writes entries as long as there is room.
struct Fake {
    header: Box<RingHeader>,
    cqes: Vec<Cqe>,
}

impl Fake {
    fn new(entries: u32, start: u32) -> Self {
        let header = RingHeader {
            head: start,
            tail: start,
            entries,
            mask: entries - 1,
            ..RingHeader::default()
        };
        Self {
            header: Box::new(header),
            cqes: vec![Cqe::default(); entries as usize],
        }
    }

    fn push(&mut self, user_data: u64) -> bool {
        let used = self.header.tail.wrapping_sub(self.header.head);
        if used == self.header.entries {
            return false;
        }
        let index = (self.header.tail & self.header.mask) as usize;
        self.cqes[index].user_data = user_data;
        self.header.tail = self.header.tail.wrapping_add(1);
        true
    }

    fn ring(&mut self) -> Ring<'_> {
        let entries = self.header.entries;
        // SAFETY: Header and entries are borrowed for as long as the ring lives.
        unsafe {
            Ring::new(
                NonNull::from(&mut *self.header),
                NonNull::new(self.cqes.as_mut_ptr()).unwrap(),
                entries,
            )
        }
    }
}

#[test]
fn empty_ring_has_nothing() {
    let mut fake = Fake::new(8, 0);
    assert!(fake.ring().is_empty());
    assert_eq!(fake.ring().pop(), None);
    assert_eq!(fake.header.head, 0);
}

#[test]
fn indices_wrap_around() {
    let mut fake = Fake::new(4, u32::MAX - 1);
    for n in 0..4 {
        assert!(fake.push(n));
    }
    assert!(!fake.push(4));
    assert_eq!(fake.header.tail, 2);
    assert_eq!(fake.ring().len(), 4);
    for n in 0..4 {
        assert_eq!(fake.ring().pop().unwrap().user_data, n);
    }
    assert_eq!(fake.header.head, 2);
    assert!(fake.ring().is_empty());
}

#[test]
fn a_corrupt_header_stays_within_the_entries() {
    let mut fake = Fake::new(4, 0);
    fake.header.mask = u32::MAX;
    fake.header.tail = 0x8000_0000;
    assert_eq!(fake.ring().len(), 4);
    for _ in 0..9 {
        assert!(fake.ring().pop().is_some());
    }
}

#[test]
fn overflow_is_shown() {
    let mut fake = Fake::new(4, 0);
    fake.header.overflow = 7;
    assert_eq!(fake.ring().overflow(), 7);
}

fn described(entries: u32, bytes: u64, offset: u64) -> bool {
    layout(&Setup {
        cq_entries: entries,
        ring_bytes: bytes,
        cqes_offset: offset,
        ..Setup::default()
    })
    .is_some()
}

#[test]
fn impossible_rings_are_refused() {
    assert!(described(4, 4096, 128));
    assert!(described(4, 128 + 4 * 32, 128));
    assert!(!described(4, 128 + 4 * 32 - 1, 128));
    assert!(!described(0, 4096, 128));
    assert!(!described(3, 4096, 128));
    assert!(!described(4, 4096, 64));
    assert!(!described(4, 4096, 132));
    assert!(!described(4, 4096, u64::MAX - 7));
    assert!(!described(4, 0, 128));
}

proptest! {
    /// Whatever the order of writes and reads, entries come out once each, in order.
    #[test]
    fn first_in_first_out(
        start in any::<u32>(),
        log in 0..6u32,
        steps in prop::collection::vec(any::<bool>(), 0..200),
    ) {
        let mut fake = Fake::new(1 << log, start);
        let mut model = VecDeque::new();
        let mut next = 0;
        for write in steps {
            if write {
                let room = model.len() < 1 << log;
                prop_assert_eq!(fake.push(next), room);
                if room {
                    model.push_back(next);
                    next += 1;
                }
            } else {
                prop_assert_eq!(fake.ring().pop().map(|cqe| cqe.user_data), model.pop_front());
            }
            prop_assert_eq!(fake.ring().len() as usize, model.len());
        }
    }
}
