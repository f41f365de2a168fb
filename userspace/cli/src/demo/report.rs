// SPDX-License-Identifier: GPL-2.0

//! What was found and what was measured, for people.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

use super::Digest;

/// What one way of reading everything took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub time: Duration,
    /// System calls, in programs or not.
    pub calls: u64,
    /// Entries into the kernel.
    pub entered: u64,
}

/// Both ways, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    pub plain: Cost,
    pub programs: Cost,
}

impl Round {
    /// Time of programs to that of plain calls.
    fn ratio(&self) -> f64 {
        self.programs.time.as_secs_f64() / self.plain.time.as_secs_f64()
    }
}

/// What was read.
pub fn tree(out: &mut impl Write, path: &Path, digests: &[Digest]) -> io::Result<()> {
    let path = path.display();
    let files = HumanCount(digests.len() as u64);
    let bytes: u64 = digests.iter().flatten().map(|(len, _)| len).sum();
    let (exact, human) = (HumanCount(bytes), HumanBytes(bytes));
    let unreadable = digests.iter().filter(|digest| digest.is_err()).count();
    writeln!(
        out,
        "{path}: {files} regular files, {exact} bytes ({human})"
    )?;
    if unreadable > 0 {
        writeln!(out, "of these {unreadable} cannot be read, by either")?;
    }
    Ok(())
}

/// One round, as soon as it is measured.
pub fn round(out: &mut impl Write, number: u16, round: Round) -> io::Result<()> {
    let (plain, programs) = (round.plain.time, round.programs.time);
    let number = number + 1;
    writeln!(
        out,
        "round {number}: plain {plain:.1?}, programs {programs:.1?}"
    )?;
    out.flush()
}

/// What it took.
pub fn rounds(out: &mut impl Write, batch: u16, files: usize, rounds: &[Round]) -> io::Result<()> {
    let Some(first) = rounds.first() else {
        return Ok(());
    };
    let count = format!("median of {}", rounds.len());
    let columns: [&dyn Display; 5] = [&count, &"calls", &"entries", &"time", &"a file"];
    row(out, columns)?;
    let plain: Vec<_> = rounds.iter().map(|round| round.plain).collect();
    cost(out, "plain system calls", files, &plain)?;
    let programs: Vec<_> = rounds.iter().map(|round| round.programs).collect();
    cost(
        out,
        &format!("programs, {batch} an entry"),
        files,
        &programs,
    )?;

    let ratio = |at| quantile(rounds.iter().map(Round::ratio), at).unwrap_or(f64::NAN);
    let (low, median, high) = (ratio(0), ratio(50), ratio(100));
    writeln!(
        out,
        "time, programs / plain: {median:.3} ({low:.3} to {high:.3})"
    )?;
    let fewer = first.plain.entered / first.programs.entered.max(1);
    writeln!(out, "entries into the kernel: {fewer} times fewer")
}

fn row(out: &mut impl Write, columns: [&dyn Display; 5]) -> io::Result<()> {
    let [name, calls, entered, time, each] = columns.map(ToString::to_string);
    writeln!(
        out,
        "{name:<24} {calls:>12} {entered:>12} {time:>12} {each:>12}"
    )
}

/// A row for one way of reading.
fn cost(out: &mut impl Write, name: &str, files: usize, costs: &[Cost]) -> io::Result<()> {
    let time = quantile(costs.iter().map(|cost| cost.time), 50).unwrap_or_default();
    let each = time / u32::try_from(files).unwrap_or(u32::MAX).max(1);
    let Cost { calls, entered, .. } = costs.first().copied().unwrap_or_default();
    let (time, each) = (format!("{time:.1?}"), format!("{each:.1?}"));
    row(
        out,
        [
            &name,
            &HumanCount(calls),
            &HumanCount(entered),
            &time,
            &each,
        ],
    )
}

/// The value below which `percent` of the values are; of two, the lower.
fn quantile<T: Copy + PartialOrd>(values: impl Iterator<Item = T>, percent: usize) -> Option<T> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let last = values.len().checked_sub(1)?;
    values.get(last * percent / 100).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        assert_eq!(quantile([3, 1, 2].into_iter(), 50), Some(2));
        assert_eq!(quantile([4, 1, 3, 2].into_iter(), 50), Some(2));
        assert_eq!(quantile([4, 1, 3, 2].into_iter(), 0), Some(1));
        assert_eq!(quantile([4, 1, 3, 2].into_iter(), 100), Some(4));
        assert_eq!(quantile(std::iter::empty::<u8>(), 50), None);
    }

    #[test]
    fn a_report() {
        let cost = |ms, calls, entered| Cost {
            time: Duration::from_millis(ms),
            calls,
            entered,
        };
        let measured = [(10, 9), (20, 16), (40, 40)].map(|(plain, programs)| Round {
            plain: cost(plain, 5000, 5000),
            programs: cost(programs, 5000, 32),
        });
        let mut out = Vec::new();
        rounds(&mut out, 32, 1000, &measured).unwrap();
        let expected = "\
median of 3                     calls      entries         time       a file
plain system calls              5,000        5,000       20.0ms       20.0µs
programs, 32 an entry           5,000           32       16.0ms       16.0µs
time, programs / plain: 0.900 (0.800 to 1.000)
entries into the kernel: 156 times fewer
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
