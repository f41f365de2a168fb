// SPDX-License-Identifier: GPL-2.0

//! x86-64: where a cachemiss thread waits while in user mode, and the registers that a handoff
//! moves. `x86_64.c` has those that `pt_regs` has not.

use kernel::bindings;

use crate::policy::Abi;
use crate::uapi;

/// The code of the parking page.
///
/// A cachemiss thread is in user mode only here: when it has just been forked, and when it has to
/// pass through user mode to be stopped, frozen or traced. `r12` holds the file descriptor and
/// `r13` the worker's number. An interrupted call is restarted at its `syscall`, which the kernel
/// does by itself; a call that returns ends the thread, with what it returned.
pub const PARKING: [u8; 29] = {
    let park = uapi::IOC_PARK.to_le_bytes();
    [
        0x44, 0x89, 0xe7, // mov %r12d, %edi
        0xbe, park[0], park[1], park[2], park[3], // mov $SYSLET_IOC_PARK, %esi
        0x4c, 0x89, 0xea, // mov %r13, %rdx
        0xb8, 16, 0, 0, 0, // mov $__NR_ioctl, %eax
        0x0f, 0x05, // syscall
        0x89, 0xc7, // mov %eax, %edi
        0xb8, 60, 0, 0, 0, // mov $__NR_exit, %eax
        0x0f, 0x05, // syscall
        0x0f, 0x0b, // ud2
    ]
};

/// The number of `clone()`.
pub const NR_CLONE: u32 = 56;

/// Offset behind the first `syscall` of [`PARKING`].
const PARKED_AT: usize = 18;

/// `EFLAGS` of a thread that has not set any: interrupts on, and the bit that always is.
const FLAGS: usize = 0x202;

/// The trap flag, by which a program steps itself.
const TRAP_FLAG: usize = 1 << 8;

/// Whether the program steps itself.
pub fn is_stepping(regs: &bindings::pt_regs) -> bool {
    regs.flags & TRAP_FLAG != 0
}

/// Makes `regs` those with which `clone()` forks a thread that starts at the parking page.
pub fn prepare_fork(regs: &mut bindings::pt_regs, page: usize, fd: usize, worker: u64) {
    regs.ip = page;
    regs.flags = FLAGS;
    // Never used: it only must not be the user's.
    regs.sp = 0;
    regs.bp = 0;
    regs.r12 = fd;
    // CAST: `usize` has 64 bits here.
    regs.r13 = worker as usize;
}

/// Whether a task with these registers calls from the parking page at `page`.
pub fn is_parked(regs: &bindings::pt_regs, page: usize) -> bool {
    regs.ip == page + PARKED_AT
}

/// The first argument of the system call, one of `abi`, that these registers came with.
pub fn first_argument(regs: &bindings::pt_regs, abi: Abi) -> usize {
    match abi {
        Abi::X86_64 => regs.di,
        Abi::I386 => regs.bx,
    }
}
