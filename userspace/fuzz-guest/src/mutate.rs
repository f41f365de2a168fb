// SPDX-License-Identifier: GPL-2.0

//! New cases: from nothing, and from others.

use fastrand::Rng;

use crate::case::{Case, Record, HEADER, MAX_RECORDS};
use crate::ops;

/// The payload of an EXEC whose one program reads from an empty pipe in a cachemiss thread: without
/// programs in flight much else means nothing.
const IN_FLIGHT: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 3];

/// A case of a seed.
pub fn generate(random: &mut Rng) -> Case {
    let mut header = [0; HEADER];
    random.fill(&mut header);
    let mut case = Case {
        header,
        records: Vec::new(),
    };
    // Without a head nothing else matters, and most of the time it is set up.
    case.records.push(Record {
        op: ops::OPEN,
        who: 0,
        payload: vec![0, random.u8(..)],
    });
    for _ in 0..random.usize(1..32) {
        case.records.push(record(random));
    }
    case
}

fn record(random: &mut Rng) -> Record {
    if random.u8(..12) == 0 {
        let mut payload = IN_FLIGHT.to_vec();
        // As it is, or in the caller first, or without a completion; and its user data.
        let flags = [3_u8, 0, 7][random.usize(..3)];
        payload[IN_FLIGHT.len() - 1] = flags | (random.u8(..4) << 5);
        return Record {
            op: ops::EXEC,
            who: random.u8(..),
            payload,
        };
    }
    let len = match random.u8(..8) {
        0 => random.usize(..4),
        1..=5 => random.usize(..40),
        _ => random.usize(..160),
    };
    let mut payload = vec![0; len];
    random.fill(&mut payload);
    Record {
        op: ops::weighted(random),
        who: random.u8(..),
        payload,
    }
}

/// A case like `parent`, with something of `other`.
pub fn mutate(random: &mut Rng, parent: &Case, other: &Case) -> Case {
    let mut case = parent.clone();
    for _ in 0..=random.usize(..4) {
        step(random, &mut case, other);
    }
    case.records.truncate(MAX_RECORDS);
    case
}

fn step(random: &mut Rng, case: &mut Case, other: &Case) {
    let len = case.records.len();
    if len == 0 {
        case.records.push(record(random));
        return;
    }
    let at = random.usize(..len);
    match random.u8(..12) {
        0 => case.header[random.usize(..HEADER)] = random.u8(..),
        1 => case.records.insert(at, record(random)),
        2 => drop(case.records.remove(at)),
        3 => case.records.insert(at, case.records[at].clone()),
        4 => case.records.swap(at, random.usize(..len)),
        5 => case.records[at].who = random.u8(..),
        6 => {
            let from = random.usize(..=other.records.len());
            let some = other.records[from..].iter().take(1 + random.usize(..6));
            let rest = case.records.split_off(at);
            case.records.extend(some.cloned());
            case.records.extend(rest);
        }
        7 => case.records[at] = record(random),
        _ => change(random, &mut case.records[at].payload),
    }
}

fn change(random: &mut Rng, payload: &mut Vec<u8>) {
    if payload.is_empty() || random.u8(..8) == 0 {
        payload.push(random.u8(..));
        return;
    }
    let at = random.usize(..payload.len());
    match random.u8(..6) {
        0 => payload[at] ^= 1 << random.u8(..8),
        1 => payload[at] = payload[at].wrapping_add(random.u8(..4)).wrapping_sub(2),
        2 => payload.insert(at, random.u8(..)),
        3 => drop(payload.remove(at)),
        4 => payload.truncate(at),
        _ => payload[at] = random.u8(..),
    }
    payload.truncate(255);
}

/// Smaller cases that may fail as `case` does, the smallest ones first.
pub fn smaller(case: &Case) -> Vec<Case> {
    let len = case.records.len();
    let mut cases = Vec::new();
    let mut chunk = len / 2;
    while chunk > 0 {
        for at in (0..len).step_by(chunk) {
            let mut less = case.clone();
            less.records.drain(at..(at + chunk).min(len));
            cases.push(less);
        }
        chunk /= 2;
    }
    for at in 0..len {
        let half = case.records[at].payload.len() / 2;
        if case.records[at].payload.is_empty() {
            continue;
        }
        let mut less = case.clone();
        less.records[at].payload.truncate(half);
        cases.push(less);
    }
    for at in 0..HEADER {
        if case.header[at] != 0 {
            let mut less = case.clone();
            less.header[at] = 0;
            cases.push(less);
        }
    }
    cases
}
