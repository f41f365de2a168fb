// SPDX-License-Identifier: GPL-2.0

//! Chains of uatoms in whatever memory: refused for what is wrong with them and nothing else, and
//! otherwise run as they would have been in memory.

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use syslet_oracles::memory::lay_out;
use syslet_oracles::memory::uatom_at;
use syslet_oracles::memory::variable_at;
use syslet_oracles::memory::word;
use syslet_oracles::memory::Uatom;
use syslet_oracles::memory::Words;
use syslet_oracles::memory::UATOMS;
use syslet_oracles::program::check_call;
use syslet_oracles::uatom as oracle;
use syslet_pure::policy::Abi;
use syslet_pure::program::Text;
use syslet_pure::uapi;
use syslet_pure::uatom::Memory;

use crate::choices;

const VARIABLES: usize = 8;
/// More than that would only be slow.
const MOST: usize = 2 * uapi::MAX_ATOMS;

/// A change to a word: what it holds then, or that it cannot be read.
type Change = (u64, Option<u64>);

/// A chain in memory.
#[derive(Debug)]
pub struct Case {
    memory: Words,
    first: u64,
    flags: u32,
    limit: usize,
    /// What uatoms return, by their index.
    results: Vec<i64>,
    /// What another thread writes after that many reads.
    late: (u32, Vec<Change>),
}

/// A part of an input.
enum Part {
    Uatom(Uatom, i64),
    /// The last uatom that many times more, and each is followed by the next one.
    Again(u8),
    /// To the word of this index.
    Change(u16, Value),
    Late(u16, Value),
}

enum Value {
    Hole,
    ToWord(u16),
    /// That many bytes behind it.
    Near(u16, u8),
    Any(u64),
}

fn value(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.arbitrary::<u8>()? % 4 {
        0 => Value::Hole,
        1 => Value::ToWord(u.arbitrary()?),
        2 => Value::Near(u.arbitrary()?, u.arbitrary()?),
        _ => Value::Any(u.arbitrary()?),
    })
}

/// The uatom of this index; without further words the next one in memory is next.
fn uatom(u: &mut Unstructured<'_>, index: usize) -> Result<Uatom> {
    let variable = |choice: u8| usize::from(choice) % VARIABLES;
    let mut uatom = Uatom {
        flags: u.arbitrary::<u8>()?.into(),
        nr: choices::number(u)?.into(),
        ret: u.arbitrary::<u8>()?.checked_sub(1).map(variable),
        next: match u.arbitrary::<u8>()? {
            0 => Some(index + 1),
            0xff => None,
            next => Some(usize::from(next) - 1),
        },
        args: Vec::new(),
    };
    for _ in 0..u.arbitrary::<u8>()? % 7 {
        uatom.args.push(variable(u.arbitrary()?));
    }
    Ok(uatom)
}

/// Memory, and the words in it by indices: of uatoms, of one more behind them, and of variables.
struct Place {
    abi: Abi,
    uatoms: usize,
}

impl Place {
    fn at(&self, index: u16) -> u64 {
        let words = 11 * (self.uatoms + 1);
        let index = usize::from(index) % (words + VARIABLES);
        match index.checked_sub(words) {
            None => UATOMS + word(self.abi) * index as u64,
            Some(index) => variable_at(self.abi, index),
        }
    }

    fn change(&self, (at, value): (u16, Value)) -> Change {
        let value = match value {
            Value::Hole => None,
            Value::ToWord(to) => Some(self.at(to)),
            Value::Near(to, offset) => Some(self.at(to) + u64::from(offset)),
            Value::Any(value) => Some(value & (u64::MAX >> (64 - 8 * word(self.abi)))),
        };
        (self.at(at), value)
    }
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let odd: u8 = u.arbitrary()?;
        let abi = choices::abi(u)?;
        let flags = if odd & 1 == 0 {
            u32::from(odd >> 4) & 7
        } else {
            u.arbitrary()?
        };
        let limit = if odd & 2 == 0 {
            uapi::MAX_ATOMS
        } else {
            u.arbitrary::<u8>()?.into()
        };
        let first: Option<u16> = if odd & 4 == 0 {
            None
        } else {
            Some(u.arbitrary()?)
        };
        let after: u8 = if odd & 8 == 0 { 0 } else { u.arbitrary()? };

        let (mut uatoms, mut results) = (Vec::new(), Vec::new());
        let (mut changes, mut late) = (Vec::new(), Vec::new());
        while !u.is_empty() {
            let part = match u.arbitrary::<u8>()? {
                0..=0xaf => Part::Uatom(uatom(u, uatoms.len())?, choices::result(u)?),
                0xb0..=0xbf => Part::Again(u.arbitrary()?),
                0xc0..=0xdf => Part::Change(u.arbitrary()?, value(u)?),
                0xe0.. => Part::Late(u.arbitrary()?, value(u)?),
            };
            match part {
                Part::Uatom(uatom, result) => {
                    uatoms.push(uatom);
                    results.push(result);
                }
                Part::Again(count) => {
                    let last = uatoms.last().cloned().zip(results.last().copied());
                    let count = usize::from(count).min(MOST.saturating_sub(uatoms.len()));
                    for (mut uatom, result) in std::iter::repeat_n(last, count).flatten() {
                        uatom.next = Some(uatoms.len() + 1);
                        uatoms.push(uatom);
                        results.push(result);
                    }
                }
                Part::Change(at, value) => changes.push((at, value)),
                Part::Late(at, value) => late.push((at, value)),
            }
        }
        if let Some(last) = uatoms.len().checked_sub(1) {
            let next = &mut uatoms[last].next;
            *next = next.filter(|&next| next <= last);
        }

        let place = Place {
            abi,
            uatoms: uatoms.len(),
        };
        let variables: Vec<_> = (1..=VARIABLES as u64)
            .map(|index| index * (0x1111_1111_1111_1111 >> (64 - 8 * word(abi))))
            .collect();
        let mut memory = lay_out(abi, &uatoms, &variables);
        for change in changes {
            write(&mut memory, place.change(change));
        }
        Ok(Self {
            memory,
            first: first.map_or(uatom_at(abi, 0), |index| place.at(index)),
            flags,
            limit,
            results,
            late: (
                after.into(),
                late.into_iter()
                    .map(|change| place.change(change))
                    .collect(),
            ),
        })
    }
}

fn write(memory: &mut Words, (at, value): Change) {
    match value {
        Some(value) => memory.at.insert(at, value),
        None => memory.at.remove(&at),
    };
}

/// Memory that changes while it is read.
struct Racing<'a> {
    memory: Words,
    reads: u32,
    late: &'a (u32, Vec<Change>),
}

impl Memory for Racing<'_> {
    fn read<const N: usize>(&mut self, at: u64) -> Option<[u64; N]> {
        if self.reads == self.late.0 {
            for &change in &self.late.1 {
                write(&mut self.memory, change);
            }
        }
        self.reads += 1;
        self.memory.read(at)
    }
}

impl Case {
    /// What the uatom at an address returns.
    fn result(&self, at: u64) -> i64 {
        let index = at.wrapping_sub(UATOMS) / (11 * word(self.memory.abi));
        let index = usize::try_from(index).expect("64 bits");
        index
            .checked_rem(self.results.len())
            .map_or(0, |index| self.results[index])
    }

    fn check_still(&self) {
        let (memory, first) = (&self.memory, self.first);
        let defects = oracle::defects(memory, first, self.flags, self.limit);
        let mut read = memory.clone();
        let chain = match oracle::translate(memory.abi, &mut read, first, self.flags, self.limit) {
            Ok(chain) => chain,
            Err(refusal) => {
                assert!(defects.contains(&refusal), "{refusal:?}: {defects:?}");
                return;
            }
        };
        assert_eq!(defects, [], "accepted");
        let order = oracle::walk(memory, first);
        assert_eq!(chain.atoms.len(), order.len());
        assert_eq!(read.reads, oracle::reads(memory, &order));
        let of_atoms = chain.atoms.iter().map(|atom| atom.flags.into()).collect();
        assert_eq!(
            (chain.flags.into(), of_atoms),
            oracle::flags(memory, &order, self.flags)
        );
        assert_eq!(chain.chain().slot_size() as u64, word(memory.abi));
        let (steps, _, end) = oracle::run(&chain, |index| self.result(order[index]));
        let expected = oracle::reference(memory, first, |at| self.result(at));
        assert_eq!((steps, end), expected);
    }

    /// While memory changes, too, what was accepted has an end and only calls that are allowed.
    fn check_racing(&self) {
        let abi = self.memory.abi;
        let mut memory = Racing {
            memory: self.memory.clone(),
            reads: 0,
            late: &self.late,
        };
        let chain = oracle::translate(abi, &mut memory, self.first, self.flags, self.limit);
        let Ok(chain) = chain else { return };
        assert!((1..=self.limit.min(uapi::MAX_ATOMS)).contains(&chain.atoms.len()));
        for atom in &chain.atoms {
            assert_eq!(check_call(abi, atom.nr), Ok(()));
        }
        let (steps, ..) = oracle::run(&chain, |index| self.result(uatom_at(abi, index)));
        assert!(steps.len() <= chain.atoms.len());
    }
}

impl crate::Case for Case {
    fn check(&self) {
        if self.late.1.is_empty() {
            self.check_still();
        } else {
            self.check_racing();
        }
    }
}
