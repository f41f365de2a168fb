// SPDX-License-Identifier: GPL-2.0

//! Chains of uatoms: that a translated chain does what the one in memory would have done.
//!
//! The oracle runs the chain in its memory, as the kernel of 2007 did: an atom at a time, looking
//! up arguments and successors when it gets there.

use std::collections::HashMap;

use proptest::prelude::*;
use syslet_pure::policy::Abi;
use syslet_pure::program::Next;
use syslet_pure::program::Refusal;
use syslet_pure::program::Results;
use syslet_pure::program::Text;
use syslet_pure::uapi;
use syslet_pure::uapi::Atom;
use syslet_pure::uatom;
use syslet_pure::uatom::Chain;
use syslet_pure::uatom::Link;
use syslet_pure::uatom::Memory;
use syslet_pure::uatom::Translated;

const CONDITIONS: [u64; 4] = [0x08, 0x10, 0x20, 0x40];
const SKIP: u64 = 0x80;

/// Where the uatoms of the tests are, one behind the other, and their variables.
const UATOMS: u64 = 0x10_0000;
const VARIABLES: u64 = 0x20_0000;

fn word(abi: Abi) -> u64 {
    match abi {
        Abi::X86_64 => 8,
        Abi::I386 => 4,
    }
}

/// User memory by words, which remembers how often each was read.
#[derive(Clone)]
struct Words {
    abi: Abi,
    at: HashMap<u64, u64>,
    reads: HashMap<u64, u32>,
}

impl Memory for Words {
    fn read<const N: usize>(&mut self, at: u64) -> Option<[u64; N]> {
        let mut words = [0; N];
        let mut at = at;
        for value in &mut words {
            *value = *self.at.get(&at)?;
            *self.reads.entry(at).or_default() += 1;
            at += word(self.abi);
        }
        Some(words)
    }
}

/// A uatom by indices: of uatoms and of variables.
#[derive(Clone, Debug, Default)]
struct Uatom {
    flags: u64,
    nr: u64,
    ret: Option<usize>,
    next: Option<usize>,
    args: Vec<usize>,
}

fn uatom_at(abi: Abi, index: usize) -> u64 {
    UATOMS + 11 * word(abi) * index as u64
}

fn variable_at(abi: Abi, index: usize) -> u64 {
    VARIABLES + word(abi) * index as u64
}

/// Puts uatoms and variables into memory.
fn lay_out(abi: Abi, uatoms: &[Uatom], variables: &[u64]) -> Words {
    let mut memory = Words {
        abi,
        at: HashMap::new(),
        reads: HashMap::new(),
    };
    let variable = |index: Option<usize>| index.map_or(0, |index| variable_at(abi, index));
    for (index, uatom) in uatoms.iter().enumerate() {
        let mut words = vec![
            uatom.flags,
            uatom.nr,
            variable(uatom.ret),
            uatom.next.map_or(0, |next| uatom_at(abi, next)),
        ];
        words.extend((0..6).map(|arg| variable(uatom.args.get(arg).copied())));
        for (at, value) in words.into_iter().enumerate() {
            let at = uatom_at(abi, index) + at as u64 * word(abi);
            memory.at.insert(at, value);
        }
    }
    for (index, &value) in variables.iter().enumerate() {
        memory.at.insert(variable_at(abi, index), value);
    }
    memory
}

/// A translated chain with its own buffers.
struct Owned {
    abi: Abi,
    atoms: Vec<Atom>,
    links: Vec<Link>,
    flags: u32,
}

impl Owned {
    fn chain(&self) -> Chain<'_> {
        Chain::new(self.abi, &self.atoms, &self.links)
    }
}

fn translate(memory: &mut Words, flags: u32, limit: usize) -> Result<Owned, Refusal> {
    let abi = memory.abi;
    // Not zeroes: whatever was in the buffers must not matter.
    let stale = Atom {
        nr: 7,
        flags: 0xff,
        args: [9; 6],
        arg_from: [1; 6],
        ..Atom::default()
    };
    let mut atoms = vec![stale; limit];
    let mut links = vec![Link::default(); limit];
    let Translated { len, flags } =
        uatom::translate(abi, UATOMS, flags, memory, &mut atoms, &mut links)?;
    atoms.truncate(len);
    links.truncate(len);
    Ok(Owned {
        abi,
        atoms,
        links,
        flags,
    })
}

/// What is seen of an atom that runs: its number, its arguments, and where its result goes.
type Step = (u64, [u64; 6], Option<u64>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fell,
    Stopped,
    Loops,
}

fn stops(flags: u64, result: i64) -> bool {
    flags & 0x08 != 0 && result != 0
        || flags & 0x10 != 0 && result == 0
        || flags & 0x20 != 0 && result < 0
        || flags & 0x40 != 0 && result <= 0
}

/// Runs the chain in memory: `result` says what the uatom at an index returns.
fn reference(memory: &Words, result: impl Fn(usize) -> i64) -> (Vec<Step>, End) {
    let abi = memory.abi;
    let mut words = memory.at.clone();
    let mut at = UATOMS;
    let mut steps = Vec::new();
    while at != 0 {
        if steps.len() > 64 {
            return (steps, End::Loops);
        }
        let here = at;
        let field = |index: u64| words[&(here + index * word(abi))];
        let (flags, nr, ret_ptr, next) = (field(0), field(1), field(2), field(3));
        let mut args = [0; 6];
        for (index, arg) in args.iter_mut().enumerate() {
            match field(4 + index as u64) {
                0 => break,
                arg_ptr => *arg = words[&arg_ptr],
            }
        }
        let index = usize::try_from((at - UATOMS) / (11 * word(abi))).expect("few uatoms");
        let value = result(index);
        steps.push((nr, args, (ret_ptr != 0).then_some(ret_ptr)));
        if ret_ptr != 0 {
            let stored = u64::from_ne_bytes(value.to_ne_bytes());
            let mask = if abi == Abi::I386 {
                0xffff_ffff
            } else {
                u64::MAX
            };
            words.insert(ret_ptr, stored & mask);
        }
        at = next;
        if stops(flags, value) {
            if flags & SKIP == 0 {
                return (steps, End::Stopped);
            }
            at = here + 11 * word(abi);
        }
    }
    (steps, End::Fell)
}

/// The indices of uatoms in the order of the walk, by the text of the documentation.
fn walk(uatoms: &[Uatom]) -> Vec<usize> {
    fn follow(uatoms: &[Uatom], order: &mut Vec<usize>, first: usize) {
        let mut at = Some(first);
        while let Some(index) = at.filter(|index| !order.contains(index)) {
            order.push(index);
            at = uatoms[index].next;
        }
    }
    let mut order = Vec::new();
    follow(uatoms, &mut order, 0);
    let mut place = 0;
    while place < order.len() {
        let index = order[place];
        let flags = uatoms[index].flags;
        if flags & SKIP != 0 && flags & 0x78 != 0 {
            follow(uatoms, &mut order, index + 1);
        }
        place += 1;
    }
    order
}

/// Runs a translated chain as the module does.
fn run(chain: &Owned, result: impl Fn(usize) -> i64) -> (Vec<Step>, Vec<usize>, End) {
    let text = chain.chain();
    let mut results = Results::new();
    let (mut steps, mut indices) = (Vec::new(), Vec::new());
    let mut index = 0;
    let end = loop {
        assert!(steps.len() <= 64, "it does not end");
        let args = text
            .arguments(&text.atoms()[index], &results)
            .expect("always there");
        let value = result(index);
        steps.push((
            u64::from(text.atoms()[index].nr),
            args,
            text.stores(index).then(|| text.slot(index)),
        ));
        indices.push(index);
        results.set(index, value);
        match text.next(&text.atoms()[index], index, value) {
            Next::Atom(next) => index = next,
            Next::End => break End::Fell,
            Next::Stop => break End::Stopped,
        }
    };
    (steps, indices, end)
}

fn abi() -> impl Strategy<Value = Abi> {
    prop_oneof![Just(Abi::X86_64), Just(Abi::I386)]
}

/// Numbers that every ABI allows: read, write and the helper.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(3), Just(4), Just(u64::from(uapi::NR_UMEM_ADD))]
}

/// `len` uatoms; a jump from the last but one is the last that stays among them.
fn uatoms(len: usize, forward: bool) -> impl Strategy<Value = Vec<Uatom>> {
    let one = move |index: usize| {
        let first = if forward { index + 1 } else { 0 };
        let next = if first < len {
            prop_oneof![1 => Just(None), 8 => (first..len.min(first + 8)).prop_map(Some)].boxed()
        } else {
            Just(None).boxed()
        };
        (
            prop::sample::subsequence(&CONDITIONS[..], 0..=2),
            any::<bool>(),
            number(),
            prop::option::weighted(0.7, 0..6usize),
            next,
            prop::collection::vec(0..6usize, 0..=6),
        )
            .prop_map(move |(conditions, skips, nr, ret, next, args)| Uatom {
                flags: conditions.iter().sum::<u64>()
                    | if skips && index + 1 < len { SKIP } else { 0 },
                nr,
                ret,
                next,
                args,
            })
    };
    (0..len).map(one).collect::<Vec<_>>()
}

fn variables(abi: Abi) -> impl Strategy<Value = Vec<u64>> {
    let value = any::<u64>().prop_map(move |value| match abi {
        Abi::X86_64 => value,
        Abi::I386 => value & 0xffff_ffff,
    });
    prop::collection::vec(value, 6)
}

fn results() -> impl Strategy<Value = Vec<i64>> {
    let result = prop_oneof![Just(0), Just(1), Just(-1), any::<i32>().prop_map(i64::from)];
    prop::collection::vec(result, 64)
}

fn case(forward: bool) -> impl Strategy<Value = (Abi, Vec<Uatom>, Vec<u64>, Vec<i64>)> {
    (abi(), prop_oneof![1..=6usize, 1..=64usize]).prop_flat_map(move |(abi, len)| {
        (Just(abi), uatoms(len, forward), variables(abi), results())
    })
}

proptest! {
    #[test]
    fn a_forward_chain_runs_as_it_would_in_memory((abi, uatoms, variables, results) in case(true)) {
        let mut memory = lay_out(abi, &uatoms, &variables);
        let untouched = memory.clone();
        let chain = translate(&mut memory, 0, 64).expect("a chain without loops");
        let order = walk(&uatoms);
        prop_assert_eq!(chain.atoms.len(), order.len());

        let (steps, indices, end) = run(&chain, |index| results[order[index]]);
        let expected = reference(&untouched, |index| results[index]);
        prop_assert_eq!((steps, end), expected);
        prop_assert_eq!(indices[0], 0);
    }

    #[test]
    fn any_chain_is_refused_only_for_its_loops((abi, uatoms, variables, results) in case(false)) {
        let mut memory = lay_out(abi, &uatoms, &variables);
        let untouched = memory.clone();
        let order = walk(&uatoms);
        match translate(&mut memory, 0, 64) {
            Ok(chain) => {
                let (steps, _, end) = run(&chain, |index| results[order[index]]);
                prop_assert_eq!((steps, end), reference(&untouched, |index| results[index]));
            }
            Err(refusal) => {
                prop_assert_eq!(refusal, Refusal::Loop);
                prop_assert!(has_loop(&uatoms));
            }
        }
    }

    #[test]
    fn each_word_of_a_uatom_is_read_once((abi, uatoms, variables, _) in case(false)) {
        let mut memory = lay_out(abi, &uatoms, &variables);
        let _ = translate(&mut memory, 0, 64);
        for (&at, &reads) in &memory.reads {
            prop_assert!(at >= VARIABLES || reads == 1, "{at:#x} was read {reads} times");
        }
        // Arguments: once for each uatom that names them.
        let wanted: usize = walk(&uatoms).iter().map(|&index| uatoms[index].args.len()).sum();
        let read: u32 = memory.reads.iter().filter(|(&at, _)| at >= VARIABLES).map(|(_, n)| n).sum();
        prop_assert!(read as usize <= wanted);
    }

    #[test]
    fn the_limit_is_exact((abi, uatoms, variables, _) in case(true), limit in 0..=64usize) {
        let mut memory = lay_out(abi, &uatoms, &variables);
        let len = walk(&uatoms).len();
        let translated = translate(&mut memory, 0, limit);
        if len > limit {
            prop_assert_eq!(translated.err(), Some(Refusal::TooBig));
        } else {
            prop_assert_eq!(translated.map(|chain| chain.atoms.len()).ok(), Some(len));
        }
    }

    #[test]
    fn whatever_is_in_memory_is_survived(
        abi in abi(),
        words in prop::collection::vec((0..400u64, 0..500u64), 0..400),
        flags: u32,
    ) {
        // Most words are 0, or point into the same few pages.
        let mut memory = lay_out(abi, &[], &[]);
        for at in 0..400 {
            memory.at.insert(UATOMS + at * word(abi), 0);
        }
        for (at, to) in words {
            let value = if to < 400 { UATOMS + to * word(abi) } else { to - 400 };
            memory.at.insert(UATOMS + at * word(abi), value);
        }
        if let Ok(chain) = translate(&mut memory, flags & 7, 64) {
            let (steps, ..) = run(&chain, |_| 1);
            prop_assert!(steps.len() <= chain.atoms.len());
        }
    }
}

/// Whether some way through the chain comes by a uatom twice.
fn has_loop(uatoms: &[Uatom]) -> bool {
    let reachable = walk(uatoms);
    let successors = |index: usize| {
        let uatom = &uatoms[index];
        let jumps = uatom.flags & SKIP != 0 && uatom.flags & 0x78 != 0;
        uatom.next.into_iter().chain(jumps.then_some(index + 1))
    };
    reachable.iter().any(|&start| {
        let mut seen = vec![false; uatoms.len()];
        let mut todo: Vec<_> = successors(start).collect();
        while let Some(index) = todo.pop() {
            if !std::mem::replace(&mut seen[index], true) {
                todo.extend(successors(index));
            }
        }
        seen[start]
    })
}

fn plain(next: Option<usize>) -> Uatom {
    Uatom {
        nr: 3,
        next,
        ..Uatom::default()
    }
}

/// A chain of uatoms at these indices, in this order: each stores in a variable of its own, and
/// takes what the one before it has stored, and one long before it.
fn long_chain(order: &[usize]) -> Vec<Uatom> {
    let mut uatoms = vec![Uatom::default(); order.len()];
    for (place, &index) in order.iter().enumerate() {
        uatoms[index] = Uatom {
            ret: Some(index),
            args: [place.checked_sub(1), Some(place / 2)]
                .into_iter()
                .flatten()
                .map(|place| order[place])
                .collect(),
            ..plain(order.get(place + 1).copied())
        };
    }
    uatoms
}

#[test]
fn as_many_as_there_may_be_in_any_order() {
    let ways: [fn(usize, usize) -> usize; 4] = [
        |place, _| place,
        |place, len| (len - place) % len,
        |place, len| place * 27 % len,
        |place, len| if place % 2 == 0 { place } else { len - place },
    ];
    for way in ways {
        for abi in [Abi::X86_64, Abi::I386] {
            let order: Vec<_> = (0..64).map(|place| way(place, 64)).collect();
            let uatoms = long_chain(&order);
            assert_eq!(walk(&uatoms), order, "a test of all 64");
            let mut memory = lay_out(abi, &uatoms, &[7; 64]);
            let untouched = memory.clone();
            let chain = translate(&mut memory, 0, 100).expect("as many as there may be");
            let result = |index: usize| i64::try_from(index).unwrap() - 30;
            let (steps, indices, end) = run(&chain, |index| result(order[index]));
            assert_eq!((steps, end), reference(&untouched, result));
            assert_eq!(indices, (0..64).collect::<Vec<_>>());
        }
    }
}

#[test]
fn one_too_many() {
    let order: Vec<_> = (0..65).collect();
    let mut uatoms = long_chain(&order);
    let refused = |uatoms: &[Uatom], limit| {
        translate(&mut lay_out(Abi::X86_64, uatoms, &[0; 65]), 0, limit).err()
    };
    // However much room there is.
    assert_eq!(refused(&uatoms, 64), Some(Refusal::TooBig));
    assert_eq!(refused(&uatoms, 65), Some(Refusal::TooBig));
    assert_eq!(refused(&uatoms, 1000), Some(Refusal::TooBig));
    uatoms[63].next = None;
    assert_eq!(refused(&uatoms, 1000), None);
    assert_eq!(refused(&uatoms, 63), Some(Refusal::TooBig));
    uatoms[63].flags = SKIP | CONDITIONS[0];
    assert_eq!(refused(&uatoms, 1000), Some(Refusal::TooBig));
    // One that was met before is not one more.
    uatoms[63].flags = 0;
    uatoms[62].flags = SKIP | CONDITIONS[0];
    assert_eq!(refused(&uatoms, 64), None);
}

fn refusal(uatoms: &[Uatom]) -> Option<Refusal> {
    translate(&mut lay_out(Abi::X86_64, uatoms, &[0; 6]), 0, 64).err()
}

#[test]
fn nothing_is_no_chain() {
    let mut memory = lay_out(Abi::X86_64, &[], &[]);
    let refused = uatom::translate(Abi::X86_64, 0, 0, &mut memory, &mut [], &mut []);
    assert_eq!(refused, Err(Refusal::Fault));
}

#[test]
fn each_field_is_judged() {
    assert_eq!(refusal(&[plain(None)]), None);
    assert_eq!(refusal(&[plain(Some(0))]), Some(Refusal::Loop));
    assert_eq!(refusal(&[plain(Some(1))]), Some(Refusal::Fault));
    for bit in 8..64 {
        let uatom = Uatom {
            flags: 1 << bit,
            ..plain(None)
        };
        assert_eq!(refusal(&[uatom]), Some(Refusal::Invalid), "bit {bit}");
    }
    let with_number = |nr| refusal(&[Uatom { nr, ..plain(None) }]);
    assert_eq!(with_number(60), Some(Refusal::DeniedCall));
    assert_eq!(with_number(5000), Some(Refusal::UnknownCall));
    assert_eq!(with_number((1 << 32) | 3), Some(Refusal::UnknownCall));
    let with_arg = |arg| {
        refusal(&[Uatom {
            args: vec![0, arg],
            ..plain(None)
        }])
    };
    assert_eq!(with_arg(5), None);
    assert_eq!(with_arg(6), Some(Refusal::Fault));
}

#[test]
fn flags_of_uatoms_are_of_the_program() {
    let flags = |of_call: u32, first: u64, second: u64| {
        let uatoms = [
            Uatom {
                flags: first,
                ..plain(Some(1))
            },
            Uatom {
                flags: second,
                ..plain(None)
            },
        ];
        let mut memory = lay_out(Abi::I386, &uatoms, &[]);
        translate(&mut memory, of_call, 64)
            .map(|chain| (chain.flags, chain.atoms[0].flags, chain.atoms[1].flags))
    };
    assert_eq!(flags(0, 0, 0), Ok((0, 0, 0)));
    assert_eq!(flags(0, 1, 0x8), Ok((uapi::ASYNC, 0, 8)));
    assert_eq!(flags(0, 0, 2), Ok((uapi::SYNC, 0, 0)));
    assert_eq!(flags(1, 0, 2), Err(Refusal::Invalid));
    assert_eq!(flags(3, 0, 0), Err(Refusal::Invalid));
    assert_eq!(flags(8, 0, 0), Err(Refusal::Invalid));
    assert_eq!(flags(0, 4, 0), Ok((0, uapi::NO_COMPLETE, 0)));
    assert_eq!(
        flags(0, 4, 4),
        Ok((uapi::NO_COMPLETE, uapi::NO_COMPLETE, uapi::NO_COMPLETE))
    );
    assert_eq!(flags(4, 0, 0), Ok((uapi::NO_COMPLETE, 0, 0)));
    // Without a condition there is nothing to jump on.
    assert_eq!(flags(0, SKIP, 0), Ok((0, 0, 0)));
}
