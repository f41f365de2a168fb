// SPDX-License-Identifier: GPL-2.0

//! What the fuzzers have found so far, again.

use std::fs;
use std::path::Path;

use crate::decode;
use crate::Case;

/// Names the input that fails.
struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with {}", self.0.display());
        }
    }
}

fn replay<C: Case>(target: &str) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&corpus)
        .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {}", corpus.display());
    for path in &paths {
        let _named = Named(path);
        let input = fs::read(path).expect("readable");
        decode::<C>(&input).expect("every input is a case").check();
    }
}

#[test]
fn indices() {
    replay::<crate::indices::Case>("indices");
}

#[test]
fn policy() {
    replay::<crate::policy::Case>("policy");
}

#[test]
fn program() {
    replay::<crate::program::Case>("program");
}

#[test]
fn uatom() {
    replay::<crate::uatom::Case>("uatom");
}
