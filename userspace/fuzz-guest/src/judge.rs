// SPDX-License-Identifier: GPL-2.0

//! Running a case, and whether all is as it was before when it is over.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ptr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use crate::case::Case;
use crate::kcov::Kcov;
use crate::kmsg::KernelLog;
use crate::ops;
use crate::process;
use crate::shared::{Shared, FAILED};

/// How long a killed process may take to be gone, and the module to be let go of.
const GRACE: Duration = Duration::from_secs(20);

/// What came of a case.
pub struct Verdict {
    /// What is wrong, if anything.
    pub failure: Option<String>,
    /// The places that it came by.
    pub places: BTreeSet<usize>,
    /// How often it was seen that a user context was handed over.
    pub handoffs: u64,
    /// It was killed when its time was up.
    pub late: bool,
    /// Something of it is left, and nothing can be said of others any more.
    pub hopeless: bool,
}

/// Who runs cases.
pub struct Judge {
    shared: &'static Shared,
    kcov: Option<&'static Kcov>,
    log: KernelLog,
    limit: Duration,
    references: u64,
}

impl Judge {
    /// Cases may take as long as `limit`.
    pub fn new(limit: Duration) -> Result<Self> {
        ensure!(
            fs::exists("/dev/syslet")?,
            "no /dev/syslet: is the module loaded?"
        );
        // Children of a case's process, and who of them is stopped, are heard of here.
        // SAFETY: Numbers, and a set that is initialised.
        unsafe {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
            let set = children();
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
        }
        let kcov = Kcov::open().context("KCOV")?;
        Ok(Self {
            shared: Shared::new()?,
            kcov: kcov.map(|kcov| &*Box::leak(Box::new(kcov))),
            log: KernelLog::open().context("/dev/kmsg")?,
            limit,
            references: references()?,
        })
    }

    /// The coverage, if there is any.
    pub fn kcov(&self) -> Option<&'static Kcov> {
        self.kcov
    }

    /// Runs a case.
    pub fn run(&mut self, case: &Case) -> Result<Verdict> {
        self.shared.reset();
        // SAFETY: This process has one thread.
        let pid = unsafe { libc::fork() };
        ensure!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            process::run(case, self.shared, self.kcov);
        }
        let killed = case
            .killed_after()
            .map(|quarters| Duration::from_micros(250) * quarters);
        let mut end = End::of(pid, killed.unwrap_or(self.limit));
        end.late &= killed.is_none();
        if end.left {
            end.failure = Some(format!("does not end\n{}", tasks()));
        }
        let used = self.shared.buffers.load(Ordering::Relaxed);
        let places = self.kcov.map(|kcov| kcov.collect(used)).unwrap_or_default();
        let leaked = if end.left { None } else { self.leak()? };
        let failure = self
            .log
            .complaint()?
            .or_else(|| self.shared.failure())
            .or(end.failure)
            .or_else(|| wrong_end(case, end.status))
            .or_else(|| leaked.clone());
        Ok(Verdict {
            failure,
            places,
            handoffs: self.shared.handoffs.load(Ordering::Relaxed),
            late: end.late,
            hopeless: end.left || leaked.is_some(),
        })
    }

    /// Whether more hold the module than before.
    fn leak(&self) -> Result<Option<String>> {
        let begun = Instant::now();
        while references()? != self.references {
            if begun.elapsed() > GRACE {
                return Ok(Some(format!(
                    "{} references to the module, not {}",
                    references()?,
                    self.references
                )));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }
}

/// How the process of a case ended.
struct End {
    status: i32,
    late: bool,
    /// Some of its processes are left.
    left: bool,
    failure: Option<String>,
}

impl End {
    /// Waits for process `pid` and all of its children.
    fn of(pid: i32, limit: Duration) -> Self {
        let mut end = Self {
            status: 0,
            late: false,
            left: false,
            failure: None,
        };
        let begun = Instant::now();
        let mut ended = false;
        loop {
            let mut status = 0;
            // SAFETY: A local.
            let who = unsafe {
                libc::waitpid(
                    -1,
                    &raw mut status,
                    libc::WNOHANG | libc::WUNTRACED | libc::__WALL,
                )
            };
            let elapsed = begun.elapsed();
            if who < 0 {
                return end;
            } else if who > 0 && libc::WIFSTOPPED(status) {
                // SAFETY: Numbers.
                unsafe { libc::kill(who, libc::SIGCONT) };
            } else if who > 0 {
                if who == pid {
                    end.status = status;
                    ended = true;
                }
            } else if elapsed > limit + GRACE {
                end.left = true;
                return end;
            } else if ended || elapsed > limit {
                end.late |= !ended;
                // SAFETY: The group of the case; children that it has made, if it is gone.
                unsafe { libc::kill(-pid, libc::SIGKILL) };
                await_child(Duration::from_millis(20));
            } else {
                await_child(limit - elapsed);
            }
        }
    }
}

fn await_child(limit: Duration) {
    let set = children();
    let limit = libc::timespec {
        tv_sec: limit.as_secs() as i64,
        tv_nsec: limit.subsec_nanos().into(),
    };
    // SAFETY: Both are initialised.
    unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const limit) };
}

/// The set of SIGCHLD.
fn children() -> libc::sigset_t {
    // SAFETY: Both calls write to the set, which may be all 0 before.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        set
    }
}

/// Ends that the case does not ask for.
fn wrong_end(case: &Case, status: i32) -> Option<String> {
    let deadly = case.records.iter().any(|record| ops::of(record.op).deadly);
    if libc::WIFEXITED(status) {
        let code = libc::WEXITSTATUS(status);
        let known = [0, 7, 42].contains(&code) || (deadly && code != FAILED);
        return (!known).then(|| format!("exit status {code}"));
    }
    let signal = libc::WTERMSIG(status);
    let known = signal == libc::SIGKILL || deadly;
    (!known).then(|| format!("killed by signal {signal}"))
}

/// How many hold the module.
fn references() -> Result<u64> {
    let text = fs::read_to_string("/sys/module/syslet/refcnt")?;
    Ok(text.trim().parse()?)
}

/// What all tasks of children do.
fn tasks() -> String {
    let mut text = String::new();
    let mine = std::process::id().to_string();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1));
        if parent != Some(&mine) {
            continue;
        }
        let tasks = fs::read_dir(process.path().join("task"));
        for task in tasks.into_iter().flatten().flatten() {
            for name in ["stat", "syscall", "stack"] {
                let what = fs::read_to_string(task.path().join(name)).unwrap_or_default();
                text += &format!("{} {name}: {what}\n", task.path().display());
            }
        }
    }
    text
}
