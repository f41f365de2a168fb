// SPDX-License-Identifier: GPL-2.0

//! The ring in the kernel's own memory, the user played by the tests.

use super::*;

#[kunit_tests(syslet_ring)]
mod tests {
    use core::mem::offset_of;

    use super::*;
    use crate::uapi;

    fn ring(entries: u32, in_flight: u32) -> Result<Pin<KBox<Ring>>> {
        KBox::pin_init(Ring::new(entries, in_flight), GFP_KERNEL)
    }

    fn cqe(user_data: u64) -> Cqe {
        Cqe {
            user_data,
            result: -1,
            last: 2,
            flags: uapi::CQE_ASYNC,
            reserved: 0,
        }
    }

    fn word(ring: &Ring, offset: usize) -> u32 {
        ring.header_u32(offset).load(Acquire)
    }

    fn set_head(ring: &Ring, head: u32) {
        ring.header_u32(offset_of!(RingHeader, head))
            .store(head, Release);
    }

    fn post(ring: &Ring, user_data: u64) -> Result {
        ring.post(ring.take_place().ok_or(EBUSY)?, cqe(user_data));
        Ok(())
    }

    /// Takes an entry as a user does.
    fn take(ring: &Ring) -> Option<Cqe> {
        let head = word(ring, offset_of!(RingHeader, head));
        if head == word(ring, offset_of!(RingHeader, tail)) {
            return None;
        }
        let index = (head & word(ring, offset_of!(RingHeader, mask))) as usize;
        // SAFETY: The mask keeps the index within the entries.
        let cqe = unsafe {
            let at = ring
                .base
                .as_ptr()
                .add(CQES_OFFSET + index * size_of::<Cqe>());
            at.cast::<Cqe>().read_volatile()
        };
        set_head(ring, head.wrapping_add(1));
        Some(cqe)
    }

    fn overflow(ring: &Ring) -> u32 {
        word(ring, offset_of!(RingHeader, overflow))
    }

    #[test]
    fn a_new_ring_is_empty_and_says_its_size() -> Result {
        for entries in [1, 2, 256] {
            let ring = ring(entries, 1)?;
            assert!(word(&ring, offset_of!(RingHeader, entries)) == entries);
            assert!(word(&ring, offset_of!(RingHeader, mask)) == entries - 1);
            assert!(ring.available() == 0 && ring.kept() == 0 && take(&ring).is_none());
            // SAFETY: So long is the allocation.
            let bytes = unsafe { core::slice::from_raw_parts(ring.base.as_ptr(), ring.bytes()) };
            let header = size_of::<RingHeader>();
            assert!(bytes[header..].iter().all(|&byte| byte == 0));
            assert!(ring.bytes() % PAGE_SIZE == 0);
            assert!(ring.base.as_ptr() as usize % PAGE_SIZE == 0);
        }
        Ok(())
    }

    #[test]
    fn what_finds_it_full_is_kept_in_order() -> Result {
        let ring = ring(4, 2)?;
        for user_data in 0..9 {
            post(&ring, user_data)?;
            let kept = user_data.saturating_sub(3) as u32;
            assert!(overflow(&ring) == kept && ring.kept() == kept as usize);
        }
        for user_data in 0..9 {
            assert!(take(&ring) == Some(cqe(user_data)));
            assert!(ring.available() == 4.min(8 - user_data as u32));
        }
        assert!(take(&ring).is_none() && overflow(&ring) == 0);
        Ok(())
    }

    #[test]
    fn a_completion_goes_behind_what_is_kept() -> Result {
        let ring = ring(2, 2)?;
        for user_data in 0..4 {
            post(&ring, user_data)?;
        }
        assert!(take(&ring) == Some(cqe(0)));
        post(&ring, 4)?;
        for user_data in 1..5 {
            assert!(take(&ring) == Some(cqe(user_data)));
            ring.available();
        }
        assert!(take(&ring).is_none());
        Ok(())
    }

    #[test]
    fn indices_run_through_their_end() -> Result {
        let ring = ring(4, 1)?;
        let start = u32::MAX - 5;
        ring.inner.lock().tail = start;
        ring.header_u32(offset_of!(RingHeader, tail))
            .store(start, Release);
        set_head(&ring, start);
        for round in 0..4 {
            for user_data in 0..4 {
                post(&ring, 4 * round + user_data)?;
            }
            assert!(ring.available() == 4 && ring.kept() == 0);
            for user_data in 0..4 {
                assert!(take(&ring) == Some(cqe(4 * round + user_data)));
            }
        }
        assert!(word(&ring, offset_of!(RingHeader, tail)) == start.wrapping_add(16));
        Ok(())
    }

    #[test]
    fn a_wild_head_is_a_full_ring() -> Result {
        let ring = ring(4, 2)?;
        post(&ring, 0)?;
        for head in [2, 100, u32::MAX - 100, 1 << 31] {
            set_head(&ring, head);
            assert!(ring.available() == 4);
            let kept = ring.kept();
            post(&ring, 1)?;
            assert!(ring.kept() == kept + 1);
        }
        // Nor does the rest of the header matter.
        let tail = ring.inner.lock().tail;
        for offset in (0..size_of::<RingHeader>()).step_by(size_of::<u32>()) {
            ring.header_u32(offset).store(u32::MAX, Release);
        }
        set_head(&ring, 1);
        assert!(ring.available() == 4 && ring.kept() == 0);
        assert!(ring.inner.lock().tail == tail.wrapping_add(4));
        Ok(())
    }

    #[test]
    fn there_are_places_for_all_kept_and_all_in_flight() -> Result {
        let ring = ring(2, 3)?;
        let limit = 4 * 2 + 3;
        let mut places = KVec::with_capacity(limit, GFP_KERNEL)?;
        while let Some(place) = ring.take_place() {
            places.push(place, GFP_KERNEL)?;
        }
        assert!(places.len() == limit && ring.take_place().is_none());
        // One more than fit: all but those in the ring are kept.
        for (user_data, place) in places.into_iter().enumerate() {
            assert!(!ring.is_clogged() || user_data >= 2 + 8);
            ring.post(place, cqe(user_data as u64));
        }
        assert!(ring.kept() == limit - 2 && ring.is_clogged());
        // Those in the ring have given theirs back.
        assert!(ring.take_place().is_some());
        for user_data in 0..limit as u64 {
            assert!(take(&ring) == Some(cqe(user_data)));
            ring.available();
        }
        assert!(ring.kept() == 0 && !ring.is_clogged());
        Ok(())
    }

    /// For the checker of the kernel's memory to look at, where there is one.
    #[test]
    fn the_largest_ring_is_within_its_memory() -> Result {
        let entries = uapi::MAX_CQ_ENTRIES;
        let ring = ring(entries, uapi::MAX_THREADS)?;
        for user_data in 0..u64::from(entries) + 1 {
            post(&ring, user_data)?;
        }
        assert!(ring.available() == entries && ring.kept() == 1);
        let last = entries - 1;
        set_head(&ring, last);
        assert!(take(&ring) == Some(cqe(last.into())));
        assert!(ring.available() == 1 && take(&ring) == Some(cqe(entries.into())));
        Ok(())
    }
}
