// SPDX-License-Identifier: GPL-2.0

//! `syslet top`: the heads of the system, and what they do.

mod heads;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{json, Value};

use self::heads::{Found, Head};

/// What to show.
#[derive(clap::Args)]
pub struct Args {
    /// The heads of this process only, with the reasons why programs stayed in their callers
    #[arg(long)]
    pid: Option<u32>,
    /// Look once, without rates; also where this is not printed to a terminal
    #[arg(long)]
    once: bool,
    /// Everything, as JSON, once
    #[arg(long)]
    json: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("from 0.1 to 3600".into()),
    }
}

/// Looks, and shows; without end on a terminal.
pub fn main(args: &Args) -> Result<bool> {
    let mut out = io::stdout().lock();
    let look = || {
        heads::find(Path::new("/proc"), args.pid).with_context(|| match args.pid {
            Some(pid) => format!("process {pid}"),
            None => "/proc".into(),
        })
    };
    if args.json {
        serde_json::to_writer_pretty(&mut out, &as_json(&look()?))?;
        writeln!(out)?;
        return Ok(true);
    }
    if args.once || !out.is_terminal() {
        show(&mut out, &look()?, None, args.pid.is_some())?;
        return Ok(true);
    }
    let (mut before, mut at) = (look()?, Instant::now());
    loop {
        thread::sleep(Duration::from_secs_f64(args.interval));
        let (now, taken) = (look()?, at.elapsed());
        at = Instant::now();
        // Clears the screen.
        write!(out, "\x1b[H\x1b[2J")?;
        show(&mut out, &now, Some((&before, taken)), args.pid.is_some())?;
        out.flush()?;
        before = now;
    }
}

fn as_json(found: &Found) -> Value {
    let heads: Vec<_> = found
        .heads
        .iter()
        .map(|head| {
            let values: serde_json::Map<_, _> = head
                .values()
                .map(|(name, value)| (name.replace('-', "_"), value.into()))
                .collect();
            json!({ "pid": head.pid, "fd": head.fd, "comm": head.comm, "values": values })
        })
        .collect();
    json!({ "heads": heads, "processes_not_looked_at": found.closed })
}

/// Writes a table; where there was a look before, with what has happened since, by the second.
fn show(
    out: &mut impl Write,
    found: &Found,
    before: Option<(&Found, Duration)>,
    reasons: bool,
) -> io::Result<()> {
    if found.heads.is_empty() {
        writeln!(out, "no heads")?;
    } else {
        let unit = if before.is_some() { "/s" } else { "" };
        writeln!(
            out,
            "{:>7} {:>4} {:<15} {:>7} {:>4} {:>7} {:>8} {:>10} {:>10} {:>9} {:>9} {:>6}",
            "PID",
            "FD",
            "NAME",
            "THREADS",
            "IDLE",
            "RUNNING",
            "BLOCKED",
            format!("CALLS{unit}"),
            format!("PROGS{unit}"),
            format!("LEFT{unit}"),
            "FALLBACKS",
            "KEPT",
        )?;
    }
    for head in &found.heads {
        let rate = |name| match before {
            None => head.value(name),
            Some((before, time)) => per_second(head, before, name, time),
        };
        writeln!(
            out,
            "{:>7} {:>4} {:<15} {:>7} {:>4} {:>7} {:>8} {:>10} {:>10} {:>9} {:>9} {:>6}",
            head.pid,
            head.fd,
            head.comm,
            head.value("threads"),
            head.value("threads-idle"),
            head.running(),
            head.value("threads-blocked"),
            rate("calls"),
            rate("programs"),
            rate("handoffs"),
            head.fallbacks().map(|(_, count)| count).sum::<u64>(),
            head.value("cq-kept"),
        )?;
        if reasons {
            writeln!(
                out,
                "        {} programs ended in their caller; calls that could not leave it:",
                head.in_caller()
            )?;
            for (reason, count) in head.fallbacks() {
                writeln!(out, "        {count:>10} {reason}")?;
            }
        }
    }
    if found.closed > 0 {
        writeln!(out, "{} processes may not be looked at", found.closed)?;
    }
    Ok(())
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rate, for people"
)]
fn per_second(head: &Head, before: &Found, name: &str, time: Duration) -> u64 {
    let same = |old: &&Head| (old.pid, old.fd) == (head.pid, head.fd);
    let old = before
        .heads
        .iter()
        .find(same)
        .map_or(0, |old| old.value(name));
    (head.value(name).saturating_sub(old) as f64 / time.as_secs_f64()).round() as u64
}

#[cfg(test)]
mod tests {
    use super::heads::tests::head;
    use super::*;

    fn found(pid: u32, lines: &str) -> Found {
        Found {
            heads: vec![head(pid, lines)],
            closed: 2,
        }
    }

    fn shown(found: &Found, before: Option<(&Found, Duration)>, reasons: bool) -> String {
        let mut out = Vec::new();
        show(&mut out, found, before, reasons).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table() {
        let lines = "syslet-setup: 1\nsyslet-calls: 4\nsyslet-programs: 40\nsyslet-handoffs: 5\n\
                     syslet-threads: 3\nsyslet-threads-idle: 1\nsyslet-threads-blocked: 1\n\
                     syslet-in-flight: 2\nsyslet-fallback-limit: 6\nsyslet-cq-kept: 7\n";
        assert_eq!(
            shown(&found(12, lines), None, true),
            "    PID   FD NAME            THREADS IDLE RUNNING  BLOCKED      CALLS      PROGS      LEFT FALLBACKS   KEPT\n     \
             12    3 test                  3    1       1        1          4         40         5         6      7\n        \
             35 programs ended in their caller; calls that could not leave it:\n                 \
             6 limit\n\
             2 processes may not be looked at\n"
        );
    }

    #[test]
    fn rates() {
        let before = found(12, "syslet-setup: 1\nsyslet-calls: 100\n");
        let now = found(12, "syslet-setup: 1\nsyslet-calls: 300\n");
        let table = shown(&now, Some((&before, Duration::from_secs(2))), false);
        assert!(table.contains("CALLS/s"), "{table}");
        assert_eq!(
            table.lines().nth(1).unwrap().split_whitespace().nth(7),
            Some("100")
        );
        // It is another one that came since.
        let other = found(13, "syslet-setup: 1\nsyslet-calls: 10\n");
        let table = shown(&other, Some((&before, Duration::from_secs(2))), false);
        assert_eq!(
            table.lines().nth(1).unwrap().split_whitespace().nth(7),
            Some("5")
        );
    }

    #[test]
    fn nothing_to_show() {
        let none = Found::default();
        assert_eq!(shown(&none, None, false), "no heads\n");
    }
}
