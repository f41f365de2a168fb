// SPDX-License-Identifier: GPL-2.0
/* The children, by fork and in other ways, of a process whose main thread has moved. */
#include <spawn.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include "exec_self.h"

FIXTURE_MOVE(children);

TEST_F(children, fork)
{
	pid_t parent = getpid(), pid;

	MOVE_AWAY();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head own;

		if (getppid() != parent)
			_exit(1);
		if (my_tid() != getpid() || count_tasks(getpid()) != 1)
			_exit(2);
		/* The head is the parent's; the child can have its own. */
		if (block_submit(&self->head, &self->block) != -EACCES)
			_exit(3);
		child_move(&own, &block);
		if (my_tid() != getpid() || block_finish(&own, &block))
			_exit(4);
		_exit(42);
	}
	EXPECT_EQ(42, child_status(pid));
}

static void *fork_and_wait(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (!pid)
		_exit(my_tid() == getpid() ? 42 : 1);
	return (void *)(long)child_status(pid);
}

TEST_F(children, fork_by_another_thread)
{
	pthread_t thread;
	void *ret;

	MOVE_AWAY();
	ASSERT_EQ(0, pthread_create(&thread, NULL, fork_and_wait, NULL));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(42, (long)ret);
}

TEST_F(children, vfork_and_exec)
{
	pid_t pid;

	setenv(ROLE, "0", 1);
	MOVE_AWAY();
	pid = vfork();
	if (!pid) {
		execve("/proc/self/exe", self_argv, environ);
		_exit(50);
	}
	ASSERT_LT(0, pid);
	EXPECT_EQ(42, child_status(pid));
}

TEST_F(children, vfork_and_exit)
{
	volatile int touched = 0;
	pid_t pid;

	MOVE_AWAY();
	pid = vfork();
	if (!pid) {
		touched = 1;
		_exit(17);
	}
	ASSERT_LT(0, pid);
	EXPECT_EQ(1, touched);
	EXPECT_EQ(17, child_status(pid));
}

TEST_F(children, posix_spawn)
{
	pid_t pid;

	setenv(ROLE, "0", 1);
	MOVE_AWAY();
	ASSERT_EQ(0, posix_spawn(&pid, "/proc/self/exe", NULL, NULL, self_argv, environ));
	EXPECT_EQ(42, child_status(pid));
}

TEST_F(children, posix_spawn_in_a_process_group)
{
	posix_spawnattr_t attr;
	pid_t pid;

	setenv(ROLE, "0", 1);
	MOVE_AWAY();
	ASSERT_EQ(0, posix_spawnattr_init(&attr));
	ASSERT_EQ(0, posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP));
	ASSERT_EQ(0, posix_spawn(&pid, "/proc/self/exe", NULL, &attr, self_argv, environ));
	EXPECT_EQ(pid, getpgid(pid));
	EXPECT_EQ(42, child_status(pid));
}

static void *return_arg(void *arg)
{
	return arg;
}

TEST_F(children, threads)
{
	pthread_t threads[8];
	char args[8];
	void *ret;
	int i;

	MOVE_AWAY();
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, return_arg, &args[i]));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &ret));
		EXPECT_EQ(&args[i], ret);
	}
}

/* It is told that its own parent is gone. */
TEST_F(children, one_that_moved_is_told_of_its_parents_death)
{
	pid_t between = fork(), child;
	int pipes[2], status;

	ASSERT_LE(0, between);
	if (!between) {
		if (pipe2(pipes, O_CLOEXEC))
			_exit(1);
		child = fork();
		if (!child) {
			struct block block;
			struct head head;

			prctl(PR_SET_PDEATHSIG, SIGTERM);
			child_move(&head, &block);
			if (!variant->blocked && block_release(&block))
				_exit(2);
			if (write(pipes[1], "m", 1) != 1)
				_exit(3);
			for (;;)
				pause();
		}
		_exit(read_byte(pipes[0]) == 'm' ? 42 : 4);
	}
	/* Who is left without a parent becomes this process's child. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	EXPECT_EQ(42, child_status(between));
	EXPECT_LT(0, wait(&status));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* What is to be undone at its end is undone then, not when a cachemiss thread leaves. */
TEST_F(children, undo_of_semaphores)
{
	int set = semget(IPC_PRIVATE, 1, 0600);
	pid_t pid;

	if (set < 0 && errno == ENOSYS)
		SKIP(return, "no semaphores");
	ASSERT_LE(0, set);
	ASSERT_EQ(0, semctl(set, 0, SETVAL, 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct sembuf take = { .sem_op = -1, .sem_flg = SEM_UNDO };
		struct block block;
		struct head head;

		child_open(&head, &block);
		if (hop(&head, &block) || semop(set, &take, 1) || hop(&head, &block))
			_exit(1);
		head_close(&head);
		if (wait_tasks(getpid(), 2) > 2)
			_exit(2);
		_exit(semctl(set, 0, GETVAL) == 0 ? 42 : 3);
	}
	EXPECT_EQ(42, child_status(pid));
	EXPECT_EQ(1, semctl(set, 0, GETVAL));
	ASSERT_EQ(0, semctl(set, 0, IPC_RMID));
}

TEST_HARNESS_MAIN
