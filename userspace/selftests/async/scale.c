// SPDX-License-Identifier: GPL-2.0
/* Many programs at once, and many handoffs in a row: nothing is left of them. */
#include <limits.h>
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

/* How many open files the whole system has. */
static long count_files(void)
{
	FILE *file = fopen("/proc/sys/fs/file-nr", "re");
	long value = -1;

	if (file && fscanf(file, "%ld", &value) != 1)
		value = -1;
	if (file)
		fclose(file);
	return value;
}

/* How many KiB the kernel has for itself. */
static long count_kept(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[256];
	long value = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SUnreclaim: %ld kB", &value) == 1)
			break;
	if (file)
		fclose(file);
	return value;
}

/* What a task, and what is done with it, is made of. */
enum { PID, FILP, TASK_STRUCT, SIGHAND, KMALLOC, CACHES };

static const char *const cache_names[CACHES] = {
	[PID] = "pid",
	[FILP] = "filp",
	[TASK_STRUCT] = "task_struct",
	[SIGHAND] = "sighand_cache",
	[KMALLOC] = "kmalloc-",	/* all of them */
};

/* How many objects each of these has; -1 for one that is not there. */
static void count_objects(long counts[CACHES])
{
	FILE *file = fopen("/proc/slabinfo", "re");
	char line[512], name[64];
	long active;
	int i;

	for (i = 0; i < CACHES; i++)
		counts[i] = -1;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %ld", name, &active) != 2)
			continue;
		if (!strncmp(name, cache_names[KMALLOC], strlen(cache_names[KMALLOC])))
			counts[KMALLOC] += active + (counts[KMALLOC] < 0);
		for (i = 0; i < KMALLOC; i++)
			if (!strcmp(name, cache_names[i]))
				counts[i] = active;
	}
	if (file)
		fclose(file);
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

static long nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

/*
 * Objects that may come in addition: those count that a cache has ready for each
 * CPU, and a kernel that checks itself keeps for a while what was freed. For the
 * first reason the loops have to be longer than this for each CPU: as many as that
 * were ready may be missing afterwards unseen.
 */
static long room(void)
{
	return 64 * nr_cpus() * (long)factor("SYSLET_SLOW");
}

/* The same of what all of the kernel uses, where so little can be told from what was freed. */
static long kmalloc_room(long nr)
{
	return factor("SYSLET_SLOW") > 1 ? LONG_MAX / 2 : 500 * nr_cpus() + nr;
}

/* What is freed late, by RCU or by a thread on its way out, has time for that. */
static void expect_no_more(struct __test_metadata *_metadata, const long *before, long kmallocs)
{
	__u64 deadline = now_ns() + PATIENCE;
	long after[CACHES], most[CACHES];
	bool more;
	int i;

	for (i = 0; i < CACHES; i++)
		most[i] = before[i] + (i == KMALLOC ? kmallocs : room());
	do {
		usleep(20000);
		count_objects(after);
		more = false;
		for (i = 0; i < CACHES; i++)
			more |= after[i] > most[i];
	} while (more && now_ns() < deadline);
	for (i = 0; i < CACHES; i++) {
		EXPECT_LT(0, before[i]) {
			TH_LOG("no %s in /proc/slabinfo", cache_names[i]);
		}
		EXPECT_GE(most[i], after[i]) {
			TH_LOG("%s: %ld objects, then %ld", cache_names[i], before[i], after[i]);
		}
	}
}

/* One handoff by a head that has no spare yet. */
static void hop_anew(struct __test_metadata *_metadata, struct block *block)
{
	struct head head;

	ASSERT_EQ(0, head_open(&head, 8));
	ASSERT_EQ(0, hop(&head, block));
	head_close(&head);
}

TEST_F(scale, handoffs_leave_nothing_behind)
{
	unsigned int i, nr = 1000 * nr_cpus() * stress(), slow = factor("SYSLET_SLOW");
	long kept, files, before[CACHES];
	int fds, tasks;

	/* What is allocated once is there after a few. */
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, hop(&self->head, &self->block));
		hop_anew(_metadata, &self->block);
	}
	/* The caller, a spare, and the task that the process began with. */
	tasks = wait_tasks(getpid(), 3);
	ASSERT_GE(3, tasks);
	fds = count_fds();
	count_objects(before);
	kept = count_kept();
	files = count_files();
	ASSERT_LT(0, kept);
	ASSERT_LT(0, files);
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, hop(&self->head, &self->block));
		if (i % 10 == 0)
			hop_anew(_metadata, &self->block);
	}
	EXPECT_EQ(fds, count_fds());
	EXPECT_GE(3, wait_tasks(getpid(), 3));
	/* Far less than one for each handoff. */
	expect_no_more(_metadata, before, kmalloc_room(nr / 100));
	EXPECT_GE(files + 50, count_files());
	/* In KiB, where pages were lost. Tasks that were freed are not small. */
	kept += 500 * nr_cpus() * slow + (slow > 1 ? 4 * nr : nr / 16);
	EXPECT_GE(kept, count_kept());
}

TEST_F(scale, forks_of_spares_leave_nothing_behind)
{
	unsigned int i, nr = 250 * nr_cpus() * stress();
	long before[CACHES];

	for (i = 0; i < 50; i++)
		hop_anew(_metadata, &self->block);
	ASSERT_GE(3, wait_tasks(getpid(), 3));
	count_objects(before);
	for (i = 0; i < nr; i++)
		hop_anew(_metadata, &self->block);
	EXPECT_GE(3, wait_tasks(getpid(), 3));
	expect_no_more(_metadata, before, kmalloc_room(nr / 10));
}

TEST_HARNESS_MAIN
