// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once.
 *
 * The kernel's /proc/thread-self/fail-nth makes the nth place that can fail do
 * so in what this thread does next. Each operation is done with n from 1 on
 * until nothing was left to fail: each time it must either work or give a clear
 * errno and change nothing, and work the next time.
 */
#include <sys/eventfd.h>
#include "../async/async_test.h"

/* More than any operation has. */
#define MOST	2000

static int fail_nth = -1;

/* Allocations that may wait fail, too, and nothing is said about any. */
static const struct {
	const char *dir, *knob, *value;
} knobs[] = {
	{ "/sys/kernel/debug/failslab", "verbose", "0" },
	{ "/sys/kernel/debug/failslab", "ignore-gfp-wait", "N" },
	{ "/sys/kernel/debug/fail_page_alloc", "verbose", "0" },
	{ "/sys/kernel/debug/fail_page_alloc", "ignore-gfp-wait", "N" },
	{ "/sys/kernel/debug/fail_page_alloc", "ignore-gfp-highmem", "N" },
	{ "/sys/kernel/debug/fail_page_alloc", "min-order", "0" },
	{ "/sys/kernel/debug/fail_usercopy", "verbose", "0" },
};

static int set_up_faults(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		ret = write_file(knobs[i].dir, knobs[i].knob, knobs[i].value);
		if (ret)
			return ret;
	}
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return fail_nth < 0 ? -errno : 0;
}

static void arm(int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(fail_nth, text, len, 0) != len)
		abort();
}

/* Nothing fails any more; whether something did. What has not yet may do so right here. */
static bool disarm(void)
{
	char text[16] = "";
	bool hit = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (pwrite(fail_nth, "0", 1, 0) != 1)
		;
	return hit;
}

/* What a thing that is out of memory, or of readable memory, says. */
static bool is_clear(long ret)
{
	return ret == -ENOMEM || ret == -EFAULT || ret == -EAGAIN;
}

/* Whether the threads that a closed head had are gone. */
static bool only(int threads)
{
	return wait_tasks(getpid(), threads) == threads;
}

/* Empties a pipe. */
static void drain(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char bytes[16];

	while (poll(&pollfd, 1, 0) == 1 && read(fd, bytes, sizeof(bytes)) > 0)
		;
}

/* In a fixture's setup. */
#define NEED_FAULTS()							\
	do {								\
		self->failed = 0;					\
		if (geteuid() || set_up_faults())			\
			SKIP(return, "this kernel makes no allocation fail"); \
	} while (0)

static void end_faults(int failed)
{
	if (fail_nth < 0)
		return;
	arm(0);
	ksft_print_msg("%d places failed\n", failed);
}

/*
 * Does @what, with the @nth place in it failing: @ret is what it returns, and
 * @hit whether there was such a place.
 */
#define FAIL_IN(ret, what) do {						\
	arm(nth);							\
	ret = (what);							\
	hit = disarm();							\
	self->failed += hit;						\
	if (ret < 0) {							\
		ASSERT_TRUE(is_clear(ret)) { TH_LOG("nth %d: %ld", nth, (long)ret); } \
	}								\
} while (0)

FIXTURE(alloc) {
	int failed;
};

FIXTURE_SETUP(alloc)
{
	NEED_FAULTS();
}

FIXTURE_TEARDOWN(alloc)
{
	end_faults(self->failed);
}

TEST_F(alloc, open)
{
	int nth, fd;
	bool hit = true;

	for (nth = 1; hit && nth < MOST; nth++) {
		FAIL_IN(fd, dev_open());
		if (fd >= 0)
			close(fd);
	}
	ASSERT_FALSE(hit);
	EXPECT_LE(2, self->failed);
}

TEST_F(alloc, set_up)
{
	struct syslet_setup setup;
	int nth, fd;
	bool hit = true;
	long ret;

	for (nth = 1; hit && nth < MOST; nth++) {
		fd = dev_open();
		ASSERT_LE(0, fd);
		FAIL_IN(ret, dev_setup(fd, 64, &setup));
		if (ret) {
			/* It was not set up, and can be. */
			ASSERT_EQ(-ENXIO, dev_wait(fd, 0, 0));
			ASSERT_EQ(0, dev_setup(fd, 64, &setup));
		}
		ASSERT_EQ(-EBUSY, dev_setup(fd, 64, &setup));
		close(fd);
	}
	ASSERT_FALSE(hit);
	EXPECT_LE(5, self->failed);
}

TEST_F(alloc, map)
{
	struct head head;
	bool hit = true;
	long ret;
	int nth;

	for (nth = 1; hit && nth < MOST; nth++) {
		ASSERT_LE(0, head.fd = dev_open());
		ASSERT_EQ(0, dev_setup(head.fd, 64, &head.setup));
		head.ring = NULL;
		FAIL_IN(ret, head_map(&head));
		ASSERT_GE(0, ret);
		head_close(&head);
	}
	ASSERT_FALSE(hit);
	EXPECT_LE(1, self->failed);
}

TEST_F(alloc, eventfd)
{
	int nth, fd = dev_open(), event = eventfd(0, EFD_CLOEXEC);
	struct syslet_setup setup;
	bool hit = true;
	long ret;

	ASSERT_EQ(0, dev_setup(fd, 64, &setup));
	for (nth = 1; hit && nth < MOST; nth++) {
		FAIL_IN(ret, dev_eventfd(fd, event));
		ASSERT_GE(0, ret);
	}
	ASSERT_FALSE(hit);
	EXPECT_LE(1, self->failed);
}

FIXTURE(first_exec) {
	int failed;
};

FIXTURE_VARIANT(first_exec) {
	__u32 flags;
	__u32 exec_flags;
};

FIXTURE_VARIANT_ADD(first_exec, as_it_comes) { 0, 0 };
FIXTURE_VARIANT_ADD(first_exec, sync) { SYSLET_SYNC, 0 };
FIXTURE_VARIANT_ADD(first_exec, ring_all) { 0, SYSLET_EXEC_RING_ALL };
FIXTURE_VARIANT_ADD(first_exec, nowait) { 0, SYSLET_EXEC_NOWAIT };

FIXTURE_SETUP(first_exec)
{
	NEED_FAULTS();
}

FIXTURE_TEARDOWN(first_exec)
{
	end_faults(self->failed);
}

/*
 * On a head that has run nothing yet, so that all is allocated anew and a spare
 * is forked: without one the program runs in its caller, or not at all.
 */
TEST_F(first_exec, each)
{
	unsigned long value = 0, before;
	struct syslet_atom add[] = { { .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 } } };
	struct syslet_program program;
	struct syslet_cqe cqe;
	struct head head;
	bool hit = true;
	int nth, at_first = count_tasks(getpid());
	bool forks = dev_is_async() && !(variant->flags & SYSLET_SYNC);
	long ret;

	if (variant->exec_flags & SYSLET_EXEC_NOWAIT && !forks)
		SKIP(return, "no program may wait");
	for (nth = 1; hit && nth < MOST; nth++) {
		ASSERT_EQ(0, head_open(&head, 64));
		program = PROGRAM(add, .flags = variant->flags);
		before = value;
		FAIL_IN(ret, dev_exec(head.fd, &program, 1, variant->exec_flags));
		if (ret < 0) {
			/* A program that ran may fail to tell so. */
			ASSERT_LE(value - before, ret == -EFAULT ? 1 : 0);
			before = value;
			ASSERT_EQ(1, dev_exec(head.fd, &program, 1, variant->exec_flags));
		}
		if (ret != 1 || program.result != -EFAULT) {
			ASSERT_EQ(1, value - before) { TH_LOG("nth %d: %ld", nth, ret); }
		}
		while (ring_take(&head, &cqe))
			;
		head_close(&head);
		ASSERT_TRUE(only(at_first)) { TH_LOG("nth %d: threads stay", nth); }
	}
	ASSERT_FALSE(hit);
	EXPECT_LE(forks ? 8 : 3, self->failed);
}

/*
 * A program that leaves its caller, on a head that has no spare ready. What is
 * left to fail then fails in the cachemiss thread, whose task the setting is of:
 * in the rest of the program, and when that is over.
 */
TEST_F(alloc, handoff)
{
	int nth, left = 0, at_first = count_tasks(getpid());
	struct rescuer rescuer;
	struct syslet_cqe cqe;
	struct block block;
	struct head head;
	long ret;

	NEED_ASYNC();
	ASSERT_EQ(0, block_init(&block, 0));
	for (nth = 1; left < 60 && nth < MOST; nth++) {
		ASSERT_EQ(0, head_open(&head, 64));
		/* Where no spare can be had it blocks right here. */
		ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, block.go[1]));
		block.program.status = POISON32;
		arm(nth);
		ret = dev_exec(head.fd, &block.program, 1, 0);
		disarm();
		if (ret == 1 && block.program.status == SYSLET_PENDING) {
			left++;
			/* It may have seen the moment before the context left. */
			if (!rescuer_end(&rescuer))
				ASSERT_EQ(0, write_all(block.go[1], "!", 1));
			ASSERT_EQ(0, take_wait(&head, &cqe)) { TH_LOG("nth %d", nth); }
			EXPECT_EQ(PTR(&block), cqe.user_data);
			EXPECT_EQ(SYSLET_CQE_ASYNC, cqe.flags & ~SYSLET_CQE_FAULT);
		} else {
			self->failed++;
			left = 0;
			rescuer_end(&rescuer);
			if (ret == 1) {
				ASSERT_EQ(SYSLET_DONE, block.program.status);
			} else {
				ASSERT_TRUE(is_clear(ret)) { TH_LOG("nth %d: %ld", nth, ret); }
			}
		}
		ASSERT_FALSE(ring_take(&head, &cqe));
		head_close(&head);
		drain(block.go[0]);
		drain(block.done[0]);
		ASSERT_TRUE(only(at_first)) { TH_LOG("nth %d: threads stay", nth); }
	}
	EXPECT_EQ(60, left);
	EXPECT_LE(5, self->failed);
}

TEST_HARNESS_MAIN
