// SPDX-License-Identifier: GPL-2.0

//! What was measured: a table for people, raw numbers for programs.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::thread::available_parallelism;

use nix::sys::utsname::{uname, UtsName};
use serde_json::{json, Value};

use crate::case::{Plan, Row, Way};
use crate::clock::Clock;
use crate::targets::{Target, TARGETS};

/// Rows, and where they come from.
pub struct Report {
    clock: Clock,
    about: Value,
    rows: Vec<Row>,
}

/// What one operation costs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figure {
    low: f64,
    value: f64,
    high: f64,
}

impl Report {
    /// An empty report.
    pub fn new(clock: Clock, plan: Plan, commit: Option<&str>, note: Option<&str>) -> Self {
        let kernel = uname().ok();
        let release = kernel.as_ref().map(UtsName::release);
        let version = kernel.as_ref().map(UtsName::version);
        let about = json!({
            "unit": clock.unit(),
            "kernel": release.map(OsStr::to_string_lossy),
            "kernel_version": version.map(OsStr::to_string_lossy),
            "cpus": available_parallelism().map_or(0, usize::from),
            "mitigations": mitigations(),
            "commit": commit,
            "note": note,
            "warm_up": plan.warm_up,
            "rounds": plan.rounds,
            "batches": plan.batches,
        });
        Self {
            clock,
            about,
            rows: Vec::new(),
        }
    }

    /// Adds what was measured.
    pub fn add(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    fn row(&self, bench: &str, size: u32, way: Way) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| (row.bench, row.size, row.way) == (bench, size, way))
    }

    fn figure(&self, bench: &str, size: u32, way: Way) -> Option<Figure> {
        figure(self.clock, self.row(bench, size, way)?)
    }

    /// The cost of syslets as a multiple of a peer's, if both were measured.
    fn ratio(&self, target: &Target) -> Option<f64> {
        let cost = |way| self.figure(target.bench, target.size, way);
        Some(cost(Way::Syslet)?.value / cost(target.peer)?.value)
    }

    /// Everything, batch by batch.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let row = |row: &Row| {
            let figure = figure(self.clock, row);
            json!({
                "bench": row.bench,
                "size": row.size,
                "way": row.way.name(),
                "operations": row.operations,
                "value": figure.map(|figure| figure.value),
                "low": figure.map(|figure| figure.low),
                "high": figure.map(|figure| figure.high),
                "not_measured": row.rounds.as_ref().err(),
                "rounds": row.rounds.as_ref().ok(),
            })
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        writeln!(out, "{}", json!({ "about": self.about, "rows": rows }))
    }

    /// What each way costs, and what was aimed at.
    pub fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let text = |key: &str| self.about[key].as_str().unwrap_or("unknown").to_owned();
        let (kernel, commit, cpus) = (text("kernel"), text("commit"), &self.about["cpus"]);
        writeln!(out, "Linux {kernel}, {cpus} CPUs, commit {commit}")?;
        let how = match self.clock {
            Clock::Instructions => "the least of all batches",
            Clock::Nanoseconds => "median of the rounds, and how far they are apart",
        };
        writeln!(out, "{} for one operation: {how}\n", self.clock.unit())?;

        let width = match self.clock {
            Clock::Instructions => 12,
            Clock::Nanoseconds => 18,
        };
        write!(out, "{:<12}", "")?;
        for way in Way::ALL {
            write!(out, " {:>width$}", way.name())?;
        }
        writeln!(out)?;
        let mut last = None;
        for row in &self.rows {
            let key = (row.bench, row.size);
            if last.replace(key) == Some(key) {
                continue;
            }
            write!(out, "{:<12}", label(row.bench, row.size))?;
            for way in Way::ALL {
                write!(out, " {:>width$}", self.cell(row.bench, row.size, way))?;
            }
            writeln!(out)?;
        }
        for row in &self.rows {
            if let Err(reason) = &row.rounds {
                let (label, way) = (label(row.bench, row.size), row.way.name());
                writeln!(out, "{label}: {way} not measured: {reason}")?;
            }
        }
        self.write_targets(out)
    }

    fn cell(&self, bench: &str, size: u32, way: Way) -> String {
        match (self.row(bench, size, way), self.figure(bench, size, way)) {
            (None, _) => "-".to_owned(),
            (_, None) => "not measured".to_owned(),
            (_, Some(Figure { low, value, high })) => match self.clock {
                Clock::Instructions => format!("{value:.0}"),
                Clock::Nanoseconds => format!("{value:.0} ({low:.0}-{high:.0})"),
            },
        }
    }

    fn write_targets(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n{:<28} {:>8} {:>8}", "syslet to", "is", "aim")?;
        for target in TARGETS {
            let name = target.name();
            let Some(ratio) = self.ratio(target) else {
                writeln!(out, "{name:<28} not measured")?;
                continue;
            };
            let met = if ratio <= target.aim {
                "met"
            } else {
                "not met"
            };
            writeln!(out, "{name:<28} {ratio:>8.2} {:>8.2} {met}", target.aim)?;
        }
        Ok(())
    }

    /// Says which gates are closed; returns whether all are open.
    pub fn write_gates(&self, out: &mut impl Write) -> io::Result<bool> {
        let mut open = true;
        for target in TARGETS {
            let Some(gate) = target.gate else {
                continue;
            };
            let name = target.name();
            match self.ratio(target) {
                Some(ratio) if ratio <= gate => {
                    writeln!(out, "gate: {name}: {ratio:.2}, at most {gate:.2}")?;
                    continue;
                }
                Some(ratio) => writeln!(out, "GATE: {name}: {ratio:.2}, MORE than {gate:.2}")?,
                None => writeln!(out, "GATE: {name}: not measured")?,
            }
            open = false;
        }
        Ok(open)
    }
}

impl Target {
    fn name(&self) -> String {
        format!("{} / {}", label(self.bench, self.size), self.peer.name())
    }
}

/// What the kernel does about the processor's flaws, which is what entering it costs.
fn mitigations() -> Value {
    let Ok(flaws) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return Value::Null;
    };
    let told = flaws.flatten().filter_map(|flaw| {
        let told = fs::read_to_string(flaw.path()).ok()?;
        let name = flaw.file_name().to_string_lossy().into_owned();
        Some((name, told.trim_end().into()))
    });
    Value::Object(told.collect())
}

fn label(bench: &str, size: u32) -> String {
    match bench {
        "handoff" | "roundtrip" | "overtaken" => bench.to_owned(),
        _ => format!("{bench} {size}"),
    }
}

/// Counts: the least batch is the one that nothing came in between of. Times: the median of the
/// rounds, each of which is the median of its batches.
fn figure(clock: Clock, row: &Row) -> Option<Figure> {
    let rounds = row.rounds.as_ref().ok()?;
    let mut values: Vec<u64> = match clock {
        Clock::Instructions => rounds.iter().flatten().copied().collect(),
        Clock::Nanoseconds => rounds.iter().filter_map(|round| median(round)).collect(),
    };
    values.sort_unstable();
    let (low, high) = (*values.first()?, *values.last()?);
    let value = match clock {
        Clock::Instructions => low,
        Clock::Nanoseconds => median(&values)?,
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "nothing is measured to so many digits"
    )]
    let each = |total: u64| total as f64 / f64::from(row.operations);
    Some(Figure {
        low: each(low),
        value: each(value),
        high: each(high),
    })
}

/// The value in the middle; of two, the lower.
fn median(values: &[u64]) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    let middle = values.len().checked_sub(1)? / 2;
    values.get(middle).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bench: &'static str, size: u32, way: Way, rounds: &[&[u64]]) -> Row {
        Row {
            bench,
            size,
            way,
            operations: 10,
            rounds: Ok(rounds.iter().map(|round| round.to_vec()).collect()),
        }
    }

    fn report(clock: Clock, rows: Vec<Row>) -> Report {
        let mut report = Report::new(clock, Plan::for_clock(clock), Some("abc"), None);
        report.add(rows);
        report
    }

    #[test]
    fn counts_are_the_least_of_all() {
        let row = row("null", 1, Way::Plain, &[&[3000, 2000, 9000]]);
        let figure = figure(Clock::Instructions, &row).unwrap();
        assert_eq!(
            (figure.low, figure.value, figure.high),
            (200.0, 200.0, 900.0)
        );
    }

    #[test]
    fn times_are_medians_of_medians() {
        let rounds: [&[u64]; 3] = [&[10, 20, 900], &[30, 40, 50], &[1, 10, 11]];
        let figure = figure(Clock::Nanoseconds, &row("null", 1, Way::Plain, &rounds)).unwrap();
        assert_eq!((figure.low, figure.value, figure.high), (1.0, 2.0, 4.0));
    }

    #[test]
    fn a_gate_without_a_number_is_closed() {
        let mut out = Vec::new();
        let report = report(Clock::Instructions, Vec::new());
        assert!(!report.write_gates(&mut out).unwrap());
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains("null 1 / plain: not measured"), "{said}");
    }

    #[test]
    fn gates() {
        let with = |syslet: u64| {
            let rows = TARGETS.iter().filter(|target| target.gate.is_some());
            let rows = rows.flat_map(|target| {
                [(target.peer, 1000), (Way::Syslet, syslet)]
                    .map(|(way, took)| row(target.bench, target.size, way, &[&[took]]))
            });
            report(Clock::Instructions, rows.collect())
        };
        // The narrowest one is as much as the peer takes.
        assert!(with(1000).write_gates(&mut Vec::new()).unwrap());
        assert!(!with(1001).write_gates(&mut Vec::new()).unwrap());
    }

    #[test]
    fn a_table() {
        let mut rows = vec![
            row("null", 1, Way::Plain, &[&[3460]]),
            row("null", 1, Way::Syslet, &[&[6920]]),
        ];
        rows.push(Row {
            rounds: Err("no such call".to_owned()),
            ..row("null", 1, Way::Uring, &[])
        });
        let mut out = Vec::new();
        report(Clock::Instructions, rows)
            .write_table(&mut out)
            .unwrap();
        let table = String::from_utf8(out).unwrap();
        for line in [
            "                    plain       syslet  syslet-sync         pool     io_uring\n",
            "null 1                346          692            -            - not measured\n",
            "null 1: io_uring not measured: no such call\n",
            "null 1 / plain                   2.00     2.00 met\n",
            "null 16 / plain              not measured\n",
        ] {
            assert!(table.contains(line), "{table}");
        }
    }
}
