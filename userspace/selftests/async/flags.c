// SPDX-License-Identifier: GPL-2.0
/* The flags that say where a program runs and whether it is told of. */
#include "async_test.h"

FIXTURE(flags) {
	struct head head;
	int pipes[2];
	char byte;
	__s64 results[2];
	struct syslet_atom atoms[2];	/* a read from the pipe, and gettid */
};

FIXTURE_SETUP(flags)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, pipe2(self->pipes, O_CLOEXEC));
	self->byte = POISON_BYTE;
	memset(self->results, POISON_BYTE, sizeof(self->results));
	self->atoms[0] = read_atom(self->pipes[0], &self->byte, 1);
	self->atoms[1] = (struct syslet_atom) { .nr = __NR_gettid };
}

FIXTURE_TEARDOWN(flags)
{
	head_close(&self->head);
}

TEST_F(flags, a_program_that_does_not_block_runs_in_the_caller)
{
	struct syslet_program program = PROGRAM(self->atoms, .results = PTR(self->results));

	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(SYSLET_DONE, program.status);
	EXPECT_EQ(my_tid(), program.result);
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(flags, a_blocked_one_goes_on_under_another_tid)
{
	struct syslet_program program = PROGRAM(self->atoms, .results = PTR(self->results));
	pid_t tid = my_tid();
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	EXPECT_EQ(tid, my_tid());
	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_LT(0, cqe.result);
	EXPECT_NE(tid, cqe.result);
	EXPECT_EQ(tid, my_tid());
}

TEST_F(flags, async_never_runs_in_the_caller)
{
	struct syslet_atom atoms[] = { self->atoms[1] };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_ASYNC, .user_data = 5);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_LT(0, cqe.result);
	EXPECT_NE(my_tid(), cqe.result);
	EXPECT_CQE(cqe, 5, cqe.result, 0, SYSLET_CQE_ASYNC);
}

TEST_F(flags, async_in_a_batch)
{
	struct syslet_atom atoms[] = { self->atoms[1] };
	struct syslet_program programs[] = {
		PROGRAM(atoms),
		PROGRAM(atoms, .flags = SYSLET_ASYNC, .user_data = 1),
		PROGRAM(atoms),
		PROGRAM(atoms, .flags = SYSLET_ASYNC, .user_data = 3),
	};
	struct syslet_cqe cqe;
	__u64 seen = 0;
	int i;

	ASSERT_EQ(4, dev_exec(self->head.fd, programs, 4, 0));
	EXPECT_EQ(SYSLET_DONE, programs[0].status);
	EXPECT_EQ(my_tid(), programs[0].result);
	EXPECT_EQ(SYSLET_PENDING, programs[1].status);
	EXPECT_EQ(SYSLET_DONE, programs[2].status);
	EXPECT_EQ(my_tid(), programs[2].result);
	EXPECT_EQ(SYSLET_PENDING, programs[3].status);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_NE(my_tid(), cqe.result);
		seen += cqe.user_data;
	}
	EXPECT_EQ(4, seen);
}

TEST_F(flags, async_that_blocks)
{
	struct syslet_program program = PROGRAM(self->atoms, .flags = SYSLET_ASYNC);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(SYSLET_PENDING, program.status);
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 20 * NSEC_PER_MSEC));
	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, cqe.result, 1, SYSLET_CQE_ASYNC);
	EXPECT_NE(my_tid(), cqe.result);
}

TEST_F(flags, async_reads_its_atoms_before_the_call_returns)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_ASYNC);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	atoms[0].nr = __NR_getpid;
	memset(&program, POISON_BYTE, sizeof(program));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(getppid(), cqe.result);
}

TEST_F(flags, sync_never_leaves_the_caller)
{
	struct syslet_program program = PROGRAM(self->atoms, .flags = SYSLET_SYNC,
						.results = PTR(self->results));
	struct rescuer rescuer;

	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->pipes[1]));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(SYSLET_DONE, program.status);
	EXPECT_EQ(1, self->results[0]);
	EXPECT_EQ(my_tid(), program.result);
	EXPECT_EQ('!', self->byte);
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(flags, sync_in_the_same_call_as_one_that_leaves)
{
	int pipes[2];
	char byte;
	struct syslet_atom blocks[] = { read_atom(self->pipes[0], &self->byte, 1) };
	struct syslet_atom stays[2] = { { .nr = __NR_gettid } };
	struct syslet_program programs[] = {
		PROGRAM(blocks, .user_data = 1),
		PROGRAM(stays, .flags = SYSLET_SYNC, .results = PTR(self->results)),
	};
	struct rescuer rescuer;
	struct syslet_cqe cqe;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	stays[1] = read_atom(pipes[0], &byte, 1);
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, pipes[1]));
	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(SYSLET_PENDING, programs[0].status);
	EXPECT_EQ(SYSLET_DONE, programs[1].status);
	EXPECT_EQ(my_tid(), self->results[0]);
	EXPECT_EQ(1, self->results[1]);
	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 1, 1, 0, SYSLET_CQE_ASYNC);
}

TEST_F(flags, no_complete_of_one_that_blocks)
{
	struct syslet_program program = PROGRAM(self->atoms, .flags = SYSLET_NO_COMPLETE,
						.results = PTR(self->results));
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program told = PROGRAM(atoms, .flags = SYSLET_ASYNC, .user_data = 9);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_RING_ALL));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	ASSERT_TRUE(result_appears(&self->results[1]));
	EXPECT_EQ(1, self->results[0]);
	EXPECT_NE(my_tid(), self->results[1]);
	ASSERT_EQ(1, dev_exec(self->head.fd, &told, 1, 0));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(9, cqe.user_data);
	EXPECT_FALSE(ring_take(&self->head, &cqe));
}

TEST_F(flags, no_complete_of_an_async_one)
{
	struct syslet_atom atoms[] = { self->atoms[1] };
	struct syslet_program program = PROGRAM(atoms,
						.flags = SYSLET_ASYNC | SYSLET_NO_COMPLETE,
						.results = PTR(self->results));

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(SYSLET_PENDING, program.status);
	ASSERT_TRUE(result_appears(&self->results[0]));
	EXPECT_NE(my_tid(), self->results[0]);
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(flags, no_complete_makes_no_event)
{
	struct syslet_program program = PROGRAM(self->atoms, .flags = SYSLET_NO_COMPLETE,
						.results = PTR(self->results));
	struct pollfd pollfd = { .fd = self->head.fd, .events = POLLIN };

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	ASSERT_TRUE(result_appears(&self->results[1]));
	EXPECT_EQ(0, poll(&pollfd, 1, 20));
}

TEST_HARNESS_MAIN
