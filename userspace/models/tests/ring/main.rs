// SPDX-License-Identifier: GPL-2.0

//! Posting completions against taking them: nothing is lost, doubled or torn, and nobody sleeps on.

// Each variant has its own copy of the module and of the scenarios.
#![allow(
    missing_docs,
    clippy::cast_ptr_alignment,
    clippy::duplicate_mod,
    clippy::missing_panics_doc
)]

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

/// What the files that are run know of the rest of the module.
mod rest {
    pub use syslet_pure::uapi;
}

include!(concat!(env!("OUT_DIR"), "/ring.rs"));

real! {
    take_as_it_is_posted
    two_post
    wait_and_post
    read_the_eventfd
    take_places
}

mistaken! {
    publishes_without_release: take_as_it_is_posted, "Concurrent read and write";
    reuses_without_acquire: take_as_it_is_posted, "Concurrent read and write";
    has_room_for_one_more: take_as_it_is_posted, "overrun";
    posts_past_what_is_kept: two_post, "order";
    gives_back_the_place_of_what_is_kept: take_places, "lost";
    signals_before_it_posts: read_the_eventfd, "deadlock";
    posts_without_waking: wait_and_post, "deadlock";
    looks_before_it_queues: wait_and_post, "deadlock";
}
