// SPDX-License-Identifier: GPL-2.0

//! Programs as a C program would have them: arrays that are filled in once, and then only the
//! ioctl. The builder of the crate `syslet`, with what it checks, is not what is measured.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{ensure, Context, Result};
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;
use syslet::raw;
use syslet::uapi;

/// An atom without conditions on its result.
pub fn atom<const N: usize>(nr: libc::c_long, args: [u64; N]) -> uapi::Atom {
    let mut atom = uapi::Atom {
        nr: u32::try_from(nr).expect("numbers are small"),
        ..uapi::Atom::default()
    };
    atom.args[..N].copy_from_slice(&args);
    atom
}

/// A head, and programs that are submitted to it together, again and again.
pub struct Programs {
    head: OwnedFd,
    mapping: raw::Mapping,
    exec: uapi::Exec,
    batch: Box<[uapi::Program]>,
    results: Box<[Box<[i64]>]>,
    /// What the programs point to.
    _atoms: Box<[Box<[uapi::Atom]>]>,
}

impl Programs {
    /// Programs of these atoms, with result slots if there is more than one atom: the value of a
    /// single one is in the program.
    ///
    /// # Safety
    ///
    /// What the atoms do to memory is the caller's concern for as long as the value is run.
    pub unsafe fn new(programs: &[Vec<uapi::Atom>], flags: u32) -> Result<Self> {
        let head = open(
            syslet::DEFAULT_PATH,
            OFlag::O_RDWR | OFlag::O_CLOEXEC,
            Mode::empty(),
        );
        let head = head.context(syslet::DEFAULT_PATH)?;
        let mut setup = uapi::Setup {
            size: uapi::Setup::SIZE.try_into()?,
            // No thread is to leave, or to be forked, while something is measured.
            spare_threads: 4,
            ..uapi::Setup::default()
        };
        // SAFETY: A syslet device, and a structure for it.
        unsafe { raw::setup(head.as_fd(), &mut setup) }.context("SYSLET_IOC_SETUP")?;
        let mapping = raw::Mapping::new(head.as_fd(), &setup)?;

        let atoms: Box<[Box<[uapi::Atom]>]> =
            programs.iter().map(|atoms| atoms.clone().into()).collect();
        let mut results: Box<[Box<[i64]>]> = atoms
            .iter()
            .map(|atoms| vec![0; atoms.len()].into())
            .collect();
        let batch: Box<[_]> = atoms
            .iter()
            .zip(&mut results)
            .map(|(atoms, results)| uapi::Program {
                atoms: atoms.as_ptr() as u64,
                nr_atoms: u32::try_from(atoms.len()).unwrap_or(u32::MAX),
                flags,
                results: match atoms.len() {
                    1 => 0,
                    _ => results.as_mut_ptr() as u64,
                },
                ..uapi::Program::default()
            })
            .collect();
        let mut this = Self {
            head,
            mapping,
            exec: uapi::Exec::default(),
            batch,
            results,
            _atoms: atoms,
        };
        this.exec = uapi::Exec {
            size: uapi::Exec::SIZE.try_into()?,
            programs: this.batch.as_mut_ptr() as u64,
            nr_programs: this.batch.len().try_into()?,
            ..uapi::Exec::default()
        };
        Ok(this)
    }

    /// Submits them all.
    #[inline]
    pub fn exec(&mut self) -> Result<()> {
        // SAFETY: The arrays live as long as the value; the rest is the promise given to `new`.
        let handled = unsafe { raw::exec(self.head.as_fd(), &mut self.exec) };
        ensure!(handled == Ok(self.exec.nr_programs), "EXEC: {handled:?}");
        Ok(())
    }

    /// The value of each atom of each program, once they have been run.
    pub fn results(&self) -> Vec<i64> {
        let slots = self.batch.iter().zip(&self.results);
        slots
            .flat_map(|(program, slots)| match &**slots {
                [_] => vec![as_left(program).result],
                slots => slots.to_vec(),
            })
            .collect()
    }

    /// Fails unless each program has this status.
    #[inline]
    pub fn check_status(&self, status: u32) -> Result<()> {
        for program in &*self.batch {
            let found = as_left(program).status;
            ensure!(found == status, "a program has status {found}");
        }
        Ok(())
    }

    /// Takes a completion from the ring, and waits for one only if there is none.
    #[inline]
    pub fn complete(&mut self) -> Result<i64> {
        // SAFETY: The only reader, as `self` is borrowed exclusively.
        let mut ring = unsafe { self.mapping.ring() };
        loop {
            if let Some(cqe) = ring.pop() {
                return Ok(cqe.result);
            }
            let mut wait = uapi::Wait {
                size: 32,
                min_complete: 1,
                timeout_ns: !0,
                ..uapi::Wait::default()
            };
            // SAFETY: No signal mask.
            unsafe { raw::wait(self.head.as_fd(), &mut wait) }.context("SYSLET_IOC_WAIT")?;
        }
    }
}

/// A program as the kernel has left it.
#[inline]
fn as_left(program: &uapi::Program) -> uapi::Program {
    // SAFETY: A valid program, which the compiler does not see being written to.
    unsafe { (&raw const *program).read_volatile() }
}
