// SPDX-License-Identifier: GPL-2.0

//! What to wait for, and for how long.

use std::time::Duration;

use nix::libc;
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;

use crate::buffer::address;
use crate::{raw, uapi};

/// No limit, as the kernel takes it.
const FOREVER: u64 = u64::MAX;

/// Size of the kernel's signal set, which is the beginning of the C library's.
const SIGSET_SIZE: u32 = raw::size_field::<u64>();

/// When [`Head::wait`](crate::Head::wait) returns.
#[derive(Clone, Copy, Debug)]
pub struct WaitFor<'a> {
    min_complete: u32,
    timeout_ns: u64,
    absolute: bool,
    sigmask: Option<&'a SigSet>,
}

impl<'a> WaitFor<'a> {
    /// Until `min` completions are in the ring, however long that takes. No more can be asked for
    /// than the ring has entries.
    pub fn completions(min: u32) -> Self {
        Self {
            min_complete: min,
            timeout_ns: FOREVER,
            absolute: false,
            sigmask: None,
        }
    }

    /// But for no longer than `timeout`; zero does not sleep at all.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        // What does not fit is beyond the age of anything that could wait for it.
        self.timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(FOREVER);
        self.absolute = false;
        self
    }

    /// But only until `CLOCK_MONOTONIC` shows this time.
    pub fn deadline(mut self, time: TimeSpec) -> Self {
        let time = Duration::from(time);
        self = self.timeout(time);
        self.absolute = true;
        self
    }

    /// With this signal mask in force while it waits, as with `ppoll(2)`.
    pub fn sigmask(mut self, mask: &'a SigSet) -> Self {
        self.sigmask = Some(mask);
        self
    }

    /// As the kernel takes it; the mask is borrowed for `'a`.
    pub(crate) fn encode(&self) -> uapi::Wait {
        let mask: Option<&libc::sigset_t> = self.sigmask.map(AsRef::as_ref);
        uapi::Wait {
            size: raw::size_field::<uapi::Wait>(),
            flags: if self.absolute { uapi::WAIT_ABS } else { 0 },
            min_complete: self.min_complete,
            sigset_size: mask.map_or(0, |_| SIGSET_SIZE),
            timeout_ns: self.timeout_ns,
            sigmask: mask.map_or(0, |mask| address(mask)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_ever_unless_told() {
        let wait = WaitFor::completions(3).encode();
        assert_eq!(wait.min_complete, 3);
        assert_eq!(wait.timeout_ns, u64::MAX);
        assert_eq!((wait.flags, wait.sigmask, wait.sigset_size), (0, 0, 0));
    }

    #[test]
    fn a_timeout_is_relative_and_a_deadline_absolute() {
        let wait = WaitFor::completions(1).timeout(Duration::from_micros(5));
        assert_eq!((wait.encode().flags, wait.encode().timeout_ns), (0, 5000));

        let wait = wait.deadline(TimeSpec::new(1, 2));
        assert_eq!(wait.encode().flags, uapi::WAIT_ABS);
        assert_eq!(wait.encode().timeout_ns, 1_000_000_002);

        let wait = wait.timeout(Duration::MAX);
        assert_eq!(
            (wait.encode().flags, wait.encode().timeout_ns),
            (0, u64::MAX)
        );
    }

    #[test]
    fn a_mask_has_the_kernels_size() {
        let mask = SigSet::all();
        let wait = WaitFor::completions(0).sigmask(&mask).encode();
        assert_eq!(wait.sigset_size, 8);
        assert_eq!(wait.sigmask, address(mask.as_ref()));
    }
}
