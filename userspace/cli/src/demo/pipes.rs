// SPDX-License-Identifier: GPL-2.0

//! Programs that wait for pipes, while their caller does work of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanCount;
use nix::unistd::pipe;
use syslet::{Head, Program, SubmitFlags, Submitted, WaitFor};

/// How many programs wait at once.
const PROGRAMS: usize = 64;
/// What each of them passes on.
const LEN: usize = 512;
/// How long the caller works while they wait.
const WORK: Duration = Duration::from_millis(100);

/// Has programs pass on what comes through pipes; says how it went, and whether it was all right.
pub fn show(out: &mut impl Write, head: &Head) -> Result<bool> {
    let (back, forth) = pipe()?;
    let (mut back, forth) = (File::from(back), Arc::new(forth));
    let mut writers = Vec::new();
    let mut left = 0;

    for _ in 0..PROGRAMS {
        let (reader, writer) = pipe()?;
        writers.push(File::from(writer));
        let mut program = Program::new();
        let read = program.read(reader, vec![0; LEN])?;
        program.write(Arc::clone(&forth), &read)?;
        if let Submitted::InFlight(_) = head.submit(program, SubmitFlags::empty())? {
            left += 1;
        }
    }
    let steps = work(WORK);
    for (byte, mut writer) in (0..).zip(&writers) {
        writer.write_all(&[byte; LEN])?;
    }
    let mut passed_on = 0;
    let mut completed = 0;
    while completed < left {
        head.wait(WaitFor::completions(1))?;
        for mut done in head.completions() {
            completed += 1;
            passed_on += usize::from(done.outcome().check().is_ok());
        }
    }
    let mut bytes = vec![0; PROGRAMS * LEN];
    back.read_exact(&mut bytes)?;
    // In whatever order; but none may be torn, lost or double.
    let mut firsts: Vec<_> = bytes
        .chunks(LEN)
        .filter(|chunk| chunk.iter().all(|byte| *byte == chunk[0]))
        .map(|chunk| chunk[0])
        .collect();
    firsts.sort_unstable();
    let whole = firsts.iter().copied().eq((0..).take(PROGRAMS));
    let right = left == PROGRAMS && passed_on == PROGRAMS && whole;
    writeln!(
        out,
        "pipes: {left} of {PROGRAMS} programs blocked and left the caller, which meanwhile did\n  \
         {} steps of a computation in {WORK:?}; then {passed_on} passed on what came{}",
        HumanCount(steps),
        if right { "" } else { ": NOT as it should be" }
    )?;
    Ok(right)
}

/// Computes for a while; returns how far it got.
fn work(time: Duration) -> u64 {
    let begun = Instant::now();
    let (mut state, mut steps) = (1_u64, 0);
    while begun.elapsed() < time {
        for _ in 0..1000 {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005) + 1);
        }
        steps += 1000;
    }
    steps
}
