// SPDX-License-Identifier: GPL-2.0

//! A case: what a process does to the device, as bytes that any mutation leaves meaningful.
//!
//! A header of [`HEADER`] bytes, then records: the length of the payload, the operation, the thread
//! that does it, the payload. What is missing at the end reads as 0.

use std::fmt;
use std::str::FromStr;

use anyhow::{ensure, Context};

/// Bytes of the header.
pub const HEADER: usize = 4;
/// Most records of a case.
pub const MAX_RECORDS: usize = 64;
/// Most threads of a process.
pub const MAX_THREADS: u8 = 4;

/// One operation of one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Which operation; any number is one.
    pub op: u8,
    /// Which thread; any number is one.
    pub who: u8,
    /// What the operation is about; read by a [`Tape`].
    pub payload: Vec<u8>,
}

/// What a process does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// How many threads; the period of its timer, and how often it does all; how it ends; when it is
    /// killed.
    pub header: [u8; HEADER],
    /// What the threads do, each its own in this order.
    pub records: Vec<Record>,
}

impl Case {
    /// How many threads there are.
    pub fn threads(&self) -> u8 {
        1 + self.header[0] % MAX_THREADS
    }

    /// How often each thread does its part.
    pub fn rounds(&self) -> u8 {
        1 + (self.header[1] >> 3) % 4
    }

    /// After how many quarters of a millisecond it is killed, if it is to be.
    pub fn killed_after(&self) -> Option<u32> {
        (self.header[3] & 3 == 3).then(|| u32::from(self.header[3] >> 2))
    }

    /// Reads a case; no bytes are wrong.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut case = Self::default();
        let mut tape = Tape::new(bytes);
        case.header = std::array::from_fn(|_| tape.byte());
        while !tape.is_empty() && case.records.len() < MAX_RECORDS {
            let len = usize::from(tape.byte());
            let (op, who) = (tape.byte(), tape.byte());
            let payload = tape.take(len).to_vec();
            case.records.push(Record { op, who, payload });
        }
        case
    }

    /// The bytes of which [`Self::decode`] makes this.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        for record in &self.records {
            let payload = &record.payload[..record.payload.len().min(255)];
            bytes.extend([payload.len() as u8, record.op, record.who]);
            bytes.extend(payload);
        }
        bytes
    }
}

/// In hexadecimal digits, as a line of a corpus.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.encode()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        ensure!(text.is_ascii() && text.len() % 2 == 0, "not a case: {text}");
        let digits = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
        let bytes: Result<Vec<u8>, _> = digits.map(|two| u8::from_str_radix(two, 16)).collect();
        Ok(Self::decode(&bytes.context("not a case")?))
    }
}

/// Decisions, read from bytes; behind their end all are 0, which is always the simplest one.
pub struct Tape<'a> {
    rest: &'a [u8],
    wild: bool,
}

impl<'a> Tape<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            wild: false,
        }
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Eight of them.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `limit`, which is at most 256.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// True once in `n`.
    pub fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// Decides whether what follows may be such that the whole call is refused.
    pub fn begin_call(&mut self) {
        self.wild = self.rarely(6);
    }

    /// True once in `n`, in calls that may be refused.
    pub fn is_wrong(&mut self, n: usize) -> bool {
        self.wild && self.rarely(n)
    }

    /// One of `list`.
    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_come_back() {
        let mut random = fastrand::Rng::with_seed(1);
        for len in 0..600 {
            let bytes: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
            let case = Case::decode(&bytes);
            assert_eq!(Case::decode(&case.encode()), case);
            assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
        }
    }

    #[test]
    fn what_is_no_case_is_refused() {
        assert!("0".parse::<Case>().is_err());
        assert!("0g".parse::<Case>().is_err());
        assert!("äö".parse::<Case>().is_err());
    }
}
