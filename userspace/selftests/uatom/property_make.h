/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random chains.
 *
 * Made in the order in which they run, and laid out in another. Every argument
 * is a pointer: to a constant of its own, or to a variable that other uatoms
 * store their results in. Nothing may block, so what could make a descriptor
 * blocking is always a constant; and no address is added to another one.
 */
#ifndef PROPERTY_MAKE_H
#define PROPERTY_MAKE_H

#include "property.h"

/*
 * Arguments: f descriptor, b buffer, n length, o offset, w whence, d number of
 * a new descriptor, c command of fcntl(), m mask, N O_NONBLOCK, z 0, s address
 * of a sum, a what is added to it.
 */
struct call {
	const char *name;
	unsigned long nr;
	const char *args;
};

#ifdef __i386__
#define OFFSET64 "oz"
#else
#define OFFSET64 "o"
#endif

static const struct call calls[] = {
	{ "umem_add", SYSLET_NR_UMEM_ADD, "sa" },
	{ "umem_add", SYSLET_NR_UMEM_ADD, "sa" },
	{ "umem_add", SYSLET_NR_UMEM_ADD, "sa" },
	{ "read", __NR_read, "fbn" },
	{ "write", __NR_write, "fbn" },
	{ "write", __NR_write, "fbn" },
	{ "pread64", __NR_pread64, "fbn" OFFSET64 },
	{ "pwrite64", __NR_pwrite64, "fbn" OFFSET64 },
	{ "lseek", __NR_lseek, "fow" },
	{ "ftruncate", __NR_ftruncate, "fo" },
	{ "dup", __NR_dup, "f" },
	{ "dup2", __NR_dup2, "fd" },
	{ "close", __NR_close, "f" },
	{ "fcntl", __NR_fcntl, "fcd" },
	{ "pipe2", __NR_pipe2, "bN" },
	{ "umask", __NR_umask, "m" },
	{ "getcwd", __NR_getcwd, "bn" },
	{ "getpid", __NR_getpid, "" },
	{ "getppid", __NR_getppid, "" },
};

static inline const char *name_of(unsigned long nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].nr == nr)
			return calls[i].name;
	return "?";
}

#define one_of(random, ...) __extension__ ({				\
	static const long these_[] = { __VA_ARGS__ };			\
	(unsigned long)these_[below(random, ARRAY_SIZE(these_))];		\
})

static inline unsigned long some_buffer(__u64 *random)
{
	switch (below(random, 24)) {
	case 0:
		return (unsigned long)BAD_LOW;
	case 1:
		return (unsigned long)&HERE->arena.vars[below(random, VARS)];
	case 2:
		return (unsigned long)&HERE->arena.uatoms[below(random, SYSLET_MAX_ATOMS)];
	case 3:
		return (unsigned long)&HERE->arena.consts[below(random, 64)];
	case 4:
		return ARENA_AT + ARENA_BYTES - below(random, 12);
	default:
		return (unsigned long)HERE->bufs[below(random, BUFS)] + below(random, 2) * 9;
	}
}

static inline unsigned long some_sum(__u64 *random)
{
	switch (below(random, 24)) {
	case 0:
		return (unsigned long)BAD_LOW;
	case 1:
		return ARENA_AT + ARENA_BYTES - 3;
	case 2:
		return (unsigned long)&HERE->arena.consts[below(random, 64)];
	case 3:
		return (unsigned long)&HERE->arena.uatoms[below(random, SYSLET_MAX_ATOMS)].nr;
	case 4 ... 9:
		return (unsigned long)&HERE->arena.vars[below(random, VARS)];
	default:
		return (unsigned long)&HERE->arena.sums[below(random, SUMS)];
	}
}

/* A constant for an argument of this kind. */
static inline unsigned long some_value(char kind, __u64 *random)
{
	switch (kind) {
	case 'f':
		return one_in(random, 16) ? one_of(random, -1, 63, 64, 20) : below(random, 7);
	case 'b':
		return some_buffer(random);
	case 'n':
		return one_of(random, 0, 1, 1, 2, 3, 5, 8, 16, 31, 64, 64, 700, 20000, -1, 1L << 31);
	case 'o':
		return one_of(random, 0, 0, 1, 2, 4, 8, 17, 100, 1000, -1, -20, 50000);
	case 'w':
		return one_of(random, SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_CUR, SEEK_END, 77);
	case 'd':
		return one_in(random, 8) ? one_of(random, -1, 63, 64) : below(random, 12);
	case 'c':
		return one_of(random, F_DUPFD, F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, 999);
	case 'm':
		return below(random, 01000);
	case 'N':
		return O_NONBLOCK;
	case 's':
		return some_sum(random);
	case 'a':
		return one_of(random, 0, 1, 1, 2, 3, 4, -1, -1, -2, -3, -9, 5, 700);
	default:
		return 0;
	}
}

static inline void *place_of_const(struct program *program, unsigned int *used, unsigned long value)
{
	program->image.arena.consts[*used] = value;
	return &HERE->arena.consts[(*used)++];
}

static inline void make_args(struct program *program, unsigned int order, const struct call *call,
			     unsigned int *used, __u64 *random)
{
	struct syslet_uatom *uatom = uatom_of(program, order);
	bool on_address = call->nr == SYSLET_NR_UMEM_ADD && one_in(random, 10);
	unsigned int i, nr = strlen(call->args);

	/* One that is missing is 0. */
	if (nr && call->args[nr - 1] != 'N' && one_in(random, 16))
		nr--;
	for (i = 0; i < 6; i++)
		uatom->arg_ptr[i] = i < nr ? NULL : one_in(random, 2) ? NULL : BAD_LOW;
	if (nr < 6)
		uatom->arg_ptr[nr] = NULL;
	for (i = 0; i < nr; i++) {
		char kind = call->args[i];
		void *at = NULL;

		if (on_address)
			at = place_of_const(program, used, i ? some_buffer(random) :
					    (unsigned long)&HERE->arena.addresses[order]);
		else if ((kind == 'b' || kind == 's') && one_in(random, 5))
			at = &HERE->arena.pointers[below(random, POINTERS)];
		else if (strchr("noa", kind) && one_in(random, 16))
			at = &HERE->arena.sums[below(random, SUMS)];
		else if (strchr("fnodma", kind) && one_in(random, 2))
			at = (char *)&HERE->arena.vars[below(random, VARS)] +
				(one_in(random, 30) ? 1 : 0);
		uatom->arg_ptr[i] = at ?: place_of_const(program, used, some_value(kind, random));
	}
	if (on_address)
		uatom->ret_ptr = &HERE->arena.pointers[below(random, POINTERS)];
}

static inline void *some_ret_ptr(__u64 *random)
{
	switch (below(random, 40)) {
	case 0:
		return BAD_LOW;
	case 1:
		return (char *)&HERE->arena.vars[below(random, VARS)] + 1;
	case 2:
		return &HERE->arena.sums[below(random, SUMS)];
	default:
		return &HERE->arena.vars[below(random, VARS)];
	}
}

/* Where they are in memory: as they run, or mixed up. */
static inline void lay_out(struct program *program, __u64 *random)
{
	unsigned int i, swaps = one_in(random, 3) ? 0 : below(random, program->nr + 1);

	for (i = 0; i < program->nr; i++)
		program->place_of[i] = i;
	while (swaps--) {
		unsigned int one = below(random, program->nr), two = below(random, program->nr);
		unsigned char place = program->place_of[one];

		program->place_of[one] = program->place_of[two];
		program->place_of[two] = place;
	}
	for (i = 0; i < program->nr; i++)
		program->order_of[program->place_of[i]] = i;
	/* Nothing is behind the last. */
	program->order_of[program->nr] = 0;
}

static inline void link_it(struct program *program, unsigned int order, __u64 *random)
{
	unsigned int to = order + 1, left = program->nr - to;

	if (!left || one_in(random, 40))
		return;
	if (one_in(random, 5))
		to += below(random, left < 5 ? left : 5);
	uatom_of(program, order)->next = &HERE->arena.uatoms[program->place_of[to]];
}

static inline unsigned long some_flags(bool may_jump, __u64 *random)
{
	unsigned long flags = SYSLET_STOP_ON_NONZERO << below(random, 4);

	if (one_in(random, 6))
		flags |= SYSLET_STOP_ON_NONZERO << below(random, 4);
	/* More often than not: what stops leaves nothing to see. */
	if (may_jump && !one_in(random, 4))
		flags |= SYSLET_SKIP_ON_STOP;
	else if (!one_in(random, 3))
		flags = one_in(random, 8) ? SYSLET_SKIP_ON_STOP : 0;
	return flags;
}

static inline void make_program(struct program *program, __u64 *random)
{
	struct arena *arena = &program->image.arena;
	unsigned int i, used = 0;
	bool sparse = one_in(random, 2);

	memset(program, 0, sizeof(*program));
	program->nr = 1 + below(random, one_in(random, 8) ? SYSLET_MAX_ATOMS : 16);
	program->in_file = below(random, sizeof(start));
	program->in_pipe = below(random, sizeof(start));
	for (i = 0; i < VARS; i++)
		arena->vars[i] = one_of(random, 0, 1, 2, 3, 4, 5, 8, 40, -1, -9);
	for (i = 0; i < POINTERS; i++)
		arena->pointers[i] = some_buffer(random);
	for (i = 0; i < SUMS; i++)
		arena->sums[i] = one_of(random, 0, 0, 1, 2, 5, -1, -3);
	for (i = 0; i < BUFS; i++)
		memset(program->image.bufs[i], 0xb0 + i, BUF_BYTES);
	lay_out(program, random);
	for (i = 0; i < program->nr; i++) {
		const struct call *call = &calls[below(random, ARRAY_SIZE(calls))];
		struct syslet_uatom *uatom = uatom_of(program, i);
		/* Behind it in memory must be what comes later. */
		bool may_jump = program->order_of[program->place_of[i] + 1] > i;

		*uatom = (struct syslet_uatom) { .nr = call->nr, .private = BAD_LOW };
		link_it(program, i, random);
		if (one_in(random, sparse ? 8 : 3))
			uatom->flags = some_flags(may_jump, random);
		if (one_in(random, sparse ? 5 : 2))
			uatom->ret_ptr = some_ret_ptr(random);
		make_args(program, i, call, &used, random);
	}
}

#endif /* PROPERTY_MAKE_H */
