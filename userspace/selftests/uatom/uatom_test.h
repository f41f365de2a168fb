/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of classic uatoms share.
 *
 * The usual chain is one of additions: uatom i adds value[i] to sum[i], which
 * is 0 before, and so returns value[i] and tells that it has run.
 */
#ifndef UATOM_TEST_H
#define UATOM_TEST_H

#include "../syslet_test.h"

#define SYSLET_SKIP_TO_NEXT_ON_STOP	SYSLET_SKIP_ON_STOP

/* The layout of 2007, in the caller's word size. */
struct syslet_uatom {
	unsigned long flags;
	unsigned long nr;
	long *ret_ptr;
	struct syslet_uatom *next;
	unsigned long *arg_ptr[6];
	void *private;
};

_Static_assert(sizeof(struct syslet_uatom) == (sizeof(long) == 8 ? 88 : 44), "11 words");

/* More uatoms than a chain may have. */
#define NR_UATOMS	(SYSLET_MAX_ATOMS + 2)

/* What a ret_ptr points to before anything was stored there. */
#define POISON_LONG	((long)POISON64)

#define UATOM_EXEC(first, ...) ((struct syslet_uatom_exec) {		\
	.size = sizeof(struct syslet_uatom_exec),			\
	.uatom = PTR(first),						\
	.result = POISON64,						\
	.last = POISON32,						\
	.status = POISON32,						\
	##__VA_ARGS__ })

struct chain {
	struct syslet_uatom atoms[NR_UATOMS];
	long sum[NR_UATOMS];
	unsigned long at[NR_UATOMS];
	unsigned long value[NR_UATOMS];
	long ret[NR_UATOMS];
	struct syslet_uatom_exec exec;
};

/* All of @chain's uatoms, of which the first @nr are linked. */
static inline void chain_init(struct chain *chain, unsigned int nr)
{
	unsigned int i;

	memset(chain, 0, sizeof(*chain));
	for (i = 0; i < NR_UATOMS; i++) {
		chain->at[i] = (unsigned long)&chain->sum[i];
		chain->value[i] = i + 1;
		chain->ret[i] = POISON_LONG;
		chain->atoms[i] = (struct syslet_uatom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.ret_ptr = &chain->ret[i],
			.next = i + 1 < nr ? &chain->atoms[i + 1] : NULL,
			.arg_ptr = { &chain->at[i], &chain->value[i] },
			.private = BAD_LOW,
		};
	}
	chain->exec = UATOM_EXEC(chain->atoms);
}

/* Has @uatom make call @nr with three arguments, which are put in @args. */
static inline void uatom_calls(struct syslet_uatom *uatom, unsigned long nr, unsigned long *args,
			       unsigned long a, unsigned long b, unsigned long c)
{
	unsigned int i;

	args[0] = a;
	args[1] = b;
	args[2] = c;
	uatom->nr = nr;
	for (i = 0; i < 3; i++)
		uatom->arg_ptr[i] = &args[i];
}

static inline long dev_exec_uatom(int fd, struct syslet_uatom_exec *exec)
{
	return dev_ioctl(fd, SYSLET_IOC_EXEC_UATOM, exec);
}

/* The uatoms that have run, a bit for each. */
static inline __u64 chain_ran(const struct chain *chain)
{
	__u64 ran = 0;
	unsigned int i;

	for (i = 0; i < SYSLET_MAX_ATOMS; i++)
		if (chain->sum[i])
			ran |= 1ULL << i;
	return ran;
}

/* Fixture with a head and a chain of @nr, as self->head and self->chain. */
#define FIXTURE_CHAIN(name, nr)						\
FIXTURE(name) {								\
	struct head head;						\
	struct chain chain;						\
};									\
FIXTURE_SETUP(name)							\
{									\
	ASSERT_EQ(0, head_open(&self->head, 64));			\
	chain_init(&self->chain, nr);					\
}									\
FIXTURE_TEARDOWN(name)							\
{									\
	head_close(&self->head);					\
}									\
struct name##_ends_in_a_semicolon

#define submit() dev_exec_uatom(self->head.fd, &self->chain.exec)

/* Done in the caller: the bits of @ran ran, and atom @at was the last, with @res. */
#define EXPECT_DONE(ran, at, res) do {					\
	EXPECT_EQ(1, submit());						\
	EXPECT_EQ((__u64)(ran), chain_ran(&self->chain));		\
	EXPECT_EQ(SYSLET_DONE, self->chain.exec.status);		\
	EXPECT_EQ((__u32)(at), self->chain.exec.last);			\
	EXPECT_EQ((__s64)(res), self->chain.exec.result);		\
	EXPECT_EQ(0, ring_count(&self->head));				\
} while (0)

/* Refused with @error, and nothing has run or was stored. */
#define EXPECT_REFUSED(error) do {					\
	EXPECT_EQ(error, submit());					\
	EXPECT_EQ(0, chain_ran(&self->chain));				\
	for (unsigned int i_ = 0; i_ < NR_UATOMS; i_++)			\
		EXPECT_EQ(POISON_LONG, self->chain.ret[i_]);		\
	EXPECT_NE(SYSLET_DONE, self->chain.exec.status);		\
	EXPECT_NE(SYSLET_PENDING, self->chain.exec.status);		\
	EXPECT_EQ(0, ring_count(&self->head));				\
} while (0)

#endif /* UATOM_TEST_H */
