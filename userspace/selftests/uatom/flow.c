// SPDX-License-Identifier: GPL-2.0
/* Which uatoms of a chain run: next, stop conditions, jumps, joins. */
#include "uatom_test.h"

FIXTURE_CHAIN(flow, 4);

#define JUMP_IF(condition) (SYSLET_SKIP_TO_NEXT_ON_STOP | (condition))

/* Links the uatoms of these indices, in this order. */
#define LINK(...) do {							\
	static const int at_[] = { __VA_ARGS__ };			\
	struct syslet_uatom *atoms_ = self->chain.atoms;		\
									\
	self->chain.exec.uatom = PTR(&atoms_[at_[0]]);			\
	for (unsigned int i_ = 0; i_ < ARRAY_SIZE(at_); i_++)		\
		atoms_[at_[i_]].next =					\
			i_ + 1 < ARRAY_SIZE(at_) ? &atoms_[at_[i_ + 1]] : NULL; \
} while (0)

TEST_F(flow, one_uatom)
{
	LINK(0);
	EXPECT_DONE(0x1, 0, 1);
	EXPECT_EQ(1, self->chain.ret[0]);
	EXPECT_EQ(POISON_LONG, self->chain.ret[1]);
}

TEST_F(flow, along_next)
{
	EXPECT_DONE(0xf, 3, 4);
}

TEST_F(flow, next_may_lead_anywhere)
{
	struct syslet_uatom *far = mmap(NULL, sizeof(*far), PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, far);
	*far = self->chain.atoms[3];
	/* The last one takes what the others return. */
	LINK(2, 0, 1);
	self->chain.atoms[1].next = far;
	EXPECT_DONE(0xf, 3, 4);
}

TEST_F(flow, against_the_order_in_memory)
{
	LINK(3, 2, 1, 0);
	EXPECT_DONE(0xf, 3, 1);
}

TEST_F(flow, a_uatom_that_nothing_leads_to)
{
	LINK(0, 2);
	EXPECT_DONE(0x5, 1, 3);
}

TEST_F(flow, uatoms_need_no_alignment)
{
	char space[sizeof(struct syslet_uatom) + 1];

	memcpy(space + 1, &self->chain.atoms[1], sizeof(struct syslet_uatom));
	self->chain.atoms[0].next = (void *)(space + 1);
	EXPECT_DONE(0xf, 3, 4);
}

TEST_F(flow, a_negative_result_stops_nothing_by_itself)
{
	self->chain.value[1] = -EBADF;
	EXPECT_DONE(0xf, 3, 4);
	EXPECT_EQ(-EBADF, self->chain.ret[1]);
}

FIXTURE(condition) {
	struct head head;
	struct chain chain;
};

FIXTURE_VARIANT(condition) {
	unsigned long flags;
	bool on_negative, on_zero, on_positive;
};

FIXTURE_SETUP(condition)
{
	ASSERT_EQ(0, head_open(&self->head, 64));
}

FIXTURE_TEARDOWN(condition)
{
	head_close(&self->head);
}

FIXTURE_VARIANT_ADD(condition, none) { 0, false, false, false };
FIXTURE_VARIANT_ADD(condition, nonzero) { SYSLET_STOP_ON_NONZERO, true, false, true };
FIXTURE_VARIANT_ADD(condition, zero) { SYSLET_STOP_ON_ZERO, false, true, false };
FIXTURE_VARIANT_ADD(condition, negative) { SYSLET_STOP_ON_NEGATIVE, true, false, false };
FIXTURE_VARIANT_ADD(condition, non_positive) { SYSLET_STOP_ON_NON_POSITIVE, true, true, false };
FIXTURE_VARIANT_ADD(condition, always) {
	SYSLET_STOP_ON_ZERO | SYSLET_STOP_ON_NONZERO, true, true, true
};

#define CHECK_STOP(value0, stops) do {					\
	chain_init(&self->chain, 2);					\
	self->chain.value[0] = (value0);				\
	self->chain.atoms[0].flags = variant->flags;			\
	EXPECT_EQ(1, submit());						\
	EXPECT_EQ((long)(value0), self->chain.ret[0]);			\
	EXPECT_EQ((stops) ? 0 : 2, self->chain.sum[1]);			\
	EXPECT_EQ((stops) ? 0 : 1, self->chain.exec.last);		\
	EXPECT_EQ((stops) ? (long)(value0) : 2, self->chain.exec.result); \
} while (0)

/* With a jump: 0 jumps to 1 or goes on with 2. */
#define CHECK_JUMP(value0, stops) do {					\
	chain_init(&self->chain, 3);					\
	self->chain.value[0] = (value0);				\
	self->chain.atoms[0].flags = JUMP_IF(variant->flags);		\
	self->chain.atoms[0].next = &self->chain.atoms[2];		\
	self->chain.atoms[1].next = NULL;				\
	EXPECT_EQ(1, submit());						\
	EXPECT_EQ((stops) ? 2 : 0, self->chain.sum[1]);			\
	EXPECT_EQ((stops) ? 0 : 3, self->chain.sum[2]);			\
} while (0)

TEST_F(condition, negative_result)
{
	CHECK_STOP(-1, variant->on_negative);
	CHECK_STOP(1UL << (8 * sizeof(long) - 1), variant->on_negative);
	CHECK_JUMP(-1, variant->on_negative);
}

TEST_F(condition, zero_result)
{
	CHECK_STOP(0, variant->on_zero);
	CHECK_JUMP(0, variant->on_zero);
}

TEST_F(condition, positive_result)
{
	CHECK_STOP(1, variant->on_positive);
	CHECK_STOP(0x7fffffff, variant->on_positive);
	CHECK_JUMP(1, variant->on_positive);
}

TEST_F(flow, a_jump_goes_to_the_uatom_behind_in_memory)
{
	LINK(0, 3);
	self->chain.atoms[0].flags = JUMP_IF(SYSLET_STOP_ON_NONZERO);
	/* The walk: 0, 3, then what a jump leads to: 1, 2. */
	self->chain.atoms[1].next = &self->chain.atoms[2];
	self->chain.atoms[2].next = NULL;
	EXPECT_DONE(0x7, 3, 3);
}

TEST_F(flow, and_next_is_taken_otherwise)
{
	LINK(0, 3);
	self->chain.atoms[0].flags = JUMP_IF(SYSLET_STOP_ON_ZERO);
	EXPECT_DONE(0x9, 1, 4);
}

TEST_F(flow, a_jump_without_next)
{
	LINK(0);
	self->chain.atoms[1].next = NULL;
	self->chain.atoms[0].flags = JUMP_IF(SYSLET_STOP_ON_NONZERO);
	EXPECT_DONE(0x3, 1, 2);
}

TEST_F(flow, no_jump_and_no_next)
{
	LINK(0);
	self->chain.atoms[0].flags = JUMP_IF(SYSLET_STOP_ON_ZERO);
	EXPECT_DONE(0x1, 0, 1);
}

TEST_F(flow, a_jump_to_what_is_next_anyway)
{
	self->chain.atoms[0].flags = JUMP_IF(SYSLET_STOP_ON_NONZERO);
	EXPECT_DONE(0xf, 3, 4);
}

TEST_F(flow, a_jump_without_a_condition_is_none)
{
	LINK(0, 2);
	self->chain.atoms[0].flags = SYSLET_SKIP_TO_NEXT_ON_STOP;
	EXPECT_DONE(0x5, 1, 3);
}

/* 0 decides between 1 and 2, and both go on with 3. */
TEST_F(flow, two_branches_that_join)
{
	int taken;

	for (taken = 1; taken <= 2; taken++) {
		chain_init(&self->chain, 4);
		LINK(0, 2, 3);
		self->chain.atoms[1].next = &self->chain.atoms[3];
		self->chain.atoms[0].flags = JUMP_IF(taken == 1 ? SYSLET_STOP_ON_NONZERO :
						     SYSLET_STOP_ON_ZERO);
		EXPECT_DONE(0x9 | 1 << taken, 2, 4);
	}
}

TEST_F(flow, a_branch_that_runs_before_what_was_walked_first)
{
	/* Walked 0, 2 and then 1, which goes on with 2. */
	LINK(0, 2);
	self->chain.atoms[1].next = &self->chain.atoms[2];
	self->chain.atoms[0].flags = JUMP_IF(SYSLET_STOP_ON_NONZERO);
	EXPECT_DONE(0x7, 1, 3);
}

TEST_F(flow, a_jump_back_in_the_walk)
{
	/* 2, 0 and then 3, which is behind 2; it goes on with 1, and that with 0. */
	LINK(2, 0);
	self->chain.atoms[2].flags = JUMP_IF(SYSLET_STOP_ON_NONZERO);
	self->chain.atoms[3].next = &self->chain.atoms[1];
	self->chain.atoms[1].next = &self->chain.atoms[0];
	EXPECT_DONE(0xf, 1, 1);
}

TEST_F(flow, jumps_that_follow_each_other)
{
	unsigned int i;

	chain_init(&self->chain, 0);
	for (i = 0; i < 8; i++)
		self->chain.atoms[i].flags = JUMP_IF(SYSLET_STOP_ON_NONZERO);
	self->chain.atoms[8].flags = SYSLET_STOP_ON_NONZERO;
	EXPECT_DONE(0x1ff, 8, 9);
}

TEST_F(flow, a_stop_behind_a_jump)
{
	LINK(0, 3);
	self->chain.atoms[0].flags = JUMP_IF(SYSLET_STOP_ON_NONZERO);
	self->chain.atoms[1].next = &self->chain.atoms[2];
	self->chain.atoms[1].flags = SYSLET_STOP_ON_NONZERO;
	EXPECT_DONE(0x3, 2, 2);
}

/* A diamond on a diamond on ...: many ways, each uatom once. */
TEST_F(flow, many_ways)
{
	struct syslet_uatom *atoms = self->chain.atoms;
	unsigned int i;

	chain_init(&self->chain, SYSLET_MAX_ATOMS);
	for (i = 0; i + 2 < SYSLET_MAX_ATOMS; i += 2) {
		atoms[i].flags = JUMP_IF(i & 2 ? SYSLET_STOP_ON_ZERO : SYSLET_STOP_ON_NONZERO);
		atoms[i].next = &atoms[i + 2];
	}
	ASSERT_EQ(1, submit());
	EXPECT_EQ(SYSLET_DONE, self->chain.exec.status);
	for (i = 0; i < SYSLET_MAX_ATOMS; i++)
		EXPECT_EQ(i % 4 != 3 || i == 63, self->chain.sum[i] != 0);
}

TEST_HARNESS_MAIN
