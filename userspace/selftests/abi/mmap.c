// SPDX-License-Identifier: GPL-2.0
/* Mapping the completion ring. */
#include "syslet_test.h"

FIXTURE(mapping) {
	int fd;
	size_t page;
	struct syslet_setup setup;
};

FIXTURE_SETUP(mapping)
{
	self->page = sysconf(_SC_PAGESIZE);
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, dev_setup(self->fd, 256, &self->setup));
}

FIXTURE_TEARDOWN(mapping)
{
	if (self->fd >= 0)
		close(self->fd);
}

/* 0, or the errno of a refusal. */
static int try_map(int fd, size_t len, int prot, int flags, off_t offset)
{
	void *map = mmap(NULL, len, prot, flags, fd, offset);

	if (map == MAP_FAILED)
		return errno;
	munmap(map, len);
	return 0;
}

static struct syslet_ring *map_ring(int fd, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

TEST_F(mapping, the_header_of_a_new_ring)
{
	struct syslet_ring *ring = map_ring(self->fd, self->setup.ring_bytes);
	unsigned int i;

	ASSERT_NE(NULL, ring);
	EXPECT_EQ(0, ring->head);
	EXPECT_EQ(0, ring->tail);
	EXPECT_EQ(0, ring->overflow);
	EXPECT_EQ(256, ring->entries);
	EXPECT_EQ(255, ring->mask);
	for (i = 0; i < ARRAY_SIZE(ring->pad1); i++)
		EXPECT_EQ(0, ring->pad1[i]);
}

TEST_F(mapping, a_new_ring_holds_nothing_else)
{
	char *ring = (char *)map_ring(self->fd, self->setup.ring_bytes);
	size_t i, dirty = 0;

	ASSERT_NE(NULL, ring);
	for (i = sizeof(struct syslet_ring); i < self->setup.ring_bytes; i++)
		dirty += ring[i] != 0;
	EXPECT_EQ(0, dirty);
}

TEST_F(mapping, the_largest_ring)
{
	struct syslet_query query;
	struct head head;
	struct syslet_cqe cqe;

	ASSERT_EQ(0, dev_query(self->fd, &query));
	ASSERT_EQ(0, head_open(&head, query.max_cq_entries));
	EXPECT_EQ(query.max_cq_entries, head.ring->entries);
	EXPECT_EQ(0, ring_slot(&head, query.max_cq_entries - 1)->user_data);
	ASSERT_EQ(0, ring_fill(&head, 7, 1));
	ASSERT_TRUE(ring_take(&head, &cqe));
	EXPECT_EQ(7, cqe.user_data);
}

TEST_F(mapping, all_of_it_is_writable)
{
	volatile char *ring = (char *)map_ring(self->fd, self->setup.ring_bytes);
	size_t last = self->setup.cqes_offset + 256 * sizeof(struct syslet_cqe) - 1;

	ASSERT_NE(NULL, ring);
	ring[last] = 1;
	EXPECT_EQ(1, ring[last]);
}

TEST_F(mapping, too_long)
{
	EXPECT_EQ(EINVAL, try_map(self->fd, self->setup.ring_bytes + self->page,
				  PROT_READ | PROT_WRITE, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, try_map(self->fd, self->setup.ring_bytes * 16,
				  PROT_READ | PROT_WRITE, MAP_SHARED, 0));
}

TEST_F(mapping, too_short)
{
	ASSERT_LT(self->page, self->setup.ring_bytes);
	EXPECT_EQ(EINVAL, try_map(self->fd, self->page, PROT_READ | PROT_WRITE, MAP_SHARED, 0));
}

TEST_F(mapping, another_offset)
{
	EXPECT_EQ(EINVAL, try_map(self->fd, self->setup.ring_bytes,
				  PROT_READ | PROT_WRITE, MAP_SHARED, self->page));
	EXPECT_EQ(EINVAL, try_map(self->fd, self->setup.ring_bytes - self->page,
				  PROT_READ | PROT_WRITE, MAP_SHARED, self->page));
}

TEST_F(mapping, private)
{
	EXPECT_EQ(EINVAL, try_map(self->fd, self->setup.ring_bytes,
				  PROT_READ | PROT_WRITE, MAP_PRIVATE, 0));
}

TEST_F(mapping, twice_shows_the_same)
{
	struct syslet_ring *one = map_ring(self->fd, self->setup.ring_bytes);
	struct syslet_ring *two = map_ring(self->fd, self->setup.ring_bytes);

	ASSERT_NE(NULL, one);
	ASSERT_NE(NULL, two);
	one->pad0[3] = 0x1234;
	EXPECT_EQ(0x1234, two->pad0[3]);
}

TEST_F(mapping, does_not_grow)
{
	struct syslet_ring *ring = map_ring(self->fd, self->setup.ring_bytes);

	ASSERT_NE(NULL, ring);
	EXPECT_EQ(MAP_FAILED, mremap(ring, self->setup.ring_bytes,
				     self->setup.ring_bytes + self->page, MREMAP_MAYMOVE));
}

TEST_F(mapping, is_not_inherited)
{
	volatile struct syslet_ring *ring = map_ring(self->fd, self->setup.ring_bytes);
	pid_t pid;

	ASSERT_NE(NULL, ring);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ring->entries == 256 ? 1 : 2);
	EXPECT_EQ(-SIGSEGV, child_status(pid));
}

TEST_F(mapping, fork_leaves_the_parent_its_own)
{
	volatile struct syslet_ring *ring = map_ring(self->fd, self->setup.ring_bytes);
	pid_t pid;

	ASSERT_NE(NULL, ring);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(0);
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(256, ring->entries);
}

TEST_F(mapping, outlives_the_file)
{
	struct syslet_ring *ring = map_ring(self->fd, self->setup.ring_bytes);

	ASSERT_NE(NULL, ring);
	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	EXPECT_EQ(256, ring->entries);
	ring->head = 5;
	EXPECT_EQ(5, ring->head);
	EXPECT_EQ(0, munmap(ring, self->setup.ring_bytes));
}

TEST_F(mapping, the_head_outlives_it)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_ring *ring = map_ring(self->fd, self->setup.ring_bytes);

	ASSERT_NE(NULL, ring);
	ASSERT_EQ(0, munmap(ring, self->setup.ring_bytes));
	EXPECT_EQ(1, dev_exec(self->fd, &program, 1, SYSLET_EXEC_RING_ALL));
	ring = map_ring(self->fd, self->setup.ring_bytes);
	ASSERT_NE(NULL, ring);
	EXPECT_EQ(1, ring->tail);
}

TEST_F(mapping, completions_without_any_mapping)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	EXPECT_EQ(1, dev_exec(self->fd, &program, 1, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(1, dev_wait(self->fd, 1, 0));
}

TEST_HARNESS_MAIN
