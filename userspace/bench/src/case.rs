// SPDX-License-Identifier: GPL-2.0

//! One way to do one thing, and how it is measured.
//!
//! Each case runs in a process of its own, which does nothing while another is measured: threads
//! of one way would make descriptors dearer for the others, and a task that has used `io_uring` is
//! not handed over.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{anyhow, bail, Result};
use nix::sys::wait::waitpid;
use nix::unistd::{fork, ForkResult, Pid};

use crate::clock::Clock;

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// System calls, one after the other, in a process without other threads.
    Plain,
    /// Programs that may leave their caller.
    Syslet,
    /// Programs with `SYSLET_SYNC`, in a process without other threads.
    SysletSync,
    /// A thread that waits at a channel.
    Pool,
    /// `io_uring`.
    Uring,
}

impl Way {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::Syslet,
        Self::SysletSync,
        Self::Pool,
        Self::Uring,
    ];

    /// As it is called in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Syslet => "syslet",
            Self::SysletSync => "syslet-sync",
            Self::Pool => "pool",
            Self::Uring => "io_uring",
        }
    }
}

/// Runs one batch; returns how long that took.
pub type Batch = Box<dyn FnMut() -> Result<u64>>;

/// One way to do one thing.
pub struct Case {
    /// Atoms or programs that are submitted at once; what is done at once by the others.
    pub size: u32,
    /// Who does it.
    pub way: Way,
    /// Operations in a batch.
    pub operations: u32,
    /// Makes what is measured, in its process.
    pub prepare: Box<dyn FnOnce(Clock) -> Result<Batch>>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Batches that do not count.
    pub warm_up: usize,
    /// Turns that each case gets.
    pub rounds: usize,
    /// Batches in a turn.
    pub batches: usize,
}

impl Plan {
    /// Counts repeat, so one round will do; times want several, interleaved.
    pub fn for_clock(clock: Clock) -> Self {
        let (warm_up, batches) = (10, 60);
        let rounds = match clock {
            Clock::Instructions => 1,
            Clock::Nanoseconds => 7,
        };
        Self {
            warm_up,
            rounds,
            batches,
        }
    }
}

/// What came of a case.
pub struct Row {
    /// The bench.
    pub bench: &'static str,
    /// See [`Case::size`].
    pub size: u32,
    /// Who did it.
    pub way: Way,
    /// Operations in a batch.
    pub operations: u32,
    /// What each batch took, round by round; or why it could not be measured.
    pub rounds: Result<Vec<Vec<u64>>, String>,
}

/// Measures the cases of a bench, by turns.
pub fn measure(
    bench: &'static str,
    cases: Vec<Case>,
    clock: Clock,
    plan: Plan,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut processes = Vec::new();
    for case in cases {
        let row = |rounds| Row {
            bench,
            size: case.size,
            way: case.way,
            operations: case.operations,
            rounds,
        };
        match Process::start(case.prepare, clock, plan) {
            Ok(process) => {
                rows.push(row(Ok(Vec::new())));
                processes.push(Some(process));
            }
            // Many systems forbid it, and nothing else depends on it.
            Err(error) if case.way == Way::Uring => {
                rows.push(row(Err(error.to_string())));
                processes.push(None);
            }
            Err(error) => return Err(error.context(case.way.name())),
        }
    }
    for _ in 0..plan.rounds {
        for (row, process) in rows.iter_mut().zip(&mut processes) {
            if let (Ok(rounds), Some(process)) = (&mut row.rounds, process) {
                let round = process.round().map_err(|e| e.context(row.way.name()))?;
                rounds.push(round);
            }
        }
    }
    Ok(rows)
}

/// A process with a case in it.
struct Process {
    pid: Pid,
    line: BufReader<UnixStream>,
}

impl Process {
    fn start(
        prepare: impl FnOnce(Clock) -> Result<Batch>,
        clock: Clock,
        plan: Plan,
    ) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: This process has one thread, now and later.
        match unsafe { fork() }? {
            ForkResult::Child => {
                drop(ours);
                let status = i32::from(serve(&theirs, prepare, clock, plan).is_err());
                // SAFETY: Nothing that the parent made is to be undone here.
                unsafe { libc::_exit(status) }
            }
            ForkResult::Parent { child } => {
                let mut process = Self {
                    pid: child,
                    line: BufReader::new(ours),
                };
                process.answer()?;
                Ok(process)
            }
        }
    }

    /// One turn.
    fn round(&mut self) -> Result<Vec<u64>> {
        self.line.get_mut().write_all(b"g")?;
        let answer = self.answer()?;
        Ok(answer
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.line.read_line(&mut line)?;
        match line.trim_end().split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_owned()),
            Some((_, error)) => Err(anyhow!("{error}")),
            None => bail!("the process has ended"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends when there is nobody to tell it to go on.
        let _ = self.line.get_ref().shutdown(std::net::Shutdown::Both);
        let _ = waitpid(self.pid, None);
    }
}

/// In the child: answers "g" by a turn until there is no more of them.
fn serve(
    mut line: &UnixStream,
    prepare: impl FnOnce(Clock) -> Result<Batch>,
    clock: Clock,
    plan: Plan,
) -> Result<()> {
    let prepared = prepare(clock).and_then(|mut batch| {
        for _ in 0..plan.warm_up {
            batch()?;
        }
        Ok(batch)
    });
    let mut batch = match prepared {
        Ok(batch) => batch,
        Err(error) => return Ok(writeln!(line, "error {error:#}")?),
    };
    writeln!(line, "ok ready")?;
    while line.read(&mut [0])? == 1 {
        // Room for what is measured, before it is.
        let mut took = Vec::with_capacity(plan.batches);
        let done = (0..plan.batches).try_for_each(|_| {
            took.push(batch()?);
            Ok::<_, anyhow::Error>(())
        });
        if let Err(error) = done {
            writeln!(line, "error {error:#}")?;
            continue;
        }
        let took: Vec<_> = took.iter().map(u64::to_string).collect();
        writeln!(line, "ok {}", took.join(" "))?;
    }
    Ok(())
}
