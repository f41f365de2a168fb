// SPDX-License-Identifier: GPL-2.0

//! Telling those who wait: a wait queue for sleepers and pollers, and an eventfd.

use core::ptr::NonNull;

use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::types::Opaque;

/// A wait queue for tasks and poll tables alike.
#[pin_data]
pub struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue has its own lock.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

/// Why a wait ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// A signal is pending.
    Interrupted,
    /// The time is up.
    TimedOut,
}

/// How long to wait.
#[derive(Clone, Copy)]
pub enum Deadline {
    /// Without end.
    Never,
    /// Until this `CLOCK_MONOTONIC` time in nanoseconds.
    At(i64),
}

impl WaitQueue {
    /// An empty queue.
    pub fn new(
        name: &'static CStr,
        key: Pin<&'static kernel::sync::LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            head <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes and pinned; name and key are static.
                unsafe { bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr()) }
            }),
        })
    }

    /// Wakes everybody.
    #[inline]
    pub fn wake_all(&self) {
        // SAFETY: The queue is initialised and pinned.
        unsafe {
            bindings::__wake_up(
                self.head.get(),
                bindings::TASK_NORMAL,
                0,
                core::ptr::null_mut(),
            )
        };
    }

    /// Adds the queue to a poll table.
    ///
    /// # Safety
    ///
    /// `table` must be null or valid, as `poll()` got it for `file`, and the queue must live as long
    /// as `file` does.
    pub unsafe fn poll_wait(&self, file: &File, table: *mut bindings::poll_table) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::poll_wait(file.as_ptr(), self.head.get(), table) };
    }

    /// Sleeps, interruptibly, until `met` returns a value.
    ///
    /// `met` is called at least once, after the task was queued, and may not sleep.
    pub fn wait<T>(
        &self,
        deadline: Deadline,
        mut met: impl FnMut() -> Option<T>,
    ) -> Result<T, Unmet> {
        let entry = Opaque::<bindings::wait_queue_entry>::uninit();
        // SAFETY: `entry` is valid for writes; it stays where it is until `finish_wait()`.
        unsafe { bindings::init_wait_entry(entry.get(), 0) };

        let result = loop {
            // SAFETY: Queue and entry are initialised, and the entry outlives its being queued.
            let interrupted = unsafe {
                bindings::prepare_to_wait_event(
                    self.head.get(),
                    entry.get(),
                    bindings::TASK_INTERRUPTIBLE as c_int,
                )
            } != 0;
            if let Some(value) = met() {
                break Ok(value);
            }
            if interrupted {
                break Err(Unmet::Interrupted);
            }
            if !sleep(deadline) {
                break met().ok_or(Unmet::TimedOut);
            }
        };
        // SAFETY: As above; this takes the entry off the queue.
        unsafe { bindings::finish_wait(self.head.get(), entry.get()) };
        result
    }
}

/// Sleeps in the state that was set. Returns false if the time is up.
fn sleep(deadline: Deadline) -> bool {
    match deadline {
        Deadline::Never => {
            // SAFETY: Called in process context, by a task that holds no spinlock.
            unsafe { bindings::schedule() };
            true
        }
        Deadline::At(mut at) => {
            // SAFETY: As above; `at` is an absolute time of the monotonic clock.
            let left = unsafe {
                bindings::schedule_hrtimeout_range(
                    &mut at,
                    0,
                    bindings::hrtimer_mode_HRTIMER_MODE_ABS,
                )
            };
            left != 0
        }
    }
}

/// A reference to an eventfd's context.
///
/// # Invariants
///
/// The pointer owns a reference.
pub struct EventFd(NonNull<bindings::eventfd_ctx>);

// SAFETY: The context is reference counted and has its own lock.
unsafe impl Send for EventFd {}

impl EventFd {
    /// The eventfd behind a file descriptor of the current task.
    pub fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: Any number may be looked up.
        let ctx = from_err_ptr(unsafe { bindings::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: On success the reference is ours.
        NonNull::new(ctx).map(Self).ok_or(EBADF)
    }

    /// Adds one to its count.
    #[inline]
    pub fn signal(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::eventfd_signal_mask(self.0.as_ptr(), 0) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::eventfd_ctx_put(self.0.as_ptr()) };
    }
}
