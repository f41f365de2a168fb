// SPDX-License-Identifier: GPL-2.0

//! A thread of a case, and what must be true of it whatever it does.

use std::ffi::{c_int, c_long};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use syslet::uapi;

use crate::calls::Maker;
use crate::case::{Case, Tape};
use crate::kcov::{claim, Kcov};
use crate::ops;
use crate::place;
use crate::shared::Shared;
use crate::sys::{self, Way};

/// Signals that have handlers, of which SIGUSR2's has `SA_RESTART`; the last ones are of timers.
pub const HANDLED: [c_int; 5] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
];

/// What every command may fail with, and what each may besides.
const ERRORS: [c_int; 9] = [
    libc::EBADF,
    libc::ENOTTY,
    libc::EFAULT,
    libc::EINVAL,
    libc::E2BIG,
    libc::EOPNOTSUPP,
    libc::ENXIO,
    libc::EACCES,
    libc::EPERM,
];
const RUN_ERRORS: &[c_int] = &[
    libc::ELOOP,
    libc::ENOSYS,
    libc::EBUSY,
    libc::EAGAIN,
    libc::EINTR,
    libc::ENOMEM,
];

fn errors_of(nr: u32) -> &'static [c_int] {
    match nr {
        0x01 => &[libc::EBUSY, libc::ENOMEM, libc::EAGAIN, libc::EINTR],
        0x02 | 0x06 => RUN_ERRORS,
        0x03 => &[libc::ETIME, libc::EINTR],
        0x04 => &[libc::ENOENT],
        // A filter of the case's refuses it.
        0x1f => &[libc::ENOSYS],
        _ => &[],
    }
}

/// A thread that works on its records.
pub struct Thread<'a> {
    shared: &'a Shared,
    kcov: Option<&'a Kcov>,
    spare: usize,
    index: u8,
    pid: i32,
    tid: i32,
    way: Way,
    mask: u64,
    forked: bool,
    /// In thread-local storage, which moves with the thread.
    canary: &'static std::thread::LocalKey<AtomicU64>,
}

std::thread_local! {
    static CANARY: AtomicU64 = const { AtomicU64::new(0) };
}

impl<'a> Thread<'a> {
    /// The current thread, number `index` of its case.
    pub fn new(shared: &'a Shared, kcov: Option<&'a Kcov>, index: u8) -> Self {
        let mut thread = Self {
            shared,
            kcov,
            spare: claim(&shared.buffers),
            index,
            pid: std::process::id() as i32,
            tid: sys::gettid(),
            way: Way::X64,
            mask: 0,
            forked: false,
            canary: &CANARY,
        };
        thread.set_mask(0);
        thread
            .canary
            .with(|at| at.store(thread.tid as u64, Ordering::Relaxed));
        shared.tids[usize::from(index)].store(thread.tid, Ordering::Relaxed);
        thread
    }

    /// Does its part of `case`.
    pub fn work(&mut self, case: &Case) {
        let rounds = (0..case.rounds()).flat_map(|_| &case.records);
        for record in rounds {
            if record.who % case.threads() != self.index {
                continue;
            }
            if let Some(kcov) = self.kcov {
                self.spare = kcov.enable(self.spare, &self.shared.buffers);
            }
            let op = ops::of(record.op);
            (op.run)(self, &mut Tape::new(&record.payload));
            self.check(op.name);
        }
        self.count_handoffs();
    }

    /// What the heads that are open still have counted.
    fn count_handoffs(&self) {
        for which in 0..place::HEADS {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", place::head(which)));
            let info = info.unwrap_or_default();
            let line = info
                .lines()
                .find_map(|line| line.strip_prefix("syslet-handoffs:"));
            let count = line
                .and_then(|number| number.trim().parse().ok())
                .unwrap_or(0);
            self.shared.handoffs.fetch_max(count, Ordering::Relaxed);
        }
    }

    /// Whoever runs now is the thread that it was.
    fn check(&self, what: &str) {
        let canary = self.canary.with(|at| at.load(Ordering::Relaxed));
        let (tid, mask) = (sys::gettid(), sys::signal_mask());
        if tid != self.tid || canary != self.tid as u64 {
            self.fail(format_args!(
                "after {what}: thread {} is {tid}, TLS of {canary}",
                self.tid
            ));
        }
        if mask != self.mask {
            self.fail(format_args!(
                "after {what}: the signal mask is {mask:x}, not {:x}",
                self.mask
            ));
        }
    }

    fn fail(&self, what: std::fmt::Arguments<'_>) -> ! {
        self.shared.fail(what)
    }

    /// Who makes atoms.
    pub fn maker(&self) -> Maker {
        Maker {
            way: self.way,
            pid: self.pid,
            tid: self.tid,
        }
    }

    /// By which way the head that was chosen last is called.
    pub fn way(&self) -> Way {
        self.way
    }

    /// A head, and the way to call it.
    pub fn some_head(&mut self, tape: &mut Tape<'_>) -> c_int {
        let byte = tape.byte();
        self.way = match byte >> 3 {
            0..=27 => Way::X64,
            28 => Way::X32,
            _ => Way::I386,
        };
        tape.begin_call();
        // The first one most of the time.
        place::head([0, 0, 0, 0, 0, 0, 1, 2][usize::from(byte & 7)])
    }

    /// A thread of the case.
    pub fn some_tid(&self, tape: &mut Tape<'_>) -> i32 {
        let at = tape.below(self.shared.tids.len());
        match self.shared.tids[at].load(Ordering::Relaxed) {
            0 => self.tid,
            tid => tid,
        }
    }

    /// Where the arguments of its ioctls are.
    pub fn argument(&self) -> usize {
        place::PROGRAMS + usize::from(self.index) * 128
    }

    /// An ioctl on `fd`, with `arg` as it is or not quite.
    pub fn submit<T: Copy>(&self, tape: &mut Tape<'_>, fd: c_int, command: u32, arg: &mut T) {
        let at = self.argument();
        place::put(at, arg);
        match tape.is_wrong(4).then(|| tape.below(2)) {
            Some(0) => {
                // Another size, with something or nothing where there was none.
                place::put(
                    at,
                    &tape.one_of(&[0_u32, 4, 8, 16, 24, 40, 64, 100, 4096, 4097]),
                );
                place::put(at + size_of::<T>(), &u32::from(tape.rarely(2)));
            }
            Some(_) => {
                let at = at + tape.below(size_of::<T>() / 4) * 4;
                let bit = 1_u32 << tape.below(32);
                // Never a pointer to elsewhere in our memory.
                if place::get(at) < 0x1000_0000 {
                    place::put(at, &(place::get(at) ^ bit & !0x3fff_ffff));
                }
            }
            None => {}
        }
        self.command(fd, command, place::or_bad(tape, at) as usize);
    }

    /// An ioctl on `fd`, and whether it returned what it may.
    pub fn command(&self, fd: c_int, command: u32, arg: usize) {
        let ret = sys::ioctl_by(self.way, fd, command as usize, arg);
        let errno = -ret as c_int;
        if ret < 0 {
            let known = ERRORS.contains(&errno)
                || errors_of(command & 0xff).contains(&errno)
                || (self.way == Way::X32 && errno == libc::ENOSYS);
            if !known {
                self.fail(format_args!("command {command:x} failed with {errno}"));
            }
        } else if command & 0xff == uapi::IOC_EXEC & 0xff && (command >> 8) & 0xff == 0xbb {
            let most = uapi::MAX_PROGRAMS as isize;
            if ret == 0 || ret > most {
                self.fail(format_args!("EXEC returned {ret}"));
            }
        }
    }

    /// Sets the signal mask that it has from now on.
    pub fn set_mask(&mut self, mask: u64) {
        self.mask = mask;
        sys::change_mask(libc::SIG_SETMASK, Some(&mask), None);
    }

    /// Whether this is a child of the case's process.
    pub fn is_forked(&self) -> bool {
        self.forked
    }

    /// It has become one.
    pub fn become_forked(&mut self) {
        self.forked = true;
        self.pid = std::process::id() as i32;
        self.tid = sys::gettid();
        self.canary
            .with(|at| at.store(self.tid as u64, Ordering::Relaxed));
        self.spare = claim(&self.shared.buffers);
    }

    /// It has nothing to do any more.
    pub fn leave(&self) {
        if !self.forked {
            self.shared.working.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends the thread, or with it the process.
    pub fn end(&self, how: u8) {
        match how % 8 {
            0 | 1 => {
                self.leave();
                sys::call3(libc::SYS_exit, 7, 0, 0)
            }
            2 | 3 => sys::call3(libc::SYS_exit_group, 42, 0, 0),
            4 | 5 => {
                // The timer goes on there, and handlers do not.
                for signal in HANDLED {
                    // SAFETY: No handler of Rust's is concerned.
                    unsafe { libc::signal(signal, libc::SIG_IGN) };
                }
                let argv = [crate::GONE.as_ptr() as usize, 0];
                let path = c"/proc/self/exe".as_ptr() as usize;
                sys::call3(
                    libc::SYS_execve,
                    path,
                    argv.as_ptr() as usize,
                    argv[1..].as_ptr() as usize,
                )
            }
            6 => sys::call3(libc::SYS_kill, self.pid as usize, libc::SIGKILL as usize, 0),
            _ => sys::call(
                libc::SYS_tkill as c_long,
                [self.tid as usize, 9, 0, 0, 0, 0],
            ),
        };
    }
}
