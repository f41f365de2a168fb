// SPDX-License-Identifier: GPL-2.0
/* What /proc/PID/fdinfo tells of cachemiss threads. */
#include "async_test.h"
#include "fdinfo.h"

FIXTURE(fdinfo) {
	struct head head;
	struct block blocks[2];
};

FIXTURE_SETUP(fdinfo)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open_limits(&self->head, 4, 2, 1, 0));
	ASSERT_EQ(0, block_init(&self->blocks[0], 0));
	ASSERT_EQ(0, block_init(&self->blocks[1], 0));
}

FIXTURE_TEARDOWN(fdinfo)
{
	head_close(&self->head);
}

TEST_F(fdinfo, counts_what_blocks)
{
	int fd = self->head.fd;

	EXPECT_EQ(0, value(fd, "threads"));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->blocks[0]));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->blocks[1]));
	EXPECT_EQ(2, value(fd, "threads"));
	EXPECT_EQ(2, value(fd, "threads-blocked"));
	EXPECT_EQ(0, value(fd, "threads-idle"));
	EXPECT_EQ(2, value(fd, "in-flight"));
	EXPECT_EQ(2, value(fd, "handoffs"));
	EXPECT_EQ(2, value(fd, "forks"));
	EXPECT_EQ(0, value(fd, "completions"));
	ASSERT_EQ(0, block_finish(&self->head, &self->blocks[0]));
	EXPECT_EQ(1, value(fd, "in-flight"));
	EXPECT_EQ(1, value(fd, "threads-blocked"));
	EXPECT_EQ(1, value(fd, "completions"));
	ASSERT_EQ(0, block_finish(&self->head, &self->blocks[1]));
	EXPECT_EQ(0, value(fd, "in-flight"));
	EXPECT_EQ(0, value(fd, "threads-blocked"));
}

/* A worker that has ended its program is on its way to the pool. There is no event for that. */
static bool comes_to(int fd, const char *name, long long wanted)
{
	__u64 deadline = now_ns() + PATIENCE;

	while (value(fd, name) != wanted && now_ns() < deadline)
		usleep(1000);
	return value(fd, name) == wanted;
}

TEST_F(fdinfo, counts_who_is_idle)
{
	struct head head;
	struct block block;

	/* Two spares, which do not leave by themselves. */
	ASSERT_EQ(0, head_open_limits(&head, 4, 2, 2, 0));
	ASSERT_EQ(0, block_init(&block, 0));
	EXPECT_EQ(0, value(head.fd, "threads-idle"));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&head, &self->blocks[0]));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&head, &self->blocks[1]));
	EXPECT_EQ(0, value(head.fd, "threads-idle"));
	ASSERT_EQ(0, block_finish(&head, &self->blocks[0]));
	EXPECT_TRUE(comes_to(head.fd, "threads-idle", 1));
	EXPECT_EQ(1, value(head.fd, "threads-blocked"));
	ASSERT_EQ(0, block_finish(&head, &self->blocks[1]));
	EXPECT_TRUE(comes_to(head.fd, "threads-idle", 2));
	EXPECT_EQ(2, value(head.fd, "threads"));
	EXPECT_EQ(0, value(head.fd, "threads-blocked"));
	/* One of them serves, and is not replaced. */
	ASSERT_EQ(SYSLET_PENDING, block_submit(&head, &block));
	EXPECT_EQ(1, value(head.fd, "threads-idle"));
	EXPECT_EQ(1, value(head.fd, "threads-blocked"));
	EXPECT_EQ(2, value(head.fd, "forks"));
	ASSERT_EQ(0, block_finish(&head, &block));
	head_close(&head);
}

TEST_F(fdinfo, counts_fallbacks_by_reason)
{
	struct block third;
	int fd = self->head.fd;

	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->blocks[0]));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->blocks[1]));
	EXPECT_EQ(0, value(fd, "fallback-limit"));
	ASSERT_EQ(0, block_init(&third, 0));
	ASSERT_EQ(0, write_all(third.go[1], "!", 1));
	ASSERT_EQ(SYSLET_DONE, block_submit(&self->head, &third));
	EXPECT_EQ(1, value(fd, "fallback-limit"));
	EXPECT_EQ(0, value(fd, "fallback-traced"));
}

/* An atom may make its caller one that the spare can't stand in for. */
TEST_F(fdinfo, counts_what_the_spare_refused)
{
	int slack = open("/proc/self/timerslack_ns", O_WRONLY | O_CLOEXEC);
	struct block *block = &self->blocks[0];
	struct syslet_atom atoms[] = {
		write_atom(slack, "70000", 5),
		read_atom(block->go[0], &block->byte, 1),
	};
	struct syslet_program program = PROGRAM(atoms);
	struct rescuer rescuer;
	int fd = self->head.fd;

	ASSERT_LE(0, slack);
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, block->go[1]));
	ASSERT_EQ(1, dev_exec(fd, &program, 1, 0));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(SYSLET_DONE, program.status);
	EXPECT_EQ(1, program.result);
	EXPECT_EQ(1, value(fd, "fallback-refused"));
	EXPECT_EQ(0, value(fd, "handoffs"));
	/* It was reserved before, and the next one is forked from what the caller is now. */
	ASSERT_EQ(0, hop(&self->head, &self->blocks[1]));
	EXPECT_EQ(1, value(fd, "fallback-refused"));
}

TEST_HARNESS_MAIN
