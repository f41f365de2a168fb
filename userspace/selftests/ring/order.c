// SPDX-License-Identifier: GPL-2.0
/* The ring in ordinary use: order, wrapping around, entries kept back when it is full. */
#include "syslet_test.h"

FIXTURE(ring) {
	struct head head;
};

FIXTURE_VARIANT(ring) {
	__u32 entries;
};

FIXTURE_VARIANT_ADD(ring, of_one) { 1 };
FIXTURE_VARIANT_ADD(ring, of_two) { 2 };
FIXTURE_VARIANT_ADD(ring, of_eight) { 8 };

FIXTURE_SETUP(ring)
{
	ASSERT_EQ(0, head_open(&self->head, variant->entries));
}

FIXTURE_TEARDOWN(ring)
{
	head_close(&self->head);
}

/* The next @nr entries are @first, @first + 1, ... */
static void expect_entries(struct __test_metadata *_metadata, struct head *head, __u64 first,
			   __u32 nr)
{
	struct syslet_cqe cqe;
	__u32 i;

	for (i = 0; i < nr; i++) {
		ASSERT_TRUE(ring_take(head, &cqe));
		EXPECT_EQ(first + i, cqe.user_data);
		EXPECT_EQ(getppid(), cqe.result);
		EXPECT_EQ(0, cqe.last);
		EXPECT_EQ(0, cqe.flags);
		EXPECT_EQ(0, cqe.reserved);
	}
}

TEST_F(ring, starts_empty)
{
	EXPECT_EQ(0, ring_count(&self->head));
	EXPECT_EQ(0, ring_overflow(&self->head));
	EXPECT_EQ(0, dev_wait(self->head.fd, 0, 0));
}

TEST_F(ring, fills_up_in_order)
{
	ASSERT_EQ(0, ring_fill(&self->head, 100, variant->entries));
	EXPECT_EQ(variant->entries, ring_count(&self->head));
	EXPECT_EQ(0, ring_overflow(&self->head));
	expect_entries(_metadata, &self->head, 100, variant->entries);
}

TEST_F(ring, fills_up_in_order_from_one_call)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[8];
	__u32 i;

	for (i = 0; i < variant->entries; i++)
		programs[i] = PROGRAM(atoms, .user_data = 200 + i);
	ASSERT_EQ(variant->entries,
		  dev_exec(self->head.fd, programs, variant->entries, SYSLET_EXEC_RING_ALL));
	expect_entries(_metadata, &self->head, 200, variant->entries);
}

TEST_F(ring, wraps_around_many_times)
{
	__u32 i, rounds = 5 * variant->entries + 3;

	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, ring_fill(&self->head, i, 1));
		expect_entries(_metadata, &self->head, i, 1);
	}
	EXPECT_EQ(rounds, ring_tail(&self->head));
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(ring, wraps_around_while_not_empty)
{
	__u32 i, lag = variant->entries / 2, step = variant->entries - lag;

	ASSERT_EQ(0, ring_fill(&self->head, 0, lag));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, ring_fill(&self->head, lag + i * step, step));
		EXPECT_EQ(variant->entries, ring_count(&self->head));
		expect_entries(_metadata, &self->head, i * step, step);
	}
	expect_entries(_metadata, &self->head, 20 * step, lag);
	EXPECT_EQ(0, ring_overflow(&self->head));
}

TEST_F(ring, keeps_back_what_does_not_fit)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, variant->entries + 2));
	EXPECT_EQ(variant->entries, ring_count(&self->head));
	EXPECT_EQ(2, ring_overflow(&self->head));
	EXPECT_EQ(variant->entries, dev_wait(self->head.fd, 0, 0));
	EXPECT_EQ(2, ring_overflow(&self->head));
}

TEST_F(ring, keeps_back_all_that_does_not_fit_of_one_call)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[11];
	__u32 i, nr = variant->entries + 3;

	for (i = 0; i < nr; i++)
		programs[i] = PROGRAM(atoms, .user_data = i);
	ASSERT_EQ(nr, dev_exec(self->head.fd, programs, nr, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(3, ring_overflow(&self->head));
	for (i = 0; i < nr; i++) {
		ASSERT_LE(1, dev_wait(self->head.fd, 1, 0));
		expect_entries(_metadata, &self->head, i, 1);
	}
}

TEST_F(ring, wait_moves_in_what_was_kept)
{
	__u32 i, kept = 2 * variant->entries;

	ASSERT_EQ(0, ring_fill(&self->head, 0, variant->entries + kept));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(variant->entries, dev_wait(self->head.fd, 0, 0));
		EXPECT_EQ(kept - i * variant->entries, ring_overflow(&self->head));
		expect_entries(_metadata, &self->head, i * variant->entries, variant->entries);
	}
	EXPECT_EQ(0, dev_wait(self->head.fd, 0, 0));
	EXPECT_EQ(0, ring_overflow(&self->head));
}

TEST_F(ring, exec_moves_in_what_was_kept)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, variant->entries + 1));
	expect_entries(_metadata, &self->head, 0, variant->entries);
	/* The kept one comes before the new one. */
	ASSERT_EQ(0, ring_fill(&self->head, variant->entries + 1, 1));
	EXPECT_LE(1, ring_count(&self->head));
	ASSERT_LE(1, dev_wait(self->head.fd, 0, 0));
	expect_entries(_metadata, &self->head, variant->entries, 1);
	ASSERT_EQ(1, dev_wait(self->head.fd, 0, 0));
	expect_entries(_metadata, &self->head, variant->entries + 1, 1);
}

/* Submits until that is refused; returns how many went in. */
static long submit_until_busy(struct head *head)
{
	long i, ret;

	for (i = 0; i < 1000; i++) {
		ret = ring_fill(head, i, 1);
		if (ret == -EBUSY)
			return i;
		if (ret)
			return ret;
	}
	return -ERANGE;
}

TEST_F(ring, is_busy_with_too_many_kept)
{
	__u32 kept;
	long in;

	in = submit_until_busy(&self->head);
	ASSERT_LT(0, in);
	kept = ring_overflow(&self->head);
	EXPECT_EQ(in, variant->entries + kept);
	EXPECT_LE(4 * variant->entries, kept);
	EXPECT_GE(4 * variant->entries + 1, kept);
}

TEST_F(ring, runs_nothing_while_busy)
{
	long value = 0;
	struct syslet_atom atoms[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 } },
	};
	struct syslet_program programs[] = { PROGRAM(atoms), PROGRAM(atoms) };

	ASSERT_LT(0, submit_until_busy(&self->head));
	EXPECT_EQ(-EBUSY, dev_exec(self->head.fd, programs, 2, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(0, value);
	EXPECT_NE(SYSLET_DONE, programs[0].status);
}

TEST_F(ring, is_no_longer_busy_once_there_is_room)
{
	long i, in = submit_until_busy(&self->head);

	ASSERT_LT(0, in);
	expect_entries(_metadata, &self->head, 0, 1);
	EXPECT_EQ(0, ring_fill(&self->head, in, 1));
	for (i = 1; i <= in; i++) {
		ASSERT_LE(1, dev_wait(self->head.fd, 1, 0));
		expect_entries(_metadata, &self->head, i, 1);
	}
	EXPECT_EQ(0, dev_wait(self->head.fd, 0, 0));
}

TEST_F(ring, closing_it_with_entries_kept)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 3 * variant->entries));
	ASSERT_EQ(0, close(self->head.fd));
	self->head.fd = -1;
	expect_entries(_metadata, &self->head, 0, variant->entries);
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_HARNESS_MAIN
