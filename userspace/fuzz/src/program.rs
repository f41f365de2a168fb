// SPDX-License-Identifier: GPL-2.0

//! Checked programs: accepted or refused as the header says, and run as it says.

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use syslet_oracles::interpreter;
use syslet_oracles::program as oracle;
use syslet_pure::policy::Abi;
use syslet_pure::program;
use syslet_pure::program::Limits;
use syslet_pure::program::Listed;
use syslet_pure::program::Text;
use syslet_pure::uapi;
use syslet_pure::uapi::Atom;
use syslet_pure::uapi::Program;

use crate::choices;

/// A call of a few programs, and the atoms of one of them.
#[derive(Debug)]
pub struct Case {
    abi: Abi,
    limits: Limits,
    programs: u32,
    header: Program,
    atoms: Vec<Atom>,
    /// What each atom returns when it is called.
    results: Vec<i64>,
}

/// A number about as large as limits are.
fn count(u: &mut Unstructured<'_>) -> Result<u32> {
    let choice: u8 = u.arbitrary()?;
    Ok(if choice == 0xff {
        u.arbitrary()?
    } else {
        choice.into()
    })
}

/// Any bits, in a field that mostly has its first `bits` alone.
fn flags(u: &mut Unstructured<'_>, any: bool) -> Result<u32> {
    if any {
        u.arbitrary()
    } else {
        Ok(u.arbitrary::<u8>()?.into())
    }
}

/// An atom. The bits of the first byte say what is not as it mostly is.
fn atom(u: &mut Unstructured<'_>) -> Result<Atom> {
    let odd: u8 = u.arbitrary()?;
    let is_odd = |bit: u8| odd & (1 << bit) != 0;
    let mut atom = Atom {
        nr: choices::number(u)?,
        flags: flags(u, is_odd(0))?,
        ..Atom::default()
    };
    if is_odd(1) {
        atom.args = u.arbitrary()?;
    }
    if is_odd(2) {
        atom.arg_from = u.arbitrary()?;
    }
    if is_odd(3) {
        atom.arg_from[usize::from(odd >> 5) % 6] = u.arbitrary()?;
    }
    if atom.flags & uapi::SKIP_ON_STOP != 0 || is_odd(4) {
        atom.skip = u.arbitrary()?;
    }
    if odd == 0xff {
        atom.reserved = u.arbitrary()?;
    }
    Ok(atom)
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let odd: u8 = u.arbitrary()?;
        let mut case = Self {
            abi: choices::abi(u)?,
            limits: Limits {
                atoms: count(u)?,
                programs: count(u)?,
            },
            programs: count(u)?,
            header: Program {
                flags: flags(u, odd & 1 != 0)?,
                nr_atoms: count(u)?,
                results: u.arbitrary()?,
                ..Program::default()
            },
            atoms: Vec::new(),
            results: Vec::new(),
        };
        while !u.is_empty() {
            case.atoms.push(atom(u)?);
            case.results.push(choices::result(u)?);
        }
        Ok(case)
    }
}

impl crate::Case for Case {
    fn check(&self) {
        let Self {
            abi,
            limits,
            programs,
            ref header,
            ref atoms,
            ref results,
        } = *self;
        assert_eq!(
            program::check_batch(programs, limits),
            oracle::check_batch(programs, limits)
        );
        assert_eq!(
            program::check_header(header, limits),
            oracle::check_header(header, limits)
        );
        let mut marked = atoms.clone();
        let verdict = program::check_atoms(abi, &mut marked);
        assert_eq!(verdict, oracle::check_atoms(abi, atoms));
        if verdict.is_err() || !(1..=uapi::MAX_ATOMS).contains(&atoms.len()) {
            return;
        }

        oracle::check_marks(abi, atoms, &marked);
        let text = Listed {
            atoms: &marked,
            results: header.results,
        };
        let ran = interpreter::run(&text, |index| results[index]);
        assert!(ran.steps.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(ran, oracle::run(atoms, results));
        for index in 0..atoms.len() {
            assert_eq!(text.stores(index), header.results != 0);
            let offset = text.slot(index).wrapping_sub(header.results);
            assert_eq!(offset, (text.slot_size() * index) as u64);
        }
        assert_eq!(text.slot_size(), 8);
    }
}
