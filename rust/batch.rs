// SPDX-License-Identifier: GPL-2.0

//! What one `EXEC` submits: copied, checked, and from then on unchanging.

use kernel::prelude::*;
use kernel::transmute::AsBytes;
use kernel::uaccess::UserSlice;

use crate::copy;
use crate::copy::Argument;
use crate::policy::Abi;
use crate::program;
use crate::program::Limits;
use crate::program::Refusal;
use crate::uapi;
use crate::uatom;
use crate::uatom::Link;
use crate::uatom::Memory;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => EINVAL,
            Refusal::TooBig => E2BIG,
            Refusal::UnknownCall => ENOSYS,
            Refusal::DeniedCall => EPERM,
            Refusal::Fault => EFAULT,
            Refusal::Loop => ELOOP,
        }
    }
}

/// A buffer that held more atoms than this is not kept for the next call.
const KEEP_ATOMS: usize = 256;

/// The slots of a program's results before it starts.
static NONE_RAN: [u8; uapi::MAX_ATOMS * size_of::<i64>()] = {
    let mut bytes = [0; uapi::MAX_ATOMS * size_of::<i64>()];
    let slot = uapi::NOT_RUN.to_ne_bytes();
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = slot[at % slot.len()];
        at += 1;
    }
    bytes
};

/// The outcome of a program: the last three fields of its struct, of whichever kind.
const OUTCOME_AT: usize = core::mem::offset_of!(uapi::Program, result);
const OUTCOME_LEN: usize = uapi::Program::SIZE - OUTCOME_AT;
const UATOM_OUTCOME_AT: usize = core::mem::offset_of!(uapi::UatomExec, result);
const _: () = assert!(OUTCOME_LEN == size_of::<[u64; 2]>());
const _: () = assert!(uapi::UatomExec::SIZE - UATOM_OUTCOME_AT == OUTCOME_LEN);

/// The memory of a caller of this ABI.
struct Words(Abi);

impl Memory for Words {
    fn read<const N: usize>(&mut self, at: u64) -> Option<[u64; N]> {
        let at = copy::user_ptr(at).ok()?;
        let mut words = [0; N];
        for (index, word) in words.iter_mut().enumerate() {
            *word = match self.0 {
                Abi::X86_64 => copy::read_u64(at.wrapping_byte_add(index * 8)).ok()?,
                Abi::I386 => copy::read_u32(at.wrapping_byte_add(index * 4)).ok()?.into(),
            };
        }
        Some(words)
    }
}

/// Programs that were submitted together.
///
/// # Invariants
///
/// Once read, each program's `atoms` and `nr_atoms` denote a range of the batch's own `atoms`,
/// which has passed [`program::check_atoms`] for `abi`; or, if `is_chain`, there is one program, and
/// as many atoms and links as it has are what [`uatom::translate`] made for `abi`.
pub struct Batch {
    abi: Abi,
    programs: KVVec<uapi::Program>,
    atoms: KVVec<uapi::Atom>,
    links: KVVec<Link>,
    is_chain: bool,
    /// Where the outcome of the first program goes.
    outcomes: u64,
    /// How much of an outcome the caller knows.
    outcome_len: usize,
}

impl Batch {
    /// An empty batch, without buffers.
    pub const fn new() -> Self {
        Self {
            abi: Abi::X86_64,
            programs: KVVec::new(),
            atoms: KVVec::new(),
            links: KVVec::new(),
            is_chain: false,
            outcomes: 0,
            outcome_len: 0,
        }
    }

    /// Reads what `exec` submits, in place of what was here.
    ///
    /// Every byte is fetched once. On success the outcome of each program has been reset in user
    /// memory, so it is known that it can be written there.
    pub fn read(&mut self, abi: Abi, exec: &uapi::Exec, limits: Limits) -> Result {
        self.abi = abi;
        self.outcomes = exec.programs.wrapping_add(OUTCOME_AT as u64);
        self.outcome_len = OUTCOME_LEN;
        self.is_chain = false;
        self.programs.clear();
        self.atoms.clear();

        let count = program::check_batch(exec.nr_programs, limits)?;
        copy::read_array(&mut self.programs, exec.programs, count)?;
        for entry in self.programs.as_mut_slice() {
            let len = program::check_header(entry, limits)?;
            let start = self.atoms.len();
            copy::read_array(&mut self.atoms, entry.atoms, len)?;
            program::check_atoms(abi, &mut self.atoms[start..])?;
            // INVARIANT: These atoms have just been checked.
            // CAST: `usize` to `u64` does not lose anything.
            entry.atoms = start as u64;
        }
        self.reset_outcomes()
    }

    /// Reads the chain of uatoms that `argument` submits, in place of what was here.
    ///
    /// As [`Self::read`] does.
    pub fn read_chain(
        &mut self,
        abi: Abi,
        argument: &Argument<uapi::UatomExec>,
        limits: Limits,
    ) -> Result {
        let exec = &argument.value;
        // CAST: `u32` to `usize` widens.
        let room = (limits.atoms as usize).min(uapi::MAX_ATOMS);

        self.abi = abi;
        (self.outcomes, self.outcome_len) = argument.tail(UATOM_OUTCOME_AT);
        self.is_chain = true;
        self.programs.clear();
        // What an error leaves here nobody looks at.
        self.atoms
            .resize(room, uapi::Atom::default(), GFP_KERNEL_ACCOUNT)?;
        self.links
            .resize(room, Link::default(), GFP_KERNEL_ACCOUNT)?;

        let chain = uatom::translate(
            abi,
            exec.uatom,
            exec.flags,
            &mut Words(abi),
            &mut self.atoms,
            &mut self.links,
        )?;
        // INVARIANT: The chain is in the first atoms and links.
        self.programs.push(
            uapi::Program {
                // CAST: At most `MAX_ATOMS`.
                nr_atoms: chain.len as u32,
                flags: chain.flags,
                user_data: exec.user_data,
                ..uapi::Program::default()
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        self.write_outcome(0, 0, 0, 0)
    }

    fn reset_outcomes(&self) -> Result {
        for index in 0..self.programs.len() {
            let entry = &self.programs[index];
            if entry.results != 0 {
                let bytes = &NONE_RAN[..entry.nr_atoms as usize * size_of::<i64>()];
                copy::write_constant(entry.results, bytes)?;
            }
            self.write_outcome(index, 0, 0, 0)?;
        }
        Ok(())
    }

    /// Tells user space what became of program `index`.
    pub fn write_outcome(&self, index: usize, result: i64, last: u32, status: u32) -> Result {
        // As two words: it is little-endian.
        let outcome = [
            result as u64,
            u64::from(last) | u64::from(status) << u32::BITS,
        ];
        let at = copy::user_ptr(self.outcomes)?.wrapping_byte_add(index * uapi::Program::SIZE);
        if self.outcome_len == OUTCOME_LEN {
            return copy::write_2_words(at, outcome);
        }
        let bytes = AsBytes::as_bytes(&outcome);
        let known = self.outcome_len.min(bytes.len());
        UserSlice::new(at, known)
            .writer()
            .write_slice(&bytes[..known])
    }

    /// Which ABI the numbers are of.
    pub fn abi(&self) -> Abi {
        self.abi
    }

    /// The programs, in order.
    pub fn programs(&self) -> &[uapi::Program] {
        &self.programs
    }

    /// The atoms of one of [`Self::programs`].
    #[inline]
    pub fn atoms(&self, program: &uapi::Program) -> &[uapi::Atom] {
        // CAST: By the type invariants this is an index of `atoms`.
        let start = program.atoms as usize;
        &self.atoms[start..start + program.nr_atoms as usize]
    }

    /// The links of one of [`Self::programs`], if that is a chain.
    #[inline]
    pub fn links(&self, program: &uapi::Program) -> Option<&[Link]> {
        self.is_chain
            .then(|| &self.links[..program.nr_atoms as usize])
    }

    /// Whether the completion of one of [`Self::programs`] is posted if it ends with atom `last`.
    pub fn posts(&self, program: &uapi::Program, last: usize) -> bool {
        // Only atoms of a chain may have this flag.
        let flags = self.atoms(program).get(last).map_or(0, |atom| atom.flags);
        (program.flags | flags) & uapi::NO_COMPLETE == 0
    }

    /// Whether the buffers are small enough to be worth keeping.
    pub fn is_small(&self) -> bool {
        self.atoms.capacity() <= KEEP_ATOMS
    }
}
