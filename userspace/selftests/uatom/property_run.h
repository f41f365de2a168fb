/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The three ways to run a chain: one that makes a plain call for each uatom,
 * that of EXEC_UATOM, and that of EXEC, with the atoms of property_native.h.
 */
#ifndef PROPERTY_RUN_H
#define PROPERTY_RUN_H

#include <sys/uio.h>
#include "property_native.h"

static inline bool is_here(const void *at)
{
	return (unsigned long)at - ARENA_AT <= ARENA_BYTES - sizeof(long);
}

/* Elsewhere memory is read and written by calls, as a pointer may be any. */
static inline bool peek(const void *at, long *value)
{
	struct iovec to = { value, sizeof(*value) }, from = { (void *)at, sizeof(*value) };

	if (is_here(at)) {
		memcpy(value, at, sizeof(*value));
		return true;
	}
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(*value);
}

static inline bool poke(void *at, long value)
{
	struct iovec from = { &value, sizeof(value) }, to = { at, sizeof(value) };

	if (is_here(at)) {
		memcpy(at, &value, sizeof(value));
		return true;
	}
	return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == sizeof(value);
}

static inline long plain_call(unsigned long nr, const unsigned long *args)
{
	long value;

	if (nr != SYSLET_NR_UMEM_ADD)
		return sysret(syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]));
	if (!peek((void *)args[0], &value))
		return -EFAULT;
	value = (unsigned long)value + args[1];
	return poke((void *)args[0], value) ? value : -EFAULT;
}

/* What was stored where, in turn: all that uatoms see of each other. */
struct stores {
	unsigned int nr;
	struct {
		const void *at;
		long value;
	} made[SYSLET_MAX_ATOMS];
};

static inline unsigned long argument(struct program *program, const struct stores *stores,
				     const void *at)
{
	unsigned int i = stores->nr;
	unsigned long value;

	while (i--)
		if (stores->made[i].at == at)
			return stores->made[i].value;
	memcpy(&value, in_image(program, at), sizeof(value));
	return value;
}

static inline bool is_stop(unsigned long flags, long result)
{
	return (flags & SYSLET_STOP_ON_NONZERO && result) ||
	       (flags & SYSLET_STOP_ON_ZERO && !result) ||
	       (flags & SYSLET_STOP_ON_NEGATIVE && result < 0) ||
	       (flags & SYSLET_STOP_ON_NON_POSITIVE && result <= 0);
}

static inline void run_plain(struct program *program, struct outcome *outcome)
{
	const struct syslet_uatom *at = &HERE->arena.uatoms[program->place_of[0]];
	struct stores stores = { 0 };

	reset_world(program);
	while (at) {
		const struct syslet_uatom *uatom = in_image(program, at);
		unsigned long args[6] = { 0 };
		unsigned int i;
		long result;

		for (i = 0; i < 6 && uatom->arg_ptr[i]; i++)
			args[i] = argument(program, &stores, uatom->arg_ptr[i]);
		if (OUR_FD(args[0])) {
			outcome->missed = true;
			return;
		}
		result = plain_call(uatom->nr, args);
		outcome->last = at - HERE->arena.uatoms;
		outcome->results[outcome->last] = result;
		outcome->result = result;
		if (uatom->ret_ptr) {
			if (!poke(uatom->ret_ptr, result)) {
				outcome->result = -EFAULT;
				outcome->failed = true;
				break;
			}
			stores.made[stores.nr].at = uatom->ret_ptr;
			stores.made[stores.nr++].value = result;
		}
		if (!is_stop(uatom->flags, result)) {
			at = uatom->next;
		} else if (uatom->flags & SYSLET_SKIP_ON_STOP) {
			at++;
		} else {
			outcome->stopped = true;
			break;
		}
	}
	see(outcome);
}

/* A program's end, as its outputs or its completion tell it. */
struct ended {
	__s64 result;
	__u32 last, flags;
};

static inline bool wait_ended(struct head *head, __u64 data, struct ended *ended)
{
	struct syslet_cqe cqe;

	if (take_wait(head, &cqe) || cqe.user_data != data || ring_count(head))
		return false;
	*ended = (struct ended) { cqe.result, cqe.last, cqe.flags };
	return true;
}

/* The places of a chain's uatoms, as they are walked; see the documentation of EXEC_UATOM. */
static inline void walk(struct program *program, unsigned char *places)
{
	struct syslet_uatom *uatoms = program->image.arena.uatoms;
	bool met[SYSLET_MAX_ATOMS + 1] = { false };
	unsigned int nr = 0, done = 0, place = program->place_of[0];

	for (;;) {
		while (!met[place]) {
			met[place] = true;
			places[nr++] = place;
			if (!uatoms[place].next)
				break;
			place = uatoms[place].next - HERE->arena.uatoms;
		}
		while (done < nr && !jumps(&uatoms[places[done]]))
			done++;
		if (done == nr)
			return;
		place = places[done++] + 1;
	}
}

/* Returns what is wrong, if something is. */
static inline const char *run_uatoms(struct program *program, struct head *head, __u32 flags,
				     struct outcome *outcome)
{
	struct syslet_uatom_exec exec = {
		.size = sizeof(exec),
		.flags = flags,
		.uatom = PTR(&HERE->arena.uatoms[program->place_of[0]]),
		.user_data = 0x1234567890ULL,
		.result = POISON64,
		.last = POISON32,
		.status = POISON32,
	};
	unsigned char places[SYSLET_MAX_ATOMS];
	struct ended ended;

	reset_world(program);
	if (dev_exec_uatom(HEAD_FD, &exec) != 1)
		return "EXEC_UATOM did not return 1";
	outcome->left = exec.status == SYSLET_PENDING;
	if (outcome->left) {
		if (!wait_ended(head, exec.user_data, &ended))
			return "the chain's entry did not come, or is another's";
		outcome->stopped = ended.flags & SYSLET_CQE_STOPPED;
		outcome->failed = ended.flags & SYSLET_CQE_FAULT;
	} else if (exec.status == SYSLET_DONE) {
		ended = (struct ended) { exec.result, exec.last, 0 };
	} else {
		return "the chain was not handled";
	}
	walk(program, places);
	outcome->result = ended.result;
	outcome->last = places[ended.last];
	see(outcome);
	return NULL;
}

static inline const char *run_native(struct program *program, struct native *native,
				     struct head *head, __u32 flags, struct outcome *outcome)
{
	struct syslet_program submitted = {
		.atoms = PTR(native->atoms),
		.nr_atoms = native->nr,
		.flags = flags,
		.user_data = 0x9876543210ULL,
		.results = PTR(native->results),
		.result = POISON64,
		.last = POISON32,
		.status = POISON32,
	};
	struct ended ended;
	unsigned int i;

	reset_world(program);
	if (dev_exec(HEAD_FD, &submitted, 1, 0) != 1)
		return "EXEC did not return 1";
	outcome->left = submitted.status == SYSLET_PENDING;
	if (outcome->left) {
		if (!wait_ended(head, submitted.user_data, &ended))
			return "the program's entry did not come, or is another's";
		outcome->stopped = ended.flags & SYSLET_CQE_STOPPED;
	} else if (submitted.status == SYSLET_DONE) {
		ended = (struct ended) { submitted.result, submitted.last, 0 };
	} else {
		return "the program was not handled";
	}
	for (i = 0; i < native->nr; i++) {
		if (native->kind[i] == REAL)
			outcome->results[native->place[i]] = native->results[i];
		if (native->kind[i] == STORE && native->results[i] != SYSLET_NOT_RUN &&
		    native->results[i] != 2 * sizeof(long))
			return "a copy failed";
	}
	outcome->last = native->place[ended.last];
	outcome->result = ended.result;
	if (native->kind[ended.last] == JUMP || native->kind[ended.last] == STORE)
		outcome->result = outcome->results[outcome->last];
	outcome->failed = native->kind[ended.last] == BAD_STORE;
	/* Which is a condition there. */
	outcome->stopped &= !outcome->failed;
	see(outcome);
	return NULL;
}

#endif /* PROPERTY_RUN_H */
