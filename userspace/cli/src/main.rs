// SPDX-License-Identifier: GPL-2.0

//! `syslet`: what syslets do, from the command line.

mod cat;
mod demo;
mod info;
mod lang;
mod plain;
mod reader;
mod run;
mod stat;
mod top;
mod walk;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Parser, Subcommand};
use nix::errno::Errno;
use syslet::{Device, Error, Head, DEFAULT_PATH};

/// Short sequences of system calls, submitted at once
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// The device to use
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_PATH)]
    device: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what the kernel offers: features, limits, and which calls programs may make
    Info(info::Args),
    /// Write files to standard output, each read by one program
    Cat(cat::Args),
    /// Show what files are, all in one entry into the kernel
    Stat(stat::Args),
    /// Run programs written on the command line or in a file
    Run(run::Args),
    /// Show the heads of all processes: their threads, programs, handoffs
    Top(top::Args),
    /// Read every file of a tree by programs and by plain system calls, and compare
    Demo(demo::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Info(args) => open_device(&cli).and_then(|device| info::main(&device, args)),
        Command::Cat(args) => open_head(&cli).and_then(|head| cat::main(&head, args)),
        Command::Stat(args) => open_head(&cli).and_then(|head| stat::main(&head, args)),
        Command::Run(args) => run::main(args, || open_head(&cli)),
        Command::Top(args) => top::main(args),
        Command::Demo(args) => open_head(&cli).and_then(|head| demo::main(&head, args)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read from us has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("syslet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn open_device(cli: &Cli) -> anyhow::Result<Device> {
    explained(Device::open_at(&cli.device))
}

fn open_head(cli: &Cli) -> anyhow::Result<Head> {
    explained(Head::builder().path(&cli.device).open())
}

/// Says what to do about the usual reasons for which the device cannot be opened.
fn explained<T>(opened: Result<T, Error>) -> anyhow::Result<T> {
    let hint = match opened.as_ref().err().and_then(Error::errno) {
        Some(Errno::ENOENT) => "is the module loaded?",
        Some(Errno::EACCES) => "the device belongs to root and its group",
        Some(Errno::ENOTTY) => "this is not a syslet device",
        _ => return Ok(opened?),
    };
    opened.map_err(|error| anyhow!("{error} ({hint})"))
}
