// SPDX-License-Identifier: GPL-2.0

//! Files that are not in the cache: reading them blocks, and the caller goes on.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use indicatif::HumanCount;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use syslet::{Bytes, Completion, Fd, Head, Program, SubmitFlags, Submitted, Ticket, WaitFor, CWD};

use super::{time_plain, Digest};

/// Programs in flight at once, at most.
const IN_FLIGHT: usize = 32;
/// Files that are longer are left out: memory is not what this is about.
const LONGEST: u64 = 4 << 20;

/// How it went.
#[derive(Default)]
struct Tally {
    /// Programs that ended in the caller.
    done: u64,
    /// Programs that left it.
    left: u64,
    /// Programs that the caller submitted while others were in flight.
    meanwhile: u64,
    /// Files that were not what they were before.
    differing: u64,
}

/// A file that is being read.
struct Reading {
    file: usize,
    fd: Fd,
    read: Bytes<Vec<u8>>,
}

/// Reads all files once with an empty cache, by programs and then by plain calls; says how it went,
/// and whether it was all right.
pub fn show(
    out: &mut impl Write,
    head: &Head,
    files: &[CString],
    digests: &[Digest],
) -> Result<bool> {
    if let Err(error) = empty_cache() {
        writeln!(
            out,
            "cold files: left out, the cache cannot be emptied: {error}"
        )?;
        return Ok(true);
    }
    let begun = Instant::now();
    let tally = read_all(head, files, digests)?;
    let programs = begun.elapsed();
    empty_cache()?;
    let lens: Vec<_> = digests
        .iter()
        .map(|digest| digest.map(|(len, _)| len))
        .collect();
    let plain = time_plain(files, &lens)?.time;
    report(out, &tally, programs, plain)?;
    Ok(tally.differing == 0)
}

fn report(
    out: &mut impl Write,
    tally: &Tally,
    programs: Duration,
    plain: Duration,
) -> io::Result<()> {
    let Tally {
        done,
        left,
        meanwhile,
        differing,
    } = *tally;
    let total = HumanCount(done + left);
    writeln!(
        out,
        "cold files: {total} programs in {programs:.1?}; plain calls took {plain:.1?}"
    )?;
    writeln!(
        out,
        "  {} blocked and went on in cachemiss threads, {} ended in the caller",
        HumanCount(left),
        HumanCount(done)
    )?;
    writeln!(
        out,
        "  meanwhile the caller submitted {} more (at most {IN_FLIGHT} in flight)",
        HumanCount(meanwhile)
    )?;
    if differing > 0 {
        writeln!(out, "  NOT the same as before: {differing} files")?;
    }
    Ok(())
}

/// Drops what the kernel has of files, for root only.
fn empty_cache() -> io::Result<()> {
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "3")
}

fn read_all(head: &Head, files: &[CString], digests: &[Digest]) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut flying: HashMap<Ticket, Reading> = HashMap::new();

    for (file, (path, digest)) in files.iter().zip(digests).enumerate() {
        let Ok((len, _)) = digest else { continue };
        if *len > LONGEST {
            continue;
        }
        while flying.len() >= IN_FLIGHT {
            collect(head, &mut flying, digests, &mut tally)?;
        }
        let mut program = Program::new();
        let fd = program.openat(CWD, path.clone(), OFlag::O_RDONLY, Mode::empty())?;
        // One byte more than there should be.
        let read = program.read(&fd, vec![0; usize::try_from(*len)? + 1])?;
        let reading = Reading { file, fd, read };
        match head.submit(program, SubmitFlags::empty())? {
            Submitted::Done(done) => {
                tally.done += 1;
                check(done, &reading, digests, &mut tally);
            }
            Submitted::InFlight(ticket) => {
                tally.left += 1;
                flying.insert(ticket, reading);
            }
        }
        tally.meanwhile += u64::from(!flying.is_empty());
    }
    while !flying.is_empty() {
        collect(head, &mut flying, digests, &mut tally)?;
    }
    Ok(tally)
}

/// Waits for some completions.
fn collect(
    head: &Head,
    flying: &mut HashMap<Ticket, Reading>,
    digests: &[Digest],
    tally: &mut Tally,
) -> Result<()> {
    head.wait(WaitFor::completions(1))?;
    for done in head.completions() {
        let reading = flying.remove(&done.ticket());
        ensure!(reading.is_some(), "a completion of no program in flight");
        if let Some(reading) = reading {
            check(done, &reading, digests, tally);
        }
    }
    Ok(())
}

/// Compares a file with what it was before.
fn check(mut done: Completion, reading: &Reading, digests: &[Digest], tally: &mut Tally) {
    let mut outcome = done.outcome();
    // Closed when it goes.
    let _fd = outcome.take_fd(&reading.fd);
    let found = outcome
        .take(&reading.read)
        .map(|bytes| (bytes.len() as u64, crc32fast::hash(&bytes)));
    if !matches!((&found, &digests[reading.file]), (Ok(found), Ok(before)) if found == before) {
        eprintln!(
            "syslet: file {}: {found:?}, before {:?}",
            reading.file, digests[reading.file]
        );
        tally.differing += 1;
    }
}
