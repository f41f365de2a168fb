// SPDX-License-Identifier: GPL-2.0

//! Programs: which are accepted, which are refused and how, and how one runs.

use syslet_pure::policy;
use syslet_pure::policy::Abi;
use syslet_pure::program::Limits;
use syslet_pure::program::Refusal;
use syslet_pure::uapi;
use syslet_pure::uapi::Atom;
use syslet_pure::uapi::Program;

use crate::interpreter::End;
use crate::interpreter::Run;
use crate::interpreter::NOT_CALLED;

/// All stop conditions.
pub const CONDITIONS: [u32; 4] = [
    uapi::STOP_ON_NONZERO,
    uapi::STOP_ON_ZERO,
    uapi::STOP_ON_NEGATIVE,
    uapi::STOP_ON_NON_POSITIVE,
];

/// What the header says about an atom's fields.
fn is_well_formed(atom: &Atom, index: usize, len: usize) -> bool {
    let conditions: u32 = CONDITIONS.iter().sum();
    let skips = atom.flags & uapi::SKIP_ON_STOP == uapi::SKIP_ON_STOP;
    let takes_earlier_results = atom
        .arg_from
        .iter()
        .all(|&from| from == 0 || usize::from(from - 1) < index);
    let jump = if skips {
        // Without a condition there is nothing to jump on.
        let target = index + 1 + usize::from(atom.skip);
        atom.skip >= 1 && target <= len && atom.flags & conditions != 0
    } else {
        atom.skip == 0
    };
    let known = conditions | uapi::SKIP_ON_STOP;
    takes_earlier_results && jump && atom.flags | known == known && atom.reserved == 0
}

/// What becomes of a system call number.
pub fn check_call(abi: Abi, nr: u32) -> Result<(), Refusal> {
    if nr == uapi::NR_UMEM_ADD {
        return Ok(());
    }
    match policy::verdict(abi, nr).code() {
        uapi::POLICY_ALLOW => Ok(()),
        uapi::POLICY_DENY => Err(Refusal::DeniedCall),
        _ => Err(Refusal::UnknownCall),
    }
}

/// What `check_atoms` must answer: the first atom that is wrong decides.
pub fn check_atoms(abi: Abi, atoms: &[Atom]) -> Result<(), Refusal> {
    for (index, atom) in atoms.iter().enumerate() {
        if !is_well_formed(atom, index, atoms.len()) {
            return Err(Refusal::Invalid);
        }
        check_call(abi, atom.nr)?;
    }
    Ok(())
}

/// What `check_header` must answer.
pub fn check_header(program: &Program, limits: Limits) -> Result<usize, Refusal> {
    let known = uapi::ASYNC | uapi::SYNC | uapi::NO_COMPLETE;
    let contradictory = program.flags & uapi::ASYNC != 0 && program.flags & uapi::SYNC != 0;
    if program.flags | known != known || contradictory || program.nr_atoms == 0 {
        Err(Refusal::Invalid)
    } else if program.nr_atoms > limits.atoms {
        Err(Refusal::TooBig)
    } else {
        Ok(program.nr_atoms as usize)
    }
}

/// What `check_batch` must answer.
pub fn check_batch(count: u32, limits: Limits) -> Result<usize, Refusal> {
    match count {
        0 => Err(Refusal::Invalid),
        count if count <= limits.programs => Ok(count as usize),
        _ => Err(Refusal::TooBig),
    }
}

/// Holds what `check_atoms` made of accepted atoms against those `before` it.
pub fn check_marks(abi: Abi, before: &[Atom], marked: &[Atom]) {
    assert_eq!(before.len(), marked.len());
    for (atom, marked) in before.iter().zip(marked) {
        let free = atom.nr != uapi::NR_UMEM_ADD && policy::rule(abi, atom.nr).is_none();
        assert_eq!(marked.reserved != 0, free, "{}", atom.nr);
        // And that is all that changes.
        assert_eq!(
            Atom {
                reserved: 0,
                ..*marked
            },
            *atom
        );
    }
}

/// Runs an accepted program by the header's text; the atom at `i` returns `results[i]`.
pub fn run(atoms: &[Atom], results: &[i64]) -> Run {
    let mut steps = Vec::new();
    let mut returned: Vec<Option<i64>> = vec![None; atoms.len()];
    let mut end = End::Fell;
    let mut index = 0;
    while index < atoms.len() {
        let atom = &atoms[index];
        let args: Option<Vec<u64>> = (0..6)
            .map(|arg| match atom.arg_from[arg] {
                0 => Some(atom.args[arg]),
                from => returned[usize::from(from) - 1]
                    .map(|result| u64::from_ne_bytes(result.to_ne_bytes())),
            })
            .collect();
        let args = args.map(|args| <[u64; 6]>::try_from(args).expect("six"));
        // "An atom that takes the result of one that was jumped over is not called; its own
        // result is -EINVAL."
        let result = args.map_or(NOT_CALLED, |_| results[index]);
        steps.push((index, args));
        returned[index] = Some(result);

        index += 1;
        if crate::stops(atom.flags.into(), result) {
            if atom.flags & uapi::SKIP_ON_STOP == 0 {
                end = End::Stopped;
                break;
            }
            index += usize::from(atom.skip);
        }
    }
    Run {
        steps,
        returned,
        end,
    }
}
