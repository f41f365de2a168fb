// SPDX-License-Identifier: GPL-2.0
/* Signals that meet a chain of uatoms. */
#include "../async/async_test.h"
#include "../ticks.h"
#include "uatom_test.h"

/* The first reads from a pipe; each tells that it has run. */
FIXTURE(signals) {
	struct head head;
	struct chain chain;
	int pipes[2];
	char byte;
	unsigned long read_args[3], tgkill_args[3];
};

FIXTURE_SETUP(signals)
{
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, pipe2(self->pipes, O_CLOEXEC));
	chain_init(&self->chain, 3);
	uatom_calls(&self->chain.atoms[0], __NR_read, self->read_args, self->pipes[0],
		    (unsigned long)&self->byte, 1);
	self->chain.exec.flags = SYSLET_SYNC;
}

FIXTURE_TEARDOWN(signals)
{
	tick(0);
	head_close(&self->head);
}

/* Before the one that reads. */
static void signal_first(FIXTURE_DATA(signals) *self)
{
	struct syslet_uatom *atoms = self->chain.atoms;

	uatom_calls(&atoms[1], __NR_tgkill, self->tgkill_args, getpid(), my_tid(), SIGUSR1);
	atoms[1].next = &atoms[0];
	atoms[0].next = &atoms[2];
	self->chain.exec.uatom = PTR(&atoms[1]);
}

TEST_F(signals, the_call_restarts_under_sa_restart)
{
	self->chain.atoms[1].arg_ptr[1] = (void *)&self->chain.ret[0];
	ASSERT_EQ(0, catch_signal(SIGALRM, SA_RESTART));
	feed = self->pipes[1];
	ASSERT_EQ(0, tick(TICK_USEC));
	EXPECT_DONE(0x6, 2, 3);
	tick(0);
	EXPECT_LE(LAST_TICK, ticks);
	EXPECT_EQ('!', self->byte);
	EXPECT_EQ(1, self->chain.ret[0]);
	EXPECT_EQ(1, self->chain.sum[1]);
}

TEST_F(signals, the_call_is_interrupted_without_sa_restart)
{
	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(0, tick(TICK_USEC));
	EXPECT_REFUSED(-EINTR);
	tick(0);
	EXPECT_LE(1, ticks);
	/* And can be made again. */
	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	EXPECT_DONE(0x6, 2, 3);
	EXPECT_EQ('x', self->byte);
}

TEST_F(signals, a_condition_does_not_see_the_restart)
{
	self->chain.atoms[0].flags = SYSLET_STOP_ON_NEGATIVE;
	ASSERT_EQ(0, catch_signal(SIGALRM, SA_RESTART));
	feed = self->pipes[1];
	ASSERT_EQ(0, tick(TICK_USEC));
	EXPECT_DONE(0x6, 2, 3);
	tick(0);
}

TEST_F(signals, a_later_one_is_interrupted)
{
	signal_first(self);
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	EXPECT_DONE(0x4, 2, 3);
	EXPECT_EQ(1, ticks);
	EXPECT_EQ(0, self->chain.ret[1]);
	EXPECT_EQ(-EINTR, self->chain.ret[0]);
}

TEST_F(signals, a_later_one_is_not_restarted_by_sa_restart)
{
	signal_first(self);
	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	EXPECT_DONE(0x4, 2, 3);
	EXPECT_EQ(1, ticks);
	EXPECT_EQ(-EINTR, self->chain.ret[0]);
}

TEST_F(signals, an_interruption_meets_conditions)
{
	signal_first(self);
	self->chain.atoms[0].flags = SYSLET_STOP_ON_NEGATIVE;
	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	EXPECT_DONE(0, 1, -EINTR);
	EXPECT_EQ(1, ticks);
}

TEST_F(signals, an_interruption_jumps)
{
	signal_first(self);
	/* Behind the one that reads is another that tells; next is NULL. */
	self->chain.atoms[0].flags = SYSLET_STOP_ON_NEGATIVE | SYSLET_SKIP_TO_NEXT_ON_STOP;
	self->chain.atoms[0].next = NULL;
	self->chain.atoms[3] = self->chain.atoms[0];
	self->chain.atoms[4] = self->chain.atoms[2];
	self->chain.atoms[1].next = &self->chain.atoms[3];
	self->chain.atoms[3].ret_ptr = &self->chain.ret[3];
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	EXPECT_DONE(0x4, 2, 3);
	EXPECT_EQ(-EINTR, self->chain.ret[3]);
}

TEST_F(signals, an_interruption_is_an_argument)
{
	signal_first(self);
	self->chain.atoms[2].arg_ptr[1] = (void *)&self->chain.ret[0];
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	EXPECT_DONE(0x4, 2, -EINTR);
	EXPECT_EQ(-EINTR, self->chain.sum[2]);
}

TEST_F(signals, one_that_left_is_not_interrupted)
{
	struct syslet_cqe cqe;

	if (!dev_is_async())
		SKIP(return, "no cachemiss threads for these callers");
	self->chain.exec.flags = 0;
	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(1, submit());
	ASSERT_EQ(SYSLET_PENDING, self->chain.exec.status);
	feed = self->pipes[1];
	ASSERT_EQ(0, tick(TICK_USEC));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	tick(0);
	EXPECT_LE(LAST_TICK, ticks);
	EXPECT_CQE(cqe, 0, 3, 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, self->chain.ret[0]);
	EXPECT_EQ(0x6, chain_ran(&self->chain));
}

/* Handed over again and again while signals come: each chain runs once. */
TEST_F(signals, a_storm)
{
	unsigned int i, nr = 100 * stress();
	struct syslet_cqe cqe;
	long ret, wrong = 0;

	self->chain.exec.flags = 0;
	ASSERT_EQ(0, catch_signal(SIGALRM, SA_RESTART));
	ASSERT_EQ(0, tick(500));
	for (i = 0; i < nr && !wrong; i++) {
		self->chain.sum[1] = self->chain.sum[2] = 0;
		self->chain.ret[0] = POISON_LONG;
		if (!dev_is_async() && write_all(self->pipes[1], "!", 1))
			wrong = -1;
		do
			ret = submit();
		while (ret == -EINTR);
		if (ret != 1)
			wrong = ret ?: -1;
		if (self->chain.exec.status == SYSLET_PENDING &&
		    (write_all(self->pipes[1], "!", 1) || take_wait(&self->head, &cqe) ||
		     cqe.result != 3 || cqe.last != 2))
			wrong = -2;
		if (!wrong && (self->chain.ret[0] != 1 || chain_ran(&self->chain) != 0x6 ||
			       self->chain.sum[1] != 2 || self->chain.sum[2] != 3))
			wrong = -3;
	}
	tick(0);
	EXPECT_EQ(0, wrong);
	EXPECT_LT(0, ticks);
}

TEST_HARNESS_MAIN
