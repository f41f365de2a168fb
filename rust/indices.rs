// SPDX-License-Identifier: GPL-2.0

//! Arithmetic on the ring's free-running indices.

/// How many entries wait in the ring.
///
/// `head` is the user's word: one that is no index of a waiting entry counts as a full ring, so
/// that nothing is overwritten for it.
#[inline]
pub fn used(head: u32, tail: u32, entries: u32) -> u32 {
    tail.wrapping_sub(head).min(entries)
}

/// How many entries the ring has room for.
#[inline]
pub fn room(head: u32, tail: u32, entries: u32) -> u32 {
    entries - used(head, tail, entries)
}
