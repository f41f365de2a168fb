// SPDX-License-Identifier: GPL-2.0

//! From what is written to what runs.

use anyhow::{Context, Result};
use syslet::{Number, Program, RawArg};

use super::parse::{Arg, Condition, Source};

/// A program, and its memory.
pub struct Ready {
    /// The program.
    pub program: Program<'static>,
    /// What must live as long.
    pub memory: Memory,
}

/// The memory that a program's arguments point to.
pub struct Memory {
    /// Its buffers, in the order in which they are written.
    pub buffers: Vec<Buffer>,
    /// Texts and words, read by the kernel and by nobody else.
    _inputs: Vec<Vec<u8>>,
}

/// Memory for the program to write to.
pub struct Buffer {
    /// What it is called.
    pub name: String,
    /// The atom that it is written in.
    pub atom: usize,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Makes a program of it, with the memory that it needs.
pub fn lower(source: &Source) -> Result<Ready> {
    let mut program = Program::new();
    let mut atoms: Vec<Number> = Vec::new();
    let mut inputs = Vec::new();
    let mut buffers: Vec<_> = source
        .buffers
        .iter()
        .map(|buffer| Buffer {
            name: buffer.name.clone(),
            atom: buffer.atom,
            bytes: vec![0; buffer.len],
        })
        .collect();

    for atom in &source.atoms {
        let mut input = |bytes: Vec<u8>| {
            let arg = RawArg::pointer(bytes.as_ptr());
            inputs.push(bytes);
            arg
        };
        let mut args = Vec::with_capacity(atom.args.len());
        for arg in &atom.args {
            args.push(match arg {
                Arg::Value(value) => (*value).into(),
                Arg::Text(text) => input([text.as_slice(), &[0]].concat()),
                Arg::Words(words) => input(words.iter().flat_map(|w| w.to_ne_bytes()).collect()),
                Arg::Buffer(index) => RawArg::pointer(buffers[*index].bytes.as_mut_ptr()),
                Arg::Result(index) => {
                    RawArg::result(atoms.get(*index).context("a result of a later atom")?)
                }
            });
        }
        // SAFETY: The memory that is written here lives as long as the program, and nobody looks
        // at it while the program runs. What else the calls do to this process, it has no secrets
        // from its user, who wrote them: they are what it is for, as with any interpreter.
        let handle = unsafe { program.raw(atom.nr, &args) }?;
        match atom.condition {
            Condition::StopIf(stop) => program.stop_if(&handle, stop)?,
            Condition::SkipIf(stop, atoms) => program.skip_if(&handle, stop, atoms)?,
            Condition::CarryOn => program.carry_on(&handle)?,
        }
        atoms.push(handle);
    }
    let memory = Memory {
        buffers,
        _inputs: inputs,
    };
    Ok(Ready { program, memory })
}
