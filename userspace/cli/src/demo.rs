// SPDX-License-Identifier: GPL-2.0

//! `syslet demo`: a whole tree, by programs and by plain system calls.
//!
//! First every file is read by a program and by `std::fs::read`, and lengths and checksums are
//! compared. That warms the caches, too. Then programs and plain calls read everything by turns,
//! without looking at it, against the clock.
//!
//! Then it shows what blocks: the same files with an empty cache, and programs that wait for pipes.

mod cold;
mod pipes;
mod report;

use std::cell::RefCell;
use std::ffi::{CString, OsStr};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{bail, ensure, Result};
use indicatif::{ProgressBar, ProgressStyle};
use syslet::Head;

use self::report::{Cost, Round};
use crate::plain::Plain;
use crate::reader::Reader;
use crate::walk;

/// What to read, and how.
#[derive(clap::Args)]
pub struct Args {
    /// The tree to read
    #[arg(long, default_value = "/usr/share")]
    path: PathBuf,
    /// Programs in one entry into the kernel
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// How often to measure
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=1000))]
    rounds: u16,
}

/// Length and checksum of a file, or the error number that says why it cannot be read.
type Digest = Result<(u64, u32), i32>;

/// Reads, compares, measures; `false` if something did not agree.
pub fn main(head: &Head, args: &Args) -> Result<bool> {
    let found = walk::regular_files(&args.path)
        .map_err(|error| anyhow::anyhow!("{}: {error}", args.path.display()))?;
    for (path, error) in &found.closed {
        eprintln!("syslet: not looked into: {}: {error}", path.display());
    }
    let files = found.files;
    if files.is_empty() {
        bail!("{}: there are no regular files", args.path.display());
    }

    let mut reader = Reader::new(head, usize::from(args.batch));
    let digests = by_programs(&mut reader, &files)?;
    let disagreeing = compare(&files, &digests);
    let mut out = io::stdout().lock();
    report::tree(&mut out, &args.path, &digests)?;
    if disagreeing > 0 {
        writeln!(out, "NOT the same as by std::fs::read: {disagreeing} files")?;
        return Ok(false);
    }
    writeln!(out, "lengths and checksums: all as by std::fs::read")?;

    let lens: Vec<_> = digests
        .iter()
        .map(|digest| digest.map(|(len, _)| len))
        .collect();
    let mut rounds = Vec::new();
    for number in 0..args.rounds {
        let round = measure(head, &mut reader, &files, &lens, number)?;
        report::round(&mut out, number, round)?;
        rounds.push(round);
    }
    report::rounds(&mut out, args.batch, files.len(), &rounds)?;
    let cold = cold::show(&mut out, head, &files, &digests)?;
    let pipes = pipes::show(&mut out, head)?;
    Ok(cold && pipes)
}

fn progress(len: usize, what: &'static str) -> ProgressBar {
    let style = "{msg} {wide_bar} {pos}/{len}";
    // Without a terminal it shows nothing.
    ProgressBar::new(len as u64)
        .with_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()))
        .with_message(what)
}

/// Reads everything by programs, with checksums.
fn by_programs(reader: &mut Reader<'_>, files: &[CString]) -> Result<Vec<Digest>> {
    let bar = progress(files.len(), "programs");
    let mut digests = Vec::with_capacity(files.len());
    // `data` and `done` take turns, and both need the checksum.
    let hash = RefCell::new(crc32fast::Hasher::new());
    reader.read(
        files,
        |_, bytes| {
            hash.borrow_mut().update(bytes);
            Ok(())
        },
        |file, result| {
            ensure!(file == digests.len(), "files out of order");
            let sum = hash.take().finalize();
            digests.push(match result {
                Ok(len) => Ok((len, sum)),
                Err(error) => Err(error.errno().map_or(0, |errno| errno as i32)),
            });
            bar.inc(1);
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    ensure!(digests.len() == files.len(), "files were left out");
    Ok(digests)
}

/// Reads everything once more, the usual way; says what differs and returns how many files do.
fn compare(files: &[CString], digests: &[Digest]) -> usize {
    let bar = progress(files.len(), "comparing");
    let mut disagreeing = 0;
    for (path, by_program) in files.iter().zip(digests) {
        let path = OsStr::from_bytes(path.as_bytes());
        let plain = match fs::read(path) {
            Ok(bytes) => Ok((bytes.len() as u64, crc32fast::hash(&bytes))),
            Err(error) => Err(error.raw_os_error().unwrap_or(0)),
        };
        if plain != *by_program {
            disagreeing += 1;
            let path = Path::new(path).display();
            bar.suspend(|| {
                eprintln!("syslet: {path}: {by_program:?} by a program, {plain:?} plainly");
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    disagreeing
}

/// Reads everything both ways. Which comes first changes from round to round.
fn measure(
    head: &Head,
    reader: &mut Reader<'_>,
    files: &[CString],
    lens: &[Result<u64, i32>],
    number: u16,
) -> Result<Round> {
    if number % 2 == 0 {
        let plain = time_plain(files, lens)?;
        let programs = time_programs(head, reader, files, lens)?;
        Ok(Round { plain, programs })
    } else {
        let programs = time_programs(head, reader, files, lens)?;
        let plain = time_plain(files, lens)?;
        Ok(Round { plain, programs })
    }
}

fn time_plain(files: &[CString], lens: &[Result<u64, i32>]) -> Result<Cost> {
    let mut plain = Plain::new();
    let start = Instant::now();
    plain.read(files, |file, len| {
        check(files, lens, file, len.map_err(|errno| errno as i32))
    })?;
    Ok(Cost {
        time: start.elapsed(),
        calls: plain.calls(),
        entered: plain.calls(),
    })
}

fn time_programs(
    head: &Head,
    reader: &mut Reader<'_>,
    files: &[CString],
    lens: &[Result<u64, i32>],
) -> Result<Cost> {
    let (calls, entered) = (reader.calls(), head.entered());
    let start = Instant::now();
    reader.read(
        files,
        |_, _| Ok(()),
        |file, len| {
            let len = len.map_err(|error| error.errno().map_or(0, |errno| errno as i32));
            check(files, lens, file, len)
        },
    )?;
    Ok(Cost {
        time: start.elapsed(),
        calls: reader.calls() - calls,
        entered: head.entered() - entered,
    })
}

/// A measurement of something else than was compared is worth nothing.
fn check(
    files: &[CString],
    lens: &[Result<u64, i32>],
    file: usize,
    len: Result<u64, i32>,
) -> Result<()> {
    let path = Path::new(OsStr::from_bytes(files[file].as_bytes())).display();
    ensure!(
        lens[file] == len,
        "{path} has changed: {:?}, now {len:?}",
        lens[file]
    );
    Ok(())
}
