// SPDX-License-Identifier: GPL-2.0
/* What EXEC refuses, and that a refused call has run nothing at all. */
#include "syslet_test.h"

FIXTURE(refusal) {
	struct head head;
	/* Programs 0 and 2 are good, program 1 is what the test makes of it. */
	struct syslet_program programs[3];
	struct syslet_atom atoms[SYSLET_MAX_ATOMS + 1];
	struct syslet_exec exec;
	long ran;	/* counts the atoms that ran */
};

FIXTURE_SETUP(refusal)
{
	unsigned int i;

	ASSERT_EQ(0, head_open(&self->head, 64));
	for (i = 0; i < ARRAY_SIZE(self->atoms); i++)
		self->atoms[i] = (struct syslet_atom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&self->ran), 1 },
		};
	for (i = 0; i < 3; i++)
		self->programs[i] = (struct syslet_program) {
			.atoms = PTR(&self->atoms[0]),
			.nr_atoms = 3,
			.result = POISON64,
			.last = POISON32,
			.status = POISON32,
		};
	self->exec = (struct syslet_exec) {
		.size = sizeof(self->exec),
		.programs = PTR(self->programs),
		.nr_programs = 3,
	};
}

FIXTURE_TEARDOWN(refusal)
{
	head_close(&self->head);
}

#define submit() dev_ioctl(self->head.fd, SYSLET_IOC_EXEC, &self->exec)

/* Refused with @error, nothing run, nothing reported as run. */
#define EXPECT_REFUSED(error) do {					\
	EXPECT_EQ(error, submit());					\
	EXPECT_EQ(0, self->ran);					\
	for (unsigned int p = 0; p < 3; p++) {				\
		EXPECT_NE(SYSLET_DONE, self->programs[p].status);	\
		EXPECT_NE(SYSLET_PENDING, self->programs[p].status);	\
	}								\
	EXPECT_EQ(0, ring_count(&self->head));				\
} while (0)

TEST_F(refusal, none_when_all_is_well)
{
	ASSERT_EQ(3, submit());
	EXPECT_EQ(9, self->ran);
	EXPECT_EQ(3, self->programs[0].result);
	EXPECT_EQ(SYSLET_DONE, self->programs[0].status);
}

TEST_F(refusal, no_programs)
{
	self->exec.nr_programs = 0;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, too_many_programs)
{
	static struct syslet_program many[SYSLET_MAX_PROGRAMS + 1];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = self->programs[0];
	self->exec.programs = PTR(many);
	self->exec.nr_programs = ARRAY_SIZE(many);
	EXPECT_REFUSED(-E2BIG);
	self->exec.nr_programs = ~0U;
	EXPECT_REFUSED(-E2BIG);
}

TEST_F(refusal, no_atoms)
{
	self->programs[1].nr_atoms = 0;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, too_many_atoms)
{
	self->programs[1].nr_atoms = SYSLET_MAX_ATOMS + 1;
	EXPECT_REFUSED(-E2BIG);
	self->programs[1].nr_atoms = ~0U;
	EXPECT_REFUSED(-E2BIG);
}

TEST_F(refusal, unknown_exec_flags)
{
	unsigned int bit;

	for (bit = 2; bit < 32; bit++) {
		self->exec.flags = 1U << bit;
		EXPECT_REFUSED(-EINVAL);
	}
}

TEST_F(refusal, reserved_field_of_exec)
{
	self->exec.reserved = 1;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, a_short_exec_has_no_programs)
{
	self->exec.size = offsetof(struct syslet_exec, nr_programs);
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, unknown_program_flags)
{
	unsigned int bit;

	for (bit = 3; bit < 32; bit++) {
		self->programs[1].flags = 1U << bit;
		EXPECT_REFUSED(-EINVAL);
	}
}

TEST_F(refusal, async_and_sync)
{
	self->programs[1].flags = SYSLET_ASYNC | SYSLET_SYNC;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, async_without_the_feature)
{
	if (dev_features() & SYSLET_FEAT_ASYNC)
		SKIP(return, "there is ASYNC");
	self->programs[1].flags = SYSLET_ASYNC;
	EXPECT_REFUSED(-EOPNOTSUPP);
}

TEST_F(refusal, unknown_atom_flags)
{
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		if (bit >= 3 && bit <= 7)
			continue;
		self->atoms[2].flags = 1U << bit;
		EXPECT_REFUSED(-EINVAL);
	}
}

TEST_F(refusal, reserved_field_of_an_atom)
{
	self->atoms[2].reserved = 1;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, the_own_result_as_an_argument)
{
	unsigned int position;

	for (position = 0; position < 6; position++) {
		self->atoms[2].arg_from[position] = 3;
		EXPECT_REFUSED(-EINVAL);
		self->atoms[2].arg_from[position] = 0;
	}
}

TEST_F(refusal, a_later_result_as_an_argument)
{
	unsigned int position;

	for (position = 0; position < 6; position++) {
		self->atoms[1].arg_from[position] = 3;
		EXPECT_REFUSED(-EINVAL);
		self->atoms[1].arg_from[position] = 255;
		EXPECT_REFUSED(-EINVAL);
		self->atoms[1].arg_from[position] = 0;
	}
}

TEST_F(refusal, the_first_atom_has_no_results_to_take)
{
	self->atoms[0].arg_from[5] = 1;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, unknown_calls)
{
	static const __u32 unknown[] = {
		4095, 65536, 0x40000000 | __NR_getppid, 0x80000000, 0xfffffffe, ~0U,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		self->atoms[2].nr = unknown[i];
		EXPECT_REFUSED(-ENOSYS);
	}
}

TEST_F(refusal, in_an_atom_that_would_never_run)
{
	self->atoms[0].flags = SYSLET_STOP_ON_NONZERO;
	self->atoms[2].nr = __NR_exit_group;
	EXPECT_REFUSED(-EPERM);
}

TEST_F(refusal, exec_at_bad_addresses)
{
	EXPECT_EQ(-EFAULT, dev_ioctl(self->head.fd, SYSLET_IOC_EXEC, BAD_LOW));
	EXPECT_EQ(-EFAULT, dev_ioctl(self->head.fd, SYSLET_IOC_EXEC, BAD_HIGH));
}

static const __u64 bad_addresses[] = {
	0, 16, (unsigned long)-4096L, (unsigned long)-8L, (unsigned long)-1L,
};

TEST_F(refusal, programs_at_bad_addresses)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_addresses); i++) {
		self->exec.programs = bad_addresses[i];
		EXPECT_REFUSED(-EFAULT);
	}
}

TEST_F(refusal, programs_running_into_a_hole)
{
	char *page = page_before_hole();
	char *at = page + sysconf(_SC_PAGESIZE) - 2 * sizeof(struct syslet_program) - 8;

	ASSERT_NE(NULL, page);
	memcpy(at, self->programs, 2 * sizeof(struct syslet_program));
	self->exec.programs = PTR(at);
	EXPECT_REFUSED(-EFAULT);
}

TEST_F(refusal, programs_in_read_only_memory)
{
	long page_size = sysconf(_SC_PAGESIZE);
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	memcpy(page, self->programs, sizeof(self->programs));
	ASSERT_EQ(0, mprotect(page, page_size, PROT_READ));
	self->exec.programs = PTR(page);
	EXPECT_REFUSED(-EFAULT);
	EXPECT_EQ(0, memcmp(page, self->programs, sizeof(self->programs)));
}

TEST_F(refusal, the_last_program_in_read_only_memory)
{
	long page_size = sysconf(_SC_PAGESIZE);
	char *page = page_before_hole();
	char *at = page + page_size - 2 * sizeof(struct syslet_program);

	ASSERT_NE(NULL, page);
	ASSERT_EQ(0, mprotect(page + page_size, page_size, PROT_READ | PROT_WRITE));
	memcpy(at, self->programs, sizeof(self->programs));
	ASSERT_EQ(0, mprotect(page + page_size, page_size, PROT_READ));
	self->exec.programs = PTR(at);
	EXPECT_REFUSED(-EFAULT);
}

TEST_F(refusal, atoms_at_bad_addresses)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_addresses); i++) {
		self->programs[1].atoms = bad_addresses[i];
		EXPECT_REFUSED(-EFAULT);
	}
}

TEST_F(refusal, atoms_running_into_a_hole)
{
	char *page = page_before_hole();
	char *at = page + sysconf(_SC_PAGESIZE) - 2 * sizeof(struct syslet_atom) - 8;

	ASSERT_NE(NULL, page);
	memcpy(at, self->atoms, 2 * sizeof(struct syslet_atom));
	self->programs[1].atoms = PTR(at);
	EXPECT_REFUSED(-EFAULT);
}

TEST_F(refusal, results_at_bad_addresses)
{
	unsigned int i;

	/* The first of these is 0, which means that none are wanted. */
	for (i = 1; i < ARRAY_SIZE(bad_addresses); i++) {
		self->programs[1].results = bad_addresses[i];
		EXPECT_REFUSED(-EFAULT);
	}
}

TEST_F(refusal, results_running_into_a_hole)
{
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	self->programs[1].results = PTR(page + sysconf(_SC_PAGESIZE) - 2 * sizeof(__s64));
	EXPECT_REFUSED(-EFAULT);
}

TEST_F(refusal, results_in_read_only_memory)
{
	long page_size = sysconf(_SC_PAGESIZE);
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	ASSERT_EQ(0, mprotect(page, page_size, PROT_READ));
	self->programs[1].results = PTR(page);
	EXPECT_REFUSED(-EFAULT);
	EXPECT_EQ((char)POISON_BYTE, page[0]);
}

TEST_F(refusal, a_closed_file)
{
	int fd = dup(self->head.fd);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(-EBADF, dev_ioctl(fd, SYSLET_IOC_EXEC, &self->exec));
	EXPECT_EQ(0, self->ran);
}

TEST_F(refusal, then_all_is_as_before)
{
	self->programs[2].nr_atoms = 0;
	EXPECT_REFUSED(-EINVAL);
	self->programs[2].nr_atoms = 3;
	EXPECT_EQ(3, submit());
	EXPECT_EQ(9, self->ran);
}

TEST_HARNESS_MAIN
