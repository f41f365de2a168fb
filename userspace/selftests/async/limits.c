// SPDX-License-Identifier: GPL-2.0
/*
 * Limits on cachemiss threads, and how long those live.
 *
 * Where no thread can be had the program blocks in the caller: it must be
 * released from elsewhere then, and nothing is lost.
 */
#include <sys/resource.h>
#include "async_test.h"
#include "../fdinfo.h"

#define NOBODY	65534

FIXTURE(limits) {
	struct block blocks[8];
};

FIXTURE_SETUP(limits)
{
	int i;

	NEED_ASYNC();
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, block_init(&self->blocks[i], 0));
}

FIXTURE_TEARDOWN(limits) { }

/* Blocks as many as may be; the next one stays in the caller. */
static void use_up(struct __test_metadata *_metadata, struct head *head, struct block *blocks,
		   int threads)
{
	struct rescuer rescuer;
	int i;

	for (i = 0; i < threads; i++)
		ASSERT_EQ(SYSLET_PENDING, block_submit(head, &blocks[i]));
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, blocks[threads].go[1]));
	EXPECT_EQ(SYSLET_DONE, block_submit(head, &blocks[threads]));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(1, blocks[threads].results[0]);
	EXPECT_EQ(my_tid(), blocks[threads].results[1]);
	EXPECT_EQ('d', read_byte(blocks[threads].done[0]));
}

static void finish_all(struct __test_metadata *_metadata, struct head *head, struct block *blocks,
		       int threads)
{
	__u64 deadline = now_ns() + PATIENCE;
	struct syslet_cqe cqe;
	int i;

	for (i = 0; i < threads; i++) {
		ASSERT_EQ(0, block_release(&blocks[i]));
		ASSERT_EQ(0, take_wait(head, &cqe));
		EXPECT_CQE(cqe, PTR(&blocks[i]), 1, 2, SYSLET_CQE_ASYNC);
	}
	EXPECT_FALSE(ring_take(head, &cqe));
	/* A worker that has completed its program is not yet one that waits for another. */
	while (value(head->fd, "threads-idle") < threads && now_ns() < deadline)
		usleep(1000);
}

FIXTURE_VARIANT(limits) {
	int threads;
};

FIXTURE_VARIANT_ADD(limits, one_thread) { 1 };
FIXTURE_VARIANT_ADD(limits, three_threads) { 3 };

TEST_F(limits, max_threads)
{
	struct head head;

	ASSERT_EQ(0, head_open_limits(&head, 16, variant->threads, 1, 0));
	EXPECT_EQ(variant->threads, (int)head.setup.max_threads);
	use_up(_metadata, &head, self->blocks, variant->threads);
	finish_all(_metadata, &head, self->blocks, variant->threads);
	/* They serve again. */
	use_up(_metadata, &head, self->blocks, variant->threads);
	finish_all(_metadata, &head, self->blocks, variant->threads);
	head_close(&head);
}

TEST_F(limits, max_threads_and_nowait)
{
	unsigned long value = 0;
	struct syslet_atom add[] = { { .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 } } };
	struct syslet_program program = PROGRAM(add);
	struct head head;
	int i;

	ASSERT_EQ(0, head_open_limits(&head, 16, variant->threads, 1, 0));
	for (i = 0; i < variant->threads; i++)
		ASSERT_EQ(SYSLET_PENDING, block_submit(&head, &self->blocks[i]));
	EXPECT_EQ(-EAGAIN, dev_exec(head.fd, &program, 1, SYSLET_EXEC_NOWAIT));
	EXPECT_EQ(0, value);
	finish_all(_metadata, &head, self->blocks, variant->threads);
	EXPECT_EQ(1, dev_exec(head.fd, &program, 1, SYSLET_EXEC_NOWAIT));
	EXPECT_EQ(1, value);
	head_close(&head);
}

TEST_F(limits, max_threads_in_a_batch)
{
	struct syslet_program programs[6];
	struct rescuer rescuer;
	struct head head;
	int i, pending = 0;

	ASSERT_EQ(0, head_open_limits(&head, 16, variant->threads, 1, 0));
	for (i = 0; i < 6; i++) {
		programs[i] = self->blocks[i].program;
		/* Those that do not leave would block one after the other. */
		if (i > variant->threads) {
			ASSERT_EQ(1, write(self->blocks[i].go[1], "!", 1));
		}
	}
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->blocks[variant->threads].go[1]));
	ASSERT_EQ(6, dev_exec(head.fd, programs, 6, 0));
	EXPECT_TRUE(rescuer_end(&rescuer));
	for (i = 0; i < 6; i++) {
		pending += programs[i].status == SYSLET_PENDING;
		EXPECT_EQ(i < variant->threads ? SYSLET_PENDING : SYSLET_DONE, programs[i].status);
	}
	EXPECT_EQ(variant->threads, pending);
	for (i = 0; i < variant->threads; i++)
		self->blocks[i].byte = 0;
	finish_all(_metadata, &head, self->blocks, variant->threads);
	head_close(&head);
}

struct stayer {
	struct head *head;
	struct block *block;
	pid_t tid;
};

static void *submit_one(void *arg)
{
	struct stayer *stayer = arg;

	__atomic_store_n(&stayer->tid, my_tid(), __ATOMIC_RELEASE);
	return block_submit(stayer->head, stayer->block) == SYSLET_DONE ? NULL : stayer;
}

/* Who blocks in the caller anyway keeps no thread from others. */
TEST_F(limits, max_threads_beside_one_that_stays)
{
	struct syslet_atom calls[] = { { .nr = __NR_getppid } };
	struct syslet_program call = PROGRAM(calls);
	struct head head;
	struct stayer stayer = { .head = &head, .block = &self->blocks[0] };
	__u64 deadline = now_ns() + PATIENCE;
	pthread_t thread;
	void *bad;

	ASSERT_EQ(0, head_open_limits(&head, 16, variant->threads, 1, 0));
	/* The next call finds a thread reserved for it. */
	ASSERT_EQ(1, dev_exec(head.fd, &call, 1, 0));
	stayer.block->program.flags = SYSLET_SYNC;
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_one, &stayer));
	while (sleeps_in(__atomic_load_n(&stayer.tid, __ATOMIC_ACQUIRE)) != __NR_read &&
	       now_ns() < deadline)
		usleep(1000);
	use_up(_metadata, &head, self->blocks + 1, variant->threads);
	finish_all(_metadata, &head, self->blocks + 1, variant->threads);
	ASSERT_EQ(0, block_release(stayer.block));
	ASSERT_EQ(0, pthread_join(thread, &bad));
	EXPECT_EQ(NULL, bad);
	head_close(&head);
}

/* One head's limit is not another's. */
TEST_F(limits, max_threads_of_two_heads)
{
	struct head first, second;

	ASSERT_EQ(0, head_open_limits(&first, 16, variant->threads, 1, 0));
	ASSERT_EQ(0, head_open_limits(&second, 16, 1, 1, 0));
	use_up(_metadata, &first, self->blocks, variant->threads);
	use_up(_metadata, &second, self->blocks + 5, 1);
	finish_all(_metadata, &first, self->blocks, variant->threads);
	finish_all(_metadata, &second, self->blocks + 5, 1);
	head_close(&first);
	head_close(&second);
}

/* A child that may not have more tasks than it has. */
static int with_rlimit_nproc(struct block *blocks)
{
	struct rlimit old, limit;
	struct rescuer rescuer;
	struct head head;
	long status;

	if (head_open(&head, 16) || rescuer_start(&rescuer, __NR_read, blocks[0].go[1]))
		return 1;
	if (getrlimit(RLIMIT_NPROC, &old))
		return 2;
	limit = old;
	limit.rlim_cur = 1;
	if (syscall(__NR_setresuid, NOBODY, NOBODY, NOBODY) || setrlimit(RLIMIT_NPROC, &limit))
		return 2;
	status = block_submit(&head, &blocks[0]);
	if (!rescuer_end(&rescuer) || status != SYSLET_DONE)
		return 3;
	if (blocks[0].results[0] != 1 || blocks[0].results[1] != my_tid())
		return 4;
	if (dev_exec(head.fd, &blocks[1].program, 1, SYSLET_EXEC_NOWAIT) != -EAGAIN)
		return 5;
	if (setrlimit(RLIMIT_NPROC, &old))
		return 6;
	if (hop(&head, &blocks[1]))
		return 7;
	return 42;
}

TEST_F(limits, rlimit_nproc)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(with_rlimit_nproc(self->blocks));
	EXPECT_EQ(42, child_status(pid));
}

/* With all that were needed at once, and a short patience. */
static void make_idle(struct __test_metadata *_metadata, struct head *head, struct block *blocks,
		      __u32 spare_threads, __u32 idle_ms)
{
	int i;

	ASSERT_EQ(0, head_open_limits(head, 16, 16, spare_threads, idle_ms));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(SYSLET_PENDING, block_submit(head, &blocks[i]));
	EXPECT_LE(9, count_tasks(getpid()));
	finish_all(_metadata, head, blocks, 8);
}

/* The caller, the spares, and the task of the main thread, which never leaves. */
TEST_F(limits, idle_threads_leave)
{
	struct head head;
	int spares = variant->threads;

	make_idle(_metadata, &head, self->blocks, spares, 50);
	EXPECT_GE(2 + spares, wait_tasks(getpid(), 2 + spares));
	EXPECT_EQ(0, hop(&head, &self->blocks[0]));
	head_close(&head);
}

struct overlap {
	struct head *head;
	int go[2];
	pid_t tid;
};

/* Has a spare, and needs none: what blocks stays here. */
static void *have_a_spare(void *arg)
{
	struct overlap *overlap = arg;
	struct syslet_atom quick[] = { { .nr = __NR_getppid } };
	char byte;
	struct syslet_atom slow[] = { read_atom(overlap->go[0], &byte, 1) };
	struct syslet_program programs[] = {
		PROGRAM(quick), PROGRAM(slow, .flags = SYSLET_SYNC),
	};

	__atomic_store_n(&overlap->tid, my_tid(), __ATOMIC_RELEASE);
	return (void *)(dev_exec(overlap->head->fd, programs, 2, 0) == 2 ? 0L : 1L);
}

/* The one that has been idle for long is kept for the next call, so the other one has to leave. */
TEST_F(limits, idle_threads_leave_for_another)
{
	struct overlap overlaps[2] = { };
	pthread_t threads[2];
	struct head head;
	void *bad;
	int i;

	ASSERT_EQ(0, head_open_limits(&head, 16, 16, 1, 50));
	for (i = 0; i < 2; i++) {
		overlaps[i].head = &head;
		ASSERT_EQ(0, pipe2(overlaps[i].go, O_CLOEXEC));
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, have_a_spare, &overlaps[i]));
		while (sleeps_in(__atomic_load_n(&overlaps[i].tid, __ATOMIC_ACQUIRE)) != __NR_read)
			sched_yield();
	}
	EXPECT_EQ(5, count_tasks(getpid()));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(1, write(overlaps[i].go[1], "x", 1));
		ASSERT_EQ(0, pthread_join(threads[i], &bad));
		EXPECT_EQ(NULL, bad);
	}
	EXPECT_EQ(2, wait_tasks(getpid(), 2));
	head_close(&head);
}

TEST_F(limits, idle_threads_stay_for_a_while)
{
	struct head head;

	make_idle(_metadata, &head, self->blocks, variant->threads, 60000);
	usleep(200000);
	EXPECT_LE(8, count_tasks(getpid()));
	head_close(&head);
}

TEST_F(limits, idle_threads_leave_with_the_head)
{
	struct head head;

	make_idle(_metadata, &head, self->blocks, variant->threads, 60000);
	head_close(&head);
	EXPECT_GE(2, wait_tasks(getpid(), 2));
}

static void *drive_head(void *arg)
{
	struct block *blocks = arg;
	struct head head;
	int i;

	if (head_open_limits(&head, 16, 16, 2, 60000))
		return arg;
	for (i = 0; i < 8; i++)
		if (block_submit(&head, &blocks[i]) != SYSLET_PENDING)
			return arg;
	for (i = 0; i < 8; i++)
		if (block_release(&blocks[i]))
			return arg;
	head_close(&head);
	return NULL;
}

TEST_F(limits, nobody_is_left_of_a_head_that_main_did_not_use)
{
	pthread_t thread;
	void *bad;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, drive_head, self->blocks));
		ASSERT_EQ(0, pthread_join(thread, &bad));
		ASSERT_EQ(NULL, bad);
		EXPECT_EQ(1, wait_tasks(getpid(), 1));
	}
}

TEST_F(limits, programs_outlive_their_descriptor)
{
	struct head head;
	__u64 deadline;
	struct syslet_cqe cqe;
	int i;

	ASSERT_EQ(0, head_open_limits(&head, 16, 16, 1, 60000));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(SYSLET_PENDING, block_submit(&head, &self->blocks[i]));
	ASSERT_EQ(0, close(head.fd));
	head.fd = -1;
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, block_release(&self->blocks[i]));
	deadline = now_ns() + PATIENCE;
	while (ring_count(&head) < 4 && now_ns() < deadline)
		sched_yield();
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(ring_take(&head, &cqe));
		EXPECT_EQ(1, cqe.result);
		EXPECT_EQ(SYSLET_CQE_ASYNC, cqe.flags);
	}
	head_close(&head);
	EXPECT_GE(2, wait_tasks(getpid(), 2));
}

TEST_F(limits, programs_outlive_their_ring)
{
	struct head head;
	int i;

	ASSERT_EQ(0, head_open_limits(&head, 16, 16, 1, 60000));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(SYSLET_PENDING, block_submit(&head, &self->blocks[i]));
	head_close(&head);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, block_release(&self->blocks[i]));
		EXPECT_EQ(1, self->blocks[i].results[0]);
	}
	EXPECT_GE(2, wait_tasks(getpid(), 2));
}

TEST_F(limits, a_program_closes_its_head)
{
	struct head head;
	struct syslet_atom atoms[4];
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, head_open_limits(&head, 16, 16, 1, 60000));
	memcpy(atoms, self->blocks[0].atoms, sizeof(self->blocks[0].atoms));
	atoms[3] = (struct syslet_atom) { .nr = __NR_close, .args = { head.fd } };
	ASSERT_EQ(1, dev_exec(head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->blocks[0].go[1], "!", 1));
	ASSERT_EQ('d', read_byte(self->blocks[0].done[0]));
	head_close(&head);
	EXPECT_GE(2, wait_tasks(getpid(), 2));
}

/* Many heads come and go: descriptors, tasks and mappings do not add up. */
static int count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	int c, lines = 0;

	while (file && (c = fgetc(file)) != EOF)
		lines += c == '\n';
	if (file)
		fclose(file);
	return lines;
}

TEST_F(limits, heads_come_and_go)
{
	struct head head;
	int i, nr = 20 * stress(), mappings = 0;

	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, head_open(&head, 16));
		ASSERT_EQ(0, hop(&head, &self->blocks[0]));
		head_close(&head);
		if (i == 2)
			mappings = count_lines("/proc/self/maps");
	}
	EXPECT_GE(2, wait_tasks(getpid(), 2));
	EXPECT_GE(mappings + 1, count_lines("/proc/self/maps"));
}

TEST_HARNESS_MAIN
