// SPDX-License-Identifier: GPL-2.0

//! The ring's indices: a ring that is filled and emptied by them, by a user who may lie.
//!
//! The ring is that of the module in short: what finds it full is kept back. Indices begin
//! anywhere, so that they wrap.

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use syslet_oracles::ring as oracle;
use syslet_pure::indices;

/// What happens to a ring.
#[derive(Debug)]
enum Step {
    /// That many programs complete.
    Post(u8),
    /// The user takes up to that many entries.
    Take(u8),
    /// The kernel moves what it has kept back.
    Move,
    /// The user writes this to its head, and goes on from there.
    Lie(u32),
    /// The user writes its head again as it was before the lies.
    Repent,
}

/// A ring and its life.
#[derive(Debug)]
pub struct Case {
    entries: u32,
    start: u32,
    steps: Vec<Step>,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut case = Self {
            entries: 1 << (u.arbitrary::<u8>()? % 17),
            start: u.arbitrary()?,
            steps: Vec::new(),
        };
        while !u.is_empty() {
            case.steps.push(match u.arbitrary::<u8>()? % 8 {
                0..=2 => Step::Post(u.arbitrary()?),
                3 | 4 => Step::Take(u.arbitrary()?),
                5 => Step::Move,
                6 => Step::Lie(u.arbitrary()?),
                _ => Step::Repent,
            });
        }
        Ok(case)
    }
}

/// The ring, with a number for each completion, from 1 on.
struct Ring {
    cqes: Vec<u64>,
    head: u32,
    tail: u32,
    kept: VecDeque<u64>,
    posted: u64,
}

impl Ring {
    fn entries(&self) -> u32 {
        u32::try_from(self.cqes.len()).expect("small")
    }

    fn slot(&self, index: u32) -> usize {
        (index & (self.entries() - 1)) as usize
    }

    fn post(&mut self) {
        self.posted += 1;
        self.kept.push_back(self.posted);
        self.unkeep();
    }

    fn unkeep(&mut self) {
        while indices::room(self.head, self.tail, self.entries()) > 0 {
            let Some(cqe) = self.kept.pop_front() else {
                break;
            };
            let slot = self.slot(self.tail);
            self.cqes[slot] = cqe;
            self.tail = self.tail.wrapping_add(1);
        }
    }
}

impl crate::Case for Case {
    fn check(&self) {
        let mut ring = Ring {
            cqes: vec![0; self.entries as usize],
            head: self.start,
            tail: self.start,
            kept: VecDeque::new(),
            posted: 0,
        };
        // What an honest user has taken, and has to go on with after lies.
        let (mut taken, mut honest) = (0, None);
        for step in &self.steps {
            match *step {
                Step::Post(count) => (0..count).for_each(|_| ring.post()),
                Step::Take(count) => {
                    for _ in 0..count {
                        if ring.head == ring.tail {
                            break;
                        }
                        if honest.is_none() {
                            taken += 1;
                            assert_eq!(ring.cqes[ring.slot(ring.head)], taken, "in order");
                        }
                        ring.head = ring.head.wrapping_add(1);
                    }
                }
                Step::Move => ring.unkeep(),
                Step::Lie(head) => {
                    honest.get_or_insert(ring.head);
                    ring.head = head;
                }
                Step::Repent => {
                    // What was overwritten meanwhile is lost, by the user's own fault.
                    if let Some(head) = honest.take() {
                        let written = ring.posted - ring.kept.len() as u64;
                        let lost = (written - taken).saturating_sub(self.entries.into());
                        taken += lost;
                        let lost = u32::try_from(lost).expect("small");
                        ring.head = head.wrapping_add(lost);
                    }
                }
            }
            oracle::check(ring.head, ring.tail, self.entries);
            let written = ring.posted - ring.kept.len() as u64;
            let end = u64::from(self.start) + written;
            assert_eq!(u64::from(ring.tail), end & 0xffff_ffff, "nothing is lost");
            if honest.is_none() {
                let waiting = written - taken;
                let used = indices::used(ring.head, ring.tail, self.entries);
                assert_eq!(u64::from(used), waiting);
                if matches!(step, Step::Post(1..) | Step::Move) && !ring.kept.is_empty() {
                    assert_eq!(waiting, self.entries.into(), "room is used");
                }
            }
        }
        if honest.is_some() {
            return;
        }
        // The user gets all of it in the end.
        while taken < ring.posted {
            ring.unkeep();
            assert_ne!(ring.head, ring.tail, "{taken} of {}", ring.posted);
            taken += 1;
            assert_eq!(ring.cqes[ring.slot(ring.head)], taken);
            ring.head = ring.head.wrapping_add(1);
        }
        assert_eq!(
            indices::room(ring.head, ring.tail, self.entries),
            self.entries
        );
    }
}
