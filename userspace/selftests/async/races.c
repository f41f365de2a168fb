// SPDX-License-Identifier: GPL-2.0
/*
 * Ends that come at any moment of a handoff: the process must go, all of it,
 * with the status that it should have.
 *
 * The delays differ from round to round, and are the same in each run.
 */
#include "exec_self.h"

static unsigned int seed;

static void random_delay(unsigned int most_usec)
{
	seed = seed * 1664525U + 1013904223U;
	usleep((seed >> 8) % most_usec);
}

FIXTURE(races) {
	int started[2];
};

FIXTURE_VARIANT(races) {
	int threads;	/* that hop besides the main thread */
	bool busy;	/* they do not wait for each program, but leave some blocked */
};

FIXTURE_VARIANT_ADD(races, main_alone) { 0, false };
FIXTURE_VARIANT_ADD(races, main_with_programs_left_blocked) { 0, true };
FIXTURE_VARIANT_ADD(races, several_threads) { 2, false };
FIXTURE_VARIANT_ADD(races, several_threads_with_programs_left_blocked) { 2, true };

FIXTURE_SETUP(races)
{
	NEED_ASYNC();
	seed = 1;
	ASSERT_EQ(0, pipe2(self->started, O_CLOEXEC));
}

FIXTURE_TEARDOWN(races) { }

static struct head head;
static int started_fd;
static bool leave_blocked;
static void *(*last_thread)(void *);	/* that comes when all is under way */

/* Hops until the process ends. */
static void *hop_for_ever(void *arg)
{
	struct block *left = malloc(16 * sizeof(*left));
	struct block block;
	pthread_t thread;
	int i;

	if (!left || block_init(&block, SYSLET_NO_COMPLETE))
		_exit(70);
	for (i = 0; i < (leave_blocked ? 16 : 0); i++)
		if (block_init(&left[i], SYSLET_NO_COMPLETE))
			_exit(71);
	if (hop(&head, &block))
		_exit(72);
	if (arg && write(started_fd, "s", 1) != 1)
		_exit(73);
	if (arg && last_thread && pthread_create(&thread, NULL, last_thread, NULL))
		_exit(78);
	for (i = 0;; i++) {
		if (leave_blocked && i < 16 && block_submit(&head, &left[i]) < 0)
			_exit(74);
		if (hop(&head, &block))
			_exit(75);
	}
	return NULL;
}

static pid_t fork_hoppers(struct __test_metadata *_metadata, const int *started, int threads,
			  bool busy, void *(*last)(void *))
{
	pthread_t thread;
	pid_t pid = fork();
	int i;

	ASSERT_LE(0, pid);
	if (!pid) {
		started_fd = started[1];
		leave_blocked = busy;
		if (head_open(&head, 256))
			_exit(76);
		for (i = 0; i < threads; i++)
			if (pthread_create(&thread, NULL, hop_for_ever, NULL))
				_exit(77);
		last_thread = last;
		hop_for_ever(&head);
	}
	ASSERT_EQ('s', read_byte(started[0]));
	return pid;
}

TEST_F(races, sigkill)
{
	unsigned int i, nr = 15 * stress();
	pid_t pid;

	for (i = 0; i < nr; i++) {
		pid = fork_hoppers(_metadata, self->started, variant->threads, variant->busy, NULL);
		random_delay(20000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(-SIGKILL, child_status(pid));
	}
}

TEST_F(races, sigterm)
{
	unsigned int i, nr = 8 * stress();
	pid_t pid;

	for (i = 0; i < nr; i++) {
		pid = fork_hoppers(_metadata, self->started, variant->threads, variant->busy, NULL);
		random_delay(20000);
		ASSERT_EQ(0, kill(pid, SIGTERM));
		ASSERT_EQ(-SIGTERM, child_status(pid));
	}
}

TEST_F(races, sigstop_sigcont_sigkill)
{
	unsigned int i, nr = 6 * stress();
	int status;
	pid_t pid;

	for (i = 0; i < nr; i++) {
		pid = fork_hoppers(_metadata, self->started, variant->threads, variant->busy, NULL);
		random_delay(20000);
		ASSERT_EQ(0, kill(pid, SIGSTOP));
		ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
		ASSERT_TRUE(WIFSTOPPED(status));
		ASSERT_EQ(0, kill(pid, SIGCONT));
		random_delay(20000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(-SIGKILL, child_status(pid));
	}
}

static void *exit_group_some_time(void *arg)
{
	(void)arg;
	random_delay(20000);
	_exit(42);
}

TEST_F(races, exit_group)
{
	unsigned int i, nr = 8 * stress();
	pid_t pid;

	for (i = 0; i < nr; i++) {
		pid = fork_hoppers(_metadata, self->started, variant->threads, variant->busy,
				   exit_group_some_time);
		random_delay(5);	/* another one in the child */
		ASSERT_EQ(42, child_status(pid));
	}
}

static void *exec_some_time(void *arg)
{
	random_delay(20000);
	exec_self();
	return arg;
}

TEST_F(races, exec)
{
	unsigned int i, nr = 6 * stress();
	pid_t pid;

	for (i = 0; i < nr; i++) {
		pid = fork_hoppers(_metadata, self->started, variant->threads, variant->busy,
				   exec_some_time);
		random_delay(5);
		ASSERT_EQ(42, child_status(pid));
	}
}

/* Forks while the others hop; each child is as it should be. */
static void *fork_some_times(void *arg)
{
	int i, status;
	pid_t pid;

	(void)arg;
	for (i = 0; i < 5; i++) {
		random_delay(5000);
		pid = fork();
		if (!pid)
			_exit(my_tid() == getpid() && count_tasks(getpid()) == 1 ? 42 : 43);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			_exit(80);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 42)
			_exit(81);
	}
	_exit(42);
}

TEST_F(races, fork)
{
	unsigned int i, nr = 3 * stress();
	pid_t pid;

	for (i = 0; i < nr; i++) {
		pid = fork_hoppers(_metadata, self->started, variant->threads, variant->busy,
				   fork_some_times);
		random_delay(5);
		ASSERT_EQ(42, child_status(pid));
	}
}

/* The main thread and all others end one by one; only programs are left. */
static void *hop_and_end(void *arg)
{
	struct block *left = malloc(sizeof(*left)), block;
	int i;

	(void)arg;
	if (block_init(&block, SYSLET_NO_COMPLETE) || block_init(left, SYSLET_NO_COMPLETE))
		_exit(82);
	for (i = 0; i < 5; i++)
		if (hop(&head, &block))
			_exit(83);
	if (leave_blocked && block_submit(&head, left) != SYSLET_PENDING)
		_exit(84);
	/* The status of a process that no call ended is that of its last thread. */
	syscall(__NR_exit, 7);
	return NULL;
}

TEST_F(races, all_threads_end)
{
	unsigned int i, nr = 6 * stress();
	pthread_t thread;
	pid_t pid;
	int t;

	for (i = 0; i < nr; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			leave_blocked = variant->busy;
			if (head_open(&head, 16))
				_exit(85);
			for (t = 0; t < variant->threads; t++)
				if (pthread_create(&thread, NULL, hop_and_end, NULL))
					_exit(86);
			hop_and_end(NULL);
		}
		ASSERT_EQ(7, child_status(pid));
	}
}

/*
 * A head that is closed while others use it. A call that was under way may find
 * no thread to hand over to: what it blocks in then is released by main.
 */
static pthread_barrier_t all_ready;

static void *hop_until_closed(void *arg)
{
	struct block *block = arg;
	long ret;

	pthread_barrier_wait(&all_ready);
	for (;;) {
		ret = block_submit(&head, block);
		if (ret == SYSLET_PENDING)
			ret = block_release(block);
		else if (ret == SYSLET_DONE)
			ret = read_byte(block->done[0]) == 'd' ? 0 : -EBADMSG;
		if (ret)
			break;
	}
	return (void *)ret;
}

static int close_under_use(int threads)
{
	struct block blocks[4];
	pthread_t handles[4];
	void *ret;
	int t;

	if (head_open(&head, 16) || pthread_barrier_init(&all_ready, NULL, threads + 1))
		return 85;
	for (t = 0; t < threads; t++)
		if (block_init(&blocks[t], SYSLET_NO_COMPLETE) ||
		    pthread_create(&handles[t], NULL, hop_until_closed, &blocks[t]))
			return 86;
	pthread_barrier_wait(&all_ready);
	random_delay(20000);
	close(head.fd);
	for (t = 0; t < threads; t++)
		if (write(blocks[t].go[1], "!", 1) != 1)
			return 87;
	for (t = 0; t < threads; t++)
		if (pthread_join(handles[t], &ret) || (long)ret != -EBADF)
			return 88;
	munmap(head.ring, head.setup.ring_bytes);
	return wait_tasks(getpid(), 1) == 1 ? 42 : 90;
}

TEST_F(races, close)
{
	unsigned int i, nr = 8 * stress();
	pid_t pid;

	for (i = 0; i < nr; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			seed = i;
			_exit(close_under_use(variant->threads + 1));
		}
		ASSERT_EQ(42, child_status(pid));
	}
}

TEST_HARNESS_MAIN
