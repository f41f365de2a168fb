// SPDX-License-Identifier: GPL-2.0

//! `io_uring`, with entries that are filled in once.

use anyhow::{ensure, Context, Result};
use io_uring::squeue::Entry;
use io_uring::IoUring;

/// A ring, and entries that are submitted together, again and again.
pub struct Uring {
    ring: IoUring,
    entries: Vec<Entry>,
}

impl Uring {
    /// A ring for these entries, and a table of `files` descriptors of its own.
    ///
    /// # Safety
    ///
    /// What the entries do to memory is the caller's concern for as long as the value is run.
    pub unsafe fn new(entries: Vec<Entry>, files: usize) -> Result<Self> {
        let room = u32::try_from(entries.len().next_power_of_two())?;
        // What its documentation recommends to those who submit and wait in one thread.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(room)
            .context("io_uring_setup")?;
        if files > 0 {
            let empty = u32::try_from(files)?;
            ring.submitter().register_files_sparse(empty)?;
        }
        Ok(Self { ring, entries })
    }

    /// Submits them all and waits until `complete` of them are done.
    #[inline]
    pub fn enter(&mut self, complete: usize) -> Result<()> {
        // SAFETY: The promise given to `new`.
        unsafe { self.ring.submission().push_multiple(&self.entries) }?;
        let submitted = self.ring.submit_and_wait(complete)?;
        ensure!(submitted == self.entries.len(), "{submitted} submitted");
        Ok(())
    }

    /// Waits until one is done.
    #[inline]
    pub fn wait(&mut self) -> Result<()> {
        self.ring.submit_and_wait(1)?;
        Ok(())
    }

    /// Takes what is done; fails if one of them has, or if there are not `count`.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<()> {
        let mut taken = 0;
        for done in self.ring.completion() {
            ensure!(done.result() >= 0, "io_uring: error {}", -done.result());
            taken += 1;
        }
        ensure!(taken == count, "{taken} of {count} done");
        Ok(())
    }
}
