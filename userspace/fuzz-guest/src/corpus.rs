// SPDX-License-Identifier: GPL-2.0

//! The cases that are worth keeping: those that were given, and such that came by new places.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::case::Case;
use crate::mutate;

/// How many of the last ones count as new.
const NEW: usize = 16;

/// Cases, and where each came by.
#[derive(Default)]
pub struct Corpus {
    cases: Vec<(Case, BTreeSet<usize>)>,
    places: BTreeSet<usize>,
}

impl Corpus {
    /// Takes note of a case that has run; it is kept if it came by new places.
    pub fn note(&mut self, case: &Case, places: BTreeSet<usize>) {
        let known = self.places.len();
        self.places.extend(&places);
        if self.places.len() > known {
            self.cases.push((case.clone(), places));
        }
    }

    /// Keeps a case that was just noted, whatever it came by.
    pub fn keep(&mut self, case: &Case) {
        if self.cases.last().is_none_or(|(last, _)| last != case) {
            self.cases.push((case.clone(), BTreeSet::new()));
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// All places that any case came by.
    pub fn places(&self) -> &BTreeSet<usize> {
        &self.places
    }

    /// A case that was not there yet.
    pub fn next(&self, random: &mut Rng) -> Case {
        if self.cases.is_empty() || random.u8(..4) == 0 {
            return mutate::generate(random);
        }
        // The newest ones are where something may be behind.
        let len = self.cases.len();
        let from = if random.bool() {
            len.saturating_sub(NEW)
        } else {
            0
        };
        let parent = &self.cases[random.usize(from..len)].0;
        let other = &self.cases[random.usize(..len)].0;
        mutate::mutate(random, parent, other)
    }

    /// Few cases that together come by all places.
    pub fn cover(&self) -> Vec<&Case> {
        let mut missing = self.places.clone();
        let mut chosen = Vec::new();
        let new = |places: &BTreeSet<usize>, missing: &BTreeSet<usize>| {
            places.intersection(missing).count()
        };
        while let Some((case, places)) = self
            .cases
            .iter()
            .max_by_key(|(_, places)| new(places, &missing))
            .filter(|(_, places)| new(places, &missing) > 0)
        {
            missing.retain(|place| !places.contains(place));
            chosen.push(case);
        }
        chosen
    }
}

/// The cases of a file: one a line; what is behind a `#` is for the reader.
pub fn read(path: &Path) -> Result<Vec<Case>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    lines
        .filter(|line| !line.is_empty())
        .map(str::parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cover_is_small_and_whole() {
        let mut corpus = Corpus::default();
        let named = |name: u8| Case {
            header: [name, 0, 0, 0],
            records: Vec::new(),
        };
        corpus.note(&named(1), BTreeSet::from([1]));
        corpus.note(&named(2), BTreeSet::from([1]));
        corpus.note(&named(3), BTreeSet::from([1, 2, 3]));
        corpus.note(&named(4), BTreeSet::from([3, 4]));
        assert_eq!(corpus.len(), 3);
        assert_eq!(corpus.cover(), [&named(3), &named(4)]);
    }
}
