// SPDX-License-Identifier: GPL-2.0
/* What the tracepoints tell, in a trace instance of the test's own. */
#include <sys/stat.h>
#include "async_test.h"
#include "tracefs.h"

FIXTURE(trace) {
	struct head head;
	struct block block;
	char dir[64];
};

FIXTURE_SETUP(trace)
{
	NEED_ASYNC();
	ASSERT_EQ(0, tracefs_mount());
	snprintf(self->dir, sizeof(self->dir), TRACEFS "/instances/syslet-%d", getpid());
	ASSERT_EQ(0, mkdir(self->dir, 0700));
	ASSERT_EQ(0, write_file(self->dir, "events/syslet/enable", "1"));
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, block_init(&self->block, 0));
}

FIXTURE_TEARDOWN(trace)
{
	head_close(&self->head);
	rmdir(self->dir);
}

/* How many events there were of this kind whose text is @text. */
static int count_events(const char *dir, const char *event, const char *text)
{
	char path[128], line[512], key[64];
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace", dir);
	snprintf(key, sizeof(key), " syslet_%s: ", event);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		char *found = strstr(line, key);

		if (!found)
			continue;
		line[strcspn(line, "\n")] = '\0';
		count += !strncmp(found + strlen(key), text, strlen(text));
	}
	fclose(file);
	return count;
}

TEST_F(trace, a_program_that_blocks)
{
	char text[96];

	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(1, count_events(self->dir, "submit", "programs=1 flags=0x0"));
	snprintf(text, sizeof(text), "user_data=0x%llx atom=0 leaves=1",
		 (long long)PTR(&self->block));
	EXPECT_EQ(1, count_events(self->dir, "block", text));
	snprintf(text, sizeof(text), "user_data=0x%llx worker=1", (long long)PTR(&self->block));
	EXPECT_EQ(1, count_events(self->dir, "handoff", text));
	EXPECT_EQ(0, count_events(self->dir, "complete", ""));

	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	snprintf(text, sizeof(text), "user_data=0x%llx result=1 last=2 flags=0x1",
		 (long long)PTR(&self->block));
	EXPECT_EQ(1, count_events(self->dir, "complete", text));
	EXPECT_EQ(0, count_events(self->dir, "fallback", ""));
}

/* A program that blocks in its caller, and has taken a place for its completion before. */
struct sitter {
	struct head *head;
	struct block block;
	pthread_t thread;
	pid_t tid;
};

static void *sit(void *arg)
{
	struct sitter *sitter = arg;

	__atomic_store_n(&sitter->tid, my_tid(), __ATOMIC_RELEASE);
	return (void *)dev_exec(sitter->head->fd, &sitter->block.program, 1,
				SYSLET_EXEC_RING_ALL);
}

/* It may leave, but there is no place for its completion then: the block is just a block. */
TEST_F(trace, a_program_that_blocks_and_may_not_leave)
{
	struct sitter sitters[3];
	struct rescuer rescuer;
	struct head head;
	char text[96];
	void *ret;
	pid_t tid;
	int i;

	/*
	 * A ring of one has places for four that are kept back, and one for each thread:
	 * two, as the spare of before may stay with the first that sits.
	 */
	ASSERT_EQ(0, head_open_limits(&head, 1, 2, 1, 0));
	ASSERT_EQ(0, ring_fill(&head, 0, 1 + 3));
	for (i = 0; i < 3; i++) {
		sitters[i] = (struct sitter) { .head = &head };
		ASSERT_EQ(0, block_init(&sitters[i].block, SYSLET_SYNC));
		ASSERT_EQ(0, pthread_create(&sitters[i].thread, NULL, sit, &sitters[i]));
		while (!(tid = __atomic_load_n(&sitters[i].tid, __ATOMIC_ACQUIRE)))
			sched_yield();
		ASSERT_EQ(0, wait_blocked(tid, __NR_read));
	}
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->block.go[1]));
	EXPECT_EQ(SYSLET_DONE, block_submit(&head, &self->block));
	EXPECT_TRUE(rescuer_end(&rescuer));
	snprintf(text, sizeof(text), "user_data=0x%llx atom=0 leaves=0",
		 (long long)PTR(&self->block));
	EXPECT_EQ(1, count_events(self->dir, "block", text));
	EXPECT_EQ(1, count_events(self->dir, "block", ""));
	EXPECT_EQ(0, count_events(self->dir, "handoff", ""));
	EXPECT_EQ(0, count_events(self->dir, "fallback", ""));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, block_release(&sitters[i].block));
		ASSERT_EQ(0, pthread_join(sitters[i].thread, &ret));
		EXPECT_EQ(1, (long)ret);
	}
	head_close(&head);
}

TEST_F(trace, programs_that_do_not)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[] = {
		PROGRAM(atoms, .user_data = 7, .flags = SYSLET_SYNC),
		PROGRAM(atoms, .user_data = 8, .flags = SYSLET_SYNC),
	};
	char text[96];

	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(1, count_events(self->dir, "submit", "programs=2 flags=0x1"));
	snprintf(text, sizeof(text), "user_data=0x7 result=%d last=0 flags=0x0", getppid());
	EXPECT_EQ(1, count_events(self->dir, "complete", text));
	text[12] = '8';
	EXPECT_EQ(1, count_events(self->dir, "complete", text));
	EXPECT_EQ(0, count_events(self->dir, "block", ""));
	EXPECT_EQ(0, count_events(self->dir, "handoff", ""));
}

TEST_F(trace, a_fallback_and_its_reason)
{
	struct rescuer rescuer;
	struct block second;
	struct head head;

	/* Not one thread more than the spare that a first program takes. */
	ASSERT_EQ(0, head_open_limits(&head, 16, 1, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&head, &self->block));
	ASSERT_EQ(0, block_init(&second, 0));
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, second.go[1]));
	EXPECT_EQ(SYSLET_DONE, block_submit(&head, &second));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(1, count_events(self->dir, "fallback", "reason=limit"));
	ASSERT_EQ(0, block_finish(&head, &self->block));
	head_close(&head);
}

TEST_HARNESS_MAIN
