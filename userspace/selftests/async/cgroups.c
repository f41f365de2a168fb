// SPDX-License-Identifier: GPL-2.0
/* Control groups: of the caller, and the limit on tasks that one can set. */
#include <sys/mount.h>
#include <sys/stat.h>
#include "async_test.h"

/* A group of version 2 in a hierarchy that is mounted for the test. */
FIXTURE(cgroups) {
	struct head head;
	struct block block;
	char root[40], dir[64];
};

FIXTURE_SETUP(cgroups)
{
	NEED_ASYNC();
	strcpy(self->root, "/tmp/syslet-cgroup-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->root));
	if (mount("cgroup2", self->root, "cgroup2", 0, NULL)) {
		rmdir(self->root);
		SKIP(return, "no version 2 control groups: %m");
	}
	snprintf(self->dir, sizeof(self->dir), "%s/syslet-%d", self->root, getpid());
	ASSERT_EQ(0, mkdir(self->dir, 0700));
	ASSERT_EQ(0, head_open(&self->head, 16));
	ASSERT_EQ(0, block_init(&self->block, 0));
	ASSERT_EQ(0, hop(&self->head, &self->block));
}

/* The test has ended: the group is empty. */
FIXTURE_TEARDOWN_PARENT(cgroups)
{
	EXPECT_EQ(0, rmdir(self->dir)) {
		TH_LOG("rmdir: %m");
	}
	EXPECT_EQ(0, umount2(self->root, MNT_DETACH));
	rmdir(self->root);
}

static bool in_group(const char *task, const char *dir)
{
	char path[64], line[256], want[64];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/cgroup", task);
	snprintf(want, sizeof(want), "%s\n", strrchr(dir, '/'));
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		found |= !strncmp(line, "0::", 3) && strstr(line, want);
	if (file)
		fclose(file);
	return found;
}

TEST_F(cgroups, of_the_process)
{
	int i;

	ASSERT_EQ(0, write_file(self->dir, "cgroup.procs", "0"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
		EXPECT_TRUE(in_group("thread-self", self->dir));
		EXPECT_TRUE(in_group("self", self->dir));
		ASSERT_EQ(0, block_finish(&self->head, &self->block));
		EXPECT_TRUE(in_group("thread-self", self->dir));
	}
}

TEST_F(cgroups, of_the_thread_alone)
{
	int i;

	ASSERT_EQ(0, write_file(self->dir, "cgroup.type", "threaded"));
	ASSERT_EQ(0, write_file(self->dir, "cgroup.threads", "0"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
		EXPECT_TRUE(in_group("thread-self", self->dir));
		ASSERT_EQ(0, block_finish(&self->head, &self->block));
		EXPECT_TRUE(in_group("thread-self", self->dir));
	}
}

/* No task may be forked any more: the program blocks in the caller, and is not lost. */
TEST_F(cgroups, limit_on_tasks)
{
	struct rescuer rescuer;
	struct block blocks[3];
	struct head head;
	char most[16];

	if (write_file(self->root, "cgroup.subtree_control", "+pids"))
		SKIP(return, "no pids controller");
	ASSERT_EQ(0, write_file(self->dir, "cgroup.procs", "0"));
	/* Of this head there are no threads yet, and there will be none. */
	ASSERT_EQ(0, block_init(&blocks[0], 0));
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, blocks[0].go[1]));
	snprintf(most, sizeof(most), "%d", 1);
	ASSERT_EQ(0, write_file(self->dir, "pids.max", most));
	ASSERT_EQ(0, head_open(&head, 16));
	EXPECT_EQ(SYSLET_DONE, block_submit(&head, &blocks[0]));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(1, blocks[0].results[0]);
	EXPECT_EQ(my_tid(), blocks[0].results[1]);
	EXPECT_EQ(-EAGAIN, dev_exec(head.fd, &self->block.program, 1, SYSLET_EXEC_NOWAIT));
	/* As soon as it may be done it is done. */
	ASSERT_EQ(0, write_file(self->dir, "pids.max", "max"));
	ASSERT_EQ(0, block_init(&blocks[1], 0));
	EXPECT_EQ(0, hop(&head, &blocks[1]));
	head_close(&head);
}

/* Which CPUs it has asked for, whether it gets them or not. */
static int ask_for_cpus(bool first, bool second)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (first)
		CPU_SET(0, &set);
	if (second)
		CPU_SET(1, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

TEST_F(cgroups, cpus_to_come)
{
	cpu_set_t set;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 ||
	    write_file(self->root, "cgroup.subtree_control", "+cpuset"))
		SKIP(return, "no second CPU, or no cpuset controller");
	ASSERT_EQ(0, write_file(self->dir, "cpuset.cpus", "0"));
	ASSERT_EQ(0, write_file(self->dir, "cgroup.procs", "0"));
	ASSERT_EQ(0, ask_for_cpus(true, true));
	/* A spare that has asked for both, and one for the first, run on the same one. */
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(0, ask_for_cpus(true, false));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(0, write_file(self->dir, "cpuset.cpus", "0-1"));
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(set), &set));
	EXPECT_TRUE(CPU_ISSET(0, &set));
	EXPECT_FALSE(CPU_ISSET(1, &set));
	ASSERT_EQ(0, ask_for_cpus(true, true));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(set), &set));
	EXPECT_EQ(2, CPU_COUNT(&set));
}

TEST_HARNESS_MAIN
