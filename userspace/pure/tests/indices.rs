// SPDX-License-Identifier: GPL-2.0

//! The ring's free-running indices, across their wrap-around and with a head that lies.

use proptest::prelude::*;
use syslet_oracles::ring as oracle;
use syslet_pure::indices;
use syslet_pure::uapi;

/// A size that a ring can have.
fn entries() -> impl Strategy<Value = u32> {
    (0..=uapi::MAX_CQ_ENTRIES.ilog2()).prop_map(|bits| 1 << bits)
}

/// Indices near the places where they wrap and where their sign would change, or anywhere.
fn index() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        (-40..40i32).prop_map(|near| 0u32.wrapping_add_signed(near)),
        (-40..40i32).prop_map(|near| (1u32 << 31).wrapping_add_signed(near)),
    ]
}

proptest! {
    #[test]
    fn entries_are_counted_across_the_wrap(
        entries in entries(),
        head in index(),
        fill: prop::sample::Index,
    ) {
        let waiting = u32::try_from(fill.index(entries as usize + 1)).expect("small");
        let tail = head.wrapping_add(waiting);
        prop_assert_eq!(indices::used(head, tail, entries), waiting);
        prop_assert_eq!(indices::room(head, tail, entries), entries - waiting);
    }

    #[test]
    fn a_head_that_lies_never_makes_room(entries in entries(), head in index(), tail in index()) {
        oracle::check(head, tail, entries);
    }
}
