// SPDX-License-Identifier: GPL-2.0
/* Chains that block: where they go on, and what the ring says of them. */
#include "../async/async_test.h"
#include "uatom_test.h"

/* Reads a byte from a pipe, adds what read() returned to sum[1], tells that it is done. */
FIXTURE(blocking) {
	struct head head;
	struct chain chain;
	int go[2], done[2];
	char byte;
	unsigned long read_args[3], write_args[3];
};

FIXTURE_SETUP(blocking)
{
	struct syslet_uatom *atoms = self->chain.atoms;

	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, pipe2(self->go, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->done, O_CLOEXEC));
	chain_init(&self->chain, 3);
	self->byte = POISON_BYTE;
	uatom_calls(&atoms[0], __NR_read, self->read_args, self->go[0],
		    (unsigned long)&self->byte, 1);
	uatom_calls(&atoms[2], __NR_write, self->write_args, self->done[1],
		    (unsigned long)"d", 1);
	atoms[1].arg_ptr[1] = (void *)&self->chain.ret[0];
	self->chain.exec.user_data = 0x123456789abcdefULL;
}

FIXTURE_TEARDOWN(blocking)
{
	head_close(&self->head);
}

#define NEED_ASYNC_HERE() do {						\
	if (!dev_is_async())						\
		SKIP(return, "no cachemiss threads for these callers");	\
} while (0)

#define EXPECT_PENDING() do {						\
	ASSERT_EQ(1, submit());						\
	EXPECT_EQ(SYSLET_PENDING, self->chain.exec.status);		\
	EXPECT_EQ(0, self->chain.exec.result);				\
	EXPECT_EQ(0, self->chain.exec.last);				\
	EXPECT_EQ(POISON_LONG, self->chain.ret[0]);			\
} while (0)

#define EXPECT_ENDED() do {						\
	ASSERT_EQ(0, write_all(self->go[1], "!", 1));			\
	ASSERT_EQ('d', read_byte(self->done[0]));			\
} while (0)

#define EXPECT_ENTRY(res, at, bits) do {				\
	struct syslet_cqe cqe_;						\
									\
	ASSERT_EQ(0, take_wait(&self->head, &cqe_));			\
	EXPECT_CQE(cqe_, self->chain.exec.user_data, res, at, bits);	\
	EXPECT_EQ(0, ring_count(&self->head));				\
} while (0)

/* Until the last program has left its task, which is soon, an entry could still come. */
#define EXPECT_NO_ENTRY()						\
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 50 * NSEC_PER_MSEC))

TEST_F(blocking, goes_on_without_its_caller)
{
	NEED_ASYNC_HERE();
	EXPECT_PENDING();
	EXPECT_ENDED();
	EXPECT_ENTRY(1, 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ('!', self->byte);
	EXPECT_EQ(1, self->chain.ret[0]);
	EXPECT_EQ(1, self->chain.sum[1]);
	EXPECT_EQ(1, self->chain.ret[2]);
}

TEST_F(blocking, blocks_callers_that_cannot_leave)
{
	struct rescuer rescuer;

	if (dev_is_async())
		SKIP(return, "they can");
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->go[1]));
	EXPECT_EQ(1, submit());
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(SYSLET_DONE, self->chain.exec.status);
	EXPECT_EQ(2, self->chain.exec.last);
	EXPECT_EQ(1, self->chain.sum[1]);
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(blocking, the_chain_may_be_reused_meanwhile)
{
	NEED_ASYNC_HERE();
	EXPECT_PENDING();
	memset(self->chain.atoms, POISON_BYTE, sizeof(self->chain.atoms));
	memset(self->chain.at, POISON_BYTE, sizeof(self->chain.at));
	memset(self->read_args, POISON_BYTE, sizeof(self->read_args));
	memset(self->write_args, POISON_BYTE, sizeof(self->write_args));
	EXPECT_ENDED();
	EXPECT_ENTRY(1, 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, self->chain.sum[1]);
}

TEST_F(blocking, another_chain_meanwhile)
{
	struct chain other;

	NEED_ASYNC_HERE();
	EXPECT_PENDING();
	chain_init(&other, 5);
	EXPECT_EQ(1, dev_exec_uatom(self->head.fd, &other.exec));
	EXPECT_EQ(0x1f, chain_ran(&other));
	EXPECT_ENDED();
	EXPECT_ENTRY(1, 2, SYSLET_CQE_ASYNC);
}

TEST_F(blocking, is_stopped)
{
	NEED_ASYNC_HERE();
	self->chain.atoms[1].flags = SYSLET_STOP_ON_NONZERO;
	EXPECT_PENDING();
	ASSERT_EQ(0, write_all(self->go[1], "!", 1));
	EXPECT_ENTRY(1, 1, SYSLET_CQE_ASYNC | SYSLET_CQE_STOPPED);
	EXPECT_EQ(POISON_LONG, self->chain.ret[2]);
}

TEST_F(blocking, jumps)
{
	NEED_ASYNC_HERE();
	/* Jumps to 1 on anything read; else it would go on with 3. */
	self->chain.atoms[0].flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_NONZERO;
	self->chain.atoms[0].next = &self->chain.atoms[3];
	EXPECT_PENDING();
	EXPECT_ENDED();
	/* The walk: 0, 3, 1, 2. */
	EXPECT_ENTRY(1, 3, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, self->chain.sum[1]);
	EXPECT_EQ(0, self->chain.sum[3]);
}

TEST_F(blocking, cannot_store)
{
	NEED_ASYNC_HERE();
	self->chain.atoms[1].ret_ptr = BAD_LOW;
	EXPECT_PENDING();
	ASSERT_EQ(0, write_all(self->go[1], "!", 1));
	EXPECT_ENTRY(-EFAULT, 1, SYSLET_CQE_ASYNC | SYSLET_CQE_FAULT);
}

TEST_F(blocking, is_canceled)
{
	NEED_ASYNC_HERE();
	EXPECT_PENDING();
	EXPECT_EQ(1, dev_cancel(self->head.fd, self->chain.exec.user_data, 0));
	EXPECT_ENTRY(-ECANCELED, 0, SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
	EXPECT_EQ(0, self->chain.sum[1]);
}

FIXTURE_CHAIN(flags, 3);

/* Waits until the last of the chain has run, and for its entry. */
#define EXPECT_ASYNC() do {						\
	struct syslet_cqe cqe_;						\
									\
	ASSERT_EQ(1, submit());						\
	EXPECT_EQ(SYSLET_PENDING, self->chain.exec.status);		\
	ASSERT_EQ(0, take_wait(&self->head, &cqe_));			\
	EXPECT_CQE(cqe_, 0, 3, 2, SYSLET_CQE_ASYNC);			\
	EXPECT_EQ(0x7, chain_ran(&self->chain));			\
} while (0)

TEST_F(flags, async_of_the_call)
{
	NEED_ASYNC_HERE();
	self->chain.exec.flags = SYSLET_ASYNC;
	EXPECT_ASYNC();
}

TEST_F(flags, async_of_a_uatom)
{
	unsigned int i;

	NEED_ASYNC_HERE();
	for (i = 0; i < 3; i++) {
		chain_init(&self->chain, 3);
		self->chain.atoms[i].flags = SYSLET_ASYNC;
		EXPECT_ASYNC();
	}
}

TEST_F(flags, async_where_there_is_none)
{
	if (dev_is_async())
		SKIP(return, "there is");
	self->chain.atoms[0].flags = SYSLET_ASYNC;
	EXPECT_DONE(0x7, 2, 3);
}

TEST_F(flags, nothing_is_posted_for_what_does_not_leave)
{
	self->chain.exec.flags = SYSLET_SYNC;
	EXPECT_DONE(0x7, 2, 3);
	EXPECT_NO_ENTRY();
}

TEST_F(blocking, sync_of_the_call)
{
	struct rescuer rescuer;

	self->chain.exec.flags = SYSLET_SYNC;
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->go[1]));
	EXPECT_EQ(1, submit());
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(SYSLET_DONE, self->chain.exec.status);
}

TEST_F(blocking, sync_of_a_uatom)
{
	struct rescuer rescuer;

	self->chain.atoms[2].flags = SYSLET_SYNC;
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->go[1]));
	EXPECT_EQ(1, submit());
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(SYSLET_DONE, self->chain.exec.status);
}

TEST_F(blocking, no_complete_of_the_call)
{
	NEED_ASYNC_HERE();
	self->chain.exec.flags = SYSLET_NO_COMPLETE;
	EXPECT_PENDING();
	EXPECT_ENDED();
	EXPECT_NO_ENTRY();
}

TEST_F(blocking, no_complete_of_the_last_uatom_that_ran)
{
	NEED_ASYNC_HERE();
	self->chain.atoms[2].flags = SYSLET_NO_COMPLETE;
	EXPECT_PENDING();
	EXPECT_ENDED();
	EXPECT_NO_ENTRY();
}

TEST_F(blocking, no_complete_of_others)
{
	NEED_ASYNC_HERE();
	self->chain.atoms[0].flags = SYSLET_NO_COMPLETE;
	self->chain.atoms[1].flags = SYSLET_NO_COMPLETE;
	EXPECT_PENDING();
	EXPECT_ENDED();
	EXPECT_ENTRY(1, 2, SYSLET_CQE_ASYNC);
}

TEST_F(blocking, no_complete_of_all)
{
	unsigned int i;

	NEED_ASYNC_HERE();
	for (i = 0; i < 3; i++)
		self->chain.atoms[i].flags = SYSLET_NO_COMPLETE;
	EXPECT_PENDING();
	EXPECT_ENDED();
	EXPECT_NO_ENTRY();
}

TEST_HARNESS_MAIN
