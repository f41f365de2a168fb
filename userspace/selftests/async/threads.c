// SPDX-License-Identifier: GPL-2.0
/* Handoffs of several threads, on one head and on several. */
#include "async_test.h"

#define NR_THREADS 4

static _Thread_local unsigned long tls;

FIXTURE(threads) {
	struct head head;
	pthread_barrier_t barrier;
};

FIXTURE_SETUP(threads)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 256));
	ASSERT_EQ(0, pthread_barrier_init(&self->barrier, NULL, NR_THREADS));
}

FIXTURE_TEARDOWN(threads)
{
	head_close(&self->head);
}

struct hopper {
	pthread_t thread;
	struct head *head;
	pthread_barrier_t *barrier;
	unsigned int rounds;
	int index;
	pid_t tid;
	long result;
};

/* Hops, and looks whether it is still itself. */
static void *hopper_main(void *arg)
{
	struct hopper *hopper = arg;
	pthread_t self = pthread_self();
	struct block block;
	unsigned int i;

	hopper->tid = my_tid();
	hopper->result = block_init(&block, SYSLET_NO_COMPLETE);
	pthread_barrier_wait(hopper->barrier);
	for (i = 0; i < hopper->rounds && !hopper->result; i++) {
		tls = PTR(hopper) + i;
		if (block_submit(hopper->head, &block) != SYSLET_PENDING)
			hopper->result = -EINPROGRESS;
		else if (my_tid() != hopper->tid)
			hopper->result = -ESRCH;
		else if (tls != PTR(hopper) + i || !pthread_equal(self, pthread_self()))
			hopper->result = -EXDEV;
		else
			hopper->result = block_release(&block);
		if (!hopper->result && block.results[1] == hopper->tid)
			hopper->result = -EPERM;
	}
	block_free(&block);
	return hopper;
}

static void run_hoppers(struct __test_metadata *_metadata, struct hopper *hoppers)
{
	void *ret;
	int i;

	for (i = 0; i < NR_THREADS; i++)
		ASSERT_EQ(0, pthread_create(&hoppers[i].thread, NULL, hopper_main, &hoppers[i]));
	for (i = 0; i < NR_THREADS; i++) {
		/* It ends in another task than it began in: that is what must be joined. */
		ASSERT_EQ(0, pthread_join(hoppers[i].thread, &ret));
		EXPECT_EQ(&hoppers[i], ret);
		EXPECT_EQ(0, hoppers[i].result);
	}
}

TEST_F(threads, several_on_one_head)
{
	struct hopper hoppers[NR_THREADS];
	int i;

	for (i = 0; i < NR_THREADS; i++)
		hoppers[i] = (struct hopper) {
			.head = &self->head,
			.barrier = &self->barrier,
			.rounds = 60 * stress(),
		};
	run_hoppers(_metadata, hoppers);
}

TEST_F(threads, several_on_a_head_each)
{
	struct hopper hoppers[NR_THREADS];
	struct head heads[NR_THREADS];
	int i;

	for (i = 0; i < NR_THREADS; i++) {
		ASSERT_EQ(0, head_open(&heads[i], 16));
		hoppers[i] = (struct hopper) {
			.head = &heads[i],
			.barrier = &self->barrier,
			.rounds = 40 * stress(),
		};
	}
	run_hoppers(_metadata, hoppers);
	for (i = 0; i < NR_THREADS; i++)
		head_close(&heads[i]);
}

TEST_F(threads, one_on_several_heads_in_turn)
{
	struct block blocks[3];
	struct head heads[3];
	pid_t tid = my_tid();
	unsigned int i, nr = 60 * stress();

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, head_open(&heads[i], 16));
		ASSERT_EQ(0, block_init(&blocks[i], 0));
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, hop(&heads[i % 3], &blocks[i % 3]));
		ASSERT_EQ(tid, my_tid());
	}
	for (i = 0; i < 3; i++)
		head_close(&heads[i]);
}

TEST_F(threads, programs_of_one_are_blocked_on_several_heads)
{
	struct block blocks[3];
	struct head heads[3];
	pid_t tid = my_tid();
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, head_open(&heads[i], 16));
		ASSERT_EQ(0, block_init(&blocks[i], 0));
		ASSERT_EQ(SYSLET_PENDING, block_submit(&heads[i], &blocks[i]));
		ASSERT_EQ(tid, my_tid());
	}
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, ring_count(&heads[i]));
		ASSERT_EQ(0, block_finish(&heads[i], &blocks[i]));
		ASSERT_EQ(tid, my_tid());
	}
}

static void *submit_one(void *arg)
{
	struct hopper *hopper = arg;
	struct block *block = malloc(sizeof(*block));

	hopper->tid = my_tid();
	hopper->result = block_init(block, 0);
	if (!hopper->result && block_submit(hopper->head, block) != SYSLET_PENDING)
		hopper->result = -EINPROGRESS;
	return block;
}

/* The thread ends, its TID is free; the program goes on and completes. */
TEST_F(threads, one_that_ends_before_its_program)
{
	struct hopper hopper = { .head = &self->head };
	__u64 deadline = now_ns() + PATIENCE;
	struct block *block;

	ASSERT_EQ(0, pthread_create(&hopper.thread, NULL, submit_one, &hopper));
	ASSERT_EQ(0, pthread_join(hopper.thread, (void **)&block));
	ASSERT_EQ(0, hopper.result);
	/* Who joins it may be faster than the rest of its end. */
	while (!syscall(__NR_tgkill, getpid(), hopper.tid, 0) && now_ns() < deadline)
		sched_yield();
	EXPECT_EQ(-ESRCH, sysret(syscall(__NR_tgkill, getpid(), hopper.tid, 0)));
	EXPECT_EQ(0, block_finish(&self->head, block));
}

static void *submit_and_exit(void *arg)
{
	submit_one(arg);
	pthread_exit(arg);
}

TEST_F(threads, pthread_exit_of_a_moved_one)
{
	struct hopper hopper = { .head = &self->head };
	struct syslet_cqe cqe;
	void *ret;
	int i;

	for (i = 0; i < 10; i++) {
		hopper.result = -1;
		ASSERT_EQ(0, pthread_create(&hopper.thread, NULL, submit_and_exit, &hopper));
		ASSERT_EQ(0, pthread_join(hopper.thread, &ret));
		EXPECT_EQ(&hopper, ret);
		EXPECT_EQ(0, hopper.result);
	}
	EXPECT_FALSE(ring_take(&self->head, &cqe));
}

static void *signal_me(void *arg)
{
	struct hopper *hopper = arg;
	pid_t tid = my_tid();
	struct block block;
	sigset_t set;
	int sig;

	hopper->result = block_init(&block, SYSLET_NO_COMPLETE);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (!hopper->result && block_submit(hopper->head, &block) != SYSLET_PENDING)
		hopper->result = -EINPROGRESS;
	hopper->tid = tid;
	pthread_barrier_wait(hopper->barrier);
	if (sigwait(&set, &sig) || sig != SIGUSR1)
		hopper->result = -EBADMSG;
	if (!hopper->result)
		hopper->result = block_release(&block);
	return NULL;
}

TEST_F(threads, pthread_kill_finds_a_moved_one)
{
	struct hopper hopper = { .head = &self->head, .barrier = &self->barrier };

	ASSERT_EQ(0, pthread_barrier_init(&self->barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&hopper.thread, NULL, signal_me, &hopper));
	pthread_barrier_wait(&self->barrier);
	EXPECT_EQ(0, pthread_kill(hopper.thread, SIGUSR1));
	ASSERT_EQ(0, pthread_join(hopper.thread, NULL));
	EXPECT_EQ(0, hopper.result);
}

static void *cancel_me(void *arg)
{
	struct hopper *hopper = arg;
	struct block *block = submit_one(arg);

	pthread_barrier_wait(hopper->barrier);
	for (;;)
		pause();
	return block;
}

TEST_F(threads, pthread_cancel_of_a_moved_one)
{
	struct hopper hopper = { .head = &self->head, .barrier = &self->barrier };
	void *ret;

	ASSERT_EQ(0, pthread_barrier_init(&self->barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&hopper.thread, NULL, cancel_me, &hopper));
	pthread_barrier_wait(&self->barrier);
	ASSERT_EQ(0, hopper.result);
	ASSERT_EQ(0, pthread_cancel(hopper.thread));
	ASSERT_EQ(0, pthread_join(hopper.thread, &ret));
	EXPECT_EQ(PTHREAD_CANCELED, ret);
}

static void *wait_for_barrier(void *arg)
{
	struct hopper *hopper = arg;

	hopper->tid = my_tid();
	pthread_barrier_wait(hopper->barrier);
	pthread_barrier_wait(hopper->barrier);
	return NULL;
}

/* setxid and the like signal every thread by TID: each must answer once. */
TEST_F(threads, setuid_reaches_moved_ones)
{
	struct hopper hopper = { .barrier = &self->barrier };
	struct block block;
	char uid[64];
	int i;

	ASSERT_EQ(0, pthread_barrier_init(&self->barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&hopper.thread, NULL, wait_for_barrier, &hopper));
	pthread_barrier_wait(&self->barrier);
	ASSERT_EQ(0, block_init(&block, 0));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &block));
	ASSERT_EQ(0, setresuid(65534, 65534, 0));
	for (i = 0; i < 2; i++) {
		char path[32];

		snprintf(path, sizeof(path), "%d", i ? hopper.tid : my_tid());
		status_line(path, "Uid", uid, sizeof(uid));
		EXPECT_EQ(0, strncmp(uid, "65534\t65534\t0", 13)) {
			TH_LOG("Uid: %s", uid);
		}
	}
	pthread_barrier_wait(&self->barrier);
	ASSERT_EQ(0, pthread_join(hopper.thread, NULL));
	ASSERT_EQ(0, setresuid(0, 0, 0));
	EXPECT_EQ(0, block_finish(&self->head, &block));
}

/* Programs of one thread are released by another, and waited for by a third. */
static void *release_blocks(void *arg)
{
	struct block *blocks = arg;
	long i, bad = 0;

	for (i = 0; i < 16; i++)
		bad |= block_release(&blocks[i]);
	return (void *)bad;
}

TEST_F(threads, programs_are_released_by_another)
{
	struct block blocks[16];
	unsigned int seen = 0;
	struct syslet_cqe cqe;
	pthread_t thread;
	void *ret;
	__u64 at;
	int i;

	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, block_init(&blocks[i], 0));
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &blocks[i]));
	}
	ASSERT_EQ(0, pthread_create(&thread, NULL, release_blocks, blocks));
	/* Two that were released one after the other may complete the other way round. */
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		at = (cqe.user_data - PTR(blocks)) / sizeof(blocks[0]);
		ASSERT_GT(16, at);
		EXPECT_CQE(cqe, PTR(&blocks[at]), 1, 2, SYSLET_CQE_ASYNC);
		seen |= 1u << at;
	}
	EXPECT_EQ(0xffff, seen);
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
}

TEST_HARNESS_MAIN
