// SPDX-License-Identifier: GPL-2.0

//! What syslets may cost, compared with what they are instead of.

use crate::case::Way;

/// The most that the syslets of a bench are to cost, as a multiple of what a peer does.
pub struct Target {
    /// The bench.
    pub bench: &'static str,
    /// Atoms or programs.
    pub size: u32,
    /// Whom they are compared with.
    pub peer: Way,
    /// What is aimed at.
    pub aim: f64,
    /// What fails a check: a little more than was reached so far, so that it is not lost again.
    /// Brought down with each gain, to the aim at last.
    pub gate: Option<f64>,
}

const fn aim(bench: &'static str, size: u32, peer: Way, aim: f64) -> Target {
    Target {
        bench,
        size,
        peer,
        aim,
        gate: None,
    }
}

impl Target {
    const fn gate(self, gate: f64) -> Self {
        Self {
            gate: Some(gate),
            ..self
        }
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    aim("null", 1, Way::Plain, 2.0).gate(6.4),
    aim("null", 16, Way::Plain, 0.35).gate(1.2),
    aim("null", 64, Way::Plain, 0.27),
    aim("pread", 1, Way::Plain, 1.25),
    aim("pread", 16, Way::Plain, 0.92),
    aim("ofrc", 1, Way::Plain, 0.95),
    aim("ofrc", 1, Way::Uring, 0.35),
    aim("ofrc", 1, Way::Pool, 0.5),
    aim("ofrc", 32, Way::Plain, 0.89),
    aim("handoff", 1, Way::Pool, 1.0),
    aim("roundtrip", 1, Way::Pool, 0.7).gate(1.0),
    aim("roundtrip", 1, Way::Uring, 1.5),
    aim("overtaken", 1, Way::Pool, 1.0).gate(1.5),
];
