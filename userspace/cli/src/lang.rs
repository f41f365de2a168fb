// SPDX-License-Identifier: GPL-2.0

//! The language of `syslet run`.
//!
//! ```text
//! programs  = program { newline program }
//! program   = atom { ";" atom } [ ";" ]
//! atom      = [ name "=" ] call "(" [ argument { "," argument } ] ")" [ condition ]
//! call      = the name of a system call | its number | "umem_add"
//! argument  = number | constant | argument "|" argument
//!           | text                       the address of its bytes, with a zero behind them
//!           | name "[" size "]"          the address of a new buffer of that name
//!           | name                       the address of the buffer of that name
//!           | "{" [ number { "," number } ] "}"   the address of these 64-bit words
//!           | "$" index | "$" name       the result of an earlier atom
//! condition = "stop if" test | "skip" count "if" test | "carry on"
//! test      = "< 0" | "<= 0" | "== 0" | "!= 0"
//! ```
//!
//! Without a condition an atom that fails (`< 0`) ends its program. `#` begins a comment; within
//! parentheses and braces lines may be broken.

mod constants;
mod lower;
mod parse;
mod token;

pub use lower::{lower, Buffer};
pub use parse::parse;

use std::fmt;

/// What is wrong with a source text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Offset in the source, in bytes.
    at: usize,
    message: String,
}

impl Mistake {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// The mistake as people want to see it: with its line.
    pub fn in_source<'a>(&'a self, source: &'a str) -> impl fmt::Display + 'a {
        InSource {
            mistake: self,
            source,
        }
    }
}

struct InSource<'a> {
    mistake: &'a Mistake,
    source: &'a str,
}

impl fmt::Display for InSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake { at, message } = self.mistake;
        let before = &self.source[..*at];
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.source[begin..].lines().next().unwrap_or_default();
        let (row, column) = (
            before.matches('\n').count() + 1,
            before[begin..].chars().count() + 1,
        );
        // Tabs in front of the mark as in the line, so that it stands where it should.
        let blank: String = before[begin..]
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(
            f,
            "line {row}, column {column}: {message}\n  {line}\n  {blank}^"
        )
    }
}

#[cfg(test)]
mod tests;
