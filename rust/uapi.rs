// SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note

//! Mirror of `include/uapi/linux/syslet.h`: constants and layouts, nothing else.
//!
//! The header is the authority and documents every field. This file needs only `core`; the module
//! and the userspace crate compile this very text, and a test compares both with the C compiler's
//! view of the header, in 64 and in 32 bits.

/// Most atoms in a program.
pub const MAX_ATOMS: usize = 64;
/// Most programs in one `EXEC`.
pub const MAX_PROGRAMS: usize = 1024;
/// Most entries of a completion ring.
pub const MAX_CQ_ENTRIES: u32 = 65536;
/// Most cachemiss threads of one head.
pub const MAX_THREADS: u32 = 4096;

/// What a result slot holds when its atom has not run.
pub const NOT_RUN: i64 = i64::MIN;

/// A non-zero result stops.
pub const STOP_ON_NONZERO: u32 = 0x08;
/// A zero result stops.
pub const STOP_ON_ZERO: u32 = 0x10;
/// A negative result stops.
pub const STOP_ON_NEGATIVE: u32 = 0x20;
/// A result of zero or below stops.
pub const STOP_ON_NON_POSITIVE: u32 = 0x40;
/// A true stop condition jumps forward instead of ending the program.
pub const SKIP_ON_STOP: u32 = 0x80;

/// Pseudo system call: adds to a user variable and returns the new value.
pub const NR_UMEM_ADD: u32 = 0xffff_0000;

/// Program flag: do not even try in the caller.
pub const ASYNC: u32 = 0x1;
/// Program flag: never leave the caller.
pub const SYNC: u32 = 0x2;
/// Program flag: no completion entry.
pub const NO_COMPLETE: u32 = 0x4;

/// Program status: finished in the caller.
pub const DONE: u32 = 1;
/// Program status: went on asynchronously.
pub const PENDING: u32 = 2;

/// Feature: blocked programs go on in cachemiss threads.
pub const FEAT_ASYNC: u64 = 1 << 0;
/// Feature: `CANCEL`.
pub const FEAT_CANCEL: u64 = 1 << 1;
/// Feature: 32-bit callers.
pub const FEAT_COMPAT: u64 = 1 << 2;
/// Feature: `EXEC_UATOM`.
pub const FEAT_UATOM: u64 = 1 << 3;
/// Feature: the caller keeps its TID when work blocks.
pub const FEAT_STABLE_TID: u64 = 1 << 4;
/// Feature: [`FEAT_ASYNC`] for 32-bit callers too.
pub const FEAT_COMPAT_ASYNC: u64 = 1 << 5;

/// Verdict: a number that the policy does not know; refused.
pub const POLICY_UNKNOWN: u8 = 0;
/// Verdict: may be in an atom.
pub const POLICY_ALLOW: u8 = 1;
/// Verdict: refused, for a reason in the table.
pub const POLICY_DENY: u8 = 2;

/// `EXEC` flag: an entry also for programs that finished in the caller.
pub const EXEC_RING_ALL: u32 = 0x1;
/// `EXEC` flag: `-EAGAIN` where a blocking program is known to block the caller.
pub const EXEC_NOWAIT: u32 = 0x2;
/// `WAIT` flag: the timeout is absolute `CLOCK_MONOTONIC`.
pub const WAIT_ABS: u32 = 0x1;
/// `CANCEL` flag: whatever their user data.
pub const CANCEL_ALL: u32 = 0x1;

/// Completion flag: the program left the caller.
pub const CQE_ASYNC: u32 = 0x1;
/// Completion flag: ended by a stop condition.
pub const CQE_STOPPED: u32 = 0x2;
/// Completion flag: canceled.
pub const CQE_CANCELED: u32 = 0x4;
/// Completion flag: a store to its results failed.
pub const CQE_FAULT: u32 = 0x8;

/// Defines an ABI struct and asserts its size and each field's offset.
macro_rules! abi_struct {
    ($(#[$meta:meta])* $name:ident, $size:literal {
        $($(#[$fmeta:meta])* $field:ident @ $off:literal: $ty:ty,)*
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $ty,)*
        }

        impl $name {
            /// Size in bytes.
            pub const SIZE: usize = $size;
            /// Name and offset of each field, in order.
            pub const LAYOUT: &'static [(&'static str, usize)] =
                &[$((stringify!($field), $off),)*];
        }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size && $size % 8 == 0);
            $(assert!(core::mem::offset_of!($name, $field) == $off);)*
        };
    };
}

abi_struct! {
    /// One system call.
    Atom, 64 {
        /// Number in the caller's ABI, or [`NR_UMEM_ADD`].
        nr @ 0: u32,
        /// `STOP_ON_*`, [`SKIP_ON_STOP`].
        flags @ 4: u32,
        /// The arguments.
        args @ 8: [u64; 6],
        /// 0: as given; `k >= 1`: the result of atom `k - 1`.
        arg_from @ 56: [u8; 6],
        /// How many atoms to jump over.
        skip @ 62: u8,
        /// 0.
        reserved @ 63: u8,
    }
}

abi_struct! {
    /// A linear, forward-only sequence of atoms.
    Program, 48 {
        /// User pointer to the atoms.
        atoms @ 0: u64,
        /// 1 to [`MAX_ATOMS`].
        nr_atoms @ 8: u32,
        /// [`ASYNC`], [`SYNC`], [`NO_COMPLETE`].
        flags @ 12: u32,
        /// Handed back in the completion entry.
        user_data @ 16: u64,
        /// User pointer to the result slots, or 0.
        results @ 24: u64,
        /// Out: return value of the last atom that ran.
        result @ 32: i64,
        /// Out: index of that atom.
        last @ 40: u32,
        /// Out: [`DONE`], [`PENDING`] or 0.
        status @ 44: u32,
    }
}

abi_struct! {
    /// What this kernel offers.
    Query, 48 {
        /// Size of this struct.
        size @ 0: u32,
        /// 0.
        flags @ 4: u32,
        /// Out: `FEAT_*`.
        features @ 8: u64,
        /// Out: atoms in a program.
        max_atoms @ 16: u32,
        /// Out: programs in one `EXEC`.
        max_programs @ 20: u32,
        /// Out: entries of a completion ring.
        max_cq_entries @ 24: u32,
        /// Out: cachemiss threads of one head.
        max_threads @ 28: u32,
        /// User pointer to verdicts to fill, or 0.
        policies @ 32: u64,
        /// How many verdicts.
        nr_policies @ 40: u32,
        /// 0.
        reserved @ 44: u32,
    }
}

abi_struct! {
    /// Makes the head's ring and sets its limits.
    Setup, 40 {
        /// Size of this struct.
        size @ 0: u32,
        /// 0.
        flags @ 4: u32,
        /// Entries of the ring; 0: a default.
        cq_entries @ 8: u32,
        /// Cachemiss threads of this head; 0: a default.
        max_threads @ 12: u32,
        /// Idle threads that do not leave by themselves; 0: 1.
        spare_threads @ 16: u32,
        /// Milliseconds before an idle thread leaves; 0: a default.
        idle_ms @ 20: u32,
        /// Out: length to mmap at offset 0.
        ring_bytes @ 24: u64,
        /// Out: offset of the entries in it.
        cqes_offset @ 32: u64,
    }
}

abi_struct! {
    /// Runs programs.
    Exec, 24 {
        /// Size of this struct.
        size @ 0: u32,
        /// `EXEC_*`.
        flags @ 4: u32,
        /// User pointer to the programs.
        programs @ 8: u64,
        /// 1 to [`MAX_PROGRAMS`].
        nr_programs @ 16: u32,
        /// 0.
        reserved @ 20: u32,
    }
}

abi_struct! {
    /// Waits for completions.
    Wait, 32 {
        /// Size of this struct.
        size @ 0: u32,
        /// `WAIT_*`.
        flags @ 4: u32,
        /// Entries that must be in the ring.
        min_complete @ 8: u32,
        /// Size in bytes of the mask at `sigmask`.
        sigset_size @ 12: u32,
        /// Nanoseconds; `!0`: no limit; 0: do not sleep.
        timeout_ns @ 16: u64,
        /// User pointer to a signal mask, or 0.
        sigmask @ 24: u64,
    }
}

abi_struct! {
    /// Interrupts programs in flight.
    Cancel, 16 {
        /// Size of this struct.
        size @ 0: u32,
        /// `CANCEL_*`.
        flags @ 4: u32,
        /// Of the programs meant.
        user_data @ 8: u64,
    }
}

abi_struct! {
    /// Runs a chain of classic uatoms.
    UatomExec, 40 {
        /// Size of this struct.
        size @ 0: u32,
        /// [`ASYNC`], [`SYNC`], [`NO_COMPLETE`].
        flags @ 4: u32,
        /// User pointer to the first uatom.
        uatom @ 8: u64,
        /// Handed back in the completion entry.
        user_data @ 16: u64,
        /// Out: as in [`Program`].
        result @ 24: i64,
        /// Out: as in [`Program`].
        last @ 32: u32,
        /// Out: as in [`Program`].
        status @ 36: u32,
    }
}

abi_struct! {
    /// The header of the completion ring.
    RingHeader, 128 {
        /// Index of the next entry to take; written by the user.
        head @ 0: u32,
        /// Keeps the two writers on cache lines of their own.
        pad0 @ 4: [u32; 15],
        /// Index behind the last entry; written by the kernel.
        tail @ 64: u32,
        /// Entries kept back in the kernel now.
        overflow @ 68: u32,
        /// How many entries the ring has.
        entries @ 72: u32,
        /// `entries - 1`.
        mask @ 76: u32,
        /// 0.
        pad1 @ 80: [u32; 12],
    }
}

abi_struct! {
    /// The completion of one program.
    Cqe, 32 {
        /// The program's.
        user_data @ 0: u64,
        /// Return value of the last atom that ran.
        result @ 8: i64,
        /// Index of that atom.
        last @ 16: u32,
        /// `CQE_*`.
        flags @ 20: u32,
        /// 0.
        reserved @ 24: u64,
    }
}

/// Type byte of every command.
pub const IOC_MAGIC: u32 = 0xBB;

const IOC_WRITE: u32 = 1;
const IOC_READ: u32 = 2;
const IOC_SIZE_SHIFT: u32 = 16;
const IOC_SIZE_BITS: u32 = 14;

const fn ioc(dir: u32, nr: u32, size: usize) -> u32 {
    // CAST: every size is far below the 14 bits that the encoding has for it.
    (dir << 30) | ((size as u32) << IOC_SIZE_SHIFT) | (IOC_MAGIC << 8) | nr
}

/// A command without its size bits, as the module matches it.
pub const fn ioc_unsized(cmd: u32) -> u32 {
    cmd & !(((1 << IOC_SIZE_BITS) - 1) << IOC_SIZE_SHIFT)
}

/// Limits, features, policy.
pub const IOC_QUERY: u32 = ioc(IOC_READ | IOC_WRITE, 0x00, Query::SIZE);
/// Makes the head's ring.
pub const IOC_SETUP: u32 = ioc(IOC_READ | IOC_WRITE, 0x01, Setup::SIZE);
/// Runs programs.
pub const IOC_EXEC: u32 = ioc(IOC_READ | IOC_WRITE, 0x02, Exec::SIZE);
/// Waits for completions.
pub const IOC_WAIT: u32 = ioc(IOC_READ | IOC_WRITE, 0x03, Wait::SIZE);
/// Interrupts programs in flight.
pub const IOC_CANCEL: u32 = ioc(IOC_READ | IOC_WRITE, 0x04, Cancel::SIZE);
/// Sets the eventfd.
pub const IOC_EVENTFD: u32 = ioc(IOC_WRITE, 0x05, 4);
/// Runs classic uatoms.
pub const IOC_EXEC_UATOM: u32 = ioc(IOC_READ | IOC_WRITE, 0x06, UatomExec::SIZE);
/// Where a cachemiss thread waits.
pub const IOC_PARK: u32 = ioc(0, 0x1f, 0);
