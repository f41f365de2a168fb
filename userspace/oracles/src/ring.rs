// SPDX-License-Identifier: GPL-2.0

//! The ring's indices: by counts that do not wrap.

use syslet_pure::indices;

/// Holds what is said about a ring against the header's text.
pub fn check(head: u32, tail: u32, entries: u32) {
    let ahead = u64::from(tail) + (u64::from(tail < head) << 32) - u64::from(head);
    // A head that is no index of a waiting entry is a full ring.
    let waiting = ahead.min(entries.into());
    let used = indices::used(head, tail, entries);
    let room = indices::room(head, tail, entries);
    assert_eq!(u64::from(used), waiting, "{head} to {tail} of {entries}");
    assert_eq!(room.checked_add(used), Some(entries), "{head} to {tail}");
}
