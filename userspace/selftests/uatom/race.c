// SPDX-License-Identifier: GPL-2.0
/*
 * Chains that change while EXEC_UATOM walks them: the outcome is always one of
 * those that either state would have had.
 */
#include "uatom_test.h"

#define ROUNDS 3000

FIXTURE_CHAIN(race, 3);

/* A thread that writes two values in turn until told to stop. */
struct flip {
	volatile unsigned long *at;
	unsigned long values[2];
	volatile bool stop;
	volatile unsigned long turns;
	pthread_t thread;
};

static void *flipper(void *arg)
{
	struct flip *flip = arg;

	for (; !flip->stop; flip->turns++)
		*flip->at = flip->values[flip->turns & 1];
	return NULL;
}

static int begin(struct flip *flip, void *at, unsigned long one, unsigned long two)
{
	int ret;

	*flip = (struct flip) { .at = at, .values = { one, two } };
	ret = pthread_create(&flip->thread, NULL, flipper, flip);
	while (!ret && flip->turns < 2)
		sched_yield();
	return ret;
}

static int end(struct flip *flip)
{
	flip->stop = true;
	return pthread_join(flip->thread, NULL);
}

/*
 * Runs the chain ROUNDS times while the word at @at flips. Counts what is
 * neither all of the three uatoms run nor @error with nothing run.
 */
static unsigned int race(struct __test_metadata *_metadata, struct head *head,
			 struct chain *chain, void *at, unsigned long two, long error)
{
	unsigned int i, others = 0;
	struct flip flip;

	ASSERT_EQ(0, begin(&flip, at, *(unsigned long *)at, two));
	for (i = 0; i < ROUNDS; i++) {
		long before = chain->sum[0];
		long ret = dev_exec_uatom(head->fd, &chain->exec);

		others += ret != 1 && ret != error;
		others += (ret == 1) != (chain->sum[0] == before + 1);
	}
	ASSERT_EQ(0, end(&flip));
	return others;
}

#define EXPECT_NO_OTHERS(field, two, error)				\
	EXPECT_EQ(0, race(_metadata, &self->head, &self->chain, &(field),	\
			  (unsigned long)(two), error))

TEST_F(race, a_number)
{
	EXPECT_NO_OTHERS(self->chain.atoms[1].nr, __NR_exit_group, -EPERM);
}

TEST_F(race, flags)
{
	EXPECT_NO_OTHERS(self->chain.atoms[1].flags, 0x100, -EINVAL);
}

TEST_F(race, next)
{
	EXPECT_NO_OTHERS(self->chain.atoms[1].next, BAD_HIGH, -EFAULT);
}

TEST_F(race, next_into_a_loop)
{
	EXPECT_NO_OTHERS(self->chain.atoms[2].next, &self->chain.atoms[0], -ELOOP);
}

TEST_F(race, next_that_is_too_far)
{
	chain_init(&self->chain, NR_UATOMS);
	self->chain.atoms[2].next = NULL;
	EXPECT_NO_OTHERS(self->chain.atoms[2].next, &self->chain.atoms[3], -E2BIG);
}

TEST_F(race, a_pointer_to_an_argument)
{
	EXPECT_NO_OTHERS(self->chain.atoms[1].arg_ptr[1], BAD_LOW, -EFAULT);
}

TEST_F(race, the_end_of_the_arguments)
{
	/* BAD_LOW behind the second counts only if the second is not NULL. */
	self->chain.atoms[1].arg_ptr[2] = BAD_LOW;
	self->chain.atoms[1].arg_ptr[1] = NULL;
	EXPECT_NO_OTHERS(self->chain.atoms[1].arg_ptr[1], &self->chain.value[1], -EFAULT);
}

TEST_F(race, where_a_result_goes)
{
	struct chain *chain = &self->chain;
	unsigned int i, others = 0;
	struct flip flip;

	/* Where 1 stores its result, there 2 takes its argument, or it takes what was there. */
	chain->atoms[2].arg_ptr[1] = (void *)&chain->ret[1];
	ASSERT_EQ(0, begin(&flip, &chain->atoms[1].ret_ptr, PTR(&chain->ret[1]),
			   PTR(&chain->ret[9])));
	for (i = 0; i < ROUNDS; i++) {
		chain->ret[1] = 1000;
		chain->sum[1] = chain->sum[2] = 0;
		chain->ret[2] = POISON_LONG;
		ASSERT_EQ(1, submit());
		others += chain->ret[1] != 1000 && chain->ret[1] != 2;
		others += chain->sum[2] != chain->ret[1];
	}
	ASSERT_EQ(0, end(&flip));
	EXPECT_EQ(0, others);
}

TEST_F(race, an_argument)
{
	struct chain *chain = &self->chain;
	unsigned int i, others = 0;
	struct flip flip;

	/* Both take it, each read for itself; what is added is what is returned. */
	ASSERT_EQ(0, begin(&flip, &chain->value[1], 5, 500));
	for (i = 0; i < ROUNDS; i++) {
		chain->sum[1] = 0;
		ASSERT_EQ(1, submit());
		others += chain->sum[1] != 5 && chain->sum[1] != 500;
		others += chain->sum[1] != chain->ret[1];
	}
	ASSERT_EQ(0, end(&flip));
	EXPECT_EQ(0, others);
}

/* Looks at @at again and again for what is neither 0 nor ~0. */
struct reader {
	volatile unsigned long *at;
	volatile bool stop;
	unsigned long others;
	pthread_t thread;
};

static void *reader_main(void *arg)
{
	struct reader *reader = arg;
	unsigned long seen;

	while (!reader->stop) {
		seen = *reader->at;
		reader->others += seen && seen != ~0UL;
	}
	return NULL;
}

static unsigned long read_while(struct __test_metadata *_metadata, struct head *head,
				struct chain *chain, void *at)
{
	struct reader reader = { .at = at };
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, reader_main, &reader));
	for (i = 0; i < ROUNDS; i++)
		ASSERT_EQ(1, dev_exec_uatom(head->fd, &chain->exec));
	reader.stop = true;
	ASSERT_EQ(0, pthread_join(reader.thread, NULL));
	return reader.others;
}

TEST_F(race, a_result_is_stored_whole)
{
	struct chain *chain = &self->chain;

	/* ~0, then 0 again, which are added to what is 0 and ~0. */
	chain->at[1] = chain->at[0];
	chain->value[0] = ~0UL;
	chain->value[1] = 1;
	chain->ret[0] = 0;
	chain->atoms[1].ret_ptr = chain->atoms[0].ret_ptr;
	EXPECT_EQ(0, read_while(_metadata, &self->head, chain, &chain->ret[0]));
}

TEST_F(race, a_sum_is_stored_whole)
{
	struct chain *chain = &self->chain;

	chain->at[1] = chain->at[0];
	chain->value[0] = ~0UL;
	chain->value[1] = 1;
	EXPECT_EQ(0, read_while(_metadata, &self->head, chain, &chain->sum[0]));
}

TEST_F(race, the_first_uatom)
{
	struct chain *chain = &self->chain;
	unsigned int i, others = 0;
	struct flip flip;

	/* The lower half of the pointer, where there are two. */
	ASSERT_EQ(0, begin(&flip, &chain->exec.uatom, PTR(&chain->atoms[0]),
			   PTR(&chain->atoms[1])));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(1, submit());
		others += chain->exec.last != 1 && chain->exec.last != 2;
		others += chain->exec.result != (long)chain->sum[2];
	}
	ASSERT_EQ(0, end(&flip));
	EXPECT_EQ(0, others);
}

TEST_HARNESS_MAIN
