// SPDX-License-Identifier: GPL-2.0

//! `syslet info`: features, limits and policy.

use std::io::{self, Write};

use anyhow::Result;
use serde_json::{json, Value};
use syslet::policy::{self, Abi};
use syslet::{Device, Features, Info, Verdict};

/// What to show.
#[derive(clap::Args)]
pub struct Args {
    /// Show the calls that programs may make, too, not only those that are refused
    #[arg(long)]
    all: bool,
    /// Everything, as JSON
    #[arg(long)]
    json: bool,
}

/// A call, what this kernel says of it, and what is known of it here.
struct Call {
    nr: u32,
    verdict: Verdict,
    name: Option<&'static str>,
    why: Option<&'static str>,
}

impl Call {
    fn new(nr: u32, verdict: Verdict) -> Self {
        let why = match policy::verdict(Abi::X86_64, nr) {
            policy::Verdict::Deny(reason) => Some(reason.as_str()),
            _ => policy::rule(Abi::X86_64, nr).map(policy::Rule::as_str),
        };
        Self {
            nr,
            verdict,
            name: policy::name(Abi::X86_64, nr),
            why,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.verdict {
            Verdict::Allow => "allowed",
            Verdict::Deny => "refused",
            _ => "unknown",
        }
    }
}

/// Asks and shows.
pub fn main(device: &Device, args: &Args) -> Result<bool> {
    let info = device.query()?;
    let verdicts = device.policies(policy::TABLE_LEN)?;
    let calls: Vec<_> = (0..)
        .zip(verdicts)
        .map(|(nr, verdict)| Call::new(nr, verdict))
        .filter(|call| call.verdict != Verdict::Unknown || call.name.is_some())
        .collect();

    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &as_json(info, &calls))?;
        writeln!(out)?;
    } else {
        write(&mut out, info, &calls, args.all)?;
    }
    Ok(true)
}

fn features(info: Info) -> impl Iterator<Item = (&'static str, bool)> {
    let known = Features::all().iter_names();
    known.map(move |(name, flag)| (name, info.features.contains(flag)))
}

fn limits(info: Info) -> [(&'static str, u32); 4] {
    [
        ("atoms in a program", info.max_atoms),
        ("programs in one entry", info.max_programs),
        ("entries of a completion ring", info.max_cq_entries),
        ("cachemiss threads of a head", info.max_threads),
    ]
}

fn as_json(info: Info, calls: &[Call]) -> Value {
    let features: serde_json::Map<_, _> = features(info)
        .map(|(name, on)| (name.to_lowercase(), on.into()))
        .collect();
    let calls: Vec<_> = calls
        .iter()
        .map(|call| {
            json!({
                "nr": call.nr,
                "name": call.name,
                "verdict": call.verdict(),
                "why": call.why,
            })
        })
        .collect();
    json!({
        "features": features,
        "max_atoms": info.max_atoms,
        "max_programs": info.max_programs,
        "max_cq_entries": info.max_cq_entries,
        "max_threads": info.max_threads,
        "calls": calls,
    })
}

fn write(out: &mut impl Write, info: Info, calls: &[Call], all: bool) -> io::Result<()> {
    writeln!(out, "Features")?;
    for (name, on) in features(info) {
        let name = name.to_lowercase();
        writeln!(out, "  {name:<14} {}", if on { "yes" } else { "no" })?;
    }
    writeln!(out, "\nAt most")?;
    for (what, limit) in limits(info) {
        writeln!(out, "  {limit:>6} {what}")?;
    }

    let count = |verdict| calls.iter().filter(|call| call.verdict == verdict).count();
    let (allowed, refused) = (count(Verdict::Allow), count(Verdict::Deny));
    writeln!(out, "\nSystem calls: {allowed} allowed, {refused} refused")?;
    let shown = |call: &&Call| all || call.verdict != Verdict::Allow;
    for call in calls.iter().filter(shown) {
        let (nr, verdict) = (call.nr, call.verdict());
        let (name, why) = (call.name.unwrap_or("?"), call.why.unwrap_or_default());
        let line = format!("  {nr:>3} {name:<24} {verdict:<8} {why}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
