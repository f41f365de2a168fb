// SPDX-License-Identifier: GPL-2.0
/*
 * Whose children they are when the caller has moved: those of the task that it
 * goes on in. The kernel goes by the parent's task where it decides on SIGCHLD,
 * PR_SET_PDEATHSIG, PTRACE_TRACEME and __WNOTHREAD.
 */
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "async_test.h"

FIXTURE_MOVE(parent);

/* A child that ends when it is told to. */
struct told {
	pid_t pid;
	int pipe[2];
};

/* Some microseconds @later than it is told, and by @death where its parent ends before. */
static int told_fork(struct told *child, int death, unsigned int later)
{
	int ready[2];
	char byte;

	if (pipe2(child->pipe, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		return -errno;
	child->pid = fork();
	if (!child->pid) {
		if (prctl(PR_SET_PDEATHSIG, death) || write(ready[1], "r", 1) != 1)
			_exit(44);
		if (read(child->pipe[0], &byte, 1) != 1)
			_exit(43);
		usleep(later);
		_exit(42);
	}
	return child->pid < 0 ? -errno : read_byte(ready[0]) == 'r' ? 0 : -EPROTO;
}

/* Tells it, and waits until it has ended; it is not reaped. */
static int told_end(struct told *child)
{
	siginfo_t info;

	if (write(child->pipe[1], "x", 1) != 1)
		return -errno;
	return waitid(P_PID, child->pid, &info, WEXITED | WNOWAIT) ? -errno : 0;
}

/* Nobody handles SIGCHLD, so none interrupts a wait. */
TEST_F(parent, a_signal_that_is_ignored_interrupts_nobody)
{
	struct pollfd nothing = { .fd = -1 };
	struct told children[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, told_fork(&children[i], 0, 200 * 1000));
	MOVE_AWAY();
	ASSERT_EQ(1, write(children[0].pipe[1], "x", 1));
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 4, NSEC_PER_SEC));
	ASSERT_EQ(1, write(children[1].pipe[1], "x", 1));
	EXPECT_EQ(0, poll(&nothing, 1, 1000));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(42, child_status(children[i].pid));
}

/* Nor a call that forks a spare meanwhile. */
TEST_F(parent, a_signal_that_is_ignored_interrupts_no_fork)
{
	struct timespec brief = { .tv_nsec = 20 * NSEC_PER_MSEC };
	struct syslet_atom sleep[] = { {
		.nr = __NR_clock_nanosleep,
		.args = { CLOCK_MONOTONIC, 0, PTR(&brief), 0 },
	} };
	struct syslet_program program;
	unsigned int i, nr = 30 * stress();
	pid_t children[4];
	int pipes[2], j;
	struct head head;
	char byte;

	if (variant->blocked)
		MOVE_AWAY();
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
		for (j = 0; j < 4; j++) {
			children[j] = fork();
			if (!children[j]) {
				close(pipes[1]);
				_exit(read(pipes[0], &byte, 1) ? 43 : 42);
			}
			ASSERT_LE(0, children[j]);
		}
		ASSERT_EQ(0, head_open(&head, 8));
		program = PROGRAM(sleep);
		close(pipes[1]);
		ASSERT_EQ(1, dev_exec(head.fd, &program, 1, 0));
		ASSERT_EQ(SYSLET_PENDING, program.status);
		ASSERT_EQ(1, dev_wait(head.fd, 1, PATIENCE));
		close(pipes[0]);
		for (j = 0; j < 4; j++)
			ASSERT_EQ(42, child_status(children[j]));
		head_close(&head);
	}
}

/* Those of this very thread: not of the program's, which is another now. */
TEST_F(parent, waits_for_its_own)
{
	struct told before, after;
	int status;

	ASSERT_EQ(0, told_fork(&before, 0, 0));
	MOVE_AWAY();
	ASSERT_EQ(0, told_fork(&after, 0, 0));
	ASSERT_EQ(0, told_end(&before));
	EXPECT_EQ(before.pid, waitpid(before.pid, &status, __WNOTHREAD));
	EXPECT_EQ(42, WEXITSTATUS(status));
	ASSERT_EQ(0, told_end(&after));
	EXPECT_EQ(after.pid, waitpid(-1, &status, __WNOTHREAD));
	EXPECT_EQ(42, WEXITSTATUS(status));
	EXPECT_EQ(-1, waitpid(-1, &status, __WNOTHREAD));
	EXPECT_EQ(ECHILD, errno);
}

TEST_F(parent, traces_its_child)
{
	int pipes[2], status;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (read(pipes[0], &byte, 1) != 1 || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		_exit(42);
	}
	MOVE_AWAY();
	ASSERT_EQ(1, write(pipes[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	EXPECT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	EXPECT_EQ(42, child_status(pid));
}

/* A child that becomes its tracee may not change its tracer: the program stays where it is. */
TEST_F(parent, does_not_move_as_a_tracer)
{
	struct rescuer rescuer;
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(42);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->block.go[1]));
	EXPECT_EQ(SYSLET_DONE, block_submit(&self->head, &self->block));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ('d', read_byte(self->block.done[0]));
	EXPECT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	EXPECT_EQ(42, child_status(pid));
	MOVE_AWAY();
}

/* The same if it does so while a program that may leave the caller is on its way. */
TEST_F(parent, does_not_move_as_a_tracer_just_made)
{
	int go[2], back[2];
	char byte = 0;
	struct pollfd told;
	struct syslet_atom tell[2];
	struct syslet_program programs[2];
	struct rescuer rescuer;
	pid_t pid;

	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(back, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (read(go[0], &byte, 1) != 1 || ptrace(PTRACE_TRACEME, 0, NULL, NULL) ||
		    write(back[1], "x", 1) != 1)
			_exit(1);
		raise(SIGSTOP);
		_exit(42);
	}
	told = (struct pollfd) { .fd = back[0], .events = POLLIN };
	tell[0] = write_atom(go[1], "x", 1);
	tell[1] = (struct syslet_atom) { .nr = __NR_poll, .args = { PTR(&told), 1, -1 } };
	programs[0] = PROGRAM(tell, .flags = SYSLET_SYNC);
	programs[1] = self->block.program;
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->block.go[1]));
	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(SYSLET_DONE, programs[1].status);
	EXPECT_EQ('d', read_byte(self->block.done[0]));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	EXPECT_EQ(42, child_status(pid));
	MOVE_AWAY();
}

/* The first process of a namespace moves, and becomes the parent of those who have lost theirs. */
static int adopt(bool blocked)
{
	struct block block;
	struct head head;
	int pipes[2], status;
	char byte;
	pid_t between, orphan;

	if (getpid() != 1 || pipe2(pipes, O_CLOEXEC))
		return 1;
	child_move(&head, &block);
	if (!blocked && block_release(&block))
		return 2;
	between = fork();
	if (!between) {
		orphan = fork();
		if (!orphan)
			_exit(read(pipes[0], &byte, 1) == 1 ? 42 : 43);
		_exit(orphan < 0);
	}
	if (child_status(between))
		return 3;
	/* Nor does it interrupt its parent. */
	if (write(pipes[1], "x", 1) != 1 || dev_wait(head.fd, 4, NSEC_PER_SEC / 2) != -ETIME)
		return 4;
	if (waitpid(-1, &status, __WNOTHREAD) <= 0 || WEXITSTATUS(status) != 42)
		return 5;
	return 42;
}

TEST_F(parent, adopts_in_its_namespace)
{
	pid_t pid = fork(), first;

	ASSERT_LE(0, pid);
	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(10);
		first = fork();
		if (!first)
			_exit(adopt(variant->blocked));
		_exit(child_status(first));
	}
	EXPECT_EQ(42, child_status(pid));
}

/* The task that forked goes on as a cachemiss thread and leaves: to its child that is no death. */
TEST_F(parent, children_do_not_miss_the_task_that_forked_them)
{
	struct block more;
	struct head brief;
	struct told child;
	int i;

	ASSERT_EQ(0, head_open(&brief, 8));
	ASSERT_EQ(0, block_init(&more, 0));
	MOVE_AWAY();
	ASSERT_EQ(0, told_fork(&child, SIGKILL, 0));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, hop(&brief, &more));
	head_close(&brief);
	EXPECT_GE(3, wait_tasks(getpid(), 3));
	ASSERT_EQ(0, told_end(&child));
	EXPECT_EQ(42, child_status(child.pid));
}

/* It has become unlike its caller, and no program goes on in it any more. */
TEST_F(parent, children_do_not_miss_it_when_it_is_unlike)
{
	struct block more;
	struct head brief;
	struct told child;

	ASSERT_EQ(0, head_open_limits(&brief, 8, 8, 1, 60000));
	ASSERT_EQ(0, block_init(&more, 0));
	ASSERT_EQ(0, told_fork(&child, SIGKILL, 0));
	ASSERT_EQ(0, hop(&brief, &more));
	ASSERT_EQ(0, prctl(PR_SET_TIMERSLACK, 12345));
	ASSERT_EQ(0, hop(&brief, &more));
	/* Long enough for one that was told to leave. */
	usleep(100 * 1000);
	ASSERT_EQ(0, told_end(&child));
	EXPECT_EQ(42, child_status(child.pid));
}

static volatile sig_atomic_t parents_ended;

static void on_parents_end(int sig)
{
	(void)sig;
	parents_ended++;
}

/*
 * Its parent ends while a program of it is blocked: it is told once, and in the way
 * that it wants by then. Returns how often.
 */
static int told_of_parents_end(const int *moved, bool asks_again)
{
	struct block block;
	struct head head;
	int i;

	signal(SIGRTMIN, on_parents_end);
	signal(SIGRTMIN + 1, on_parents_end);
	if (prctl(PR_SET_PDEATHSIG, SIGRTMIN))
		return 100;
	child_move(&head, &block);
	if (asks_again && prctl(PR_SET_PDEATHSIG, SIGRTMIN + 1))
		return 101;
	if (write(moved[1], "m", 1) != 1)
		return 102;
	for (i = 0; i < 100 && !parents_ended; i++)
		usleep(50 * 1000);
	/* Another one would come with it. */
	usleep(50 * 1000);
	return parents_ended;
}

TEST_F(parent, its_end_is_told_once)
{
	int moved[2], told[2];
	/* The program is blocked in either variant. */
	bool again = variant->blocked;
	unsigned char count = 0;
	pid_t between;

	ASSERT_EQ(0, pipe2(moved, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(told, O_CLOEXEC));
	between = fork();
	ASSERT_LE(0, between);
	if (!between) {
		if (!fork()) {
			count = told_of_parents_end(moved, again);
			_exit(write(told[1], &count, 1) != 1);
		}
		_exit(read_byte(moved[0]) != 'm');
	}
	EXPECT_EQ(0, child_status(between));
	EXPECT_EQ(1, read_byte(told[0]));
}

/* A thread forks and moves; its head is closed, and the task that forked has nothing more to do. */
static void *fork_move_and_close(void *arg)
{
	const bool *blocked = arg;
	struct told child;
	struct block block;
	struct head brief;

	if (head_open_limits(&brief, 8, 8, 1, 50) || block_init(&block, 0))
		return (void *)1L;
	if (told_fork(&child, SIGKILL, 0) || block_submit(&brief, &block) != SYSLET_PENDING)
		return (void *)2L;
	if (!*blocked && block_release(&block))
		return (void *)3L;
	head_close(&brief);
	if (*blocked && block_release(&block))
		return (void *)4L;
	/* Some times as long as idle threads stay. */
	usleep(300 * 1000);
	if (told_end(&child))
		return (void *)5L;
	return (void *)(long)child_status(child.pid);
}

TEST_F(parent, children_do_not_miss_it_in_a_closed_head)
{
	bool blocked = variant->blocked;
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, fork_move_and_close, &blocked));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(42, (long)ret);
	EXPECT_EQ(1, wait_tasks(getpid(), 1));
}

/* When the thread that forked ends, having moved, its child is told. */
struct fork_and_end {
	bool blocked;
	struct block block;
	struct head head;
	struct told child;
};

static void *fork_move_and_end(void *arg)
{
	struct fork_and_end *what = arg;

	if (told_fork(&what->child, SIGTERM, 0) ||
	    block_submit(&what->head, &what->block) != SYSLET_PENDING)
		return (void *)1L;
	return (void *)(what->blocked ? 0 : block_release(&what->block));
}

TEST_F(parent, children_miss_the_thread_that_forked_them)
{
	struct fork_and_end what = { .blocked = variant->blocked, .head = self->head };
	pthread_t thread;
	int status;
	void *bad;

	ASSERT_EQ(0, block_init(&what.block, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, fork_move_and_end, &what));
	ASSERT_EQ(0, pthread_join(thread, &bad));
	ASSERT_EQ(NULL, bad);
	ASSERT_EQ(what.child.pid, waitpid(what.child.pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST_HARNESS_MAIN
