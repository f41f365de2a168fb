// SPDX-License-Identifier: GPL-2.0
/* Many programs at once, and many handoffs in a row: nothing is left of them. */
#include <sys/resource.h>
#include "async_test.h"

FIXTURE(scale) {
	struct head head;
	struct block block;
};

FIXTURE_SETUP(scale)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open_limits(&self->head, 2048, 1100, 1, 100));
	ASSERT_EQ(0, block_init(&self->block, 0));
}

FIXTURE_TEARDOWN(scale)
{
	head_close(&self->head);
}

/* Programs that wait on one futex, so that one call wakes them all. */
static void block_many(struct __test_metadata *_metadata, struct head *head, __u32 *word, int nr)
{
	struct syslet_atom atoms[] = {
		{ .nr = NR_FUTEX, .args = { PTR(word), 0, 0, 0 } },
		{ .nr = __NR_getppid },
	};
	struct syslet_program program;
	int i;

	for (i = 0; i < nr; i++) {
		program = PROGRAM(atoms, .user_data = i);
		ASSERT_EQ(1, dev_exec(head->fd, &program, 1, 0));
		ASSERT_EQ(SYSLET_PENDING, program.status);
	}
}

static void wake_and_take(struct __test_metadata *_metadata, struct head *head, __u32 *word, int nr)
{
	unsigned char *seen = calloc(nr, 1);
	struct syslet_cqe cqe;
	int i;

	*word = 1;
	ASSERT_EQ(nr, syscall(NR_FUTEX, word, 1, nr, NULL, NULL, 0));
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, take_wait(head, &cqe));
		ASSERT_GT(nr, (int)cqe.user_data);
		EXPECT_CQE(cqe, cqe.user_data, getppid(), 1, SYSLET_CQE_ASYNC);
		seen[cqe.user_data]++;
	}
	for (i = 0; i < nr; i++)
		EXPECT_EQ(1, seen[i]);
	free(seen);
}

TEST_F(scale, a_thousand_programs_at_once)
{
	/* Fewer where each look at another worker is checked: they all look at each other. */
	int nr = 1000 / factor("SYSLET_SLOW");
	__u32 word = 0;

	block_many(_metadata, &self->head, &word, nr);
	EXPECT_LE(nr + 1, count_tasks(getpid()));
	wake_and_take(_metadata, &self->head, &word, nr);
	/* The caller, a spare, and the task that the process began with. */
	EXPECT_GE(3, wait_tasks(getpid(), 3));
}

TEST_F(scale, a_thousand_programs_die_with_their_process)
{
	pid_t pid = fork();
	__u32 word = 0;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct head head;

		if (head_open_limits(&head, 2048, 1100, 1, 0))
			_exit(1);
		block_many(_metadata, &head, &word, 500);
		_exit(42);
	}
	EXPECT_EQ(42, child_status(pid));
}

/* What the kernel has of a kind, in its own words: the number behind @name in @path. */
static long number_in(const char *path, const char *name)
{
	char line[256];
	long value = -1;
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name) + strspn(line + strlen(name), " :\t"),
				       NULL, 10);
	if (file)
		fclose(file);
	return value;
}

static int count_fds(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

TEST_F(scale, handoffs_leave_nothing_behind)
{
	unsigned int i, nr = 1000 * stress();
	long slab, kept, files, tasks;
	int fds;

	/* What is allocated once is there after a few. */
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, hop(&self->head, &self->block));
	fds = count_fds();
	tasks = count_tasks(getpid());
	slab = number_in("/proc/slabinfo", "task_struct");
	kept = number_in("/proc/meminfo", "SUnreclaim");
	files = number_in("/proc/sys/fs/file-nr", "");
	for (i = 0; i < nr; i++)
		ASSERT_EQ(0, hop(&self->head, &self->block));
	EXPECT_EQ(fds, count_fds());
	EXPECT_GE(tasks + 1, count_tasks(getpid()));
	/* A kernel that checks itself keeps for a while what was freed. */
	EXPECT_GE(slab + 50 * factor("SYSLET_SLOW"), number_in("/proc/slabinfo", "task_struct"));
	EXPECT_GE(files + 200, number_in("/proc/sys/fs/file-nr", ""));
	/* In KiB: less than two of them for each handoff, with room for what others do. */
	kept += 1000 * factor("SYSLET_SLOW") + nr / 4;
	EXPECT_GE(kept, number_in("/proc/meminfo", "SUnreclaim"));
}

TEST_F(scale, forks_of_spares_leave_nothing_behind)
{
	unsigned int i, nr = 100 * stress();
	struct head head;
	long slab = 0;

	for (i = 0; i < nr; i++) {
		if (i == 20)
			slab = number_in("/proc/slabinfo", "task_struct");
		ASSERT_EQ(0, head_open(&head, 8));
		ASSERT_EQ(0, hop(&head, &self->block));
		head_close(&head);
	}
	EXPECT_GE(slab + 60 * factor("SYSLET_SLOW"), number_in("/proc/slabinfo", "task_struct"));
	EXPECT_GE(3, wait_tasks(getpid(), 3));
}

TEST_HARNESS_MAIN
