// SPDX-License-Identifier: GPL-2.0

//! User memory with uatoms in it.

use std::collections::HashMap;

use syslet_pure::policy::Abi;
use syslet_pure::uatom::Memory;

/// Where uatoms are put, one behind the other.
pub const UATOMS: u64 = 0x10_0000;
/// Where their variables are put.
pub const VARIABLES: u64 = 0x20_0000;

/// Size of a word.
pub fn word(abi: Abi) -> u64 {
    match abi {
        Abi::X86_64 => 8,
        Abi::I386 => 4,
    }
}

/// The address of a uatom by its index.
pub fn uatom_at(abi: Abi, index: usize) -> u64 {
    UATOMS + 11 * word(abi) * index as u64
}

/// The address of a variable by its index.
pub fn variable_at(abi: Abi, index: usize) -> u64 {
    VARIABLES + word(abi) * index as u64
}

/// User memory by words, which remembers how often each was read.
#[derive(Clone, Debug)]
pub struct Words {
    /// Of its words.
    pub abi: Abi,
    /// What can be read.
    pub at: HashMap<u64, u64>,
    /// How often it was.
    pub reads: HashMap<u64, u32>,
}

impl Memory for Words {
    fn read<const N: usize>(&mut self, at: u64) -> Option<[u64; N]> {
        let mut words = [0; N];
        let mut at = at;
        for value in &mut words {
            *value = *self.at.get(&at)?;
            *self.reads.entry(at).or_default() += 1;
            at = at.wrapping_add(word(self.abi));
        }
        Some(words)
    }
}

/// A uatom by indices: of uatoms and of variables.
#[derive(Clone, Debug, Default)]
pub struct Uatom {
    /// Its `flags`.
    pub flags: u64,
    /// Its `nr`.
    pub nr: u64,
    /// The variable that takes its result.
    pub ret: Option<usize>,
    /// The uatom that is next.
    pub next: Option<usize>,
    /// The variables with its arguments; of more than six the first six.
    pub args: Vec<usize>,
}

/// Puts uatoms and variables into memory.
pub fn lay_out(abi: Abi, uatoms: &[Uatom], variables: &[u64]) -> Words {
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
