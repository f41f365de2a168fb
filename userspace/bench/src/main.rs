// SPDX-License-Identifier: GPL-2.0

//! `syslet-bench`: what syslets cost, beside what they are instead of.
//!
//! By instruction count, in a guest whose clock counts them (`scripts/lab fast --icount`), or by
//! the clock. `Documentation/benchmarks.rst` has the method and what it gave.

mod benches;
mod case;
mod clock;
mod report;
mod targets;
mod ways;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use self::case::{Case, Plan};
use self::clock::Clock;
use self::report::Report;

/// How long a guest that has just booted is busy with itself.
const AFTER_BOOT: Duration = Duration::from_secs(3);

/// Measure what syslets cost, beside plain calls, a pool thread and `io_uring`
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Count instructions: to be run where the clock does (scripts/lab fast --icount)
    #[arg(long)]
    icount: bool,
    /// Measure this only (may be repeated)
    #[arg(long, value_name = "NAME")]
    only: Vec<Bench>,
    /// Write the raw numbers there; `-`: to standard output, and the table to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if syslets cost more than they ever may, or if that was not measured
    #[arg(long, requires = "icount")]
    gate: bool,
    /// The commit, for the record
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
    /// How this was run, for the record: options of the emulator, for one
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// A directory in memory, for small files
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    dir: PathBuf,
}

/// What there is to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// getppid: 1, 4, 16, 64 atoms
    Null,
    /// A cached read of 4 KiB: 1 and 16 atoms
    Pread,
    /// openat, fstat, read, close of a small file: 1 and 32 programs
    Ofrc,
    /// A read that blocks, until its caller is back
    Handoff,
    /// The same, until the data is there that is written once the read waits
    Roundtrip,
    /// The same with data that is written at once
    Overtaken,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Pread => "pread",
            Self::Ofrc => "ofrc",
            Self::Handoff => "handoff",
            Self::Roundtrip => "roundtrip",
            Self::Overtaken => "overtaken",
        }
    }

    /// All ways to do it, in all sizes.
    fn cases(self, dir: &Path) -> Result<Vec<Case>> {
        match self {
            Self::Null => Ok(benches::null::cases()),
            Self::Pread => benches::pread::cases(dir),
            Self::Ofrc => benches::ofrc::cases(dir),
            Self::Handoff => Ok(benches::pipe::handoff()),
            Self::Roundtrip => Ok(benches::pipe::roundtrip()),
            Self::Overtaken => Ok(benches::pipe::overtaken()),
        }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("syslet-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and reports; `false` if a gate is closed.
fn run(cli: &Cli) -> Result<bool> {
    let clock = Clock::new(cli.icount)?;
    let plan = Plan::for_clock(clock);
    let scratch = Scratch::new(&cli.dir)?;
    if cli.icount {
        thread::sleep(AFTER_BOOT);
    }

    let mut report = Report::new(clock, plan, cli.commit.as_deref(), cli.note.as_deref());
    for &bench in Bench::value_variants() {
        if cli.only.is_empty() || cli.only.contains(&bench) {
            let cases = bench.cases(&scratch.0)?;
            let rows = case::measure(bench.name(), cases, clock, plan);
            report.add(rows.context(bench.name())?);
        }
    }

    let to_stdout = cli.json.as_deref() == Some(Path::new("-"));
    if to_stdout {
        report.write_json(&mut io::stdout().lock())?;
        report.write_table(&mut io::stderr().lock())?;
    } else {
        report.write_table(&mut io::stdout().lock())?;
        if let Some(path) = &cli.json {
            let file = File::create(path).with_context(|| path.display().to_string());
            report.write_json(&mut file?)?;
        }
    }
    if cli.gate {
        let open = report.write_gates(&mut io::stderr().lock())?;
        return Ok(open);
    }
    io::stdout().flush()?;
    Ok(true)
}

/// A directory that goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &Path) -> Result<Self> {
        // A name of fixed length: looking it up costs the same each time.
        let path = dir.join(format!("syslet-bench.{:08}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Memory of a guest, at worst.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
