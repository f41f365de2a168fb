/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A chain of uatoms as a program of atoms that does the same.
 *
 * What atoms have no words for becomes further atoms: a store by a ret_ptr, an
 * argument of which it depends on the way who stored it last, and a next that
 * is not the next one. Those on a way cost nothing to those on another, as
 * programs, too, run forward only.
 */
#ifndef PROPERTY_NATIVE_H
#define PROPERTY_NATIVE_H

#include <sys/uio.h>
#include "property.h"

enum native_kind {
	REAL,		/* the call of the uatom */
	TAKE,		/* an argument, from the shadow of where it is stored */
	STORE,		/* its result, to where its ret_ptr points, and to the shadow of that */
	BAD_STORE,	/* the same, where that cannot be */
	JUDGE,		/* its conditions, if something had to be done before */
	JUMP,
};

struct native {
	unsigned int nr;
	struct syslet_atom atoms[SYSLET_MAX_ATOMS];
	enum native_kind kind[SYSLET_MAX_ATOMS];
	unsigned char place[SYSLET_MAX_ATOMS];		/* of the uatom */
	unsigned char target[SYSLET_MAX_ATOMS];		/* of a jump: a uatom's order, or END */
	unsigned char first[SYSLET_MAX_ATOMS];		/* of a uatom: its first atom, */
	unsigned char real[SYSLET_MAX_ATOMS];		/* and its REAL */
	__s64 results[SYSLET_MAX_ATOMS];
	struct iovec from[SYSLET_MAX_ATOMS][2], to[SYSLET_MAX_ATOMS][2];
	long judged[SYSLET_MAX_ATOMS];
	unsigned long junk;

	/* What is stored in, and a shadow of each. */
	unsigned int slots;
	const void *slot_at[SYSLET_MAX_ATOMS];
	unsigned long shadow[SYSLET_MAX_ATOMS];
	/* Who may have stored there last when a uatom runs, by order; and whether maybe nobody. */
	__u64 writers[SYSLET_MAX_ATOMS][SYSLET_MAX_ATOMS];
	bool unwritten[SYSLET_MAX_ATOMS][SYSLET_MAX_ATOMS];
	bool reached[SYSLET_MAX_ATOMS];
};

#define END		SYSLET_MAX_ATOMS
#define NO_SLOT		SYSLET_MAX_ATOMS

/* The uatom, by order, that is next; and that is next on a true condition. */
static inline unsigned int order_at(struct program *program, const struct syslet_uatom *at)
{
	return at ? program->order_of[at - HERE->arena.uatoms] : END;
}

static inline unsigned int jump_of(struct program *program, unsigned int order)
{
	return program->order_of[program->place_of[order] + 1];
}

static inline unsigned int slot_of(const struct native *native, const void *at)
{
	unsigned int i;

	for (i = 0; i < native->slots; i++)
		if (native->slot_at[i] == at)
			return i;
	return NO_SLOT;
}

static inline void make_slots(struct program *program, struct native *native)
{
	unsigned int i;

	for (i = 0; i < program->nr; i++) {
		void *at = uatom_of(program, i)->ret_ptr;

		if (!at || at == BAD_LOW || slot_of(native, at) != NO_SLOT)
			continue;
		memcpy(&native->shadow[native->slots], in_image(program, at), sizeof(long));
		native->slot_at[native->slots++] = at;
	}
}

/* Hands on to @to what @from has found, and what it stores itself. */
static inline void flow(struct program *program, struct native *native, unsigned int from,
			unsigned int to)
{
	unsigned int own = slot_of(native, uatom_of(program, from)->ret_ptr), slot;

	if (to == END)
		return;
	native->reached[to] = true;
	for (slot = 0; slot < native->slots; slot++) {
		if (slot == own) {
			native->writers[to][slot] |= 1ULL << from;
			continue;
		}
		native->writers[to][slot] |= native->writers[from][slot];
		native->unwritten[to][slot] |= native->unwritten[from][slot];
	}
}

static inline void find_writers(struct program *program, struct native *native)
{
	unsigned int i;

	memset(native->unwritten[0], true, sizeof(native->unwritten[0]));
	native->reached[0] = true;
	for (i = 0; i < program->nr; i++) {
		if (!native->reached[i])
			continue;
		flow(program, native, i, order_at(program, uatom_of(program, i)->next));
		if (jumps(uatom_of(program, i)))
			flow(program, native, i, jump_of(program, i));
	}
}

/* Room for one more; NULL where there is none. */
static inline struct syslet_atom *emit(struct native *native, unsigned int place,
				       enum native_kind kind)
{
	unsigned int index = native->nr;

	if (index == SYSLET_MAX_ATOMS)
		return NULL;
	native->kind[index] = kind;
	native->place[index] = place;
	native->atoms[index] = (struct syslet_atom) { .nr = SYSLET_NR_UMEM_ADD };
	native->nr++;
	return &native->atoms[index];
}

/* What argument @i of uatom @order is: a number, or the result that @from is to name. */
static inline bool take(struct program *program, struct native *native, unsigned int order,
			unsigned int i, __u64 *value, __u8 *from)
{
	const void *at = uatom_of(program, order)->arg_ptr[i];
	unsigned int slot = slot_of(native, at);
	unsigned long initial;
	struct syslet_atom *atom;
	__u64 writers;

	memcpy(&initial, in_image(program, at), sizeof(initial));
	*value = initial;
	writers = slot == NO_SLOT ? 0 : native->writers[order][slot];
	if (!writers)
		return true;
	if (!(writers & (writers - 1)) && !native->unwritten[order][slot]) {
		*from = native->real[__builtin_ctzll(writers)] + 1;
		return true;
	}
	atom = emit(native, program->place_of[order], TAKE);
	if (!atom)
		return false;
	atom->args[0] = PTR(&native->shadow[slot]);
	*from = native->nr;
	return true;
}

static inline bool emit_store(struct native *native, unsigned int place, void *at,
			      unsigned int real)
{
	bool bad = at == BAD_LOW;
	struct syslet_atom *atom = emit(native, place, bad ? BAD_STORE : STORE);

	if (!atom)
		return false;
	if (bad) {
		atom->args[0] = PTR(at);
		atom->flags = SYSLET_STOP_ON_NEGATIVE;
		return true;
	}
	native->from[real][0] = (struct iovec) { &native->results[real], sizeof(long) };
	native->from[real][1] = native->from[real][0];
	native->to[real][0] = (struct iovec) { at, sizeof(long) };
	native->to[real][1] = (struct iovec) {
		&native->shadow[slot_of(native, at)], sizeof(long)
	};
	*atom = (struct syslet_atom) {
		.nr = __NR_process_vm_readv,
		.args = { getpid(), PTR(native->to[real]), 2, PTR(native->from[real]), 2 },
	};
	return true;
}

/* One uatom, with @following the one whose atoms are next. */
static inline bool emit_uatom(struct program *program, struct native *native, unsigned int order,
			      unsigned int following)
{
	const struct syslet_uatom *uatom = uatom_of(program, order);
	unsigned int place = program->place_of[order], i;
	unsigned int next = order_at(program, uatom->next), jump = END;
	unsigned long flags = conditions(uatom->flags) ? uatom->flags : 0;
	struct syslet_atom *atom, call = { .nr = uatom->nr };

	native->first[order] = native->nr;
	for (i = 0; i < 6 && uatom->arg_ptr[i]; i++)
		if (!take(program, native, order, i, &call.args[i], &call.arg_from[i]))
			return false;
	native->real[order] = native->nr;
	atom = emit(native, place, REAL);
	if (!atom)
		return false;
	*atom = call;
	if (uatom->ret_ptr) {
		if (!emit_store(native, place, uatom->ret_ptr, native->real[order]))
			return false;
		if (flags) {
			atom = emit(native, place, JUDGE);
			if (!atom)
				return false;
			atom->args[0] = PTR(&native->judged[order]);
			atom->arg_from[1] = native->real[order] + 1;
		}
	}
	if (jumps(uatom)) {
		jump = jump_of(program, order);
		/* There is no jump over nothing. */
		if (jump == following && next == following)
			flags = 0;
		else
			native->target[native->nr - 1] = jump;
	}
	atom->flags |= flags;
	if (next == following)
		return true;
	atom = emit(native, place, JUMP);
	if (!atom)
		return false;
	atom->args[0] = PTR(&native->junk);
	atom->flags = SYSLET_STOP_ON_ZERO | SYSLET_STOP_ON_NONZERO | SYSLET_SKIP_ON_STOP;
	native->target[native->nr - 1] = next;
	return true;
}

/* False where it is not to be had within the limits. */
static inline bool make_native(struct program *program, struct native *native)
{
	unsigned int i, following, to;

	memset(native, 0, sizeof(*native));
	make_slots(program, native);
	find_writers(program, native);
	for (i = 0; i < program->nr; i++) {
		if (!native->reached[i])
			continue;
		for (following = i + 1; following < program->nr; following++)
			if (native->reached[following])
				break;
		if (following == program->nr)
			following = END;
		if (!emit_uatom(program, native, i, following))
			return false;
	}
	for (i = 0; i < native->nr; i++) {
		if (!(native->atoms[i].flags & SYSLET_SKIP_ON_STOP))
			continue;
		to = native->target[i] == END ? native->nr : native->first[native->target[i]];
		native->atoms[i].skip = to - i - 1;
	}
	return true;
}

#endif /* PROPERTY_NATIVE_H */
