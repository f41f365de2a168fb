// SPDX-License-Identifier: GPL-2.0

//! `syslet stat`: what files are.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::fcntl::AtFlags;
use nix::libc;
use syslet::{Alloc, Head, Program, CWD};

/// Which files.
#[derive(clap::Args)]
pub struct Args {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Follow symbolic links
    #[arg(short = 'L', long)]
    dereference: bool,
}

/// Shows them; `false` if one could not be looked at.
pub fn main(head: &Head, args: &Args) -> Result<bool> {
    let flags = if args.dereference {
        AtFlags::empty()
    } else {
        AtFlags::AT_SYMLINK_NOFOLLOW
    };
    let mut handles = Vec::new();
    let mut programs = Vec::new();
    for path in &args.files {
        let mut program = Program::new();
        let mask = libc::STATX_BASIC_STATS;
        handles.push(program.statx(CWD, path, flags, mask, Alloc)?);
        programs.push(program);
    }
    head.run_all(&mut programs)?;

    let mut out = io::stdout().lock();
    let (links, owner, size) = ("links", "owner", "size");
    writeln!(
        out,
        "mode        {links:>5} {owner:>11} {size:>13}  changed (UTC)        name"
    )?;
    let mut all_seen = true;
    for ((path, program), handle) in args.files.iter().zip(&mut programs).zip(&handles) {
        let mut outcome = program.outcome().context("a program did not run")?;
        match outcome.take(handle) {
            Ok(statx) => writeln!(out, "{} {}", line(&statx), path.display())?,
            Err(error) => {
                all_seen = false;
                eprintln!("syslet: {}: {error}", path.display());
            }
        }
    }
    Ok(all_seen)
}

fn line(statx: &libc::statx) -> String {
    let mode = mode(statx.stx_mode.into());
    let owner = format!("{}:{}", statx.stx_uid, statx.stx_gid);
    let changed = utc(statx.stx_mtime.tv_sec);
    let (links, size) = (statx.stx_nlink, statx.stx_size);
    format!("{mode:<11} {links:>5} {owner:>11} {size:>13}  {changed:<19} ")
}

/// The mode as `ls -l` writes it.
fn mode(mode: u32) -> String {
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFBLK => 'b',
        libc::S_IFCHR => 'c',
        libc::S_IFIFO => 'p',
        libc::S_IFSOCK => 's',
        _ => '-',
    };
    let special = [
        (libc::S_ISUID, 's'),
        (libc::S_ISGID, 's'),
        (libc::S_ISVTX, 't'),
    ];
    let mut text = String::from(kind);
    for (class, (bit, letter)) in special.into_iter().enumerate() {
        let allowed = (mode >> (6 - 3 * class)) & 7;
        text.push(if allowed & 4 != 0 { 'r' } else { '-' });
        text.push(if allowed & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & bit != 0, allowed & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Seconds since 1970 as a date and a time of day.
fn utc(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March have their leap day at the end, and 400 of them 146097 days.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_look_like_those_of_ls() {
        assert_eq!(mode(0o100_644), "-rw-r--r--");
        assert_eq!(mode(0o040_755), "drwxr-xr-x");
        assert_eq!(mode(0o041_777), "drwxrwxrwt");
        assert_eq!(mode(0o104_711), "-rws--x--x");
        assert_eq!(mode(0o102_640), "-rw-r-S---");
        assert_eq!(mode(0o120_777), "lrwxrwxrwx");
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(utc(1_171_584_000), "2007-02-16 00:00:00");
        assert_eq!(utc(4_107_542_399), "2100-02-28 23:59:59");
        assert_eq!(utc(-1), "1969-12-31 23:59:59");
    }
}
