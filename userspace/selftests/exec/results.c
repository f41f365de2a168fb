// SPDX-License-Identifier: GPL-2.0
/* Results that cannot be stored, entries wanted and not wanted. */
#include "syslet_test.h"

FIXTURE_HEAD(results, 64);

/*
 * Slots that cannot be written at the outset are refused (errors.c); here an
 * atom takes them away.
 */
FIXTURE(vanishing) {
	struct head head;
	long page_size;
	char *page;	/* with a hole behind it */
	long value;
};

FIXTURE_SETUP(vanishing)
{
	ASSERT_EQ(0, head_open(&self->head, 64));
	self->page_size = sysconf(_SC_PAGESIZE);
	self->page = page_before_hole();
	ASSERT_NE(NULL, self->page);
}

FIXTURE_TEARDOWN(vanishing)
{
	head_close(&self->head);
}

TEST_F(vanishing, by_munmap)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getppid },
		{ .nr = __NR_munmap, .args = { PTR(self->page), self->page_size } },
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&self->value), 1 } },
	};
	struct syslet_program program = PROGRAM(atoms, .user_data = 5, .results = PTR(self->page));
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(-EFAULT, program.result);
	EXPECT_EQ(1, program.last);
	EXPECT_EQ(SYSLET_DONE, program.status);
	EXPECT_EQ(0, self->value);
	ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_EQ(5, cqe.user_data);
	EXPECT_EQ(-EFAULT, cqe.result);
	EXPECT_EQ(1, cqe.last);
	EXPECT_EQ(SYSLET_CQE_FAULT, cqe.flags);
}

TEST_F(vanishing, by_mprotect)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_mprotect, .args = { PTR(self->page), self->page_size, PROT_READ } },
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&self->value), 1 } },
	};
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->page));

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EFAULT, program.result);
	EXPECT_EQ(0, program.last);
	EXPECT_EQ(0, self->value);
	EXPECT_EQ(SYSLET_NOT_RUN, *(__s64 *)self->page);
}

TEST_F(vanishing, of_a_later_slot_only)
{
	/* The last two of three slots are on the page that becomes unwritable. */
	__s64 *slots = (void *)(self->page + self->page_size - sizeof(*slots));
	char *hole = self->page + self->page_size;
	struct syslet_atom atoms[] = {
		{ .nr = __NR_mprotect, .args = { PTR(hole), self->page_size, PROT_NONE } },
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&self->value), 1 } },
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&self->value), 1 } },
	};
	struct syslet_program program = PROGRAM(atoms, .results = PTR(slots));

	ASSERT_EQ(0, mprotect(hole, self->page_size, PROT_READ | PROT_WRITE));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(0, slots[0]);
	EXPECT_EQ(1, self->value);
	EXPECT_EQ(-EFAULT, program.result);
	EXPECT_EQ(1, program.last);
}

TEST_F(vanishing, of_slots_of_atoms_that_do_not_run)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getppid, .flags = SYSLET_STOP_ON_NONZERO },
		{ .nr = __NR_getppid },
	};
	__s64 *slots = (void *)(self->page + self->page_size - sizeof(*slots));
	struct syslet_program program = PROGRAM(atoms, .results = PTR(slots));

	/* Refused all the same: whether they run is not known beforehand. */
	EXPECT_EQ(-EFAULT, dev_exec(self->head.fd, &program, 1, 0));
}

TEST_F(vanishing, hurts_no_other_program)
{
	struct syslet_atom first[] = {
		{ .nr = __NR_munmap, .args = { PTR(self->page), self->page_size } },
	};
	struct syslet_atom second[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[] = {
		PROGRAM(first, .results = PTR(self->page)),
		PROGRAM(second),
	};

	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_EQ(-EFAULT, programs[0].result);
	EXPECT_EQ(getppid(), programs[1].result);
	EXPECT_EQ(SYSLET_DONE, programs[1].status);
}

TEST_F(results, of_two_programs_in_one_array)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid }, { .nr = __NR_getpid } };
	__s64 slots[] = { POISON64, POISON64, POISON64, POISON64 };
	struct syslet_program programs[] = {
		PROGRAM(atoms, .results = PTR(&slots[2])),
		PROGRAM(atoms, .results = PTR(&slots[0])),
	};

	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_EQ(getppid(), slots[0]);
	EXPECT_EQ(getpid(), slots[1]);
	EXPECT_EQ(getppid(), slots[2]);
	EXPECT_EQ(getpid(), slots[3]);
}

TEST_F(results, are_stored_as_each_atom_has_run)
{
	/* Atom 1 reads atom 0's slot, through memory. */
	__s64 slots[] = { POISON64, POISON64 }, seen = POISON64;
	int pipes[2];
	struct syslet_atom atoms[2];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(slots));

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	atoms[0] = (struct syslet_atom) { .nr = __NR_getppid };
	atoms[1] = (struct syslet_atom) {
		.nr = __NR_write,
		.args = { pipes[1], PTR(&slots[0]), sizeof(slots[0]) },
	};
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(sizeof(seen), read(pipes[0], &seen, sizeof(seen)));
	EXPECT_EQ(getppid(), seen);
}

TEST_F(results, on_top_of_the_atoms)
{
	/* What runs is what was there when the call began. */
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getppid },
		{ .nr = __NR_getpid },
		{ .nr = __NR_getppid },
	};
	struct syslet_program program = PROGRAM(atoms, .results = PTR(atoms));
	__s64 *slots = (void *)atoms;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
	EXPECT_EQ(2, program.last);
	EXPECT_EQ(getppid(), slots[0]);
	EXPECT_EQ(getpid(), slots[1]);
	EXPECT_EQ(getppid(), slots[2]);
}

TEST_F(results, on_top_of_the_programs)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[] = { PROGRAM(atoms), PROGRAM(atoms) };

	/* The first one's slot is where the second one's atoms pointer was read. */
	programs[0].results = PTR(&programs[1].atoms);
	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_EQ(getppid(), programs[0].result);
	EXPECT_EQ(getppid(), programs[1].result);
	EXPECT_EQ(getppid(), (__s64)programs[1].atoms);
}

TEST_F(results, an_atom_that_rewrites_the_next)
{
	struct syslet_atom atoms[2], other = { .nr = __NR_getpid };
	struct syslet_program program = PROGRAM(atoms);
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(sizeof(other), write(pipes[1], &other, sizeof(other)));
	atoms[0] = (struct syslet_atom) {
		.nr = __NR_read,
		.args = { pipes[0], PTR(&atoms[1]), sizeof(other) },
	};
	atoms[1] = (struct syslet_atom) { .nr = __NR_getppid };
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
	EXPECT_EQ(__NR_getpid, atoms[1].nr);
}

static long run(struct head *head, __u32 program_flags, __u32 exec_flags)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms, .flags = program_flags, .user_data = 9);
	long ret = dev_exec(head->fd, &program, 1, exec_flags);

	return ret == 1 && program.status != SYSLET_DONE ? -EPROTO : ret;
}

TEST_F(results, no_entry_for_what_the_caller_finished)
{
	ASSERT_EQ(1, run(&self->head, 0, 0));
	EXPECT_EQ(0, ring_count(&self->head));
	ASSERT_EQ(1, run(&self->head, SYSLET_SYNC, 0));
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(results, ring_all_wants_one)
{
	struct syslet_cqe cqe;

	ASSERT_EQ(1, run(&self->head, 0, SYSLET_EXEC_RING_ALL));
	ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_EQ(9, cqe.user_data);
	EXPECT_EQ(getppid(), cqe.result);
	EXPECT_EQ(0, cqe.last);
	EXPECT_EQ(0, cqe.flags);
	EXPECT_EQ(0, cqe.reserved);
	EXPECT_FALSE(ring_take(&self->head, &cqe));
}

TEST_F(results, ring_all_wants_one_of_sync_programs_too)
{
	ASSERT_EQ(1, run(&self->head, SYSLET_SYNC, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(1, ring_count(&self->head));
}

TEST_F(results, no_complete_outweighs_ring_all)
{
	ASSERT_EQ(1, run(&self->head, SYSLET_NO_COMPLETE, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(0, ring_count(&self->head));
	EXPECT_EQ(0, dev_wait(self->head.fd, 0, 0));
}

TEST_F(results, no_complete_still_fills_in_the_program)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	__s64 slot = POISON64;
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_NO_COMPLETE,
						.results = PTR(&slot));

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
	EXPECT_EQ(getppid(), slot);
	EXPECT_EQ(SYSLET_DONE, program.status);
}

TEST_HARNESS_MAIN
