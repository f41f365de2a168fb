// SPDX-License-Identifier: GPL-2.0

//! Atoms on time, events, shared words and the process; and those that the crate has no type for.

use std::sync::atomic::AtomicUsize;
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use nix::sys::epoll::EpollTimeout;
use nix::sys::epoll::{EpollEvent, EpollOp};
use nix::time::ClockId;

use super::draft::Draft;
use super::{Count, Fd, FdArg, Number, Program, RawArg, Size, Unit, Word};
use crate::buffer::{address, Kept, OutBuf};
use crate::error::BuildError;
use crate::policy::{self, Abi};
use crate::uapi;

/// A word that `umem_add` adds to: borrowed for `'a`, or shared.
pub enum Counter<'a> {
    /// Borrowed.
    Borrowed(&'a AtomicUsize),
    /// Shared with the program.
    Shared(Arc<AtomicUsize>),
}

impl<'a> From<&'a AtomicUsize> for Counter<'a> {
    fn from(counter: &'a AtomicUsize) -> Self {
        Self::Borrowed(counter)
    }
}

impl From<Arc<AtomicUsize>> for Counter<'_> {
    fn from(counter: Arc<AtomicUsize>) -> Self {
        Self::Shared(counter)
    }
}

/// A duration as the kernel takes it; beyond what fits, the longest that does.
fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

impl Draft<'_, '_> {
    /// The address of a duration, or a null pointer.
    fn duration(self, duration: Option<Duration>) -> Self {
        match duration {
            Some(duration) => self.input(vec![timespec(duration)]),
            None => self.null(),
        }
    }
}

impl<'a> Program<'a> {
    /// `nanosleep(2)`.
    pub fn nanosleep(&mut self, duration: Duration) -> Result<Unit, BuildError> {
        let draft = self.draft("nanosleep", libc::SYS_nanosleep)?;
        draft.duration(Some(duration)).null().unit()
    }

    /// `clock_nanosleep(2)` for a duration, measured by `clock`.
    pub fn clock_nanosleep(
        &mut self,
        clock: ClockId,
        duration: Duration,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("clock_nanosleep", libc::SYS_clock_nanosleep)?;
        let draft = draft.int(clock.as_raw()).value(0);
        draft.duration(Some(duration)).null().unit()
    }

    /// `getpid(2)`.
    pub fn getpid(&mut self) -> Result<Number, BuildError> {
        self.draft("getpid", libc::SYS_getpid)?.number()
    }

    /// `getppid(2)`.
    pub fn getppid(&mut self) -> Result<Number, BuildError> {
        self.draft("getppid", libc::SYS_getppid)?.number()
    }

    /// `epoll_ctl(2)`. What `event` says counts except for `EpollCtlDel`.
    pub fn epoll_ctl(
        &mut self,
        epoll: impl Into<FdArg<'a>>,
        op: EpollOp,
        fd: impl Into<FdArg<'a>>,
        event: EpollEvent,
    ) -> Result<Unit, BuildError> {
        #[expect(clippy::cast_sign_loss, reason = "epoll's bits are the kernel's u32")]
        let event = libc::epoll_event {
            events: event.events().bits() as u32,
            u64: event.data(),
        };
        let draft = self.draft("epoll_ctl", libc::SYS_epoll_ctl)?;
        let draft = draft.fd(epoll).int(op as i32).fd(fd);
        draft.input(vec![event]).unit()
    }

    /// `epoll_wait(2)`: at most as many events as `events` has room for.
    pub fn epoll_wait<B: OutBuf<'a, libc::epoll_event>>(
        &mut self,
        epoll: impl Into<FdArg<'a>>,
        events: B,
        timeout: EpollTimeout,
    ) -> Result<Count<B::Owned>, BuildError> {
        // Not every architecture has the call without a signal mask; a null one is the same.
        let draft = self.draft("epoll_pwait", libc::SYS_epoll_pwait)?;
        let draft = draft.fd(epoll).buffer(events);
        let draft = draft.int(i32::from(timeout)).null();
        // The size of the mask that is not there.
        draft.value(size_of::<u64>() as u64).count()
    }

    /// `ppoll(2)` without a signal mask: how many of `fds` have something to tell. Without a
    /// timeout it waits for ever.
    ///
    /// The numbers in `fds` are only looked at, so it does no harm if one is closed meanwhile.
    pub fn poll<B: OutBuf<'a, libc::pollfd>>(
        &mut self,
        fds: B,
        timeout: Option<Duration>,
    ) -> Result<Number, BuildError> {
        let draft = self.draft("ppoll", libc::SYS_ppoll)?;
        let draft = draft.buffer(fds).duration(timeout).null();
        draft.value(0).number()
    }

    /// `futex(2)` with `FUTEX_WAIT`, on a word of this process: sleeps until it is woken, or the
    /// time has passed, unless the word is not `expected`.
    pub fn futex_wait(
        &mut self,
        word: impl Into<Word<'a>>,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<Unit, BuildError> {
        let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let draft = self.draft("futex", libc::SYS_futex)?;
        let draft = draft.word(word).int(op).value(expected.into());
        draft.duration(timeout).unit()
    }

    /// `futex(2)` with `FUTEX_WAKE`, on a word of this process: wakes at most `waiters`; the
    /// [`Size`] is how many.
    pub fn futex_wake(
        &mut self,
        word: impl Into<Word<'a>>,
        waiters: i32,
    ) -> Result<Size, BuildError> {
        let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        let draft = self.draft("futex", libc::SYS_futex)?;
        draft.word(word).int(op).int(waiters).size()
    }

    /// Adds `addend` to the counter and returns the new value, without a system call.
    ///
    /// What other threads add between the kernel's read and its write is lost: this is not an
    /// atomic addition. The atom starts without a stop condition, for a sum is no failure; for
    /// conditions, and where it is looked at, it counts as a signed number.
    pub fn umem_add(
        &mut self,
        counter: impl Into<Counter<'a>>,
        addend: usize,
    ) -> Result<Number, BuildError> {
        let draft = self.draft_numbered("umem_add", uapi::NR_UMEM_ADD)?;
        let draft = match counter.into() {
            Counter::Borrowed(counter) => draft.value(address(counter.as_ptr())),
            Counter::Shared(counter) => {
                draft.kept(address(counter.as_ptr()), Kept::Any(Box::new(counter)))
            }
        };
        draft.value(addend as u64).carrying_on().number()
    }

    /// Any system call, by its number (`libc::SYS_*`).
    ///
    /// # Safety
    ///
    /// The call, with these arguments, must be sound to make whenever the program runs, as often
    /// as it runs, and, if it is submitted, in whatever thread: what it points to must be valid
    /// and unused by others for that long, and it must not close or replace descriptors or memory
    /// that others rely on.
    ///
    /// # Errors
    ///
    /// [`BuildError::TooManyArguments`] beyond six.
    pub unsafe fn raw(&mut self, nr: u32, args: &[RawArg]) -> Result<Number, BuildError> {
        self.untyped(nr, args)?.number()
    }

    /// As [`raw`](Self::raw), for a call that returns a new descriptor, which will be the
    /// program's.
    ///
    /// # Safety
    ///
    /// As for [`raw`](Self::raw); and what the call returns, if it is not negative, is a
    /// descriptor that nobody else owns.
    pub unsafe fn raw_fd(&mut self, nr: u32, args: &[RawArg]) -> Result<Fd, BuildError> {
        self.untyped(nr, args)?.opens()
    }

    fn untyped(&mut self, nr: u32, args: &[RawArg]) -> Result<Draft<'_, 'a>, BuildError> {
        let name = match nr {
            uapi::NR_UMEM_ADD => "umem_add",
            nr => policy::name(Abi::X86_64, nr).unwrap_or("unknown call"),
        };
        let mut draft = self.draft_numbered(name, nr)?;
        for arg in args {
            draft = draft.raw(*arg);
        }
        Ok(draft)
    }
}
