// SPDX-License-Identifier: GPL-2.0

//! Counters of one head.

use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;

/// A counter that only grows.
pub struct Counter(Atomic<u64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.add(n, Relaxed);
    }

    /// What was counted so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Why a block was just a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The process has no parking page.
    NoPage,
    /// A 32-bit caller.
    Compat,
    /// The caller is traced.
    Traced,
    /// The caller has state that belongs to the task: CPU timers, perf events, io_uring, tracees,
    /// held PI futexes.
    TaskState,
    /// The caller has registers that do not move.
    Registers,
    /// The head has as many threads as it may have.
    Limit,
    /// A spare could not be forked.
    Fork,
    /// The spare that was forked went to somebody else, is unlike the caller already, or late where
    /// a signal waits.
    NoSpare,
    /// The spare that was chosen found itself unlike the caller, or that this could not move just
    /// then.
    Refused,
}

impl Fallback {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::NoPage, "no-page"),
        (Self::Compat, "compat"),
        (Self::Traced, "traced"),
        (Self::TaskState, "task-state"),
        (Self::Registers, "registers"),
        (Self::Limit, "limit"),
        (Self::Fork, "fork"),
        (Self::NoSpare, "no-spare"),
        (Self::Refused, "refused"),
    ];
}

/// What a head has done since it was opened.
pub struct Stats {
    /// `EXEC` calls that ran something.
    pub calls: Counter,
    /// Programs handled, here or elsewhere.
    pub programs: Counter,
    /// Completions posted.
    pub completions: Counter,
    /// User contexts handed over.
    pub handoffs: Counter,
    /// Cachemiss threads forked.
    pub forks: Counter,
    fallbacks: [Counter; Fallback::ALL.len()],
}

impl Stats {
    /// All zero.
    pub const fn new() -> Self {
        Self {
            calls: Counter::new(),
            programs: Counter::new(),
            completions: Counter::new(),
            handoffs: Counter::new(),
            forks: Counter::new(),
            fallbacks: [const { Counter::new() }; Fallback::ALL.len()],
        }
    }

    /// Counts a call whose programs could only block in the caller, or one program of it.
    pub fn fallback(&self, reason: Fallback) {
        self.fallbacks[reason as usize].add(1);
    }

    /// How often that was for `reason`.
    pub fn fallbacks(&self, reason: Fallback) -> u64 {
        self.fallbacks[reason as usize].get()
    }
}
