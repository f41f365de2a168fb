// SPDX-License-Identifier: GPL-2.0

//! What one `EXEC` submits: copied, checked, and from then on unchanging.

use kernel::prelude::*;
use kernel::uaccess::UserSlice;

use crate::copy;
use crate::policy::Abi;
use crate::program;
use crate::program::Limits;
use crate::program::Refusal;
use crate::uapi;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => EINVAL,
            Refusal::TooBig => E2BIG,
            Refusal::UnknownCall => ENOSYS,
            Refusal::DeniedCall => EPERM,
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

/// Programs that were submitted together.
///
/// # Invariants
///
/// Once read, each program's `atoms` and `nr_atoms` denote a range of the batch's own `atoms`,
/// which has passed [`program::check_atoms`] for `abi`.
pub struct Batch {
    abi: Abi,
    programs: KVVec<uapi::Program>,
    atoms: KVVec<uapi::Atom>,
    /// Where the programs came from, and where their outcomes go.
    at: u64,
}

impl Batch {
    /// An empty batch, without buffers.
    pub const fn new() -> Self {
        Self {
            abi: Abi::X86_64,
            programs: KVVec::new(),
            atoms: KVVec::new(),
            at: 0,
        }
    }

    /// Reads what `exec` submits, in place of what was here.
    ///
    /// Every byte is fetched once. On success the outcome of each program has been reset in user
    /// memory, so it is known that it can be written there.
    pub fn read(&mut self, abi: Abi, exec: &uapi::Exec, limits: Limits) -> Result {
        self.abi = abi;
        self.at = exec.programs;
        self.programs.clear();
        self.atoms.clear();

        let count = program::check_batch(exec.nr_programs, limits)?;
        copy::read_array(&mut self.programs, exec.programs, count)?;
        for entry in self.programs.as_mut_slice() {
            let len = program::check_header(entry, limits)?;
            let start = self.atoms.len();
            copy::read_array(&mut self.atoms, entry.atoms, len)?;
            program::check_atoms(abi, &self.atoms[start..])?;
            // INVARIANT: These atoms have just been checked.
            // CAST: `usize` to `u64` does not lose anything.
            entry.atoms = start as u64;
        }
        self.reset_outcomes()
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
        const AT: usize = core::mem::offset_of!(uapi::Program, result);
        const LEN: usize = uapi::Program::SIZE - AT;

        // The last three fields of the struct, as two words: it is little-endian.
        let outcome: [u64; LEN / 8] = [
            result as u64,
            u64::from(last) | u64::from(status) << u32::BITS,
        ];
        let at = copy::user_ptr(self.at)?.wrapping_byte_add(index * uapi::Program::SIZE + AT);
        UserSlice::new(at, LEN).writer().write(&outcome)
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

    /// Whether the buffers are small enough to be worth keeping.
    pub fn is_small(&self) -> bool {
        self.atoms.capacity() <= KEEP_ATOMS
    }
}
