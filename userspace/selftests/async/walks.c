// SPDX-License-Identifier: GPL-2.0
/*
 * The main thread moves while RCU Tasks walks all threads, which lists each that
 * runs, and takes it for granted that it comes by none twice. kprobes that record
 * stack traces make the walk slow.
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include "async_test.h"
#include "tracefs.h"

#define INSTANCE	TRACEFS "/instances/syslet_walks"
/* How many probes there are where the walk comes by a thread. */
#define PROBES		16
#define RUNNERS		16
#define WALKS		(6 * (int)stress())

static int probe_all(bool on)
{
	char text[80];
	int i, ret = 0;

	for (i = 0; i < PROBES && !ret; i++) {
		snprintf(text, sizeof(text), on ? "p:syslet_walks/p%d rcu_tasks_pertask" :
			 "-:syslet_walks/p%d", i);
		ret = write_file(TRACEFS, "kprobe_events", text);
	}
	return ret;
}

FIXTURE(walks) { };

FIXTURE_SETUP(walks)
{
	NEED_ASYNC();
	ASSERT_EQ(0, tracefs_mount());
	if (probe_all(true))
		SKIP(return, "no RCU Tasks");
	ASSERT_EQ(0, write_file(TRACEFS, "options/stacktrace", "1"));
	ASSERT_EQ(0, write_file(TRACEFS, "events/syslet_walks/enable", "1"));
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	ASSERT_EQ(0, write_file(INSTANCE, "set_ftrace_filter", "do_nanosleep"));
}

FIXTURE_TEARDOWN(walks)
{
	rmdir(INSTANCE);
	write_file(TRACEFS, "events/syslet_walks/enable", "0");
	write_file(TRACEFS, "options/stacktrace", "0");
	probe_all(false);
}

static void *run(void *arg)
{
	setpriority(PRIO_PROCESS, my_tid(), 19);
	for (;;)
		;
	return arg;
}

/* Moves until it is told to end, by @end; its status says whether it always did. */
static void move_until(int end)
{
	struct pollfd pollfd = { .fd = end, .events = POLLIN };
	struct block block;
	struct head head;
	pthread_t thread;
	int i;

	child_open(&head, &block);
	for (i = 0; i < RUNNERS; i++)
		if (pthread_create(&thread, NULL, run, NULL))
			_exit(2);
	while (poll(&pollfd, 1, 0) == 0)
		if (hop(&head, &block))
			_exit(3);
	_exit(42);
}

TEST_F_TIMEOUT(walks, see_no_thread_twice, 120)
{
	int end[2], i;
	pid_t pid;

	ASSERT_EQ(0, pipe2(end, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		move_until(end[0]);
	for (i = 0; i < WALKS; i++) {
		/* When such a trampoline goes RCU Tasks is waited for. */
		ASSERT_EQ(0, write_file(INSTANCE, "current_tracer", "function"));
		ASSERT_EQ(0, write_file(INSTANCE, "current_tracer", "nop"));
	}
	ASSERT_EQ(1, write(end[1], "e", 1));
	EXPECT_EQ(42, child_status(pid));
}

TEST_HARNESS_MAIN
