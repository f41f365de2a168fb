// SPDX-License-Identifier: GPL-2.0
/* What a program in flight holds on to, and what its caller may do meanwhile. */
#include "async_test.h"
#include "../watched_page.h"

FIXTURE_BLOCK(inflight);

static int drop_page(void *page)
{
	return munmap(page, sysconf(_SC_PAGESIZE));
}

TEST_F(inflight, atoms_and_program_may_be_unmapped)
{
	struct {
		struct syslet_atom atoms[3];
		struct syslet_program program;
	} *page = fresh_page();
	struct syslet_cqe cqe;

	ASSERT_NE(NULL, page);
	memcpy(page->atoms, self->block.atoms, sizeof(page->atoms));
	page->program = PROGRAM(page->atoms, .user_data = 3);
	ASSERT_EQ(1, dev_exec(self->head.fd, &page->program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, page->program.status);
	ASSERT_EQ(0, drop_page(page));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 3, 1, 2, SYSLET_CQE_ASYNC);
}

TEST_F(inflight, atoms_may_be_overwritten)
{
	struct syslet_cqe cqe;
	int i;

	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	for (i = 0; i < 3; i++)
		self->block.atoms[i] = (struct syslet_atom) {
			.nr = __NR_kill,
			.args = { getpid(), SIGKILL },
		};
	ASSERT_EQ(0, block_release(&self->block));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, PTR(&self->block), 1, 2, SYSLET_CQE_ASYNC);
}

TEST_F(inflight, atoms_on_a_stack_that_is_used_again)
{
	long ret;

	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	/* Other calls reuse the memory that the module read into. */
	ret = ring_fill(&self->head, 100, 32);
	EXPECT_EQ(0, ret);
	EXPECT_EQ(32, ring_count(&self->head));
	self->head.ring->head += 32;
	EXPECT_EQ(0, block_finish(&self->head, &self->block));
}

TEST_F(inflight, results_that_vanish)
{
	__s64 *results = fresh_page();
	struct syslet_program program = self->block.program;
	struct syslet_cqe cqe;

	ASSERT_NE(NULL, results);
	program.results = PTR(results);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, drop_page(results));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, PTR(&self->block), -EFAULT, 0, SYSLET_CQE_ASYNC | SYSLET_CQE_FAULT);
}

TEST_F(inflight, a_buffer_that_vanishes)
{
	char *page = fresh_page();
	struct syslet_atom atoms[] = { read_atom(self->block.go[0], page, 1) };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_NE(NULL, page);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, drop_page(page));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, -EFAULT, 0, SYSLET_CQE_ASYNC);
}

/* The process has one thread only: its first blocking call must hold the file nevertheless. */
TEST_F(inflight, a_descriptor_that_is_closed_under_a_read)
{
	struct block *block = &self->block;

	ASSERT_EQ(1, count_tasks(getpid()));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, block));
	ASSERT_EQ(0, close(block->go[0]));
	EXPECT_EQ(0, block_finish(&self->head, block));
}

TEST_F(inflight, a_descriptor_that_becomes_another_file)
{
	struct block *block = &self->block;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, null);
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, block));
	ASSERT_EQ(block->go[0], dup2(null, block->go[0]));
	EXPECT_EQ(0, block_finish(&self->head, block));
}

TEST_F(inflight, a_close_in_a_program_takes_effect_in_it)
{
	int pipes[2];
	char byte = 'p';
	struct syslet_atom atoms[3] = { self->block.atoms[0] };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	atoms[1] = (struct syslet_atom) { .nr = __NR_close, .args = { pipes[1] } };
	atoms[2] = read_atom(pipes[0], &byte, 1);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 0, 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ('p', byte);
}

TEST_F(inflight, a_close_at_the_end_of_a_program_takes_effect)
{
	int pipes[2];
	struct syslet_atom atoms[2] = { self->block.atoms[0] };
	struct syslet_program program = PROGRAM(atoms);
	struct pollfd pollfd = { .events = POLLIN };
	struct syslet_cqe cqe;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	atoms[1] = (struct syslet_atom) { .nr = __NR_close, .args = { pipes[1] } };
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(0, cqe.result);
	pollfd.fd = pipes[0];
	ASSERT_EQ(1, poll(&pollfd, 1, 10000));
	EXPECT_EQ(POLLHUP, pollfd.revents);
}

TEST_F(inflight, descriptors_made_meanwhile_are_shared)
{
	const int to_be = 100;
	int pipes[2];
	char byte = 0;
	struct syslet_atom atoms[] = { self->block.atoms[0], write_atom(to_be, "y", 1) };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(to_be, dup2(pipes[1], to_be));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 1, 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, read(pipes[0], &byte, 1));
	EXPECT_EQ('y', byte);
}

TEST_F(inflight, the_working_directory_is_shared)
{
	char before[4096], after[4096] = "";
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_getcwd, .args = { PTR(after), sizeof(after) } },
		{ .nr = __NR_chdir, .args = { PTR("/dev") } },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, chdir("/proc"));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_STREQ("/proc", after);
	ASSERT_NE(NULL, getcwd(before, sizeof(before)));
	EXPECT_STREQ("/dev", before);
}

TEST_F(inflight, the_caller_may_exec_again_at_once)
{
	struct block more[8];
	struct syslet_cqe cqe;
	int i;

	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, block_init(&more[i], 0));
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &more[i]));
	}
	for (i = 8; i--;) {
		ASSERT_EQ(0, block_release(&more[i]));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_CQE(cqe, PTR(&more[i]), 1, 2, SYSLET_CQE_ASYNC);
	}
}

TEST_F(inflight, a_page_fault_blocks_too)
{
	struct syslet_atom atoms[] = {
		read_atom(self->block.go[0], NULL, 1),
		{ .nr = __NR_getppid },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;
	char *page;
	int fd;

	WATCHED_PAGE(page, fd);
	atoms[0].args[1] = PTR(page);
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, fill_page(fd, page));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, getppid(), 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ('!', page[0]);
}

TEST_F(inflight, the_store_of_a_result_blocks_too)
{
	__s64 *results = fresh_page();
	struct syslet_atom atoms[] = { self->block.atoms[0], { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;
	int fd;

	ASSERT_NE(NULL, results);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, madvise(results, sysconf(_SC_PAGESIZE), MADV_DONTNEED));
	fd = watch_page(results);
	if (fd == -ENOSYS || fd == -EPERM) {
		ASSERT_EQ(0, block_finish(&self->head, &self->block));
		SKIP(return, "no userfaultfd");
	}
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 50 * NSEC_PER_MSEC));
	ASSERT_EQ(0, fill_page(fd, results));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, getppid(), 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, results[0]);
	EXPECT_EQ(getppid(), results[1]);
}

/*
 * A call whose descriptor is closed under it, with a worker that it has kept
 * from the one before: the task that it leaves behind must not stay.
 */
struct late_call {
	struct head *head;
	struct syslet_program *program;
	pid_t tid;
	long ret;
};

static void *call_late(void *arg)
{
	struct late_call *call = arg;

	call->ret = ring_fill(call->head, 1, 1);
	__atomic_store_n(&call->tid, my_tid(), __ATOMIC_RELEASE);
	if (!call->ret)
		call->ret = dev_exec(call->head->fd, call->program, 1, 0);
	return NULL;
}

TEST_F(inflight, a_head_that_is_closed_under_a_call)
{
	void *page, *copy = fresh_page();
	struct late_call call = { .head = &self->head };
	pthread_t thread;
	pid_t tid;
	int fd;

	ASSERT_NE(NULL, copy);
	*(struct syslet_program *)copy = self->block.program;
	WATCHED_PAGE(page, fd);
	call.program = page;
	ASSERT_EQ(0, pthread_create(&thread, NULL, call_late, &call));
	while (!(tid = __atomic_load_n(&call.tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	ASSERT_EQ(0, wait_blocked(tid, __NR_ioctl));
	ASSERT_EQ(0, close(self->head.fd));
	self->head.fd = -1;
	ASSERT_EQ(0, fill_page_with(fd, page, copy));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(1, call.ret);
	EXPECT_EQ(SYSLET_PENDING, call.program->status);
	EXPECT_EQ(0, block_release(&self->block));
	EXPECT_EQ(1, wait_tasks(getpid(), 1));
}

TEST_HARNESS_MAIN
