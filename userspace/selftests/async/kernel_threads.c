// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that the kernel makes in a process, for io_uring and vhost: they have no
 * user context, so the process has ended when only those and cachemiss threads are
 * left.
 */
#include <linux/io_uring.h>
#include <linux/vhost.h>
#include "async_test.h"

#define UNAVAILABLE	4	/* exit status: this kernel has none */

static struct head head;
static struct block block;

/* In another thread: one with an io_uring of its own does not move. */
static void *poll_and_end(void *arg)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL };
	int *told = arg;

	if (syscall(__NR_io_uring_setup, 4, &params) < 0)
		_exit(UNAVAILABLE);
	if (write(told[1], "p", 1) != 1)
		_exit(3);
	syscall(__NR_exit, 9);
	return NULL;
}

/* A thread polls the submissions, with the files: it ends only when it is killed. */
static void make_poller(void)
{
	pthread_t thread;
	int told[2];

	if (pipe2(told, O_CLOEXEC) || pthread_create(&thread, NULL, poll_and_end, told) ||
	    read_byte(told[0]) != 'p')
		_exit(2);
}

/* It ends when the device is closed, and that is with the last thread that has the files. */
static void make_vhost(void)
{
	int fd = system("modprobe -q vhost_net") ? -1 : open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		_exit(UNAVAILABLE);
	if (ioctl(fd, VHOST_SET_OWNER))
		_exit(2);
}

FIXTURE(kernel_threads) { };

FIXTURE_VARIANT(kernel_threads) {
	void (*make)(void);
	bool blocked;	/* a program is, when the last user thread ends */
	bool stays;	/* the process does, until it is killed */
};

FIXTURE_VARIANT_ADD(kernel_threads, poller) { make_poller, false, true };
FIXTURE_VARIANT_ADD(kernel_threads, poller_while_blocked) { make_poller, true, true };
FIXTURE_VARIANT_ADD(kernel_threads, vhost) { make_vhost, false, false };
FIXTURE_VARIANT_ADD(kernel_threads, vhost_while_blocked) { make_vhost, true, false };

FIXTURE_SETUP(kernel_threads)
{
	NEED_ASYNC();
}

FIXTURE_TEARDOWN(kernel_threads) { }

TEST_F(kernel_threads, are_no_user_contexts)
{
	int told[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe2(told, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		variant->make();
		child_move(&head, &block);
		if (!variant->blocked && block_finish(&head, &block))
			_exit(5);
		if (write(told[1], "e", 1) != 1)
			_exit(6);
		syscall(__NR_exit, 7);
	}
	close(told[1]);
	if (variant->stays && read_byte(told[0]) == 'e') {
		/* The leader, which is to be waited for, and the kernel's thread. */
		EXPECT_EQ(2, wait_tasks(pid, 2));
		EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
		ASSERT_EQ(0, kill(pid, SIGKILL));
	}
	status = child_status(pid);
	if (status == UNAVAILABLE)
		SKIP(return, "this kernel has none");
	EXPECT_EQ(variant->stays ? -SIGKILL : 7, status);
}

TEST_HARNESS_MAIN
