// SPDX-License-Identifier: GPL-2.0

//! `syslet-fuzz`: a fuzzer of `/dev/syslet` that runs beside it, in a guest.
//!
//! A case is what a process of a few threads does to the device, to itself and to its threads, as
//! bytes. Each runs in a process of its own; when that is gone, nothing may be left of it. Where the
//! kernel has KCOV and the module is instrumented, cases that come by new places are kept, and others
//! are made of them.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "everything here is a word of the kernel's in the end"
)]

mod calls;
mod case;
mod corpus;
mod fuzz;
mod judge;
mod kcov;
mod kmsg;
mod mutate;
mod ops;
mod place;
mod process;
mod shared;
mod sys;
mod thread;

use std::ffi::CStr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What a case executes is called this, and is gone at once.
const GONE: &CStr = c"gone";

/// Do anything to /dev/syslet, and see whether it is all right afterwards
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Where to begin; the same one makes the same cases, as far as coverage is the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long to go on
    #[arg(long, value_name = "S", default_value_t = 60)]
    seconds: u64,
    /// Begin with the cases of this file, one a line
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Run only these: the seed of a case, a case as it was printed, or a file of such
    #[arg(long, value_name = "SEED|CASE|FILE")]
    replay: Vec<String>,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 1)]
    times: u32,
    /// Go on with smaller ones while they fail
    #[arg(long, requires = "replay")]
    shrink: bool,
    /// A case that is not over by then is killed
    #[arg(long, value_name = "MS", default_value_t = 200)]
    limit: u64,
    /// Print more (may be repeated)
    #[arg(long)]
    print: Vec<Print>,
}

/// What may be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Print {
    /// Each case before it runs: for such that take the kernel down
    Cases,
    /// The cases that are kept, for a corpus
    Corpus,
    /// The places that were come by, for scripts/coverage
    Places,
}

fn main() -> ExitCode {
    if std::env::args_os()
        .next()
        .is_some_and(|name| name == "gone")
    {
        return ExitCode::SUCCESS;
    }
    let cli = Cli::parse();
    let done = judge::Judge::new(Duration::from_millis(cli.limit))
        .and_then(|judge| fuzz::Fuzzer::new(&cli, judge).run());
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("syslet-fuzz: {error:#}");
            ExitCode::from(2)
        }
    }
}
