// SPDX-License-Identifier: GPL-2.0

//! What is counted: instructions, or nanoseconds.

use std::arch::asm;
use std::arch::x86_64::_rdtsc;

use anyhow::{ensure, Result};
use nix::time::{clock_gettime, ClockId};

/// What the time is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The time stamp counter of a machine that counts one for each instruction.
    ///
    /// Not the system's clock: that is as good as the kernel's guess at the counter's frequency.
    Instructions,
    /// Real time.
    Nanoseconds,
}

impl Clock {
    /// The clock for this machine; fails if it is to count instructions and does not.
    pub fn new(icount: bool) -> Result<Self> {
        if !icount {
            return Ok(Self::Nanoseconds);
        }
        let counted = Self::known_loop();
        ensure!(
            (2 * TURNS..2 * TURNS + 100).contains(&counted),
            "the time does not count instructions here: {counted} for {}",
            2 * TURNS
        );
        Ok(Self::Instructions)
    }

    /// How long `2 * TURNS` instructions take, at the least.
    fn known_loop() -> u64 {
        let once = || {
            let begin = Self::Instructions.now();
            // SAFETY: Counts a register down.
            unsafe {
                asm!("2: dec {n}", "jnz 2b", n = inout(reg) TURNS => _, options(nomem, nostack));
            }
            Self::Instructions.now() - begin
        };
        (0..10).map(|_| once()).min().unwrap_or_default()
    }

    /// The time.
    #[inline]
    pub fn now(self) -> u64 {
        match self {
            // SAFETY: Reads a counter that every such processor has.
            Self::Instructions => unsafe { _rdtsc() },
            Self::Nanoseconds => {
                let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock of every kernel");
                now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs()
            }
        }
    }

    /// What reading it costs.
    pub fn cost(self) -> u64 {
        let once = |_| {
            let begin = self.now();
            self.now() - begin
        };
        (0..1000).map(once).min().unwrap_or_default()
    }

    /// What it counts.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Nanoseconds => "ns",
        }
    }
}

const TURNS: u64 = 10_000;
