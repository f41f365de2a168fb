// SPDX-License-Identifier: GPL-2.0

//! Runs a text as the module's interpreter does, with results from a table instead of calls.

use syslet_pure::program::Next;
use syslet_pure::program::Results;
use syslet_pure::program::Text;

/// The result of an atom that takes the result of one that has not run.
pub const NOT_CALLED: i64 = -22;

/// How a program ended: behind its last atom, or by a stop condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Behind its last atom.
    Fell,
    /// By a stop condition.
    Stopped,
}

/// An atom that was called, or that could not be for want of an argument.
pub type Step = (usize, Option<[u64; 6]>);

/// What came of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The atoms that it came by.
    pub steps: Vec<Step>,
    /// What each atom returned, if it ran.
    pub returned: Vec<Option<i64>>,
    /// How it ended.
    pub end: End,
}

/// Runs `text`, whose atom at an index returns what `result` says.
///
/// It must come by no atom twice.
pub fn run(text: &impl Text, result: impl Fn(usize) -> i64) -> Run {
    let atoms = text.atoms();
    let mut results = Results::new();
    let mut steps = Vec::new();
    let mut index = 0;
    let end = loop {
        assert_eq!(results.get(index), None, "{index} runs again");
        let args = text.arguments(&atoms[index], &results);
        let value = args.map_or(NOT_CALLED, |_| result(index));
        steps.push((index, args));
        results.set(index, value);
        assert_eq!(results.get(index), Some(value));
        match text.next(&atoms[index], index, value) {
            Next::Atom(next) => index = next,
            Next::End => break End::Fell,
            Next::Stop => break End::Stopped,
        }
    };
    let returned = (0..atoms.len()).map(|index| results.get(index)).collect();
    Run {
        steps,
        returned,
        end,
    }
}
