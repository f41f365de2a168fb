// SPDX-License-Identifier: GPL-2.0
/* EVENTFD: one more for each completion. */
#include <sys/eventfd.h>
#include "syslet_test.h"

#define ENTRIES 4

FIXTURE(eventfd) {
	struct head head;
	int eventfd;
};

FIXTURE_SETUP(eventfd)
{
	ASSERT_EQ(0, head_open(&self->head, ENTRIES));
	self->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT_LE(0, self->eventfd);
}

FIXTURE_TEARDOWN(eventfd)
{
	close(self->eventfd);
	head_close(&self->head);
}

/* The count since the last look. */
static long count(int fd)
{
	__u64 value = POISON64;

	if (read(fd, &value, sizeof(value)) != sizeof(value))
		return errno == EAGAIN ? 0 : -errno;
	return value;
}

TEST_F(eventfd, counts_completions)
{
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	EXPECT_EQ(0, count(self->eventfd));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, count(self->eventfd));
	ASSERT_EQ(0, ring_fill(&self->head, 1, 3));
	EXPECT_EQ(3, count(self->eventfd));
}

TEST_F(eventfd, counts_those_of_one_call)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[] = { PROGRAM(atoms), PROGRAM(atoms), PROGRAM(atoms) };

	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(3, dev_exec(self->head.fd, programs, 3, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(3, count(self->eventfd));
}

TEST_F(eventfd, counts_those_kept_back_once)
{
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, ring_fill(&self->head, 0, ENTRIES + 2));
	EXPECT_EQ(ENTRIES + 2, count(self->eventfd));
	self->head.ring->head = ring_tail(&self->head);
	ASSERT_EQ(2, dev_wait(self->head.fd, 2, 0));
	EXPECT_EQ(0, count(self->eventfd));
}

TEST_F(eventfd, does_not_count_what_has_no_entry)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[] = {
		PROGRAM(atoms, .flags = SYSLET_NO_COMPLETE),
		PROGRAM(atoms),
	};

	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(1, dev_exec(self->head.fd, &programs[0], 1, SYSLET_EXEC_RING_ALL));
	ASSERT_EQ(1, dev_exec(self->head.fd, &programs[1], 1, 0));
	EXPECT_EQ(0, count(self->eventfd));
}

TEST_F(eventfd, is_removed_by_minus_one)
{
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, dev_eventfd(self->head.fd, -1));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(0, count(self->eventfd));
}

TEST_F(eventfd, can_be_set_again)
{
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, dev_eventfd(self->head.fd, -1));
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, count(self->eventfd));
}

TEST_F(eventfd, another_takes_its_place)
{
	int other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, dev_eventfd(self->head.fd, other));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(0, count(self->eventfd));
	EXPECT_EQ(1, count(other));
}

TEST_F(eventfd, one_for_two_heads)
{
	struct head other;

	ASSERT_EQ(0, head_open(&other, ENTRIES));
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, dev_eventfd(other.fd, self->eventfd));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	ASSERT_EQ(0, ring_fill(&other, 0, 1));
	EXPECT_EQ(2, count(self->eventfd));
}

TEST_F(eventfd, outlives_its_descriptor)
{
	int copy = dup(self->eventfd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, close(self->eventfd));
	self->eventfd = copy;
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, count(copy));
}

TEST_F(eventfd, with_all_its_descriptors_closed)
{
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, close(self->eventfd));
	EXPECT_EQ(0, ring_fill(&self->head, 0, ENTRIES + 1));
	self->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	EXPECT_EQ(0, count(self->eventfd));
}

TEST_F(eventfd, the_head_lets_go_of_it)
{
	struct pollfd pollfd = { .fd = self->eventfd, .events = POLLIN };

	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 2));
	head_close(&self->head);
	EXPECT_EQ(1, poll(&pollfd, 1, 0));
	EXPECT_EQ(2, count(self->eventfd));
}

TEST_F(eventfd, a_descriptor_that_is_not_open)
{
	EXPECT_EQ(-EBADF, dev_eventfd(self->head.fd, 0x7ffffff0));
	EXPECT_EQ(-EBADF, dev_eventfd(self->head.fd, -2));
}

TEST_F(eventfd, a_descriptor_of_something_else)
{
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	EXPECT_EQ(-EINVAL, dev_eventfd(self->head.fd, pipes[1]));
	EXPECT_EQ(-EINVAL, dev_eventfd(self->head.fd, self->head.fd));
}

TEST_F(eventfd, a_refusal_leaves_the_old_one)
{
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	ASSERT_EQ(-EBADF, dev_eventfd(self->head.fd, 0x7ffffff0));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, count(self->eventfd));
}

TEST_F(eventfd, a_bad_pointer)
{
	EXPECT_EQ(-EFAULT, dev_ioctl(self->head.fd, SYSLET_IOC_EVENTFD, NULL));
	EXPECT_EQ(-EFAULT, dev_ioctl(self->head.fd, SYSLET_IOC_EVENTFD, BAD_LOW));
	EXPECT_EQ(-EFAULT, dev_ioctl(self->head.fd, SYSLET_IOC_EVENTFD, BAD_HIGH));
}

TEST_F(eventfd, one_that_is_full)
{
	__u64 nearly = ~0ULL - 1;

	ASSERT_EQ(sizeof(nearly), write(self->eventfd, &nearly, sizeof(nearly)));
	ASSERT_EQ(0, dev_eventfd(self->head.fd, self->eventfd));
	EXPECT_EQ(0, ring_fill(&self->head, 0, 3));
	EXPECT_EQ(3, ring_count(&self->head));
}

TEST_HARNESS_MAIN
