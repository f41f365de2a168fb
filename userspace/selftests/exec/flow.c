// SPDX-License-Identifier: GPL-2.0
/* Stop conditions and skips: which atoms run. */
#include "syslet_test.h"

FIXTURE_HEAD(flow, 64);

#define SKIP_IF(condition, n) .flags = SYSLET_SKIP_ON_STOP | (condition), .skip = (n)

/* An atom whose result is @value: it adds it to a variable that is 0. */
static long zero[SYSLET_MAX_ATOMS];
#define GIVES(slot, value, ...) {					\
	.nr = SYSLET_NR_UMEM_ADD,					\
	.args = { PTR(&zero[slot]), (__u64)(value) },			\
	##__VA_ARGS__ }

static bool ran(unsigned int slot)
{
	return zero[slot] != 0;
}

/* Runs the program with RING_ALL; returns its completion's flags, or a negative errno. */
static long run(struct head *head, struct syslet_program *program)
{
	struct syslet_cqe cqe;
	long ret = dev_exec(head->fd, program, 1, SYSLET_EXEC_RING_ALL);

	if (ret != 1)
		return ret < 0 ? ret : -EPROTO;
	if (!ring_take(head, &cqe) || cqe.result != program->result || cqe.last != program->last)
		return -EPROTO;
	return cqe.flags;
}

FIXTURE(condition) {
	struct head head;
};

FIXTURE_VARIANT(condition) {
	__u32 flags;
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
FIXTURE_VARIANT_ADD(condition, zero_or_negative) {
	SYSLET_STOP_ON_ZERO | SYSLET_STOP_ON_NEGATIVE, true, true, false
};
FIXTURE_VARIANT_ADD(condition, always) {
	SYSLET_STOP_ON_ZERO | SYSLET_STOP_ON_NONZERO, true, true, true
};
FIXTURE_VARIANT_ADD(condition, all) {
	SYSLET_STOP_ON_NONZERO | SYSLET_STOP_ON_ZERO | SYSLET_STOP_ON_NEGATIVE |
	SYSLET_STOP_ON_NON_POSITIVE, true, true, true
};

static void check(struct __test_metadata *_metadata, struct head *head, __u32 flags,
		  long value, bool stops)
{
	struct syslet_atom atoms[] = {
		GIVES(0, value, .flags = flags),
		GIVES(1, 7),
	};
	struct syslet_program program = PROGRAM(atoms);

	memset(zero, 0, sizeof(zero));
	ASSERT_EQ(stops ? SYSLET_CQE_STOPPED : 0, run(head, &program));
	EXPECT_EQ(stops ? value : 7, program.result);
	EXPECT_EQ(stops ? 0 : 1, program.last);
	EXPECT_EQ(!stops, ran(1));
}

TEST_F(condition, negative_result)
{
	check(_metadata, &self->head, variant->flags, -1, variant->on_negative);
	check(_metadata, &self->head, variant->flags, -4095, variant->on_negative);
	check(_metadata, &self->head, variant->flags, -5000, variant->on_negative);
}

TEST_F(condition, zero_result)
{
	check(_metadata, &self->head, variant->flags, 0, variant->on_zero);
}

TEST_F(condition, positive_result)
{
	check(_metadata, &self->head, variant->flags, 1, variant->on_positive);
	check(_metadata, &self->head, variant->flags, 0x7fffffff, variant->on_positive);
}

TEST_F(condition, on_the_last_atom)
{
	struct syslet_atom atoms[] = { GIVES(0, 3, .flags = variant->flags) };
	struct syslet_program program = PROGRAM(atoms);
	long flags;

	memset(zero, 0, sizeof(zero));
	flags = run(&self->head, &program);
	EXPECT_EQ(variant->on_positive ? SYSLET_CQE_STOPPED : 0, flags);
	EXPECT_EQ(3, program.result);
}

TEST_F(flow, a_word_with_only_its_top_bit_is_negative)
{
	long top = 1L << (8 * sizeof(long) - 1);
	struct syslet_atom atoms[] = {
		GIVES(0, top, .flags = SYSLET_STOP_ON_NEGATIVE),
		GIVES(1, 7),
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(SYSLET_CQE_STOPPED, run(&self->head, &program));
	EXPECT_EQ(top, program.result);
}

TEST_F(flow, skip_jumps_forward)
{
	struct syslet_atom atoms[] = {
		GIVES(0, 1, SKIP_IF(SYSLET_STOP_ON_NONZERO, 2)),
		GIVES(1, 1),
		GIVES(2, 1),
		GIVES(3, 5),
	};
	__s64 results[] = { POISON64, POISON64, POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));

	ASSERT_EQ(0, run(&self->head, &program));
	EXPECT_FALSE(ran(1));
	EXPECT_FALSE(ran(2));
	EXPECT_EQ(1, results[0]);
	EXPECT_EQ(SYSLET_NOT_RUN, results[1]);
	EXPECT_EQ(SYSLET_NOT_RUN, results[2]);
	EXPECT_EQ(5, results[3]);
	EXPECT_EQ(3, program.last);
	EXPECT_EQ(5, program.result);
}

TEST_F(flow, skip_only_on_a_true_condition)
{
	struct syslet_atom atoms[] = {
		GIVES(0, 1, SKIP_IF(SYSLET_STOP_ON_ZERO, 1)),
		GIVES(1, 2),
		GIVES(2, 3),
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, run(&self->head, &program));
	EXPECT_TRUE(ran(1));
	EXPECT_TRUE(ran(2));
	EXPECT_EQ(3, program.result);
}

TEST_F(flow, skip_to_the_end_ends)
{
	struct syslet_atom atoms[] = {
		GIVES(0, -9, SKIP_IF(SYSLET_STOP_ON_NEGATIVE, 2)),
		GIVES(1, 1),
		GIVES(2, 1),
	};
	__s64 results[] = { POISON64, POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));

	/* It jumped; it was not stopped. */
	ASSERT_EQ(0, run(&self->head, &program));
	EXPECT_FALSE(ran(1));
	EXPECT_FALSE(ran(2));
	EXPECT_EQ(-9, program.result);
	EXPECT_EQ(0, program.last);
	EXPECT_EQ(SYSLET_NOT_RUN, results[1]);
	EXPECT_EQ(SYSLET_NOT_RUN, results[2]);
}

TEST_F(flow, a_skip_that_lands_on_a_skip)
{
	struct syslet_atom atoms[] = {
		GIVES(0, 1, SKIP_IF(SYSLET_STOP_ON_NONZERO, 1)),
		GIVES(1, 1),
		GIVES(2, 1, SKIP_IF(SYSLET_STOP_ON_NONZERO, 1)),
		GIVES(3, 1),
		GIVES(4, 6),
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, run(&self->head, &program));
	EXPECT_FALSE(ran(1));
	EXPECT_TRUE(ran(2));
	EXPECT_FALSE(ran(3));
	EXPECT_EQ(6, program.result);
	EXPECT_EQ(4, program.last);
}

TEST_F(flow, the_longest_skip)
{
	struct syslet_atom atoms[SYSLET_MAX_ATOMS];
	struct syslet_program program = PROGRAM(atoms);
	unsigned int i;

	for (i = 0; i < SYSLET_MAX_ATOMS; i++)
		atoms[i] = (struct syslet_atom) GIVES(i, 1);
	atoms[0].flags = SYSLET_SKIP_ON_STOP | SYSLET_STOP_ON_NONZERO;
	atoms[0].skip = SYSLET_MAX_ATOMS - 2;
	ASSERT_EQ(0, run(&self->head, &program));
	for (i = 1; i < SYSLET_MAX_ATOMS - 1; i++)
		EXPECT_FALSE(ran(i));
	EXPECT_TRUE(ran(SYSLET_MAX_ATOMS - 1));
}

TEST_F(flow, the_result_of_a_skipped_atom_is_not_to_be_had)
{
	struct syslet_atom atoms[] = {
		GIVES(0, 1, SKIP_IF(SYSLET_STOP_ON_NONZERO, 1)),
		GIVES(1, 9),
		GIVES(2, 4, .arg_from = { 0, 2 }),
		GIVES(3, 5),
	};
	__s64 results[] = { POISON64, POISON64, POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));

	ASSERT_EQ(0, run(&self->head, &program));
	EXPECT_EQ(SYSLET_NOT_RUN, results[1]);
	EXPECT_EQ(-EINVAL, results[2]);
	EXPECT_FALSE(ran(2));
	EXPECT_EQ(5, results[3]);
}

TEST_F(flow, that_error_meets_stop_conditions)
{
	struct syslet_atom atoms[] = {
		GIVES(0, 1, SKIP_IF(SYSLET_STOP_ON_NONZERO, 1)),
		GIVES(1, 9),
		GIVES(2, 4, .arg_from = { 0, 2 }, .flags = SYSLET_STOP_ON_NEGATIVE),
		GIVES(3, 5),
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(SYSLET_CQE_STOPPED, run(&self->head, &program));
	EXPECT_EQ(-EINVAL, program.result);
	EXPECT_EQ(2, program.last);
	EXPECT_FALSE(ran(3));
}

static long refused(struct head *head, __u32 flags, __u8 skip)
{
	struct syslet_atom atoms[] = { GIVES(0, 1), GIVES(1, 1), GIVES(2, 1), GIVES(3, 1) };
	struct syslet_program program = PROGRAM(atoms);

	memset(zero, 0, sizeof(zero));
	atoms[1].flags = flags;
	atoms[1].skip = skip;
	return dev_exec(head->fd, &program, 1, 0);
}

TEST_F(flow, skip_beyond_the_end)
{
	__u32 flags = SYSLET_SKIP_ON_STOP | SYSLET_STOP_ON_ZERO;

	EXPECT_EQ(1, refused(&self->head, flags, 2));
	EXPECT_EQ(-EINVAL, refused(&self->head, flags, 3));
	EXPECT_FALSE(ran(0));
	EXPECT_EQ(-EINVAL, refused(&self->head, flags, 255));
	EXPECT_FALSE(ran(0));
}

TEST_F(flow, skip_of_nothing)
{
	EXPECT_EQ(-EINVAL, refused(&self->head, SYSLET_SKIP_ON_STOP | SYSLET_STOP_ON_ZERO, 0));
	EXPECT_FALSE(ran(0));
}

TEST_F(flow, skip_without_its_flag)
{
	EXPECT_EQ(-EINVAL, refused(&self->head, SYSLET_STOP_ON_ZERO, 1));
	EXPECT_EQ(-EINVAL, refused(&self->head, 0, 1));
	EXPECT_FALSE(ran(0));
}

TEST_F(flow, skip_without_a_condition)
{
	EXPECT_EQ(-EINVAL, refused(&self->head, SYSLET_SKIP_ON_STOP, 1));
	EXPECT_FALSE(ran(0));
}

TEST_F(flow, skip_on_the_last_atom)
{
	struct syslet_atom atoms[] = { GIVES(0, 1, SKIP_IF(SYSLET_STOP_ON_NONZERO, 1)) };
	struct syslet_program program = PROGRAM(atoms);

	EXPECT_EQ(-EINVAL, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_FALSE(ran(0));
}

TEST_HARNESS_MAIN
