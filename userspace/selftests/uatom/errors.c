// SPDX-License-Identifier: GPL-2.0
/* What EXEC_UATOM refuses, and that a refused chain has run nothing at all. */
#include "uatom_test.h"

FIXTURE_CHAIN(refusal, 3);

TEST_F(refusal, none_when_all_is_well)
{
	EXPECT_DONE(0x7, 2, 3);
}

TEST_F(refusal, no_uatom)
{
	self->chain.exec.uatom = 0;
	EXPECT_REFUSED(-EFAULT);
}

TEST_F(refusal, uatom_is_no_pointer)
{
	self->chain.exec.uatom = PTR(BAD_LOW);
	EXPECT_REFUSED(-EFAULT);
	self->chain.exec.uatom = PTR(BAD_HIGH);
	EXPECT_REFUSED(-EFAULT);
	self->chain.exec.uatom = ~0ULL;
	EXPECT_REFUSED(-EFAULT);
}

TEST_F(refusal, next_is_no_pointer)
{
	self->chain.atoms[1].next = BAD_LOW;
	EXPECT_REFUSED(-EFAULT);
	self->chain.atoms[1].next = BAD_HIGH;
	EXPECT_REFUSED(-EFAULT);
}

TEST_F(refusal, an_argument_is_no_pointer)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		self->chain.atoms[1].arg_ptr[i] = &self->chain.value[0];
	for (i = 0; i < 6; i++) {
		self->chain.atoms[1].arg_ptr[i] = BAD_LOW;
		EXPECT_REFUSED(-EFAULT);
		self->chain.atoms[1].arg_ptr[i] = BAD_HIGH;
		EXPECT_REFUSED(-EFAULT);
		self->chain.atoms[1].arg_ptr[i] = &self->chain.value[0];
	}
}

TEST_F(refusal, an_argument_runs_into_a_hole)
{
	char *page = page_before_hole();
	char *end = page + sysconf(_SC_PAGESIZE);

	ASSERT_NE(NULL, page);
	self->chain.atoms[1].arg_ptr[1] = (void *)(end - sizeof(long) + 1);
	EXPECT_REFUSED(-EFAULT);
	memset(end - sizeof(long), 0, sizeof(long));
	end[-(int)sizeof(long)] = 7;
	self->chain.atoms[1].arg_ptr[1] = (void *)(end - sizeof(long));
	EXPECT_DONE(0x7, 2, 3);
	EXPECT_EQ(7, self->chain.ret[1]);
}

TEST_F(refusal, each_word_of_a_uatom_in_a_hole)
{
	char *page = page_before_hole();
	char *end = page + sysconf(_SC_PAGESIZE);
	struct syslet_uatom *uatom;
	unsigned int words;

	ASSERT_NE(NULL, page);
	/* All words up to the NULL behind the two arguments are needed. */
	for (words = 0; words < 7; words++) {
		uatom = (void *)(end - words * sizeof(long));
		memcpy(uatom, &self->chain.atoms[1], words * sizeof(long));
		self->chain.atoms[0].next = uatom;
		EXPECT_REFUSED(-EFAULT);
	}
}

TEST_F(refusal, not_for_what_is_behind_the_arguments)
{
	char *page = page_before_hole();
	struct syslet_uatom *uatom = (void *)(page + sysconf(_SC_PAGESIZE) - 7 * sizeof(long));

	ASSERT_NE(NULL, page);
	memcpy(uatom, &self->chain.atoms[1], 7 * sizeof(long));
	self->chain.atoms[0].next = uatom;
	EXPECT_DONE(0x7, 2, 3);
}

TEST_F(refusal, not_for_arguments_behind_a_null)
{
	self->chain.atoms[1].arg_ptr[3] = BAD_LOW;
	self->chain.atoms[1].arg_ptr[5] = BAD_HIGH;
	EXPECT_DONE(0x7, 2, 3);
}

TEST_F(refusal, the_uatom_behind_is_not_readable)
{
	char *page = page_before_hole();
	struct syslet_uatom *uatom = (void *)(page + sysconf(_SC_PAGESIZE) - sizeof(*uatom));

	ASSERT_NE(NULL, page);
	*uatom = self->chain.atoms[1];
	uatom->flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_NEGATIVE;
	self->chain.atoms[0].next = uatom;
	EXPECT_REFUSED(-EFAULT);
	/* Without a condition there is no way there. */
	uatom->flags = SYSLET_SKIP_TO_NEXT_ON_STOP;
	EXPECT_DONE(0x7, 2, 3);
}

TEST_F(refusal, unknown_uatom_flags)
{
	unsigned int bit;

	for (bit = 8; bit < 8 * sizeof(long); bit++) {
		self->chain.atoms[1].flags = 1UL << bit;
		EXPECT_REFUSED(-EINVAL);
	}
}

TEST_F(refusal, unknown_flags_of_the_call)
{
	unsigned int bit;

	for (bit = 3; bit < 32; bit++) {
		self->chain.exec.flags = 1U << bit;
		EXPECT_REFUSED(-EINVAL);
	}
}

TEST_F(refusal, async_and_sync)
{
	self->chain.exec.flags = SYSLET_ASYNC | SYSLET_SYNC;
	EXPECT_REFUSED(-EINVAL);
	self->chain.exec.flags = SYSLET_ASYNC;
	self->chain.atoms[2].flags = SYSLET_SYNC;
	EXPECT_REFUSED(-EINVAL);
	self->chain.exec.flags = 0;
	self->chain.atoms[0].flags = SYSLET_ASYNC;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(refusal, unknown_call)
{
	self->chain.atoms[1].nr = 0xfff0;
	EXPECT_REFUSED(-ENOSYS);
	self->chain.atoms[1].nr = -1UL;
	EXPECT_REFUSED(-ENOSYS);
}

#ifdef __x86_64__
TEST_F(refusal, a_number_counts_whole)
{
	self->chain.atoms[1].nr = 1UL << 32 | __NR_getppid;
	EXPECT_REFUSED(-ENOSYS);
	self->chain.atoms[1].nr = 1UL << 32 | SYSLET_NR_UMEM_ADD;
	EXPECT_REFUSED(-ENOSYS);
}
#endif

TEST_F(refusal, denied_call)
{
	self->chain.atoms[2].nr = __NR_exit_group;
	EXPECT_REFUSED(-EPERM);
	self->chain.atoms[2].nr = __NR_fork;
	EXPECT_REFUSED(-EPERM);
}

TEST_F(refusal, also_where_only_a_jump_leads)
{
	self->chain.atoms[1].flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_NEGATIVE;
	self->chain.atoms[1].next = NULL;
	self->chain.atoms[2].nr = __NR_exit_group;
	EXPECT_REFUSED(-EPERM);
}

TEST_F(refusal, a_uatom_that_is_its_own_next)
{
	self->chain.atoms[2].next = &self->chain.atoms[2];
	EXPECT_REFUSED(-ELOOP);
	self->chain.atoms[0].next = &self->chain.atoms[0];
	EXPECT_REFUSED(-ELOOP);
}

TEST_F(refusal, a_loop)
{
	self->chain.atoms[2].next = &self->chain.atoms[0];
	EXPECT_REFUSED(-ELOOP);
	self->chain.atoms[2].next = &self->chain.atoms[1];
	EXPECT_REFUSED(-ELOOP);
}

TEST_F(refusal, a_loop_that_a_condition_would_end)
{
	self->chain.atoms[2].next = &self->chain.atoms[1];
	self->chain.atoms[2].flags = SYSLET_STOP_ON_NONZERO;
	EXPECT_REFUSED(-ELOOP);
}

TEST_F(refusal, a_loop_by_a_jump)
{
	/* 0 goes on with 2, 2 with 1, and 1 jumps to 2. */
	self->chain.atoms[0].next = &self->chain.atoms[2];
	self->chain.atoms[2].next = &self->chain.atoms[1];
	self->chain.atoms[1].next = NULL;
	self->chain.atoms[1].flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_ZERO;
	EXPECT_REFUSED(-ELOOP);
}

TEST_F(refusal, a_loop_behind_a_jump)
{
	self->chain.atoms[0].flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_ZERO;
	self->chain.atoms[0].next = NULL;
	self->chain.atoms[2].next = &self->chain.atoms[0];
	EXPECT_REFUSED(-ELOOP);
}

TEST_F(refusal, a_loop_of_all_that_there_may_be)
{
	chain_init(&self->chain, SYSLET_MAX_ATOMS);
	self->chain.atoms[SYSLET_MAX_ATOMS - 1].next = &self->chain.atoms[0];
	EXPECT_REFUSED(-ELOOP);
}

TEST_F(refusal, as_many_as_there_may_be)
{
	chain_init(&self->chain, SYSLET_MAX_ATOMS);
	EXPECT_DONE(~0ULL, SYSLET_MAX_ATOMS - 1, SYSLET_MAX_ATOMS);
}

TEST_F(refusal, one_too_many)
{
	chain_init(&self->chain, SYSLET_MAX_ATOMS + 1);
	EXPECT_REFUSED(-E2BIG);
}

TEST_F(refusal, one_too_many_by_a_jump)
{
	chain_init(&self->chain, SYSLET_MAX_ATOMS);
	self->chain.atoms[SYSLET_MAX_ATOMS - 1].flags =
		SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_ZERO;
	EXPECT_REFUSED(-E2BIG);
}

TEST_F(refusal, outputs_that_cannot_be_written)
{
	long page = sysconf(_SC_PAGESIZE);
	struct syslet_uatom_exec *exec = mmap(NULL, page, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, exec);
	*exec = self->chain.exec;
	ASSERT_EQ(0, mprotect(exec, page, PROT_READ));
	EXPECT_EQ(-EFAULT, dev_exec_uatom(self->head.fd, exec));
	EXPECT_EQ(0, chain_ran(&self->chain));
	EXPECT_EQ(POISON32, exec->status);
}

TEST_F(refusal, a_shorter_struct_has_fewer_outputs)
{
	struct syslet_uatom_exec *exec = &self->chain.exec;

	exec->size = offsetof(struct syslet_uatom_exec, last);
	EXPECT_EQ(1, submit());
	EXPECT_EQ(3, exec->result);
	EXPECT_EQ(POISON32, exec->last);
	EXPECT_EQ(POISON32, exec->status);
	exec->size = offsetof(struct syslet_uatom_exec, user_data);
	exec->result = POISON64;
	EXPECT_EQ(1, submit());
	EXPECT_EQ(POISON64, exec->result);
	EXPECT_EQ(2, self->chain.sum[0]);
}

TEST_F(refusal, before_setup)
{
	int fd = dev_open();

	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENXIO, dev_exec_uatom(fd, &self->chain.exec));
	EXPECT_EQ(0, chain_ran(&self->chain));
}

TEST_F(refusal, for_another_process)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(submit() == -EACCES ? 0 : 1);
	EXPECT_EQ(0, child_status(pid));
}

TEST_F(refusal, is_forgotten_by_the_next_call)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	self->chain.atoms[2].next = &self->chain.atoms[0];
	EXPECT_REFUSED(-ELOOP);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
	self->chain.atoms[2].next = NULL;
	EXPECT_DONE(0x7, 2, 3);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
}

TEST(is_a_feature)
{
	EXPECT_TRUE(dev_features() & SYSLET_FEAT_UATOM);
}

TEST_HARNESS_MAIN
