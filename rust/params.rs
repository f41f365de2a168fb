// SPDX-License-Identifier: GPL-2.0

//! The limits in force: those of the interface, or what the module was loaded with, if less.

use crate::module_parameters;
use crate::program::Limits;
use crate::uapi;

/// Most atoms in a program and programs in a call.
pub fn limits() -> Limits {
    Limits {
        atoms: (*module_parameters::max_atoms.value_ref()).clamp(1, uapi::MAX_ATOMS as u32),
        programs: (*module_parameters::max_programs.value_ref())
            .clamp(1, uapi::MAX_PROGRAMS as u32),
    }
}

/// Most entries of a completion ring; a power of two.
pub fn max_cq_entries() -> u32 {
    let most = (*module_parameters::max_cq_entries.value_ref()).clamp(1, uapi::MAX_CQ_ENTRIES);
    // The greatest power of two that is not above it.
    (most + 1).next_power_of_two() / 2
}

/// Most cachemiss threads of one head.
pub fn max_threads() -> u32 {
    (*module_parameters::max_threads.value_ref()).clamp(1, uapi::MAX_THREADS)
}
