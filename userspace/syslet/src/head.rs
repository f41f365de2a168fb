// SPDX-License-Identifier: GPL-2.0

//! A head: the device with its ring, running programs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{clock_gettime, ClockId};

use crate::buffer::address;
use crate::device::{Device, Info, DEFAULT_PATH};
use crate::error::Error;
use crate::flight::{InFlight, Ticket};
use crate::outcome::Outcome;
use crate::program::Program;
use crate::raw::{Mapping, Ring};
use crate::submit::Completion;
use crate::wait::WaitFor;
use crate::{raw, uapi};

/// Opens a head with other than the usual limits.
#[derive(Clone, Debug)]
pub struct HeadBuilder {
    path: PathBuf,
    setup: uapi::Setup,
}

impl Default for HeadBuilder {
    fn default() -> Self {
        Self {
            path: DEFAULT_PATH.into(),
            setup: uapi::Setup {
                size: raw::size_field::<uapi::Setup>(),
                ..uapi::Setup::default()
            },
        }
    }
}

impl HeadBuilder {
    /// Where the device is; `/dev/syslet` unless told otherwise.
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.path = path.as_ref().into();
        self
    }

    /// Entries of the completion ring, a power of two; 256 unless told otherwise. When it is full
    /// the kernel keeps completions back, at most four times as many.
    pub fn cq_entries(mut self, entries: u32) -> Self {
        self.setup.cq_entries = entries;
        self
    }

    /// Most cachemiss threads, and so most programs blocked at once.
    pub fn max_threads(mut self, threads: u32) -> Self {
        self.setup.max_threads = threads;
        self
    }

    /// Threads kept ready for programs that block; 1 unless told otherwise.
    pub fn spare_threads(mut self, threads: u32) -> Self {
        self.setup.spare_threads = threads;
        self
    }

    /// How long a thread beyond the spares waits for work before it leaves. Cut to whole
    /// milliseconds, at least one.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.setup.idle_ms = u32::try_from(idle.as_millis().max(1)).unwrap_or(u32::MAX);
        self
    }

    /// Opens the device and sets it up.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], and [`Error::Command`] with `EINVAL` for limits that the kernel does not
    /// grant, or `EMFILE`, `ENOMEM` and their like.
    pub fn open(self) -> Result<Head, Error> {
        let device = Device::open_at(&self.path)?;
        let info = device.query()?;
        let mut setup = self.setup;
        // SAFETY: Safe on any file: others refuse the command.
        unsafe { raw::setup(device.as_fd(), &mut setup) }.map_err(Error::command("SETUP"))?;
        let ring = Mapping::new(device.as_fd(), &setup).map_err(|errno| match errno {
            Errno::EPROTO => Error::Protocol("an impossible completion ring"),
            errno => Error::command("mmap")(errno),
        })?;
        Ok(Head {
            shared: Mutex::new(Shared {
                flight: InFlight::default(),
                ring,
            }),
            entered: AtomicU64::new(0),
            cq_entries: setup.cq_entries,
            info,
            device,
        })
    }
}

/// What the threads that use a head share, by turns.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) flight: InFlight,
    ring: Mapping,
}

impl Shared {
    fn ring(&mut self) -> Ring<'_> {
        // SAFETY: Rings are made here only, of `&mut self`, so there is one at a time.
        unsafe { self.ring.ring() }
    }

    pub(crate) fn pop(&mut self) -> Option<uapi::Cqe> {
        self.ring().pop()
    }

    pub(crate) fn overflow(&mut self) -> u32 {
        self.ring().overflow()
    }
}

/// Where programs are run: one open `/dev/syslet`, with its completion ring and its limits.
///
/// It can be shared between the threads of the process that opened it, and used by them at the
/// same time; for another process, a forked child too, running programs fails with `EACCES`.
///
/// As a descriptor ([`AsFd`]) it is readable for `poll(2)` and its kin while completions wait.
///
/// # Dropping
///
/// Nothing waits when a head is dropped. Programs in flight go on, and what they own is leaked,
/// because the kernel may yet write to it. [`drain`](Self::drain) waits.
#[derive(Debug)]
pub struct Head {
    // In the order in which they go: the ring is unmapped before its device is closed.
    shared: Mutex<Shared>,
    entered: AtomicU64,
    cq_entries: u32,
    info: Info,
    device: Device,
}

impl Head {
    /// Opens `/dev/syslet` with the usual limits.
    ///
    /// # Errors
    ///
    /// As for [`HeadBuilder::open`].
    pub fn open() -> Result<Self, Error> {
        Self::builder().open()
    }

    /// To open it with others.
    pub fn builder() -> HeadBuilder {
        HeadBuilder::default()
    }

    /// The device, to ask for more than [`info`](Self::info) has.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the kernel offers.
    pub fn info(&self) -> Info {
        self.info
    }

    /// How many entries the completion ring has.
    pub fn cq_entries(&self) -> u32 {
        self.cq_entries
    }

    /// How often programs have entered the kernel through this head: one entry runs a batch.
    pub fn entered(&self) -> u64 {
        self.entered.load(Ordering::Relaxed)
    }

    /// How many programs are in flight, those included whose completions wait to be taken.
    pub fn in_flight(&self) -> usize {
        self.shared().flight.len()
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        // Nothing that runs under the lock leaves things half done.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many programs one entry takes.
    pub(crate) fn max_programs(&self) -> usize {
        (self.info.max_programs as usize).max(1)
    }

    /// Runs a program to its end, in the caller.
    ///
    /// # Errors
    ///
    /// [`Error::Build`] for a program that cannot run; [`Error::Refused`] for one with an untyped
    /// call that may not be in a program; [`Error::Command`], with nothing run: `E2BIG` for more
    /// atoms than the kernel takes, `EACCES` in another process, `EINTR` when a signal handler ran
    /// while the first call waited. A call that fails is not among them: see [`Outcome`].
    pub fn run<'p, 'a>(&self, program: &'p mut Program<'a>) -> Result<Outcome<'p, 'a>, Error> {
        self.run_all(std::slice::from_mut(program))?;
        program
            .outcome()
            .ok_or(Error::Protocol("a program was left out"))
    }

    /// Runs programs to their ends, one after the other, in the caller: all in one entry into the
    /// kernel, or as few as its limit allows. [`Program::outcome`] has the results.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run). Programs may have run before the one that it is about; those
    /// have an [`outcome`](Program::outcome), the others have none and have not begun.
    pub fn run_all(&self, programs: &mut [Program<'_>]) -> Result<(), Error> {
        let mut first = 0;
        for batch in programs.chunks_mut(self.max_programs()) {
            let ran = if let [program] = batch {
                let mut encoded = [program.encode(uapi::SYNC)?];
                self.run_batch(batch, &mut encoded)
            } else {
                let encoded: Result<Vec<_>, _> =
                    batch.iter_mut().map(|p| p.encode(uapi::SYNC)).collect();
                self.run_batch(batch, &mut encoded?)
            };
            ran.map_err(|error| error.blaming(&*batch, first))?;
            first += batch.len();
        }
        Ok(())
    }

    fn run_batch(
        &self,
        programs: &mut [Program<'_>],
        encoded: &mut [uapi::Program],
    ) -> Result<(), Error> {
        let mut from = 0;
        while from < encoded.len() {
            // SAFETY: Each program was made by safe calls, or by unsafe ones with a promise that
            // covers this. `SYNC` programs end before the call returns, and until then they are
            // borrowed, and so is what they borrow.
            let handled = unsafe { self.exec(&mut encoded[from..], 0) }?;
            // A signal can end the call between two programs; those that are left are run after
            // its handler.
            for (program, encoded) in programs[from..].iter_mut().zip(&encoded[from..]) {
                if encoded.status == uapi::DONE {
                    // SAFETY: It has run to its end, in this call.
                    unsafe { program.ran(encoded.result, encoded.last) };
                }
            }
            if handled == 0 {
                return Err(Error::command("EXEC")(Errno::EINTR));
            }
            from += handled;
        }
        Ok(())
    }

    /// Enters the kernel; returns how many programs it handled.
    ///
    /// # Safety
    ///
    /// As for [`raw::exec`].
    pub(crate) unsafe fn exec(
        &self,
        programs: &mut [uapi::Program],
        flags: u32,
    ) -> Result<usize, Error> {
        let mut exec = uapi::Exec {
            size: raw::size_field::<uapi::Exec>(),
            flags,
            programs: address(programs.as_mut_ptr()),
            #[expect(clippy::cast_possible_truncation, reason = "at most `max_programs`")]
            nr_programs: programs.len() as u32,
            reserved: 0,
        };
        self.entered.fetch_add(1, Ordering::Relaxed);
        // SAFETY: The programs may be written; for the rest the caller promises.
        let handled = unsafe { raw::exec(self.as_fd(), &mut exec) };
        let handled = handled.map_err(Error::command("EXEC"))? as usize;
        Ok(handled.min(programs.len()))
    }

    /// Waits for completions to be in the ring; returns how many there are.
    ///
    /// # Errors
    ///
    /// [`Error::Command`]: `ETIME` when the time has passed, `EINTR` when a signal handler ran,
    /// `EINVAL` for more than the ring holds.
    pub fn wait(&self, wait: WaitFor<'_>) -> Result<usize, Error> {
        let mut wait = wait.encode();
        // SAFETY: The mask is borrowed by the argument.
        let ready = unsafe { raw::wait(self.as_fd(), &mut wait) };
        Ok(ready.map_err(Error::command("WAIT"))? as usize)
    }

    /// Interrupts a program in flight. It completes all the same, with `ECANCELED` unless it was
    /// done before.
    ///
    /// # Errors
    ///
    /// [`Error::Command`]: `ENOENT` if it is not in flight, `EOPNOTSUPP` without
    /// [`Features::CANCEL`](crate::Features::CANCEL).
    pub fn cancel(&self, ticket: Ticket) -> Result<(), Error> {
        self.send_cancel(0, ticket.user_data()).map(drop)
    }

    /// Interrupts all programs in flight; returns how many.
    ///
    /// # Errors
    ///
    /// As for [`cancel`](Self::cancel).
    pub fn cancel_all(&self) -> Result<usize, Error> {
        self.send_cancel(uapi::CANCEL_ALL, 0)
    }

    fn send_cancel(&self, flags: u32, user_data: u64) -> Result<usize, Error> {
        let mut cancel = uapi::Cancel {
            size: raw::size_field::<uapi::Cancel>(),
            flags,
            user_data,
        };
        // SAFETY: A canceled program still completes, so nothing is freed early.
        let canceled = unsafe { raw::cancel(self.as_fd(), &mut cancel) };
        Ok(canceled.map_err(Error::command("CANCEL"))? as usize)
    }

    /// Has an eventfd signalled at each completion, or none. The kernel holds on to it, so the
    /// descriptor may be closed.
    ///
    /// # Errors
    ///
    /// [`Error::Command`]: `EINVAL` if it is no eventfd.
    pub fn set_eventfd(&self, eventfd: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let fd = eventfd.map_or(-1, |fd| fd.as_raw_fd());
        // SAFETY: The kernel looks the descriptor up during the call.
        unsafe { raw::eventfd(self.as_fd(), fd) }.map_err(Error::command("EVENTFD"))
    }

    /// Cancels what is in flight, where the kernel can do that, waits for all of it, and passes
    /// it to `each`.
    ///
    /// # Errors
    ///
    /// [`Error::Command`]: `ETIME` if that takes longer than `timeout`, `EINTR` when a signal
    /// handler ran.
    pub fn drain(
        &self,
        timeout: Option<Duration>,
        mut each: impl FnMut(Completion),
    ) -> Result<(), Error> {
        match self.cancel_all() {
            // Nothing in flight, or no way to cancel it: then it ends by itself.
            Err(error) if !matches!(error.errno(), Some(Errno::ENOENT | Errno::EOPNOTSUPP)) => {
                return Err(error);
            }
            _ => {}
        }
        let mut wait = WaitFor::completions(1);
        if let Some(timeout) = timeout {
            let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
            let now = Duration::from(now.map_err(Error::command("clock_gettime"))?);
            wait = wait.deadline(now.saturating_add(timeout).into());
        }
        loop {
            self.completions().for_each(&mut each);
            if self.in_flight() == 0 {
                return Ok(());
            }
            self.wait(wait)?;
        }
    }
}

impl AsFd for Head {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
