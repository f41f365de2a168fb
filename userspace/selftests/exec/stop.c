// SPDX-License-Identifier: GPL-2.0
/* A blocked program whose process is killed, stopped, or ends otherwise. */
#include "syslet_test.h"

FIXTURE(stop) {
	int pipes[2];
	char byte;
};

FIXTURE_SETUP(stop)
{
	ASSERT_EQ(0, pipe2(self->pipes, O_CLOEXEC));
}

FIXTURE_TEARDOWN(stop)
{
	close(self->pipes[0]);
	close(self->pipes[1]);
}

/* A child blocked in its only or in a later atom; exits with 0 once that has read a byte. */
static pid_t blocked_child(int *pipes, bool later)
{
	pid_t pid = fork();
	char byte = 0;

	if (!pid) {
		struct syslet_atom atoms[] = {
			{ .nr = __NR_getppid },
			{ .nr = __NR_read, .args = { pipes[0], PTR(&byte), 1 } },
		};
		struct syslet_program program = {
			.atoms = PTR(&atoms[later ? 0 : 1]),
			.nr_atoms = later ? 2 : 1,
			.flags = SYSLET_SYNC,
		};
		struct head head;

		if (head_open(&head, 8))
			_exit(10);
		if (dev_exec(head.fd, &program, 1, 0) != 1)
			_exit(11);
		if (program.status != SYSLET_DONE)
			_exit(12);
		if (program.result == -EINTR)
			_exit(13);
		_exit(program.result == 1 && byte == '!' ? 0 : 14);
	}
	if (pid > 0 && wait_blocked(pid, __NR_read)) {
		kill(pid, SIGKILL);
		return -ETIMEDOUT;
	}
	return pid;
}

TEST_F(stop, sigkill_in_the_first_atom)
{
	pid_t pid = blocked_child(self->pipes, false);

	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, child_status(pid));
}

TEST_F(stop, sigkill_in_a_later_atom)
{
	pid_t pid = blocked_child(self->pipes, true);

	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, child_status(pid));
}

TEST_F(stop, sigkill_to_oneself_runs_no_further_atom)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct syslet_atom atoms[] = {
			{ .nr = __NR_getpid },
			{ .nr = __NR_kill, .arg_from = { 1 }, .args = { 0, SIGKILL } },
			{ .nr = __NR_write, .args = { self->pipes[1], PTR("x"), 1 } },
		};
		struct syslet_program program = PROGRAM(atoms);
		struct head head;

		if (head_open(&head, 8))
			_exit(10);
		dev_exec(head.fd, &program, 1, 0);
		_exit(11);
	}
	EXPECT_EQ(-SIGKILL, child_status(pid));
	ASSERT_EQ(0, fcntl(self->pipes[0], F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, sysret(read(self->pipes[0], &self->byte, 1)));
}

static void stop_and_go(struct __test_metadata *_metadata, pid_t pid)
{
	int status;

	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, kill(pid, SIGCONT));
}

TEST_F(stop, a_stop_in_the_first_atom_is_not_seen)
{
	pid_t pid = blocked_child(self->pipes, false);

	stop_and_go(_metadata, pid);
	ASSERT_EQ(1, write(self->pipes[1], "!", 1));
	EXPECT_EQ(0, child_status(pid));
}

TEST_F(stop, a_stop_in_a_later_atom)
{
	pid_t pid = blocked_child(self->pipes, true);
	int status;

	stop_and_go(_metadata, pid);
	ASSERT_EQ(1, write(self->pipes[1], "!", 1));
	status = child_status(pid);
	EXPECT_TRUE(status == 0 || status == 13);	/* -EINTR is as good */
}

TEST_F(stop, a_stop_in_a_sleep_that_comes_first)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct __kernel_timespec ts = { .tv_nsec = 500 * NSEC_PER_MSEC };
		struct syslet_atom atoms[] = { {
			.nr = NR_CLOCK_NANOSLEEP,
			.args = { CLOCK_MONOTONIC, 0, PTR(&ts), 0 },
		} };
		struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);
		struct head head;
		long ret;

		if (head_open(&head, 8))
			_exit(10);
		ret = dev_exec(head.fd, &program, 1, 0);
		if (ret == -EINTR)
			_exit(0);
		if (ret != 1 || program.status != SYSLET_DONE)
			_exit(11);
		_exit(program.result == 0 || program.result == -EINTR ? 0 : 12);
	}
	status = wait_blocked(pid, NR_CLOCK_NANOSLEEP);
	EXPECT_EQ(0, status);
	stop_and_go(_metadata, pid);
	EXPECT_EQ(0, child_status(pid));
}

/* A thread that blocks in a program while the rest of its process goes on. */
struct blocked_thread {
	pthread_t thread;
	int fd, pipe_fd;
	pid_t tid;
};

static void *block_in_read(void *arg)
{
	struct blocked_thread *blocked = arg;
	char byte;
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getppid },
		{ .nr = __NR_read, .args = { blocked->pipe_fd, PTR(&byte), 1 } },
	};
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);

	__atomic_store_n(&blocked->tid, syscall(__NR_gettid), __ATOMIC_RELEASE);
	dev_exec(blocked->fd, &program, 1, 0);
	return NULL;
}

static int start_blocked(struct blocked_thread *blocked, struct head *head, int pipe_fd)
{
	pid_t tid;

	if (head_open(head, 8))
		return -1;
	*blocked = (struct blocked_thread) { .fd = head->fd, .pipe_fd = pipe_fd };
	if (pthread_create(&blocked->thread, NULL, block_in_read, blocked))
		return -1;
	while (!(tid = __atomic_load_n(&blocked->tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	return wait_blocked(tid, __NR_read);
}

TEST_F(stop, exit_of_the_process)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct blocked_thread blocked;
		struct head head;

		_exit(start_blocked(&blocked, &head, self->pipes[0]) ? 1 : 7);
	}
	EXPECT_EQ(7, child_status(pid));
}

TEST_F(stop, execve_by_another_thread)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct blocked_thread blocked;
		struct head head;

		if (start_blocked(&blocked, &head, self->pipes[0]))
			_exit(1);
		execl("/bin/sh", "sh", "-c", "exit 9", NULL);
		_exit(2);
	}
	EXPECT_EQ(9, child_status(pid));
}

TEST_F(stop, fork_by_another_thread)
{
	struct blocked_thread blocked;
	struct head head;
	pid_t pid;

	ASSERT_EQ(0, start_blocked(&blocked, &head, self->pipes[0]));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(5);
	EXPECT_EQ(5, child_status(pid));
	ASSERT_EQ(1, write(self->pipes[1], "!", 1));
	ASSERT_EQ(0, pthread_join(blocked.thread, NULL));
}

TEST_F(stop, closing_the_head_leaves_it_blocked)
{
	struct blocked_thread blocked;
	struct head head;

	ASSERT_EQ(0, start_blocked(&blocked, &head, self->pipes[0]));
	head_close(&head);
	EXPECT_EQ(0, wait_blocked(blocked.tid, __NR_read));
	ASSERT_EQ(1, write(self->pipes[1], "!", 1));
	EXPECT_EQ(0, pthread_join(blocked.thread, NULL));
}

TEST_HARNESS_MAIN
