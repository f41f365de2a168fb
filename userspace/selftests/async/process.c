// SPDX-License-Identifier: GPL-2.0
/*
 * How a process whose main thread has moved ends, or executes another program.
 *
 * Whatever its parent sees is compared with what it sees of a process that does
 * the same without having moved.
 */
#include "exec_self.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD	O_EXCL
#endif

/* A child that moved, or did not, before it does what a test wants of it. */
static struct head head;
static struct block block;

static pid_t fork_child(bool moved)
{
	pid_t pid = fork();

	if (!pid) {
		if (moved)
			child_move(&head, &block);
		else
			child_open(&head, &block);
	}
	return pid;
}

static void exit_group_42(void)
{
	_exit(42);
}

static void exit_with_handlers(void)
{
	exit(42);
}

static void exit_7(void)
{
	syscall(__NR_exit, 7);
}

static void die_of_signal(void)
{
	kill(getpid(), SIGTERM);
	pause();
}

static void die_of_abort(void)
{
	abort();
}

static void *exit_group_soon(void *arg)
{
	(void)arg;
	usleep(20000);
	_exit(9);
}

static void *thread_exit_9(void *arg)
{
	(void)arg;
	usleep(20000);
	syscall(__NR_exit, 9);
	return NULL;
}

static void exit_before_exit_group(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exit_group_soon, NULL);
	syscall(__NR_exit, 7);
}

static void exit_before_last_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, thread_exit_9, NULL);
	syscall(__NR_exit, 7);
}

static void pthread_exit_alone(void)
{
	pthread_exit(NULL);
}

static void pthread_exit_before_exit_group(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exit_group_soon, NULL);
	pthread_exit(NULL);
}

static void *exit_group_13(void *arg)
{
	(void)arg;
	_exit(13);
}

static void exit_group_by_a_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exit_group_13, NULL);
	for (;;)
		pause();
}

static void *exec_in_thread(void *arg)
{
	(void)arg;
	exec_self();
	return NULL;
}

static void exec_by_a_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exec_in_thread, NULL);
	for (;;)
		pause();
}

static void *move_and_exec(void *arg)
{
	static struct block second;

	(void)arg;
	if (block_init(&second, 0) || block_submit(&head, &second) != SYSLET_PENDING)
		_exit(60);
	exec_self();
	return NULL;
}

static void exec_by_a_moved_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, move_and_exec, NULL);
	for (;;)
		pause();
}

static void exec_after_main_exited(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exec_in_thread, NULL);
	syscall(__NR_exit, 7);
}

FIXTURE(ending) { };

FIXTURE_VARIANT(ending) {
	void (*end)(void);
	int status;	/* of wait: exit code, or minus the signal */
};

FIXTURE_VARIANT_ADD(ending, exit_group) { exit_group_42, 42 };
FIXTURE_VARIANT_ADD(ending, exit_with_handlers) { exit_with_handlers, 42 };
FIXTURE_VARIANT_ADD(ending, exit_alone) { exit_7, 7 };
FIXTURE_VARIANT_ADD(ending, exit_before_exit_group) { exit_before_exit_group, 9 };
FIXTURE_VARIANT_ADD(ending, exit_before_last_thread) { exit_before_last_thread, 9 };
FIXTURE_VARIANT_ADD(ending, pthread_exit_alone) { pthread_exit_alone, 0 };
FIXTURE_VARIANT_ADD(ending, pthread_exit_before_exit_group) { pthread_exit_before_exit_group, 9 };
FIXTURE_VARIANT_ADD(ending, exit_group_by_a_thread) { exit_group_by_a_thread, 13 };
FIXTURE_VARIANT_ADD(ending, signal) { die_of_signal, -SIGTERM };
FIXTURE_VARIANT_ADD(ending, abort) { die_of_abort, -SIGABRT };
FIXTURE_VARIANT_ADD(ending, exec) { exec_self, 42 };
FIXTURE_VARIANT_ADD(ending, exec_by_a_thread) { exec_by_a_thread, 42 };
FIXTURE_VARIANT_ADD(ending, exec_by_a_moved_thread) { exec_by_a_moved_thread, 42 };
FIXTURE_VARIANT_ADD(ending, exec_after_main_exited) { exec_after_main_exited, 42 };

FIXTURE_SETUP(ending)
{
	NEED_ASYNC();
}

FIXTURE_TEARDOWN(ending) { }

TEST_F(ending, without_having_moved)
{
	pid_t pid = fork_child(false);

	ASSERT_LE(0, pid);
	if (!pid)
		variant->end();
	EXPECT_EQ(variant->status, child_status(pid));
}

TEST_F(ending, moved_while_its_program_is_blocked)
{
	pid_t pid = fork_child(true);

	ASSERT_LE(0, pid);
	if (!pid)
		variant->end();
	EXPECT_EQ(variant->status, child_status(pid));
}

TEST_F(ending, moved_and_its_program_is_done)
{
	pid_t pid = fork_child(true);

	ASSERT_LE(0, pid);
	if (!pid) {
		/* Its completion stays in the ring: no call of ours brings anybody home. */
		if (block_release(&block))
			_exit(61);
		variant->end();
	}
	EXPECT_EQ(variant->status, child_status(pid));
}

TEST_F(ending, moved_and_home_again)
{
	pid_t pid = fork_child(true);

	ASSERT_LE(0, pid);
	if (!pid) {
		if (block_finish(&head, &block))
			_exit(61);
		variant->end();
	}
	EXPECT_EQ(variant->status, child_status(pid));
}

TEST_F(ending, moved_several_times)
{
	pid_t pid = fork_child(true);
	int i;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct block more;

		if (block_init(&more, SYSLET_NO_COMPLETE))
			_exit(61);
		for (i = 0; i < 5; i++)
			if (hop(&head, &more))
				_exit(62);
		variant->end();
	}
	EXPECT_EQ(variant->status, child_status(pid));
}

FIXTURE(last) { };

FIXTURE_SETUP(last)
{
	NEED_ASYNC();
}

FIXTURE_TEARDOWN(last) { }

/* Workers that leave at that moment are no user threads: their status is nobody's. */
static void end_while_workers_leave(void)
{
	static struct block blocks[12];
	struct head many;
	int i;

	if (head_open_limits(&many, 64, 32, 32, 0))
		_exit(60);
	for (i = 0; i < 12; i++)
		if (block_init(&blocks[i], 0) || block_submit(&many, &blocks[i]) != SYSLET_PENDING)
			_exit(61);
	for (i = 0; i < 12; i++)
		if (block_finish(&many, &blocks[i]))
			_exit(62);
	close(many.fd);
	exit_7();
}

TEST_F(last, thread_ends_while_workers_leave)
{
	pid_t pid;
	int i;

	for (i = 0; i < 40; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			end_while_workers_leave();
		ASSERT_EQ(7, child_status(pid));
	}
}

static volatile sig_atomic_t chld_pid, chld_status, chld_code, chld_count;

static void on_sigchld(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	chld_count++;
	chld_pid = info->si_pid;
	chld_status = info->si_status;
	chld_code = info->si_code;
}

TEST_F(ending, is_told_by_waitid_and_sigchld)
{
	struct sigaction action = {
		.sa_sigaction = on_sigchld,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	bool signaled = variant->status < 0;
	siginfo_t info = { .si_pid = -1 };
	pid_t pid;

	ASSERT_EQ(0, sigaction(SIGCHLD, &action, NULL));
	pid = fork_child(true);
	ASSERT_LE(0, pid);
	if (!pid)
		variant->end();
	ASSERT_EQ(0, waitid(P_ALL, 0, &info, WEXITED));
	EXPECT_EQ(pid, info.si_pid);
	EXPECT_EQ(signaled, info.si_code != CLD_EXITED);
	EXPECT_EQ(abs(variant->status), info.si_status);
	EXPECT_EQ(1, chld_count);
	EXPECT_EQ(pid, chld_pid);
	EXPECT_EQ(abs(variant->status), chld_status);
	EXPECT_EQ(info.si_code, chld_code);
}

TEST_F(ending, is_told_by_a_pidfd)
{
	struct pollfd pollfd = { .events = POLLIN };
	pid_t pid = fork_child(true);
	siginfo_t info = { .si_pid = -1 };

	ASSERT_LE(0, pid);
	if (!pid)
		variant->end();
	pollfd.fd = syscall(__NR_pidfd_open, pid, 0);
	ASSERT_LE(0, pollfd.fd);
	ASSERT_EQ(1, poll(&pollfd, 1, 20000));
	ASSERT_EQ(0, waitid(P_PIDFD, pollfd.fd, &info, WEXITED | WNOHANG));
	EXPECT_EQ(pid, info.si_pid);
	EXPECT_EQ(abs(variant->status), info.si_status);
}

/* A pidfd of a thread, opened before it moves, is of that thread ever after. */
static pthread_t signaled;
static volatile sig_atomic_t nr_signaled;

static void on_signal(int sig)
{
	(void)sig;
	signaled = pthread_self();
	nr_signaled++;
}

struct mover {
	struct head head;
	struct block block;
	pthread_t thread;
	int pidfd, told[2], go[2];
};

static void *move_and_wait(void *arg)
{
	struct mover *mover = arg;

	mover->thread = pthread_self();
	mover->pidfd = syscall(__NR_pidfd_open, my_tid(), PIDFD_THREAD);
	if (mover->pidfd < 0)
		return mover;
	if (block_submit(&mover->head, &mover->block) != SYSLET_PENDING ||
	    write_all(mover->told[1], "m", 1))
		return mover;
	/* Where the signal interrupts it. */
	while (!nr_signaled)
		usleep(1000);
	if (write_all(mover->told[1], "s", 1) || read_byte(mover->go[0]) != 'e')
		return mover;
	return NULL;
}

FIXTURE(pidfd) {
	struct mover mover;
};

FIXTURE_VARIANT(pidfd) {
	bool blocked;	/* the program is, until the end */
};

FIXTURE_VARIANT_ADD(pidfd, while_blocked) { true };
FIXTURE_VARIANT_ADD(pidfd, when_done) { false };

FIXTURE_SETUP(pidfd)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->mover.head, 8));
	ASSERT_EQ(0, block_init(&self->mover.block, 0));
	ASSERT_EQ(0, pipe2(self->mover.told, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->mover.go, O_CLOEXEC));
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
}

FIXTURE_TEARDOWN(pidfd)
{
	head_close(&self->mover.head);
}

TEST_F(pidfd, of_a_thread_that_moves)
{
	struct mover *mover = &self->mover;
	struct pollfd pollfd = { .events = POLLIN };
	pthread_t thread;
	void *bad;
	int ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, move_and_wait, mover));
	ret = read_byte(mover->told[0]);
	if (mover->pidfd == -1)
		SKIP(return, "no pidfds of threads");
	ASSERT_EQ('m', ret);
	pollfd.fd = mover->pidfd;
	EXPECT_EQ(0, poll(&pollfd, 1, 0));
	if (!variant->blocked) {
		ASSERT_EQ(0, block_finish(&mover->head, &mover->block));
	}
	EXPECT_EQ(0, poll(&pollfd, 1, 0));
	EXPECT_EQ(0, syscall(__NR_pidfd_send_signal, mover->pidfd, SIGUSR1, NULL, 0));
	ASSERT_EQ('s', read_byte(mover->told[0]));
	EXPECT_EQ(1, nr_signaled);
	EXPECT_TRUE(pthread_equal(thread, signaled));
	EXPECT_EQ(0, poll(&pollfd, 1, 20));
	ASSERT_EQ(1, write(mover->go[1], "e", 1));
	/* The end of the thread, not that of the task that it began in. */
	ASSERT_EQ(1, poll(&pollfd, 1, PATIENCE / NSEC_PER_MSEC));
	EXPECT_TRUE(pollfd.revents & POLLIN);
	/* It has ended, and can be found until it is reaped. */
	pollfd.events = 0;
	ASSERT_EQ(1, poll(&pollfd, 1, PATIENCE / NSEC_PER_MSEC));
	EXPECT_TRUE(pollfd.revents & POLLHUP);
	EXPECT_EQ(-1, syscall(__NR_pidfd_send_signal, mover->pidfd, 0, NULL, 0));
	EXPECT_EQ(ESRCH, errno);
	ASSERT_EQ(0, pthread_join(thread, &bad));
	EXPECT_EQ(NULL, bad);
	if (variant->blocked) {
		EXPECT_EQ(0, block_finish(&mover->head, &mover->block));
	}
}

/* And of one that leads: it ends before the others do. */
TEST_F(pidfd, of_a_main_thread_that_moves)
{
	struct pollfd pollfd = { .events = POLLIN };
	int told[2], go[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(told, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (read_byte(go[0]) != 'm')
			_exit(1);
		child_move(&head, &block);
		if (!variant->blocked && block_finish(&head, &block))
			_exit(2);
		if (write(told[1], "m", 1) != 1)
			_exit(3);
		while (!nr_signaled)
			usleep(1000);
		if (write(told[1], "s", 1) != 1 || read_byte(go[0]) != 'e')
			_exit(4);
		exit_7();
	}
	pollfd.fd = syscall(__NR_pidfd_open, pid, PIDFD_THREAD);
	if (pollfd.fd < 0 && errno == EINVAL)
		SKIP(return, "no pidfds of threads");
	ASSERT_LE(0, pollfd.fd);
	ASSERT_EQ(1, write(go[1], "m", 1));
	ASSERT_EQ('m', read_byte(told[0]));
	EXPECT_EQ(0, poll(&pollfd, 1, 0));
	EXPECT_EQ(0, syscall(__NR_pidfd_send_signal, pollfd.fd, SIGUSR1, NULL, 0));
	ASSERT_EQ('s', read_byte(told[0]));
	EXPECT_EQ(0, poll(&pollfd, 1, 20));
	ASSERT_EQ(1, write(go[1], "e", 1));
	ASSERT_EQ(1, poll(&pollfd, 1, PATIENCE / NSEC_PER_MSEC));
	EXPECT_EQ(7, child_status(pid));
	close(pollfd.fd);
}

TEST_HARNESS_MAIN
