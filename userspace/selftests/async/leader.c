// SPDX-License-Identifier: GPL-2.0
/*
 * The main thread moves while others are in code of the kernel that relies on
 * its staying where it is.
 */
#include <sys/resource.h>
#include <sys/wait.h>
#include "exec_self.h"

static bool over;

/* What a thread does over and over again; each returns what is wrong with it. */

static int change_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) || setrlimit(RLIMIT_CORE, &limit))
		return 10;
	return prlimit(getpid(), RLIMIT_NOFILE, NULL, &limit) ? 11 : 0;
}

static int name_group(void)
{
	return setpgid(0, 0) ? 20 : getpgid(0) != getpid() ? 21 : 0;
}

static int end_session(void)
{
	/* A process that leads a group has no way to a session of its own. */
	return setsid() != -1 || errno != EPERM ? 25 : 0;
}

static int fork_child(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(my_tid() == getpid() ? 42 : 43);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 30;
	return WIFEXITED(status) && WEXITSTATUS(status) == 42 ? 0 : 31;
}

static void *do_nothing(void *arg)
{
	return arg;
}

static int make_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, do_nothing, NULL) || pthread_join(thread, NULL))
		return 40;
	return 0;
}

static int fail_to_exec(void)
{
	/* Gets as far as the end of looking at the file. */
	execve("/proc/self/cmdline", self_argv, environ);
	return errno != EACCES ? 50 : 0;
}

FIXTURE(leader) { };
FIXTURE_VARIANT(leader) {
	int (*act)(void);
};

FIXTURE_VARIANT_ADD(leader, rlimit) { change_limits };
FIXTURE_VARIANT_ADD(leader, setpgid) { name_group };
FIXTURE_VARIANT_ADD(leader, setsid) { end_session };
FIXTURE_VARIANT_ADD(leader, fork) { fork_child };
FIXTURE_VARIANT_ADD(leader, pthread_create) { make_thread };
FIXTURE_VARIANT_ADD(leader, execve) { fail_to_exec };

FIXTURE_SETUP(leader)
{
	NEED_ASYNC();
}

FIXTURE_TEARDOWN(leader) { }

static void *act_until_over(void *arg)
{
	int (*act)(void) = arg;
	int wrong = 0;

	while (!wrong && !__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		wrong = act();
		/* Where it is always under way nobody takes over, which is as it should be. */
		usleep(300);
	}
	return (void *)(long)wrong;
}

/* Hops while two other threads act; every hop has to succeed. */
static int hop_meanwhile(int (*act)(void))
{
	unsigned int i, nr = 200 * stress();
	pthread_t threads[2];
	struct block block;
	struct head head;
	int t, ret = 42;
	void *wrong;

	child_open(&head, &block);
	if (setpgid(0, 0))
		return 90;
	for (t = 0; t < 2; t++)
		if (pthread_create(&threads[t], NULL, act_until_over, act))
			return 91;
	for (i = 0; i < nr && ret == 42; i++)
		if (hop(&head, &block) || my_tid() != getpid())
			ret = 92;
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	for (t = 0; t < 2; t++) {
		if (pthread_join(threads[t], &wrong))
			ret = 93;
		else if (wrong)
			ret = (long)wrong;
	}
	return ret;
}

TEST_F(leader, moves_meanwhile)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(hop_meanwhile(variant->act));
	ASSERT_EQ(42, child_status(pid));
}

TEST_HARNESS_MAIN
