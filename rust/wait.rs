// SPDX-License-Identifier: GPL-2.0

//! `WAIT`: sleeping until completions are there.

use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;
use kernel::time::hrtimer::HrTimerExpires;
use kernel::time::Instant;
use kernel::time::Monotonic;
use kernel::uaccess::UserSlice;

use crate::copy;
use crate::head::Head;
use crate::identity;
use crate::notify::Deadline;
use crate::notify::Unmet;
use crate::uapi;

/// Size of the kernel's signal set, which is the only one there is.
const SIGSET_SIZE: u32 = size_of::<u64>() as u32;

/// Waits as `wait` asks; returns how many completions are in the ring.
pub fn wait(head: &Head, wait: &uapi::Wait) -> Result<isize> {
    let ring = &head.established()?.ring;
    if wait.flags & !uapi::WAIT_ABS != 0 || wait.min_complete > ring.entries() {
        return Err(EINVAL);
    }
    let mask = read_mask(wait)?;
    let deadline = deadline(wait);

    let restore = mask.map(TemporaryMask::set);
    let result = ring.wait(wait.min_complete, deadline);
    if let Some(restore) = restore {
        restore.end(result == Err(Unmet::Interrupted));
    }
    match result {
        // CAST: At most the ring's size.
        Ok(available) => Ok(available as isize),
        Err(Unmet::Interrupted) => Err(EINTR),
        Err(Unmet::TimedOut) => Err(ETIME),
    }
}

fn read_mask(wait: &uapi::Wait) -> Result<Option<bindings::sigset_t>> {
    if wait.sigmask == 0 {
        return if wait.sigset_size == 0 {
            Ok(None)
        } else {
            Err(EINVAL)
        };
    }
    if wait.sigset_size != SIGSET_SIZE {
        return Err(EINVAL);
    }
    let bits: u64 = UserSlice::new(copy::user_ptr(wait.sigmask)?, SIGSET_SIZE as usize)
        .reader()
        .read()?;
    let mut set = bindings::sigset_t::default();
    set.sig[0] = bits as usize & identity::ALL_SIGNALS;
    Ok(Some(set))
}

/// Until when to sleep; `None`: not at all.
fn deadline(wait: &uapi::Wait) -> Option<Deadline> {
    if wait.timeout_ns == u64::MAX {
        return Some(Deadline::Never);
    }
    if wait.timeout_ns == 0 && wait.flags & uapi::WAIT_ABS == 0 {
        return None;
    }
    let nanos = i64::try_from(wait.timeout_ns).unwrap_or(i64::MAX);
    Some(Deadline::At(if wait.flags & uapi::WAIT_ABS != 0 {
        nanos
    } else {
        Instant::<Monotonic>::now().as_nanos().saturating_add(nanos)
    }))
}

/// A signal mask that is in force while a call waits, as with `ppoll()`.
struct TemporaryMask {
    user: bindings::sigset_t,
}

impl TemporaryMask {
    /// Puts `mask` in force.
    fn set(mut mask: bindings::sigset_t) -> Self {
        // SAFETY: The current task's own mask, which only it writes.
        let user = unsafe { (*Task::current_raw()).blocked };
        // SAFETY: As above; the set is valid for reads.
        unsafe {
            bindings::sigprocmask(
                bindings::SIG_SETMASK as c_int,
                &mut mask,
                core::ptr::null_mut(),
            )
        };
        Self { user }
    }

    /// Ends it: at once, or, where a signal is to be handled under it, on the way back to user
    /// space.
    fn end(mut self, interrupted: bool) {
        if interrupted {
            let task = Task::current_raw();
            // SAFETY: The current task's own fields, which only it writes.
            unsafe {
                (*task).saved_sigmask = self.user;
                bindings::task_struct::set_restore_sigmask_raw(task, 1);
            }
            return;
        }
        // SAFETY: As in `set`.
        unsafe {
            bindings::sigprocmask(
                bindings::SIG_SETMASK as c_int,
                &mut self.user,
                core::ptr::null_mut(),
            )
        };
    }
}
