// SPDX-License-Identifier: GPL-2.0
/* Programs that block go on elsewhere: what of them runs, and what comes of it. */
#include "async_test.h"

#define DATA	0x1122334455667788ULL

FIXTURE(handoff) {
	struct head head;
	int a[2], b[2];
	char buf[8];
	__s64 results[SYSLET_MAX_ATOMS];
	struct syslet_atom read_a, read_b, getppid;
};

FIXTURE_SETUP(handoff)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, pipe2(self->a, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->b, O_CLOEXEC));
	memset(self->buf, POISON_BYTE, sizeof(self->buf));
	memset(self->results, POISON_BYTE, sizeof(self->results));
	self->read_a = read_atom(self->a[0], &self->buf[0], 1);
	self->read_b = read_atom(self->b[0], &self->buf[1], 1);
	self->getppid = (struct syslet_atom) { .nr = __NR_getppid };
}

FIXTURE_TEARDOWN(handoff)
{
	head_close(&self->head);
}

#define EXEC_PENDING(program, nr)					\
	do {								\
		ASSERT_EQ(nr, dev_exec(self->head.fd, program, nr, 0));	\
		ASSERT_EQ(SYSLET_PENDING, (program)->status);		\
	} while (0)

TEST_F(handoff, the_features_say_so)
{
	EXPECT_TRUE(dev_features() & SYSLET_FEAT_STABLE_TID);
}

TEST_F(handoff, the_first_atom_blocks)
{
	struct syslet_atom atoms[] = { self->read_a, self->getppid };
	struct syslet_program program = PROGRAM(atoms, .user_data = DATA,
						.results = PTR(self->results));
	struct syslet_cqe cqe;

	EXEC_PENDING(&program, 1);
	EXPECT_EQ(SYSLET_NOT_RUN, self->results[0]);
	EXPECT_EQ(SYSLET_NOT_RUN, self->results[1]);
	EXPECT_EQ(0, ring_count(&self->head));
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, DATA, getppid(), 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(0, cqe.reserved);
	EXPECT_EQ('x', self->buf[0]);
	EXPECT_EQ(1, self->results[0]);
	EXPECT_EQ(getppid(), self->results[1]);
	EXPECT_EQ(POISON64, self->results[2]);
}

TEST_F(handoff, a_middle_atom_blocks)
{
	struct syslet_atom atoms[] = { self->getppid, self->read_a, self->getppid };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;

	EXEC_PENDING(&program, 1);
	EXPECT_EQ(getppid(), self->results[0]);
	EXPECT_EQ(SYSLET_NOT_RUN, self->results[1]);
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, getppid(), 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, self->results[1]);
	EXPECT_EQ(getppid(), self->results[2]);
}

TEST_F(handoff, the_last_atom_blocks)
{
	struct syslet_atom atoms[] = { self->getppid, self->read_a };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;

	EXEC_PENDING(&program, 1);
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 1, 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, self->results[1]);
}

TEST_F(handoff, several_atoms_block)
{
	struct syslet_atom atoms[] = { self->read_a, self->getppid, self->read_b, self->read_a };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;

	EXEC_PENDING(&program, 1);
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_TRUE(result_appears(&self->results[1]));
	EXPECT_EQ('x', self->buf[0]);
	EXPECT_EQ(SYSLET_NOT_RUN, self->results[2]);
	ASSERT_EQ(1, write(self->b[1], "y", 1));
	ASSERT_TRUE(result_appears(&self->results[2]));
	EXPECT_EQ(SYSLET_NOT_RUN, self->results[3]);
	EXPECT_EQ(0, ring_count(&self->head));
	ASSERT_EQ(1, write(self->a[1], "z", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 1, 3, SYSLET_CQE_ASYNC);
	EXPECT_EQ('z', self->buf[0]);
	EXPECT_EQ('y', self->buf[1]);
}

TEST_F(handoff, every_atom_of_the_longest_program_blocks)
{
	struct syslet_atom atoms[SYSLET_MAX_ATOMS];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;
	unsigned int i;

	for (i = 0; i < SYSLET_MAX_ATOMS; i++)
		atoms[i] = self->read_a;
	EXEC_PENDING(&program, 1);
	for (i = 0; i < SYSLET_MAX_ATOMS; i++) {
		ASSERT_EQ(SYSLET_NOT_RUN, self->results[i]);
		ASSERT_EQ(1, write(self->a[1], "x", 1));
		ASSERT_TRUE(result_appears(&self->results[i]));
		EXPECT_EQ(1, self->results[i]);
	}
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 1, SYSLET_MAX_ATOMS - 1, SYSLET_CQE_ASYNC);
}

TEST_F(handoff, the_outcome_is_written_before_the_call_returns_and_never_later)
{
	struct syslet_atom atoms[] = { self->read_a };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	EXEC_PENDING(&program, 1);
	program.result = POISON64;
	program.last = POISON32;
	program.status = POISON32;
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(POISON64, program.result);
	EXPECT_EQ(POISON32, program.last);
	EXPECT_EQ(POISON32, program.status);
}

TEST_F(handoff, an_error_is_a_result)
{
	struct __kernel_timespec soon = { .tv_nsec = 20 * NSEC_PER_MSEC };
	__u32 word = 7;
	struct syslet_atom atoms[] = {
		{ .nr = NR_FUTEX, .args = { PTR(&word), 0, 7, PTR(&soon) } },
		{ .nr = __NR_close, .args = { 0x7ffffff0 } },
	};
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;

	EXEC_PENDING(&program, 1);
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, -EBADF, 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(-ETIMEDOUT, self->results[0]);
}

/* What a blocked read is to return, and what to do about it. */
FIXTURE(stop) {
	struct head head;
	int pipes[2];
	char byte;
	__s64 results[4];
};

FIXTURE_VARIANT(stop) {
	__u32 condition;
	__s64 result;	/* of the blocking atom: 1, 0 (end of file) or -EFAULT */
	bool met;
};

FIXTURE_VARIANT_ADD(stop, on_nonzero) { SYSLET_STOP_ON_NONZERO, 1, true };
FIXTURE_VARIANT_ADD(stop, not_on_nonzero) { SYSLET_STOP_ON_NONZERO, 0, false };
FIXTURE_VARIANT_ADD(stop, on_zero) { SYSLET_STOP_ON_ZERO, 0, true };
FIXTURE_VARIANT_ADD(stop, not_on_zero) { SYSLET_STOP_ON_ZERO, 1, false };
FIXTURE_VARIANT_ADD(stop, on_negative) { SYSLET_STOP_ON_NEGATIVE, -EFAULT, true };
FIXTURE_VARIANT_ADD(stop, not_on_negative) { SYSLET_STOP_ON_NEGATIVE, 0, false };
FIXTURE_VARIANT_ADD(stop, on_non_positive) { SYSLET_STOP_ON_NON_POSITIVE, 0, true };
FIXTURE_VARIANT_ADD(stop, not_on_non_positive) { SYSLET_STOP_ON_NON_POSITIVE, 1, false };

FIXTURE_SETUP(stop)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 8));
	ASSERT_EQ(0, pipe2(self->pipes, O_CLOEXEC));
}

FIXTURE_TEARDOWN(stop)
{
	head_close(&self->head);
}

static void let_return(struct __test_metadata *_metadata, int fd, __s64 result)
{
	if (result) {
		ASSERT_EQ(1, write(fd, "x", 1));
	} else {
		ASSERT_EQ(0, close(fd));
	}
}

TEST_F(stop, ends_the_program)
{
	void *to = variant->result < 0 ? BAD_LOW : &self->byte;
	struct syslet_atom atoms[] = {
		read_atom(self->pipes[0], to, 1),
		{ .nr = __NR_getppid },
	};
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;

	atoms[0].flags = variant->condition;
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	let_return(_metadata, self->pipes[1], variant->result);
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(variant->result, self->results[0]);
	if (variant->met) {
		EXPECT_CQE(cqe, 0, variant->result, 0, SYSLET_CQE_ASYNC | SYSLET_CQE_STOPPED);
		EXPECT_EQ(SYSLET_NOT_RUN, self->results[1]);
	} else {
		EXPECT_CQE(cqe, 0, getppid(), 1, SYSLET_CQE_ASYNC);
		EXPECT_EQ(getppid(), self->results[1]);
	}
}

TEST_F(stop, skips_atoms)
{
	void *to = variant->result < 0 ? BAD_LOW : &self->byte;
	struct syslet_atom atoms[] = {
		read_atom(self->pipes[0], to, 1),
		{ .nr = __NR_getppid },
		{ .nr = __NR_getppid },
		{ .nr = __NR_close, .args = { 0x7ffffff0 } },
	};
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;

	atoms[0].flags = variant->condition | SYSLET_SKIP_ON_STOP;
	atoms[0].skip = 2;
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	let_return(_metadata, self->pipes[1], variant->result);
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, -EBADF, 3, SYSLET_CQE_ASYNC);
	EXPECT_EQ(variant->result, self->results[0]);
	EXPECT_EQ(variant->met ? SYSLET_NOT_RUN : getppid(), self->results[1]);
	EXPECT_EQ(variant->met ? SYSLET_NOT_RUN : getppid(), self->results[2]);
}

TEST_F(handoff, a_result_from_before_is_an_argument_after)
{
	char path[32], text[8] = "";
	struct syslet_atom atoms[] = {
		{ .nr = __NR_openat, .args = { AT_FDCWD, PTR(path), O_RDONLY } },
		self->read_a,
		{ .nr = __NR_read, .args = { 0, PTR(text), 5 }, .arg_from = { 1 } },
		{ .nr = __NR_close, .arg_from = { 1 } },
	};
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));
	struct syslet_cqe cqe;

	ASSERT_LE(0, file_with("hello", path));
	EXEC_PENDING(&program, 1);
	/* To open a file may be to wait for its file system. */
	ASSERT_TRUE(result_appears(&self->results[0]));
	EXPECT_LT(2, self->results[0]);
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 0, 3, SYSLET_CQE_ASYNC);
	EXPECT_EQ(5, self->results[2]);
	EXPECT_STREQ("hello", text);
	EXPECT_EQ(-1, fcntl(self->results[0], F_GETFD));
}

TEST_F(handoff, the_result_of_the_blocking_atom_is_an_argument)
{
	struct syslet_atom atoms[] = {
		read_atom(self->a[0], self->buf, sizeof(self->buf)),
		{ .nr = __NR_write, .args = { self->b[1], PTR(self->buf) }, .arg_from = { 0, 0, 1 } },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;
	char copy[8] = "";

	EXEC_PENDING(&program, 1);
	ASSERT_EQ(3, write(self->a[1], "abc", 3));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 3, 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(3, read(self->b[0], copy, sizeof(copy)));
	EXPECT_STREQ("abc", copy);
}

TEST_F(handoff, umem_add_in_a_cachemiss_thread)
{
	unsigned long value = 40;
	struct syslet_atom atoms[] = {
		self->read_a,
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 2 } },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	EXEC_PENDING(&program, 1);
	EXPECT_EQ(40, value);
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 42, 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(42, value);
}

/* Programs 3 and 7 of 32 block; all others add to a sum as they run. */
TEST_F(handoff, two_of_a_batch_block)
{
	unsigned long sum = 0;
	struct syslet_atom add[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&sum), 1 } },
	};
	struct syslet_atom third[] = { self->read_a };
	struct syslet_atom seventh[] = { self->read_b };
	struct syslet_program programs[32];
	struct syslet_cqe cqe;
	unsigned int i, added = 0;

	for (i = 0; i < 32; i++)
		programs[i] = PROGRAM(add, .user_data = i);
	programs[3] = PROGRAM(third, .user_data = 3);
	programs[7] = PROGRAM(seventh, .user_data = 7);
	ASSERT_EQ(32, dev_exec(self->head.fd, programs, 32, 0));
	EXPECT_EQ(30, sum);
	for (i = 0; i < 32; i++) {
		if (i == 3 || i == 7) {
			EXPECT_EQ(SYSLET_PENDING, programs[i].status);
		} else {
			EXPECT_EQ(SYSLET_DONE, programs[i].status);
			EXPECT_EQ(++added, programs[i].result);
		}
	}
	EXPECT_EQ(0, ring_count(&self->head));
	ASSERT_EQ(1, write(self->b[1], "y", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 7, 1, 0, SYSLET_CQE_ASYNC);
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 3, 1, 0, SYSLET_CQE_ASYNC);
	EXPECT_FALSE(ring_take(&self->head, &cqe));
}

TEST_F(handoff, all_of_a_batch_block)
{
	struct syslet_atom atoms[16];
	struct syslet_program programs[16];
	char bytes[16];
	struct syslet_cqe cqe;
	__u32 seen = 0;
	int i;

	for (i = 0; i < 16; i++) {
		atoms[i] = read_atom(self->a[0], &bytes[i], 1);
		programs[i] = PROGRAM(&atoms[i], .user_data = i);
		programs[i].nr_atoms = 1;
	}
	ASSERT_EQ(16, dev_exec(self->head.fd, programs, 16, 0));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(SYSLET_PENDING, programs[i].status);
	ASSERT_EQ(16, write(self->a[1], "0123456789abcdef", 16));
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		ASSERT_GT(16, cqe.user_data);
		EXPECT_CQE(cqe, cqe.user_data, 1, 0, SYSLET_CQE_ASYNC);
		seen |= 1U << cqe.user_data;
	}
	EXPECT_EQ(0xffff, seen);
}

TEST_F(handoff, ring_all_with_one_that_blocks)
{
	struct syslet_atom plain[] = { self->getppid };
	struct syslet_atom blocks[] = { self->read_a };
	struct syslet_program programs[] = {
		PROGRAM(plain, .user_data = 1),
		PROGRAM(blocks, .user_data = 2),
		PROGRAM(plain, .user_data = 3),
	};
	struct syslet_cqe cqe;

	ASSERT_EQ(3, dev_exec(self->head.fd, programs, 3, SYSLET_EXEC_RING_ALL));
	ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_CQE(cqe, 1, getppid(), 0, 0);
	ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_CQE(cqe, 3, getppid(), 0, 0);
	ASSERT_FALSE(ring_take(&self->head, &cqe));
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 2, 1, 0, SYSLET_CQE_ASYNC);
}

TEST_F(handoff, nowait_with_a_thread_to_spare)
{
	struct syslet_atom atoms[] = { self->read_a };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_NOWAIT));
	EXPECT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->a[1], "x", 1));
	EXPECT_EQ(0, take_wait(&self->head, &cqe));
}

TEST_HARNESS_MAIN
