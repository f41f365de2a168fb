// SPDX-License-Identifier: GPL-2.0

//! Syslets: short sequences of system calls, submitted at once.
//!
//! Lock order, outermost first:
//!
//! 1. [`head::Head`]'s `setup` mutex
//! 2. the registry of [`process`]
//! 3. [`cachemiss::Pool`]'s lock
//! 4. [`ring::Ring`]'s lock
//! 5. the kernel's own: wait queues, the eventfd, the scheduler; never `tasklist_lock`, and a
//!    `siglock` only to count threads, with the registry's lock alone
//!
//! None of ours is taken with one of the kernel's held.
//!
//! A takeover from the leader of a process has an order of its own, see `leader.c`.

// `pub` means public to the other files here; some of them are compiled for the host, too.
#![allow(unreachable_pub)]

use kernel::prelude::*;

mod arch;
mod batch;
mod block;
mod burial;
mod cachemiss;
mod copy;
mod device;
mod dispatch;
mod exec;
mod fdinfo;
mod flight;
mod fly;
mod handoff;
mod head;
mod identity;
mod indices;
#[cfg(CONFIG_SYSLET_KUNIT_TEST)]
mod kunit;
mod late;
mod notify;
mod params;
mod parking;
mod policy;
mod process;
mod program;
mod ring;
mod roster;
mod run;
mod session;
mod settle;
mod spare;
mod stats;
mod symbols;
mod trace;
#[allow(dead_code, reason = "userspace uses what the module does not")]
mod uapi;
mod uatom;
mod wait;
mod worker;

module! {
    type: Syslet,
    name: "syslet",
    authors: ["The syslet authors"],
    description: "Short sequences of system calls, submitted at once",
    license: "GPL v2",
    params: {
        max_atoms: u32 {
            default: 64,
            description: "Most atoms in a program (1 to 64)",
        },
        max_programs: u32 {
            default: 1024,
            description: "Most programs in one call (1 to 1024)",
        },
        max_cq_entries: u32 {
            default: 65536,
            description: "Most entries of a completion ring (1 to 65536)",
        },
        max_threads: u32 {
            default: 4096,
            description: "Most cachemiss threads of one head (1 to 4096)",
        },
    },
}

/// The module: fields are dropped in this order, the device first.
#[pin_data]
pub struct Syslet {
    #[pin]
    device: device::Device,
    registry: process::Registry,
    notifiers: block::Notifiers,
    symbols: symbols::Symbols,
}

impl kernel::InPlaceModule for Syslet {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            symbols: symbols::Symbols::resolve()?,
            notifiers: block::Notifiers::enable(),
            registry: process::Registry::new(),
            device <- device::Device::register(),
        }? Error)
    }
}
