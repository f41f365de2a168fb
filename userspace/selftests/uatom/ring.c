// SPDX-License-Identifier: GPL-2.0
/* Chains whose completions find the ring full. */
#include "../async/async_test.h"
#include "uatom_test.h"

#define ENTRIES	4

/* Chains that wait for a byte each, and then tell. */
FIXTURE(full) {
	struct head head;
	int go[2];
	unsigned int nr;
	struct chain chains[6 * ENTRIES];
	unsigned long args[3];
	char byte;
};

FIXTURE_SETUP(full)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, ENTRIES));
	ASSERT_EQ(0, pipe2(self->go, O_CLOEXEC));
}

FIXTURE_TEARDOWN(full)
{
	head_close(&self->head);
}

static long submit_next(FIXTURE_DATA(full) *self, unsigned long flags)
{
	struct chain *chain = &self->chains[self->nr++];

	chain_init(chain, 2);
	uatom_calls(&chain->atoms[0], __NR_read, self->args, self->go[0],
		    (unsigned long)&self->byte, 1);
	chain->atoms[1].flags = flags;
	chain->exec.user_data = self->nr;
	return dev_exec_uatom(self->head.fd, &chain->exec);
}

/* Submits @nr, lets them go on, and waits until they have ended. */
#define RUN(count) do {							\
	char bytes_[6 * ENTRIES] = { 0 };				\
	__u64 deadline_ = now_ns() + PATIENCE;				\
									\
	while (self->nr < (count)) {					\
		ASSERT_EQ(1, submit_next(self, 0));			\
		ASSERT_EQ(SYSLET_PENDING, self->chains[self->nr - 1].exec.status); \
	}								\
	ASSERT_EQ(0, write_all(self->go[1], bytes_, count));		\
	while (ring_count(&self->head) + ring_overflow(&self->head) < (count) && \
	       now_ns() < deadline_)					\
		sched_yield();						\
	ASSERT_EQ(ENTRIES, ring_count(&self->head));			\
	ASSERT_EQ((count) - ENTRIES, ring_overflow(&self->head));	\
} while (0)

#define TAKE(count) do {						\
	struct syslet_cqe cqe_;						\
									\
	for (unsigned int i_ = 0; i_ < (count); i_++) {			\
		ASSERT_EQ(0, take_wait(&self->head, &cqe_));		\
		ASSERT_LE(1, cqe_.user_data);				\
		ASSERT_GE(self->nr, cqe_.user_data);			\
		EXPECT_CQE(cqe_, cqe_.user_data, 2, 1, SYSLET_CQE_ASYNC); \
		EXPECT_EQ(0x2, chain_ran(&self->chains[cqe_.user_data - 1])); \
		/* Once only. */					\
		self->chains[cqe_.user_data - 1].sum[1] = 0;		\
	}								\
} while (0)

TEST_F(full, none_is_lost)
{
	RUN(3 * ENTRIES);
	TAKE(3 * ENTRIES);
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 0));
	EXPECT_EQ(0, ring_overflow(&self->head));
}

TEST_F(full, one_without_a_completion_needs_no_room)
{
	RUN(3 * ENTRIES);
	ASSERT_EQ(1, submit_next(self, SYSLET_NO_COMPLETE));
	ASSERT_EQ(SYSLET_PENDING, self->chains[self->nr - 1].exec.status);
	ASSERT_EQ(0, write_all(self->go[1], "!", 1));
	TAKE(3 * ENTRIES);
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 50 * NSEC_PER_MSEC));
	EXPECT_EQ(0x2, chain_ran(&self->chains[self->nr - 1]));
}

TEST_F(full, one_that_does_not_leave_needs_no_room)
{
	struct chain chain;

	RUN(3 * ENTRIES);
	chain_init(&chain, 3);
	ASSERT_EQ(1, dev_exec_uatom(self->head.fd, &chain.exec));
	EXPECT_EQ(SYSLET_DONE, chain.exec.status);
	EXPECT_EQ(0x7, chain_ran(&chain));
	TAKE(3 * ENTRIES);
}

TEST_F(full, no_more_are_taken_when_too_many_are_kept)
{
	struct chain chain;
	unsigned int i;

	RUN(6 * ENTRIES);
	chain_init(&chain, 3);
	EXPECT_EQ(-EBUSY, dev_exec_uatom(self->head.fd, &chain.exec));
	EXPECT_EQ(0, chain_ran(&chain));
	for (i = 0; i < NR_UATOMS; i++)
		EXPECT_EQ(POISON_LONG, chain.ret[i]);
	EXPECT_NE(SYSLET_DONE, chain.exec.status);
	EXPECT_NE(SYSLET_PENDING, chain.exec.status);
	/* Four times the ring is too many, and there was twice that beyond the ring. */
	TAKE(2 * ENTRIES);
	EXPECT_EQ(1, dev_exec_uatom(self->head.fd, &chain.exec));
	EXPECT_EQ(0x7, chain_ran(&chain));
	TAKE(4 * ENTRIES);
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 0));
}

TEST_HARNESS_MAIN
