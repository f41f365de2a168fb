// SPDX-License-Identifier: GPL-2.0

//! Chains of uatoms: that a translated chain does what the one in memory would have done.
//!
//! The oracle, which is in a crate of its own, runs the chain in its memory, as the kernel of 2007
//! did.

use proptest::prelude::*;
use syslet_oracles::memory::lay_out;
use syslet_oracles::memory::word;
use syslet_oracles::memory::Uatom;
use syslet_oracles::memory::Words;
use syslet_oracles::memory::UATOMS;
use syslet_oracles::uatom as oracle;
use syslet_oracles::uatom::run;
use syslet_oracles::uatom::Owned;
use syslet_oracles::uatom::CONDITIONS;
use syslet_oracles::uatom::SKIP;
use syslet_pure::policy::Abi;
use syslet_pure::program::Refusal;
use syslet_pure::uapi;
use syslet_pure::uatom;

fn translate(memory: &mut Words, flags: u32, limit: usize) -> Result<Owned, Refusal> {
    oracle::translate(memory.abi, memory, UATOMS, flags, limit)
}

/// The uatom at an address, by its index.
fn index_of(abi: Abi, at: u64) -> usize {
    usize::try_from((at - UATOMS) / (11 * word(abi))).expect("few uatoms")
}

/// The indices of uatoms in the order of the walk.
fn walk(memory: &Words) -> Vec<usize> {
    let order = oracle::walk(memory, UATOMS);
    order
        .into_iter()
        .map(|at| index_of(memory.abi, at))
        .collect()
}

/// What a chain does in memory, where `result` says what the uatom at an index returns.
fn reference(
    memory: &Words,
    result: impl Fn(usize) -> i64,
) -> (Vec<oracle::Step>, syslet_oracles::interpreter::End) {
    oracle::reference(memory, UATOMS, |at| result(index_of(memory.abi, at)))
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
        let order = walk(&memory);
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
        let order = walk(&memory);
        match translate(&mut memory, 0, 64) {
            Ok(chain) => {
                let (steps, _, end) = run(&chain, |index| results[order[index]]);
                prop_assert_eq!((steps, end), reference(&untouched, |index| results[index]));
            }
            Err(refusal) => {
                prop_assert_eq!(refusal, Refusal::Loop);
                let defects = oracle::defects(&untouched, UATOMS, 0, 64);
                prop_assert_eq!(defects, [Refusal::Loop]);
            }
        }
    }

    #[test]
    fn each_word_of_a_uatom_is_read_once((abi, uatoms, variables, _) in case(true)) {
        let mut memory = lay_out(abi, &uatoms, &variables);
        let order = oracle::walk(&memory, UATOMS);
        translate(&mut memory, 0, 64).expect("a chain without loops");
        prop_assert_eq!(oracle::reads(&memory, &order), memory.reads);
    }

    #[test]
    fn the_limit_is_exact((abi, uatoms, variables, _) in case(true), limit in 0..=64usize) {
        let mut memory = lay_out(abi, &uatoms, &variables);
        let len = walk(&memory).len();
        let translated = translate(&mut memory, 0, limit);
        if len > limit {
            prop_assert_eq!(translated.err(), Some(Refusal::TooBig));
        } else {
            prop_assert_eq!(translated.map(|chain| chain.atoms.len()).ok(), Some(len));
        }
    }

    #[test]
    fn whatever_is_in_memory_is_judged(
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
        let untouched = memory.clone();
        let defects = oracle::defects(&untouched, UATOMS, flags & 7, 64);
        match translate(&mut memory, flags & 7, 64) {
            Ok(chain) => {
                prop_assert_eq!(defects, []);
                let (steps, _, end) = run(&chain, |_| 1);
                prop_assert_eq!((steps, end), oracle::reference(&untouched, UATOMS, |_| 1));
            }
            Err(refusal) => prop_assert!(defects.contains(&refusal), "{refusal:?}: {defects:?}"),
        }
    }
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
            let mut memory = lay_out(abi, &uatoms, &[7; 64]);
            assert_eq!(walk(&memory), order, "a test of all 64");
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
