// SPDX-License-Identifier: GPL-2.0

//! The loop: make a case, run it, keep it if it came by something new.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;

use crate::case::Case;
use crate::corpus::{self, Corpus};
use crate::judge::{Judge, Verdict};
use crate::mutate;
use crate::{Cli, Print};

/// How often to say how it goes.
const REPORT: Duration = Duration::from_secs(10);

/// What is known so far.
pub struct Fuzzer<'a> {
    cli: &'a Cli,
    judge: Judge,
    corpus: Corpus,
    begun: Instant,
    cases: u64,
    late: u64,
    handoffs: u64,
    failures: u64,
    hopeless: bool,
}

impl<'a> Fuzzer<'a> {
    /// Knows nothing.
    pub fn new(cli: &'a Cli, judge: Judge) -> Self {
        Self {
            cli,
            judge,
            corpus: Corpus::default(),
            begun: Instant::now(),
            cases: 0,
            late: 0,
            handoffs: 0,
            failures: 0,
            hopeless: false,
        }
    }

    /// Does what the command line says; returns how many cases failed.
    pub fn run(&mut self) -> Result<u64> {
        if self.cli.replay.is_empty() {
            self.fuzz()?;
        } else {
            self.replay()?;
        }
        self.report();
        if self.cli.print.contains(&Print::Corpus) {
            for case in self.corpus.cover() {
                println!("keep {case}");
            }
        }
        if let Some(kcov) = self
            .judge
            .kcov()
            .filter(|_| self.cli.print.contains(&Print::Places))
        {
            let names = self
                .corpus
                .places()
                .iter()
                .filter_map(|&place| kcov.name(place));
            names.for_each(|name| println!("place {name}"));
        }
        Ok(self.failures)
    }

    fn replay(&mut self) -> Result<()> {
        let mut cases = Vec::new();
        for text in &self.cli.replay {
            cases.extend(cases_of(text)?);
        }
        for _ in 0..self.cli.times {
            for case in &cases {
                let verdict = self.try_case(case)?;
                if verdict.failure.is_some() && self.cli.shrink && !verdict.hopeless {
                    self.shrink(case.clone())?;
                    return Ok(());
                }
                if self.hopeless {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Looks for the smallest case that fails; one that does only now and then is tried again.
    fn shrink(&mut self, mut case: Case) -> Result<()> {
        'smaller: loop {
            for less in mutate::smaller(&case) {
                for _ in 0..self.cli.times {
                    let verdict = self.judge.run(&less)?;
                    if verdict.failure.is_some() {
                        case = less;
                        println!("smaller: {case}");
                        if verdict.hopeless {
                            return Ok(());
                        }
                        continue 'smaller;
                    }
                }
            }
            return Ok(());
        }
    }

    fn fuzz(&mut self) -> Result<()> {
        let mut random = Rng::with_seed(self.cli.seed);
        let mut next_report = REPORT;
        if let Some(path) = &self.cli.corpus {
            for case in corpus::read(path)? {
                self.try_case(&case)?;
                self.corpus.keep(&case);
            }
        }
        while self.begun.elapsed() < Duration::from_secs(self.cli.seconds) {
            let case = self.corpus.next(&mut random);
            self.try_case(&case)?;
            if self.hopeless {
                break;
            }
            if self.begun.elapsed() >= next_report {
                next_report += REPORT;
                self.report();
            }
        }
        Ok(())
    }

    fn try_case(&mut self, case: &Case) -> Result<Verdict> {
        if self.cli.print.contains(&Print::Cases) {
            println!("case {case}");
        }
        let mut verdict = self.judge.run(case)?;
        self.cases += 1;
        self.hopeless |= verdict.hopeless;
        self.late += u64::from(verdict.late);
        self.handoffs += verdict.handoffs;
        self.corpus.note(case, std::mem::take(&mut verdict.places));
        if let Some(failure) = &verdict.failure {
            self.failures += 1;
            println!("FAILED: {failure}");
            println!("again by: syslet-fuzz --times 100 --replay {case}");
        }
        Ok(verdict)
    }

    fn report(&self) {
        let tenths = self.begun.elapsed().as_millis() / 100;
        println!(
            "{} s: {} cases, {} a minute, {} killed for time, {} handoffs, {} kept, {} places, {} failed",
            tenths / 10,
            self.cases,
            u128::from(self.cases) * 600 / tenths.max(1),
            self.late,
            self.handoffs,
            self.corpus.len(),
            self.corpus.places().len(),
            self.failures,
        );
    }
}

/// A seed, a file, or the case itself.
fn cases_of(text: &str) -> Result<Vec<Case>> {
    if let Ok(seed) = text.parse() {
        return Ok(vec![mutate::generate(&mut Rng::with_seed(seed))]);
    }
    if Path::new(text).exists() {
        return corpus::read(Path::new(text));
    }
    Ok(vec![text.parse()?])
}
