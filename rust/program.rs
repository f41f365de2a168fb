// SPDX-License-Identifier: GPL-2.0

//! Checked programs: what was submitted, once it is known to be well formed.
//!
//! Everything here is pure. The text was copied into kernel memory before it gets here and nobody
//! writes to it afterwards, so what was checked is what runs.

use crate::policy;
use crate::policy::Abi;
use crate::policy::Verdict;
use crate::uapi;

/// All stop conditions.
pub const STOP_MASK: u32 = uapi::STOP_ON_NONZERO
    | uapi::STOP_ON_ZERO
    | uapi::STOP_ON_NEGATIVE
    | uapi::STOP_ON_NON_POSITIVE;

/// Why a submission was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field has a value that the interface does not define.
    Invalid,
    /// More atoms or programs than the limits allow.
    TooBig,
    /// A system call number that the policy does not know.
    UnknownCall,
    /// A system call that may not be in an atom.
    DeniedCall,
    /// Something that it points to cannot be read.
    Fault,
    /// It may come by the same atom twice.
    Loop,
}

/// The limits that a submission is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most atoms in a program.
    pub atoms: u32,
    /// Most programs in one call.
    pub programs: u32,
}

/// Checks how many programs one call submits.
pub fn check_batch(nr_programs: u32, limits: Limits) -> Result<usize, Refusal> {
    match nr_programs {
        0 => Err(Refusal::Invalid),
        n if n > limits.programs => Err(Refusal::TooBig),
        // CAST: `u32` to `usize` widens.
        n => Ok(n as usize),
    }
}

/// Checks a program's own fields and returns how many atoms it has.
pub fn check_header(program: &uapi::Program, limits: Limits) -> Result<usize, Refusal> {
    const KNOWN: u32 = uapi::ASYNC | uapi::SYNC | uapi::NO_COMPLETE;

    let both = uapi::ASYNC | uapi::SYNC;
    if program.flags & !KNOWN != 0 || program.flags & both == both {
        return Err(Refusal::Invalid);
    }
    match program.nr_atoms {
        0 => Err(Refusal::Invalid),
        n if n > limits.atoms => Err(Refusal::TooBig),
        // CAST: `u32` to `usize` widens.
        n => Ok(n as usize),
    }
}

/// In the last field of a checked atom, where user space has 0: it is a system call that is allowed
/// whatever its arguments are.
pub const FREE: u8 = 1;

/// Checks the atoms of one program, and marks those that are [`FREE`].
pub fn check_atoms(abi: Abi, atoms: &mut [uapi::Atom]) -> Result<(), Refusal> {
    let len = atoms.len();
    for (index, atom) in atoms.iter_mut().enumerate() {
        check_atom(atom, index, len)?;
        if policy::is_free(abi, atom.nr) {
            atom.reserved = FREE;
        } else {
            check_call(abi, atom.nr)?;
        }
    }
    Ok(())
}

/// Whether an argument of `atom` is a result of another.
#[inline]
pub fn takes_results(atom: &uapi::Atom) -> bool {
    let [a, b, c, d, e, f] = atom.arg_from;
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]) != 0
}

#[inline]
fn check_atom(atom: &uapi::Atom, index: usize, len: usize) -> Result<(), Refusal> {
    // Most atoms have nothing special about them.
    let [a, b, c, d, e, f] = atom.arg_from;
    let special = u64::from_ne_bytes([a, b, c, d, e, f, atom.skip, atom.reserved]);
    if special != 0 || atom.flags & !STOP_MASK != 0 {
        check_special(atom, index, len)?;
    }
    Ok(())
}

#[inline(never)]
fn check_special(atom: &uapi::Atom, index: usize, len: usize) -> Result<(), Refusal> {
    if atom.flags & !(STOP_MASK | uapi::SKIP_ON_STOP) != 0 || atom.reserved != 0 {
        return Err(Refusal::Invalid);
    }
    // Only results of atoms that stand before this one can be arguments.
    if atom.arg_from.iter().any(|&from| usize::from(from) > index) {
        return Err(Refusal::Invalid);
    }

    let skips = atom.flags & uapi::SKIP_ON_STOP != 0;
    if skips != (atom.skip != 0) || (skips && atom.flags & STOP_MASK == 0) {
        return Err(Refusal::Invalid);
    }
    if index + 1 + usize::from(atom.skip) > len {
        return Err(Refusal::Invalid);
    }
    Ok(())
}

/// Checks whether system call `nr` may be in an atom.
pub fn check_call(abi: Abi, nr: u32) -> Result<(), Refusal> {
    if nr == uapi::NR_UMEM_ADD {
        return Ok(());
    }
    match policy::verdict(abi, nr) {
        Verdict::Allow => Ok(()),
        Verdict::Deny(_) => Err(Refusal::DeniedCall),
        Verdict::Unknown => Err(Refusal::UnknownCall),
    }
}

/// Whether `result` makes one of the stop conditions in `flags` true.
#[inline]
pub fn stops(flags: u32, result: i64) -> bool {
    if flags & STOP_MASK == 0 {
        return false;
    }
    let mut met = if result == 0 {
        uapi::STOP_ON_ZERO
    } else {
        uapi::STOP_ON_NONZERO
    };
    if result < 0 {
        met |= uapi::STOP_ON_NEGATIVE;
    }
    if result <= 0 {
        met |= uapi::STOP_ON_NON_POSITIVE;
    }
    flags & met != 0
}

/// Where a program goes after an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// On with the atom of this index.
    Atom(usize),
    /// It ended behind its last atom.
    End,
    /// A stop condition ended it.
    Stop,
}

/// Where a program of `len` atoms goes after atom `index` returned `result`.
#[inline]
pub fn next(atom: &uapi::Atom, index: usize, result: i64, len: usize) -> Next {
    let mut next = index + 1;
    if stops(atom.flags, result) {
        if atom.skip == 0 {
            return Next::Stop;
        }
        next += usize::from(atom.skip);
    }
    if next < len {
        Next::Atom(next)
    } else {
        Next::End
    }
}

/// The text of a program: all that its interpreter is told by.
///
/// Wherever it asks about an atom it has it, and gives it along.
pub trait Text {
    /// Its atoms; the first one is where it begins.
    fn atoms(&self) -> &[uapi::Atom];
    /// The arguments of `atom`, or `None` if it takes the result of one that has not run.
    fn arguments(&self, atom: &uapi::Atom, results: &Results) -> Option<[u64; 6]>;
    /// Where it goes after `atom`, which is at `index`, returned `result`.
    fn next(&self, atom: &uapi::Atom, index: usize, result: i64) -> Next;
    /// Whether the result of atom `index` is stored.
    fn stores(&self, index: usize) -> bool;
    /// The user address that takes it.
    fn slot(&self, index: usize) -> u64;
    /// How many bytes of a result are stored there.
    fn slot_size(&self) -> usize;
}

/// The text of a [`uapi::Program`]: atoms in the order in which they run.
pub struct Listed<'a> {
    /// The atoms.
    pub atoms: &'a [uapi::Atom],
    /// User pointer to the result slots, or 0.
    pub results: u64,
}

impl Text for Listed<'_> {
    #[inline]
    fn atoms(&self) -> &[uapi::Atom] {
        self.atoms
    }

    #[inline]
    fn arguments(&self, atom: &uapi::Atom, results: &Results) -> Option<[u64; 6]> {
        results.arguments(atom)
    }

    #[inline]
    fn next(&self, atom: &uapi::Atom, index: usize, result: i64) -> Next {
        next(atom, index, result, self.atoms.len())
    }

    #[inline]
    fn stores(&self, _index: usize) -> bool {
        self.results != 0
    }

    #[inline]
    fn slot(&self, index: usize) -> u64 {
        // CAST: `usize` to `u64` does not lose anything.
        self.results.wrapping_add((index * size_of::<i64>()) as u64)
    }

    #[inline]
    fn slot_size(&self) -> usize {
        size_of::<i64>()
    }
}

/// The results of the atoms that have run so far.
///
/// # Invariants
///
/// `slots[i]` is initialised whenever bit `i` of `ran` is set.
pub struct Results {
    ran: u64,
    slots: [core::mem::MaybeUninit<i64>; uapi::MAX_ATOMS],
}

impl Results {
    /// No atom has run.
    #[inline]
    pub const fn new() -> Self {
        // INVARIANT: No bit is set.
        Self {
            ran: 0,
            slots: [const { core::mem::MaybeUninit::uninit() }; uapi::MAX_ATOMS],
        }
    }

    /// Forgets all of them.
    #[inline]
    pub fn clear(&mut self) {
        // INVARIANT: No bit is set.
        self.ran = 0;
    }

    /// Records what atom `index` returned.
    #[inline]
    pub fn set(&mut self, index: usize, result: i64) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.write(result);
            // INVARIANT: The slot was just written.
            self.ran |= 1 << index;
        }
    }

    /// What atom `index` returned, if it has run.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        let slot = self.slots.get(index)?;
        if self.ran & (1 << index) == 0 {
            return None;
        }
        // SAFETY: By the type invariant, since the bit is set.
        Some(unsafe { slot.assume_init() })
    }

    /// The arguments of `atom`, or `None` if it takes the result of an atom that has not run.
    #[inline]
    pub fn arguments(&self, atom: &uapi::Atom) -> Option<[u64; 6]> {
        if takes_results(atom) {
            self.taken_arguments(atom)
        } else {
            Some(atom.args)
        }
    }

    fn taken_arguments(&self, atom: &uapi::Atom) -> Option<[u64; 6]> {
        let mut args = atom.args;
        for (arg, &from) in args.iter_mut().zip(&atom.arg_from) {
            if from != 0 {
                // CAST: Arguments are raw register values; the sign is the call's business.
                *arg = self.get(usize::from(from) - 1)? as u64;
            }
        }
        Some(args)
    }
}
