// SPDX-License-Identifier: GPL-2.0

//! Exit against exit: of the last user context and of workers, all on their own.

// Each variant has its own copy of the module and of the scenarios.
#![allow(missing_docs, clippy::duplicate_mod, clippy::missing_panics_doc)]

#[macro_use]
#[path = "../common/mod.rs"]
mod common;
#[path = "../handoff/rest.rs"]
#[allow(dead_code)]
mod handoff_rest;

/// What the files that are run know of the rest of the module.
mod rest {
    pub use super::handoff_rest::*;

    /// No task of these scenarios is in a program.
    pub mod burial {
        pub unsafe fn bury<T>(_: &T) {}
        pub unsafe fn bury_suspended<T>(_: &T) {}
    }

    pub mod arch {
        pub const PARKING: [u8; 4] = [0; 4];
    }
}

include!(concat!(env!("OUT_DIR"), "/exit.rs"));

real! {
    user_and_worker_exit
    worker_ends_last
    user_exits_as_a_worker_parks
    user_exits_as_a_worker_reopens
}

mistaken! {
    only_a_user_disbands: worker_ends_last, "deadlock";
    takes_leaving_workers_for_users: worker_ends_last, "status";
    takes_the_first_probe_for_the_last: user_and_worker_exit, "status";
    leaves_the_status_as_it_is: worker_ends_last, "status";
    parks_in_a_disbanded_pool: user_exits_as_a_worker_parks, "deadlock";
    reopens_a_disbanded_pool: user_exits_as_a_worker_reopens, "deadlock";
}
