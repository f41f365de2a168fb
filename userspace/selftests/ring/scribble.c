// SPDX-License-Identifier: GPL-2.0
/* The ring's memory is the user's to write to, whatever it writes. */
#include "syslet_test.h"

#define ENTRIES 8

FIXTURE_HEAD(scribble, ENTRIES);

/* What the kernel wrote last, by the indices that it should have kept to itself. */
static void expect_entry(struct __test_metadata *_metadata, struct head *head, __u32 index,
			 __u64 user_data)
{
	struct syslet_cqe *cqe = ring_slot(head, index);

	EXPECT_EQ(user_data, cqe->user_data);
	EXPECT_EQ(getppid(), cqe->result);
	EXPECT_EQ(index + 1, ring_tail(head));
}

TEST_F(scribble, tail)
{
	ASSERT_EQ(0, ring_fill(&self->head, 1, 3));
	self->head.ring->tail = 0xdeadbeef;
	ASSERT_EQ(0, ring_fill(&self->head, 4, 1));
	expect_entry(_metadata, &self->head, 3, 4);
	EXPECT_EQ(4, dev_wait(self->head.fd, 4, 0));
}

TEST_F(scribble, mask_and_entries)
{
	self->head.ring->mask = 0xffffffff;
	self->head.ring->entries = 0x80000000;
	ASSERT_EQ(0, ring_fill(&self->head, 1, 6));
	expect_entry(_metadata, &self->head, 5, 6);
	self->head.ring->mask = 0;
	self->head.ring->entries = 0;
	ASSERT_EQ(0, ring_fill(&self->head, 7, 1));
	expect_entry(_metadata, &self->head, 6, 7);
	EXPECT_EQ(7, dev_wait(self->head.fd, 0, 0));
	EXPECT_EQ(-EINVAL, dev_wait(self->head.fd, ENTRIES + 1, 0));
}

TEST_F(scribble, overflow)
{
	self->head.ring->overflow = 0x12345678;
	ASSERT_EQ(0, ring_fill(&self->head, 1, ENTRIES + 2));
	EXPECT_EQ(2, ring_overflow(&self->head));
}

TEST_F(scribble, entries_already_there)
{
	ASSERT_EQ(0, ring_fill(&self->head, 1, 2));
	memset(self->head.cqes, 0xff, ENTRIES * sizeof(*self->head.cqes));
	ASSERT_EQ(0, ring_fill(&self->head, 3, 1));
	expect_entry(_metadata, &self->head, 2, 3);
}

TEST_F(scribble, everything)
{
	memset(self->head.ring, 0xff, self->head.setup.ring_bytes);
	self->head.ring->head = 0;
	ASSERT_EQ(0, ring_fill(&self->head, 1, 5));
	expect_entry(_metadata, &self->head, 4, 5);
}

static const __u32 absurd[] = { 1, 0x80000000, 0xffffffff, 0xfffffff0, 12345 };

TEST_F(scribble, an_absurd_head_is_a_full_ring)
{
	struct syslet_cqe cqe;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(absurd); i++) {
		__u32 tail = ring_tail(&self->head);

		self->head.ring->head = tail + absurd[i];
		ASSERT_EQ(0, ring_fill(&self->head, 50 + i, 1));
		if (-absurd[i] < ENTRIES) {	/* a little behind: a sane one */
			EXPECT_EQ(0, ring_overflow(&self->head));
		} else {
			EXPECT_EQ(1, ring_overflow(&self->head));
			EXPECT_EQ(tail, ring_tail(&self->head));
		}
		self->head.ring->head = tail;
		EXPECT_EQ(1, dev_wait(self->head.fd, 1, 0));
		EXPECT_EQ(0, ring_overflow(&self->head));
		ASSERT_TRUE(ring_take(&self->head, &cqe));
		EXPECT_EQ(50 + i, cqe.user_data);
	}
}

TEST_F(scribble, wait_with_an_absurd_head_counts_no_more_than_fit)
{
	unsigned int i;
	long ret;

	ASSERT_EQ(0, ring_fill(&self->head, 1, 2));
	for (i = 0; i < ARRAY_SIZE(absurd); i++) {
		self->head.ring->head = ring_tail(&self->head) + absurd[i];
		ret = dev_wait(self->head.fd, 0, 0);
		EXPECT_LE(0, ret);
		EXPECT_GE(ENTRIES, ret);
	}
}

TEST_F(scribble, a_head_that_runs_on_its_own)
{
	struct syslet_cqe cqe;
	__u32 i;

	/* Taking entries twice, or before they are there, is the user's own loss. */
	for (i = 0; i < 300; i++) {
		self->head.ring->head = i * 2654435761U;
		dev_wait(self->head.fd, 0, 0);
		if (ring_fill(&self->head, i, 1))
			break;
	}
	self->head.ring->head = ring_tail(&self->head);
	while (dev_wait(self->head.fd, 1, 0) > 0)
		ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_EQ(0, ring_overflow(&self->head));
	ASSERT_EQ(0, ring_fill(&self->head, 777, 1));
	ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_EQ(777, cqe.user_data);
}

static volatile bool enough;

static void *scribble(void *arg)
{
	struct head *head = arg;
	__u32 noise = 1;

	while (!enough) {
		noise = noise * 1664525 + 1013904223;
		head->ring->head = noise;
		head->ring->mask = noise;
		head->ring->entries = noise;
		head->ring->overflow = noise;
		head->cqes[noise % ENTRIES].user_data = noise;
	}
	return NULL;
}

TEST_F(scribble, all_the_while)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[4];
	struct syslet_cqe cqe;
	unsigned int i, p;
	pthread_t thread;
	long ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &self->head));
	for (i = 0; i < 2000; i++) {
		for (p = 0; p < 4; p++)
			programs[p] = PROGRAM(atoms);
		ret = dev_exec(self->head.fd, programs, 4, SYSLET_EXEC_RING_ALL);
		if (ret != -EBUSY) {
			ASSERT_LE(1, ret);
			EXPECT_EQ(getppid(), programs[0].result);
		}
		ret = dev_wait(self->head.fd, i % (ENTRIES + 1), 0);
		if (ret != -ETIME) {
			ASSERT_LE(0, ret);
			ASSERT_GE(ENTRIES, ret);
		}
	}
	enough = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));

	/* Put right, it works again, and what was kept is delivered. */
	self->head.ring->head = ring_tail(&self->head);
	while (dev_wait(self->head.fd, 1, 0) > 0)
		ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_EQ(0, ring_count(&self->head));
	ASSERT_EQ(0, ring_fill(&self->head, 888, 1));
	ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_EQ(888, cqe.user_data);
}

TEST_HARNESS_MAIN
