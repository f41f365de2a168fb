/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Syslets: short sequences of system calls, submitted at once.
 *
 * The interface of /dev/syslet. Every structure has the same layout for
 * 32-bit and 64-bit callers; pointers travel as __u64.
 */
#ifndef _UAPI_LINUX_SYSLET_H
#define _UAPI_LINUX_SYSLET_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Upper bounds of this interface; SYSLET_IOC_QUERY tells those in force. */
#define SYSLET_MAX_ATOMS	64
#define SYSLET_MAX_PROGRAMS	1024
#define SYSLET_MAX_CQ_ENTRIES	65536
#define SYSLET_MAX_THREADS	4096

/* What a result slot holds when its atom has not run. */
#define SYSLET_NOT_RUN		((__s64)(-0x7fffffffffffffffLL - 1))

/**
 * DOC: atom flags
 *
 * A stop condition looks at the atom's return value, as a signed number of
 * the caller's word size. A true one ends the program after this atom, or,
 * with %SYSLET_SKIP_ON_STOP, jumps over the next &syslet_atom.skip atoms.
 * Without any condition the program always goes on to the next atom.
 */
#define SYSLET_STOP_ON_NONZERO		0x08
#define SYSLET_STOP_ON_ZERO		0x10
#define SYSLET_STOP_ON_NEGATIVE		0x20
#define SYSLET_STOP_ON_NON_POSITIVE	0x40
#define SYSLET_SKIP_ON_STOP		0x80

/*
 * A pseudo system call: adds args[1] to the 64-bit user variable at args[0]
 * (32-bit callers: the 32-bit one) and returns the new value. Not atomic.
 */
#define SYSLET_NR_UMEM_ADD		0xffff0000U

/**
 * struct syslet_atom - one system call
 * @nr: number of the call in the caller's ABI, or %SYSLET_NR_UMEM_ADD
 * @flags: SYSLET_STOP_ON_*, %SYSLET_SKIP_ON_STOP
 * @args: the arguments
 * @arg_from: for each argument, 0: as given in @args; k >= 1: the result of
 *	atom k-1 of the same program, which must stand before this one
 * @skip: with %SYSLET_SKIP_ON_STOP: how many atoms to jump over, at least 1;
 *	otherwise 0. A jump to just behind the last atom ends the program.
 * @reserved: 0
 *
 * An atom that takes the result of one that was jumped over is not called;
 * its own result is -EINVAL.
 */
struct syslet_atom {
	__u32 nr;
	__u32 flags;
	__u64 args[6];
	__u8  arg_from[6];
	__u8  skip;
	__u8  reserved;
};

/* syslet_program.flags */
#define SYSLET_ASYNC		0x1	/* do not even try in the caller */
#define SYSLET_SYNC		0x2	/* never leave the caller */
#define SYSLET_NO_COMPLETE	0x4	/* no completion entry */

/* syslet_program.status */
#define SYSLET_DONE		1	/* finished in the caller */
#define SYSLET_PENDING		2	/* went on asynchronously */

/**
 * struct syslet_program - a linear, forward-only sequence of atoms
 * @atoms: user pointer to &struct syslet_atom[@nr_atoms]; free for reuse as
 *	soon as the ioctl has returned
 * @nr_atoms: 1 to %SYSLET_MAX_ATOMS
 * @flags: %SYSLET_ASYNC, %SYSLET_SYNC, %SYSLET_NO_COMPLETE
 * @user_data: handed back in the completion entry
 * @results: user pointer to __s64[@nr_atoms], or 0: the return value of each
 *	atom, stored as soon as it has run; %SYSLET_NOT_RUN for those that the
 *	program ended without. Must stay valid until completion.
 * @result: out: return value of the last atom that ran
 * @last: out: index of that atom
 * @status: out: %SYSLET_DONE, %SYSLET_PENDING, or 0: not handled by this call
 *
 * A failing store to @results ends the program with @result -EFAULT.
 */
struct syslet_program {
	__u64 atoms;
	__u32 nr_atoms;
	__u32 flags;
	__u64 user_data;
	__u64 results;
	__s64 result;
	__u32 last;
	__u32 status;
};

/* syslet_query.features */
#define SYSLET_FEAT_ASYNC	(1ULL << 0)	/* blocked programs go on in cachemiss threads */
#define SYSLET_FEAT_CANCEL	(1ULL << 1)	/* SYSLET_IOC_CANCEL */
#define SYSLET_FEAT_COMPAT	(1ULL << 2)	/* 32-bit callers */
#define SYSLET_FEAT_UATOM	(1ULL << 3)	/* SYSLET_IOC_EXEC_UATOM */
#define SYSLET_FEAT_STABLE_TID	(1ULL << 4)	/* the caller keeps its TID when work blocks */
#define SYSLET_FEAT_COMPAT_ASYNC (1ULL << 5)	/* FEAT_ASYNC for 32-bit callers too */

/* verdicts in syslet_query.policies */
#define SYSLET_POLICY_UNKNOWN	0
#define SYSLET_POLICY_ALLOW	1
#define SYSLET_POLICY_DENY	2

/**
 * struct syslet_query - what this kernel offers
 * @size: sizeof(struct syslet_query)
 * @flags: 0
 * @features: out: SYSLET_FEAT_*
 * @max_atoms: out: atoms in a program
 * @max_programs: out: programs in one SYSLET_IOC_EXEC
 * @max_cq_entries: out: entries of a completion ring
 * @max_threads: out: cachemiss threads of one head
 * @policies: user pointer to __u8[@nr_policies] or 0: filled with the
 *	verdict on each system call number of the caller's ABI
 * @nr_policies: length of @policies, at most 65536
 * @reserved: 0
 */
struct syslet_query {
	__u32 size;
	__u32 flags;
	__u64 features;
	__u32 max_atoms;
	__u32 max_programs;
	__u32 max_cq_entries;
	__u32 max_threads;
	__u64 policies;
	__u32 nr_policies;
	__u32 reserved;
};

/**
 * struct syslet_setup - makes the head's ring and sets its limits
 * @size: sizeof(struct syslet_setup)
 * @flags: 0
 * @cq_entries: entries of the ring, a power of two; 0: 256. Out: the number
 *	in force, as for the next three
 * @max_threads: cachemiss threads of this head; 0: a default
 * @spare_threads: idle threads that do not leave by themselves; 0: 1
 * @idle_ms: milliseconds after which an idle thread beyond the spares
 *	leaves; 0: a default
 * @ring_bytes: out: length to mmap at offset 0
 * @cqes_offset: out: offset of the &struct syslet_cqe array in it
 */
struct syslet_setup {
	__u32 size;
	__u32 flags;
	__u32 cq_entries;
	__u32 max_threads;
	__u32 spare_threads;
	__u32 idle_ms;
	__u64 ring_bytes;
	__u64 cqes_offset;
};

/* syslet_exec.flags */
#define SYSLET_EXEC_RING_ALL	0x1	/* an entry also for programs that finished in the caller */
#define SYSLET_EXEC_NOWAIT	0x2	/* -EAGAIN where a blocking program is known to block the caller */

/**
 * struct syslet_exec - runs programs
 * @size: sizeof(struct syslet_exec)
 * @flags: SYSLET_EXEC_*
 * @programs: user pointer to &struct syslet_program[@nr_programs]
 * @nr_programs: 1 to %SYSLET_MAX_PROGRAMS
 * @reserved: 0
 */
struct syslet_exec {
	__u32 size;
	__u32 flags;
	__u64 programs;
	__u32 nr_programs;
	__u32 reserved;
};

/* syslet_wait.flags */
#define SYSLET_WAIT_ABS		0x1	/* timeout_ns is absolute CLOCK_MONOTONIC */

/**
 * struct syslet_wait - waits for completions
 * @size: sizeof(struct syslet_wait)
 * @flags: SYSLET_WAIT_*
 * @min_complete: entries that must be in the ring, at most its size
 * @sigset_size: size in bytes of the mask at @sigmask; 0 without one
 * @timeout_ns: nanoseconds; ~0: no limit; 0: do not sleep
 * @sigmask: user pointer to the signal mask in force while waiting, or 0
 */
struct syslet_wait {
	__u32 size;
	__u32 flags;
	__u32 min_complete;
	__u32 sigset_size;
	__u64 timeout_ns;
	__u64 sigmask;
};

/* syslet_cancel.flags */
#define SYSLET_CANCEL_ALL	0x1	/* whatever their user_data */

/**
 * struct syslet_cancel - interrupts programs in flight
 * @size: sizeof(struct syslet_cancel)
 * @flags: SYSLET_CANCEL_*
 * @user_data: of the programs meant
 */
struct syslet_cancel {
	__u32 size;
	__u32 flags;
	__u64 user_data;
};

/**
 * struct syslet_uatom_exec - runs a chain of classic uatoms
 * @size: sizeof(struct syslet_uatom_exec)
 * @flags: SYSLET_ASYNC, SYSLET_SYNC, SYSLET_NO_COMPLETE
 * @uatom: user pointer to the first uatom, in the caller's word size
 * @user_data: handed back in the completion entry
 * @result: out: as in &struct syslet_program
 * @last: out: as in &struct syslet_program, counted as the chain is walked:
 *	first the uatoms along next; then, for each of these in turn, those
 *	that its jump leads to and that were not met before
 * @status: out: as in &struct syslet_program
 *
 * A uatom is the struct of 2007, 11 words of the caller's size: flags, nr,
 * ret_ptr, next, arg_ptr[6], private. The flags of the atoms and programs
 * above have the values of that time; %SYSLET_SKIP_ON_STOP goes on with the
 * uatom behind this one in memory.
 */
struct syslet_uatom_exec {
	__u32 size;
	__u32 flags;
	__u64 uatom;
	__u64 user_data;
	__s64 result;
	__u32 last;
	__u32 status;
};

/**
 * struct syslet_ring - the header of the completion ring
 * @head: index of the next entry to take; written by the user (release)
 * @pad0: keeps the two writers on cache lines of their own
 * @tail: index behind the last entry; written by the kernel (release)
 * @overflow: entries kept back in the kernel now, for want of room; WAIT,
 *	poll() and the next completion move them in
 * @entries: how many entries the ring has
 * @mask: @entries - 1; indices run freely and are masked at use
 * @pad1: 0
 */
struct syslet_ring {
	__u32 head;
	__u32 pad0[15];
	__u32 tail;
	__u32 overflow;
	__u32 entries;
	__u32 mask;
	__u32 pad1[12];
};

/* syslet_cqe.flags */
#define SYSLET_CQE_ASYNC	0x1	/* the program left the caller */
#define SYSLET_CQE_STOPPED	0x2	/* it was ended by a stop condition */
#define SYSLET_CQE_CANCELED	0x4	/* it was canceled */
#define SYSLET_CQE_FAULT	0x8	/* a store to its results failed */

/**
 * struct syslet_cqe - the completion of one program
 * @user_data: the program's
 * @result: return value of the last atom that ran
 * @last: index of that atom
 * @flags: SYSLET_CQE_*
 * @reserved: 0
 */
struct syslet_cqe {
	__u64 user_data;
	__s64 result;
	__u32 last;
	__u32 flags;
	__u64 reserved;
};

/*
 * The commands. They are matched without their size bits, so that a
 * structure can grow.
 */
#define SYSLET_IOC_MAGIC	0xBB
#define SYSLET_IOC_QUERY	_IOWR(SYSLET_IOC_MAGIC, 0x00, struct syslet_query)
#define SYSLET_IOC_SETUP	_IOWR(SYSLET_IOC_MAGIC, 0x01, struct syslet_setup)
#define SYSLET_IOC_EXEC		_IOWR(SYSLET_IOC_MAGIC, 0x02, struct syslet_exec)
#define SYSLET_IOC_WAIT		_IOWR(SYSLET_IOC_MAGIC, 0x03, struct syslet_wait)
#define SYSLET_IOC_CANCEL	_IOWR(SYSLET_IOC_MAGIC, 0x04, struct syslet_cancel)
#define SYSLET_IOC_EVENTFD	_IOW(SYSLET_IOC_MAGIC, 0x05, __s32)
#define SYSLET_IOC_EXEC_UATOM	_IOWR(SYSLET_IOC_MAGIC, 0x06, struct syslet_uatom_exec)
#define SYSLET_IOC_PARK		_IO(SYSLET_IOC_MAGIC, 0x1f)

#endif /* _UAPI_LINUX_SYSLET_H */
