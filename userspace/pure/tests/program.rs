// SPDX-License-Identifier: GPL-2.0

//! Checked programs: what is accepted, what is refused and how, and how one runs.
//!
//! The oracles are in a crate of their own.

use proptest::prelude::*;
use syslet_oracles::interpreter;
use syslet_oracles::interpreter::NOT_CALLED;
use syslet_oracles::program as oracle;
use syslet_oracles::program::CONDITIONS;
use syslet_pure::policy;
use syslet_pure::policy::Abi;
use syslet_pure::policy::Verdict;
use syslet_pure::program;
use syslet_pure::program::Limits;
use syslet_pure::program::Listed;
use syslet_pure::program::Next;
use syslet_pure::program::Refusal;
use syslet_pure::program::Results;
use syslet_pure::uapi;
use syslet_pure::uapi::Atom;

fn abi() -> impl Strategy<Value = Abi> {
    prop_oneof![Just(Abi::X86_64), Just(Abi::I386)]
}

/// Results around which conditions change their mind.
fn result() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(-1),
        Just(NOT_CALLED),
        Just(i64::MIN),
        Just(i64::MAX),
        any::<i64>(),
    ]
}

fn allowed(abi: Abi) -> Vec<u32> {
    (0..1024)
        .filter(|&nr| policy::verdict(abi, nr) == Verdict::Allow)
        .chain([uapi::NR_UMEM_ADD])
        .collect()
}

/// A valid atom at `index` of `len`.
fn valid_atom(abi: Abi, index: usize, len: usize) -> impl Strategy<Value = Atom> {
    let from = u8::try_from(index).expect("few atoms");
    let room = u8::try_from(len - index - 1).expect("few atoms");
    (
        prop::sample::select(allowed(abi)),
        prop::sample::subsequence(&CONDITIONS[..], 0..=4),
        any::<[u64; 6]>(),
        prop::array::uniform6(prop_oneof![3 => Just(0), 1 => 0..=from]),
        prop_oneof![Just(0), 0..=room],
    )
        .prop_map(|(nr, conditions, args, arg_from, skip)| {
            let conditions: u32 = conditions.iter().sum();
            let skip = if conditions == 0 { 0 } else { skip };
            Atom {
                nr,
                flags: conditions | if skip == 0 { 0 } else { uapi::SKIP_ON_STOP },
                args,
                arg_from,
                skip,
                reserved: 0,
            }
        })
}

fn valid_program() -> impl Strategy<Value = (Abi, Vec<Atom>)> {
    // Short ones more often: there an error is near the end.
    let len = prop_oneof![1..=4usize, 1..=uapi::MAX_ATOMS];
    (abi(), len).prop_flat_map(|(abi, len)| {
        let atoms: Vec<_> = (0..len).map(|index| valid_atom(abi, index, len)).collect();
        (Just(abi), atoms)
    })
}

/// A change to one field of one atom.
#[derive(Clone, Debug)]
enum Change {
    Nr(u32),
    Flags(u32),
    Arg(usize, u64),
    ArgFrom(usize, u8),
    /// Takes the result of the atom before, or of itself, or of the one after.
    ArgFromNear(usize, u8),
    Skip(u8),
    /// Jumps to the last atom, or to just behind it, or beyond.
    SkipNear(u8),
    Reserved(u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop_oneof![any::<u32>(), 0..600u32].prop_map(Change::Nr),
        prop_oneof![any::<u32>(), 0..256u32, (0..32u32).prop_map(|bit| 1 << bit)]
            .prop_map(Change::Flags),
        (0..6usize, any::<u64>()).prop_map(|(at, value)| Change::Arg(at, value)),
        (0..6usize, prop_oneof![any::<u8>(), 0..66u8])
            .prop_map(|(at, value)| Change::ArgFrom(at, value)),
        (0..6usize, 0..3u8).prop_map(|(at, near)| Change::ArgFromNear(at, near)),
        prop_oneof![any::<u8>(), 0..66u8].prop_map(Change::Skip),
        (0..3u8).prop_map(Change::SkipNear),
        any::<u8>().prop_map(Change::Reserved),
    ]
}

fn apply(atoms: &mut [Atom], index: usize, change: &Change) {
    let behind = u8::try_from(atoms.len() - index).expect("few atoms");
    let index_as_u8 = u8::try_from(index).expect("few atoms");
    let atom = &mut atoms[index];
    match *change {
        Change::Nr(value) => atom.nr = value,
        Change::Flags(value) => atom.flags = value,
        Change::Arg(at, value) => atom.args[at] = value,
        Change::ArgFrom(at, value) => atom.arg_from[at] = value,
        Change::ArgFromNear(at, near) => atom.arg_from[at] = index_as_u8 + near,
        Change::Skip(value) => atom.skip = value,
        Change::SkipNear(near) => {
            atom.flags |= uapi::STOP_ON_ZERO | uapi::SKIP_ON_STOP;
            atom.skip = behind - 1 + near;
        }
        Change::Reserved(value) => atom.reserved = value,
    }
}

/// Whether `atoms` are accepted.
fn check(abi: Abi, atoms: &[Atom]) -> Result<(), Refusal> {
    program::check_atoms(abi, &mut atoms.to_vec())
}

proptest! {
    #[test]
    fn a_valid_program_is_accepted((abi, atoms) in valid_program()) {
        prop_assert_eq!(check(abi, &atoms), Ok(()));
    }

    #[test]
    fn an_atom_is_free_if_no_arguments_of_its_call_are_refused(
        (abi, mut atoms) in valid_program(),
    ) {
        let before = atoms.clone();
        prop_assert_eq!(program::check_atoms(abi, &mut atoms), Ok(()));
        oracle::check_marks(abi, &before, &atoms);
    }

    #[test]
    fn a_changed_program_is_judged_by_the_header(
        (abi, mut atoms) in valid_program(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4),
    ) {
        for (at, change) in &changes {
            let at = at.index(atoms.len());
            apply(&mut atoms, at, change);
        }
        prop_assert_eq!(check(abi, &atoms), oracle::check_atoms(abi, &atoms));
    }

    #[test]
    fn one_change_is_refused_for_its_own_sake(
        (abi, mut atoms) in valid_program(),
        at: prop::sample::Index,
        change in change(),
    ) {
        let at = at.index(atoms.len());
        apply(&mut atoms, at, &change);
        match check(abi, &atoms) {
            Ok(()) => {}
            Err(Refusal::Invalid) => prop_assert!(!matches!(change, Change::Nr(_) | Change::Arg(..))),
            Err(Refusal::UnknownCall | Refusal::DeniedCall) => {
                prop_assert!(matches!(change, Change::Nr(_)));
            }
            Err(refusal) => prop_assert!(false, "{refusal:?}: the length was not changed"),
        }
    }

    #[test]
    fn noise_is_judged_by_the_header(
        abi in abi(),
        noise in prop::collection::vec(
            (any::<u32>(), any::<u32>(), any::<[u64; 6]>(), any::<[u8; 6]>(), any::<u8>(), any::<u8>()),
            0..80,
        ),
    ) {
        let atoms: Vec<_> = noise
            .into_iter()
            .map(|(nr, flags, args, arg_from, skip, reserved)| {
                Atom { nr, flags, args, arg_from, skip, reserved }
            })
            .collect();
        prop_assert_eq!(check(abi, &atoms), oracle::check_atoms(abi, &atoms));
    }

    #[test]
    fn an_accepted_program_runs_as_the_header_says(
        (abi, mut atoms) in valid_program(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 0..4),
        results in prop::collection::vec(result(), uapi::MAX_ATOMS),
    ) {
        for (at, change) in &changes {
            let at = at.index(atoms.len());
            let kept = atoms[at];
            apply(&mut atoms, at, change);
            if check(abi, &atoms).is_err() {
                atoms[at] = kept;
            }
        }
        let text = Listed { atoms: &atoms, results: 0 };
        let ran = interpreter::run(&text, |index| results[index]);
        prop_assert!(ran.steps.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!(ran, oracle::run(&atoms, &results));
    }

    #[test]
    fn results_are_what_was_recorded(
        records in prop::collection::vec((0..2 * uapi::MAX_ATOMS, result()), 0..100),
    ) {
        let mut results = Results::new();
        let mut recorded = vec![None; 2 * uapi::MAX_ATOMS];
        for (index, result) in records {
            results.set(index, result);
            if index < uapi::MAX_ATOMS {
                recorded[index] = Some(result);
            }
        }
        for (index, &result) in recorded.iter().enumerate() {
            prop_assert_eq!(results.get(index), result);
        }
    }

    #[test]
    fn a_header_is_judged_by_the_header(
        flags in prop_oneof![any::<u32>(), 0..16u32],
        nr_atoms in prop_oneof![any::<u32>(), 0..80u32],
        others: [u64; 3],
        limit in 1..=64u32,
    ) {
        let program = uapi::Program {
            atoms: others[0],
            nr_atoms,
            flags,
            user_data: others[1],
            results: others[2],
            ..uapi::Program::default()
        };
        let limits = Limits { atoms: limit, programs: 1 };
        let expected = oracle::check_header(&program, limits);
        prop_assert_eq!(program::check_header(&program, limits), expected);
    }

    #[test]
    fn a_batch_is_bounded(count in prop_oneof![any::<u32>(), 0..2048u32], limit in 1..=1024u32) {
        let limits = Limits { atoms: 1, programs: limit };
        let expected = oracle::check_batch(count, limits);
        prop_assert_eq!(program::check_batch(count, limits), expected);
    }
}

#[test]
fn an_unset_result_slot_is_not_confused_with_zero() {
    let atom = Atom {
        nr: uapi::NR_UMEM_ADD,
        arg_from: [1, 0, 0, 0, 0, 0],
        args: [7; 6],
        ..Atom::default()
    };
    let mut results = Results::new();
    assert_eq!(results.arguments(&atom), None);
    results.set(0, 0);
    assert_eq!(results.arguments(&atom), Some([0, 7, 7, 7, 7, 7]));
}

#[test]
fn the_last_atom_may_jump_nowhere() {
    let last = Atom {
        nr: uapi::NR_UMEM_ADD,
        flags: uapi::STOP_ON_ZERO | uapi::SKIP_ON_STOP,
        skip: 1,
        ..Atom::default()
    };
    let plain = Atom {
        nr: uapi::NR_UMEM_ADD,
        ..Atom::default()
    };
    let check = |atoms: &[Atom]| check(Abi::X86_64, atoms);
    assert_eq!(check(&[last]), Err(Refusal::Invalid));
    // To just behind the last atom: the end of the program, and no stop.
    assert_eq!(check(&[last, plain]), Ok(()));
    assert_eq!(program::next(&last, 0, 0, 2), Next::End);
    assert_eq!(program::next(&last, 0, 1, 2), Next::Atom(1));
}

/// Chance finds one wrong bit seldom; so all of them, wherever an atom can stand in a small program.
#[test]
fn small_programs_are_judged_by_the_header() {
    let plain = Atom {
        nr: uapi::NR_UMEM_ADD,
        ..Atom::default()
    };
    let flags = (0..256).chain((8..32).map(|bit| 1 << bit));
    for (len, index) in (1..=3).flat_map(|len| (0..len).map(move |index| (len, index))) {
        let mut atoms = vec![plain; len];
        for flags in flags.clone() {
            for fields in 0..5 * 5 * 2 {
                atoms[index] = Atom {
                    flags,
                    skip: fields % 5,
                    arg_from: [0, 0, 0, 0, 0, fields / 5 % 5],
                    reserved: fields / 25,
                    ..plain
                };
                assert_eq!(
                    check(Abi::X86_64, &atoms),
                    oracle::check_atoms(Abi::X86_64, &atoms),
                    "{index} {atoms:?}"
                );
            }
        }
    }
}
