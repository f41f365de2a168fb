// SPDX-License-Identifier: GPL-2.0

//! A thread that waits for work, as most programs have it.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;

use anyhow::{anyhow, Result};

/// A pool of one thread.
pub struct Pool {
    jobs: Sender<()>,
    answers: Receiver<i64>,
}

impl Pool {
    /// A thread that does `work` each time it is asked to.
    ///
    /// It knows what to do beforehand: no job is boxed, which spares it an allocation each.
    pub fn new(mut work: impl FnMut() -> i64 + Send + 'static) -> Self {
        let (jobs, asked) = channel();
        let (answer, answers) = channel();
        thread::spawn(
            move || {
                while asked.recv().is_ok() && answer.send(work()).is_ok() {}
            },
        );
        Self { jobs, answers }
    }

    /// Asks it to.
    #[inline]
    pub fn ask(&self) -> Result<()> {
        self.jobs
            .send(())
            .map_err(|_| anyhow!("the thread has ended"))
    }

    /// Waits for what came of it.
    #[inline]
    pub fn answer(&self) -> Result<i64> {
        Ok(self.answers.recv()?)
    }
}
