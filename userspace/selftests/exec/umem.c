// SPDX-License-Identifier: GPL-2.0
/* UMEM_ADD, the call that is none. */
#include <limits.h>
#include "syslet_test.h"

FIXTURE_HEAD(umem, 64);

static long umem_add(int fd, void *at, long addend, __s64 *result)
{
	struct syslet_atom atoms[] = { {
		.nr = SYSLET_NR_UMEM_ADD,
		.args = { PTR(at), addend },
	} };
	struct syslet_program program = PROGRAM(atoms);
	long ret = dev_exec(fd, &program, 1, 0);

	*result = program.result;
	return ret;
}

TEST_F(umem, adds_and_returns_the_new_value)
{
	long value = 40;
	__s64 result;

	ASSERT_EQ(1, umem_add(self->head.fd, &value, 2, &result));
	EXPECT_EQ(42, value);
	EXPECT_EQ(42, result);
}

TEST_F(umem, a_negative_addend)
{
	long value = 5;
	__s64 result;

	ASSERT_EQ(1, umem_add(self->head.fd, &value, -7, &result));
	EXPECT_EQ(-2, value);
	EXPECT_EQ(-2, result);
}

TEST_F(umem, wraps_around)
{
	long value = LONG_MAX;
	__s64 result;

	ASSERT_EQ(1, umem_add(self->head.fd, &value, 1, &result));
	EXPECT_EQ(LONG_MIN, value);
	EXPECT_EQ(LONG_MIN, result);
}

TEST_F(umem, touches_one_word)
{
	long values[] = { 1, 2, 3 };
	__s64 result;

	ASSERT_EQ(1, umem_add(self->head.fd, &values[1], -4, &result));
	EXPECT_EQ(1, values[0]);
	EXPECT_EQ(-2, values[1]);
	EXPECT_EQ(3, values[2]);
}

TEST_F(umem, a_bad_pointer_is_the_atoms_error)
{
	__s64 result;

	ASSERT_EQ(1, umem_add(self->head.fd, NULL, 1, &result));
	EXPECT_EQ(-EFAULT, result);
	ASSERT_EQ(1, umem_add(self->head.fd, BAD_HIGH, 1, &result));
	EXPECT_EQ(-EFAULT, result);
}

TEST_F(umem, a_variable_that_ends_in_a_hole)
{
	char *page = page_before_hole();
	__s64 result;

	ASSERT_NE(NULL, page);
	ASSERT_EQ(1, umem_add(self->head.fd, page + sysconf(_SC_PAGESIZE) - 2, 1, &result));
	EXPECT_EQ(-EFAULT, result);
	EXPECT_EQ((char)POISON_BYTE, page[sysconf(_SC_PAGESIZE) - 1]);
}

TEST_F(umem, read_only_memory)
{
	long page_size = sysconf(_SC_PAGESIZE);
	long *page = mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__s64 result;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(1, umem_add(self->head.fd, page, 1, &result));
	EXPECT_EQ(-EFAULT, result);
	EXPECT_EQ(0, *page);
}

TEST_F(umem, a_program_goes_on_after_its_fault)
{
	struct syslet_atom atoms[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { 0, 1 } },
		{ .nr = __NR_getppid },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
}

TEST_F(umem, adds_the_result_of_an_atom)
{
	long value = 1000000;
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getppid },
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value) }, .arg_from = { 0, 1 } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1000000 + getppid(), value);
}

TEST_F(umem, its_result_stops_like_any_other)
{
	long value = -1;
	struct syslet_atom atoms[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 },
		  .flags = SYSLET_STOP_ON_ZERO },
		{ .nr = __NR_getppid },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(0, program.result);
	EXPECT_EQ(0, program.last);
}

TEST_F(umem, its_result_is_no_restart_code)
{
	long i, value;
	__s64 result;

	for (i = -520; i < -510; i++) {
		value = 0;
		ASSERT_EQ(1, umem_add(self->head.fd, &value, i, &result));
		EXPECT_EQ(i, value);
		EXPECT_EQ(i, result);
	}
}

TEST_F(umem, its_neighbours_are_no_calls)
{
	struct syslet_atom atoms[] = { { 0 } };
	struct syslet_program program = PROGRAM(atoms);

	atoms[0].nr = SYSLET_NR_UMEM_ADD - 1;
	EXPECT_EQ(-ENOSYS, dev_exec(self->head.fd, &program, 1, 0));
	atoms[0].nr = SYSLET_NR_UMEM_ADD + 1;
	EXPECT_EQ(-ENOSYS, dev_exec(self->head.fd, &program, 1, 0));
}

TEST_HARNESS_MAIN
