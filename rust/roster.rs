// SPDX-License-Identifier: GPL-2.0

//! Who is in a pool: the lists that its lock protects.

use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;
use kernel::sync::Arc;

use crate::worker::Worker;

/// The workers of a pool.
pub struct Roster {
    /// Every worker; it never grows beyond its capacity.
    pub all: KVVec<Arc<Worker>>,
    /// Those that may be reserved; neither does this.
    pub idle: KVVec<Arc<Worker>>,
    /// No user context is left in the process: all leave, whoever they are.
    pub dying: bool,
    /// The exit status of the last one, which a process ends with.
    pub status: u8,
}

/// How many workers do what.
#[derive(Clone, Copy, Default)]
pub struct Census {
    /// In all.
    pub all: usize,
    /// Waiting to be reserved.
    pub idle: usize,
    /// Carrying a program.
    pub busy: usize,
    /// Asleep in that.
    pub blocked: usize,
}

impl Roster {
    /// One for `most` workers, empty.
    pub fn new(most: usize) -> Result<Self> {
        Ok(Self {
            all: KVVec::with_capacity(most, GFP_KERNEL_ACCOUNT)?,
            idle: KVVec::with_capacity(most, GFP_KERNEL_ACCOUNT)?,
            dying: false,
            status: 0,
        })
    }

    /// How many are as `which` says.
    pub fn count(&self, which: impl Fn(&Worker) -> bool) -> usize {
        self.all.iter().filter(|worker| which(worker)).count()
    }

    /// Whether there are more than `spares` that may be chosen.
    pub fn has_more_spares_than(&self, spares: u32) -> bool {
        let mut found = self.all.iter().filter(|worker| worker.is_spare());
        found.nth(spares as usize).is_some()
    }

    /// How many do what.
    pub fn census(&self) -> Census {
        let is_busy = |worker: &Worker| !worker.flight.load(Relaxed).is_null();
        Census {
            all: self.all.len(),
            idle: self.count(Worker::is_spare),
            busy: self.count(is_busy),
            blocked: self.count(|worker| is_busy(worker) && worker.is_asleep()),
        }
    }

    /// Takes a worker out.
    pub fn strike_off(&mut self, worker: &Arc<Worker>) {
        remove(&mut self.all, worker);
    }

    /// Takes one out of those that may be reserved.
    pub fn stand_up(&mut self, worker: &Arc<Worker>) {
        remove(&mut self.idle, worker);
    }

    /// Retires some idle workers, and has the others look whether and how long they stay.
    pub fn retire_idle(&mut self, which: impl Fn(&Worker) -> bool) {
        self.idle.retain(|worker| {
            let retires = which(worker);
            if retires {
                worker.retire();
            } else {
                worker.wake();
            }
            !retires
        });
    }
}

fn remove(list: &mut KVVec<Arc<Worker>>, worker: &Arc<Worker>) {
    if let Some(at) = list.iter().position(|other| Arc::ptr_eq(other, worker)) {
        let _ = list.remove(at);
    }
}
