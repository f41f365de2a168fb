// SPDX-License-Identifier: GPL-2.0

//! What the threads of a case do. The order is part of the format of cases: add at the end.

mod device;
mod memory;
mod parking;
mod process;
mod submit;

use fastrand::Rng;

use crate::case::Tape;
use crate::thread::Thread;

/// An operation.
pub struct Op {
    /// What it is called.
    pub name: &'static str,
    weight: u8,
    /// It may end the process in any way.
    pub deadly: bool,
    /// Does it.
    pub run: fn(&mut Thread<'_>, &mut Tape<'_>),
}

const fn op(name: &'static str, weight: u8, run: fn(&mut Thread<'_>, &mut Tape<'_>)) -> Op {
    Op {
        name,
        weight,
        deadly: false,
        run,
    }
}

const fn deadly(name: &'static str, weight: u8, run: fn(&mut Thread<'_>, &mut Tape<'_>)) -> Op {
    Op {
        deadly: true,
        ..op(name, weight, run)
    }
}

/// The number of the first of [`OPS`].
pub const OPEN: u8 = 0;

/// The number of the one that runs programs.
pub const EXEC: u8 = 3;

const OPS: &[Op] = &[
    op("open", 6, device::open),
    op("setup", 4, device::setup),
    op("query", 2, device::query),
    op("exec", 40, submit::exec),
    op("exec_uatom", 14, submit::exec_uatom),
    op("wait", 10, device::wait),
    op("cancel", 8, device::cancel),
    op("eventfd", 3, device::eventfd),
    op("park", 1, device::park),
    op("command", 3, device::command),
    op("mmap", 4, device::mmap),
    op("ring", 6, device::ring),
    op("poll", 3, device::poll),
    op("close", 4, device::close),
    op("dup", 3, device::dup),
    op("fdinfo", 2, device::fdinfo),
    op("call", 8, process::call),
    op("wake", 12, process::wake),
    op("sleep", 6, process::sleep),
    op("signal", 5, process::signal),
    op("mask", 3, process::mask),
    op("fork", 2, process::fork),
    op("identity", 3, process::identity),
    op("stop", 4, process::stop),
    op("trace", 2, process::trace),
    op("end", 1, process::end),
    op("scribble", 6, submit::scribble),
    op("rewrite", 4, submit::rewrite),
    op("late", 3, memory::late),
    op("arrive", 6, memory::arrive),
    op("protect", 2, memory::protect),
    deadly("filter", 1, process::filter),
    deadly("unpark", 1, parking::unpark),
    deadly("enter", 1, parking::enter),
];

/// The operation that a byte stands for.
pub fn of(byte: u8) -> &'static Op {
    &OPS[usize::from(byte) % OPS.len()]
}

/// A random one, as often as its weight says.
pub fn weighted(random: &mut Rng) -> u8 {
    let total: u32 = OPS.iter().map(|op| u32::from(op.weight)).sum();
    let mut left = random.u32(..total);
    for (index, op) in OPS.iter().enumerate() {
        match left.checked_sub(op.weight.into()) {
            Some(rest) => left = rest,
            None => return index as u8,
        }
    }
    OPEN
}
