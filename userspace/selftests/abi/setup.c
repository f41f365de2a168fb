// SPDX-License-Identifier: GPL-2.0
/* SETUP: what it takes, what it gives back, and that it comes first. */
#include "syslet_test.h"

FIXTURE(setup) {
	int fd;
	struct syslet_setup setup;
};

FIXTURE_SETUP(setup)
{
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	self->setup = (struct syslet_setup) {
		.size = sizeof(self->setup),
		.ring_bytes = POISON64,
		.cqes_offset = POISON64,
	};
}

FIXTURE_TEARDOWN(setup)
{
	close(self->fd);
}

static long run_getppid(int fd)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	return dev_exec(fd, &program, 1, 0);
}

TEST_F(setup, the_defaults)
{
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_SETUP, &self->setup));
	EXPECT_EQ(256, self->setup.cq_entries);
	EXPECT_EQ(1, self->setup.spare_threads);
	EXPECT_LE(1, self->setup.max_threads);
	EXPECT_LE(1, self->setup.idle_ms);
}

TEST_F(setup, the_ring_has_room)
{
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_SETUP, &self->setup));
	EXPECT_LE(sizeof(struct syslet_ring), self->setup.cqes_offset);
	EXPECT_EQ(0, self->setup.cqes_offset % 8);
	EXPECT_LE(self->setup.cqes_offset + 256 * sizeof(struct syslet_cqe),
		  self->setup.ring_bytes);
}

TEST_F(setup, given_values_stay)
{
	self->setup.cq_entries = 64;
	self->setup.max_threads = 5;
	self->setup.spare_threads = 2;
	self->setup.idle_ms = 1234;
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_SETUP, &self->setup));
	EXPECT_EQ(64, self->setup.cq_entries);
	EXPECT_EQ(5, self->setup.max_threads);
	EXPECT_EQ(2, self->setup.spare_threads);
	EXPECT_EQ(1234, self->setup.idle_ms);
}

TEST_F(setup, every_power_of_two_up_to_the_limit)
{
	struct syslet_query query;
	__u32 entries;
	int fd;

	ASSERT_EQ(0, dev_query(self->fd, &query));
	for (entries = 1; entries <= query.max_cq_entries; entries *= 2) {
		fd = dev_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, dev_setup(fd, entries, &self->setup));
		EXPECT_EQ(entries, self->setup.cq_entries);
		EXPECT_LE(self->setup.cqes_offset + entries * sizeof(struct syslet_cqe),
			  self->setup.ring_bytes);
		close(fd);
	}
}

TEST_F(setup, entries_not_a_power_of_two)
{
	static const __u32 wrong[] = { 3, 5, 6, 255, 257, 0x7fffffff, 0x80000001, ~0U };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_EQ(-EINVAL, dev_setup(self->fd, wrong[i], &self->setup));
}

TEST_F(setup, entries_above_the_limit)
{
	struct syslet_query query;

	ASSERT_EQ(0, dev_query(self->fd, &query));
	EXPECT_EQ(-EINVAL, dev_setup(self->fd, query.max_cq_entries * 2, &self->setup));
	EXPECT_EQ(-EINVAL, dev_setup(self->fd, 0x80000000, &self->setup));
}

TEST_F(setup, threads_above_the_limit_are_not_granted)
{
	struct syslet_query query;
	long ret;

	ASSERT_EQ(0, dev_query(self->fd, &query));
	self->setup.max_threads = ~0U;
	ret = dev_ioctl(self->fd, SYSLET_IOC_SETUP, &self->setup);
	EXPECT_TRUE(ret == -EINVAL || (!ret && self->setup.max_threads <= query.max_threads));
}

TEST_F(setup, an_unknown_flag)
{
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		self->setup.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, dev_ioctl(self->fd, SYSLET_IOC_SETUP, &self->setup));
	}
}

TEST_F(setup, twice)
{
	ASSERT_EQ(0, dev_setup(self->fd, 0, &self->setup));
	EXPECT_EQ(-EBUSY, dev_setup(self->fd, 0, &self->setup));
}

TEST_F(setup, a_failing_one_can_be_repeated)
{
	ASSERT_EQ(-EINVAL, dev_setup(self->fd, 3, &self->setup));
	EXPECT_EQ(-ENXIO, run_getppid(self->fd));
	EXPECT_EQ(0, dev_setup(self->fd, 4, &self->setup));
	EXPECT_EQ(4, self->setup.cq_entries);
	EXPECT_EQ(1, run_getppid(self->fd));
}

TEST_F(setup, outputs_that_cannot_be_stored_leave_it_undone)
{
	long page_size = sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	memcpy(page, &self->setup, sizeof(self->setup));
	ASSERT_EQ(0, mprotect(page, page_size, PROT_READ));
	EXPECT_EQ(-EFAULT, dev_ioctl(self->fd, SYSLET_IOC_SETUP, page));
	EXPECT_EQ(-ENXIO, run_getppid(self->fd));
	EXPECT_EQ(0, dev_setup(self->fd, 0, &self->setup));
}

TEST_F(setup, a_short_struct_takes_the_defaults)
{
	self->setup.size = 8;
	self->setup.cq_entries = 3;	/* beyond size */
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_SETUP, &self->setup));
	EXPECT_EQ(3, self->setup.cq_entries);
	EXPECT_EQ((__u64)POISON64, self->setup.ring_bytes);
}

TEST_F(setup, exec_before_it)
{
	EXPECT_EQ(-ENXIO, run_getppid(self->fd));
}

TEST_F(setup, wait_before_it)
{
	EXPECT_EQ(-ENXIO, dev_wait(self->fd, 0, 0));
}

TEST_F(setup, mmap_before_it)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(setup, poll_before_it_sees_no_entry)
{
	struct pollfd pollfd = { .fd = self->fd, .events = POLLIN };

	ASSERT_LE(0, poll(&pollfd, 1, 0));
	EXPECT_EQ(0, pollfd.revents & POLLIN);
}

TEST_F(setup, a_dup_shares_the_head)
{
	int fd = dup(self->fd);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dev_setup(fd, 0, &self->setup));
	EXPECT_EQ(-EBUSY, dev_setup(self->fd, 0, &self->setup));
	close(fd);
	EXPECT_EQ(1, run_getppid(self->fd));
}

TEST_F(setup, two_opens_are_two_heads)
{
	struct head one, two;
	struct syslet_cqe cqe;

	ASSERT_EQ(0, head_open(&one, 8));
	ASSERT_EQ(0, head_open(&two, 16));
	ASSERT_EQ(0, ring_fill(&one, 11, 1));
	ASSERT_EQ(0, ring_fill(&two, 22, 1));
	EXPECT_TRUE(ring_take(&one, &cqe));
	EXPECT_EQ(11, cqe.user_data);
	EXPECT_FALSE(ring_take(&one, &cqe));
	EXPECT_TRUE(ring_take(&two, &cqe));
	EXPECT_EQ(22, cqe.user_data);
	EXPECT_FALSE(ring_take(&two, &cqe));
}

TEST_HARNESS_MAIN
