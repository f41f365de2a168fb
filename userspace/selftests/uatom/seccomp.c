// SPDX-License-Identifier: GPL-2.0
/* Every uatom passes the caller's seccomp filter as the call that it is. */
#include "../async/async_test.h"
#include "../fdinfo.h"
#include "../filter.h"
#include "uatom_test.h"

#define DATA 0xabcdefULL

/* The one in the middle makes the call that the filter means. */
FIXTURE(filter) {
	struct head head;
	struct chain chain;
	unsigned long magic;
};

FIXTURE_SETUP(filter)
{
	ASSERT_EQ(0, head_open(&self->head, 64));
	chain_init(&self->chain, 3);
	self->magic = MAGIC;
	self->chain.atoms[1].nr = __NR_getppid;
	self->chain.atoms[1].arg_ptr[0] = &self->magic;
	self->chain.atoms[1].arg_ptr[1] = NULL;
	self->chain.exec.flags = SYSLET_SYNC;
}

FIXTURE_TEARDOWN(filter)
{
	head_close(&self->head);
}

TEST_F(filter, allow)
{
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ALLOW, 0));
	EXPECT_DONE(0x5, 2, 3);
	EXPECT_EQ(getppid(), self->chain.ret[1]);
}

TEST_F(filter, errno_is_the_result)
{
	self->chain.atoms[2].arg_ptr[1] = (void *)&self->chain.ret[1];
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EXDEV, 0));
	EXPECT_DONE(0x5, 2, -EXDEV);
	EXPECT_EQ(-EXDEV, self->chain.ret[1]);
}

TEST_F(filter, errno_meets_conditions)
{
	self->chain.atoms[1].flags = SYSLET_STOP_ON_NEGATIVE;
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EPERM, 0));
	EXPECT_DONE(0x1, 1, -EPERM);
	EXPECT_EQ(-EPERM, self->chain.ret[1]);
}

TEST_F(filter, errno_jumps)
{
	self->chain.atoms[1].flags = SYSLET_STOP_ON_NEGATIVE | SYSLET_SKIP_TO_NEXT_ON_STOP;
	self->chain.atoms[1].next = NULL;
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EPERM, 0));
	EXPECT_DONE(0x5, 2, 3);
}

TEST_F(filter, judges_each_for_itself)
{
	unsigned long other = MAGIC + 1;

	self->chain.atoms[0] = self->chain.atoms[1];
	self->chain.atoms[0].next = &self->chain.atoms[1];
	self->chain.atoms[0].ret_ptr = &self->chain.ret[0];
	self->chain.atoms[0].arg_ptr[0] = &other;
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EXDEV, 0));
	EXPECT_DONE(0x4, 2, 3);
	EXPECT_EQ(getppid(), self->chain.ret[0]);
	EXPECT_EQ(-EXDEV, self->chain.ret[1]);
}

TEST_F(filter, sees_an_argument_that_is_a_result)
{
	self->chain.value[0] = MAGIC;
	self->chain.atoms[1].arg_ptr[0] = (void *)&self->chain.ret[0];
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EXDEV, 0));
	EXPECT_DONE(0x5, 2, 3);
	EXPECT_EQ(-EXDEV, self->chain.ret[1]);
}

TEST_F(filter, trap)
{
	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP | 33, 0));
	EXPECT_DONE(0x1, 1, -ENOSYS);
	EXPECT_EQ(-ENOSYS, self->chain.ret[1]);
	EXPECT_EQ(1, traps);
	EXPECT_EQ(__NR_getppid, trap_syscall);
	EXPECT_EQ(33, trap_errno);
	EXPECT_EQ(SYS_SECCOMP, trap_code);
}

TEST_F(filter, trap_jumps_nowhere)
{
	self->chain.atoms[1].flags = SYSLET_STOP_ON_NEGATIVE | SYSLET_SKIP_TO_NEXT_ON_STOP;
	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	EXPECT_DONE(0x1, 1, -ENOSYS);
	EXPECT_EQ(1, traps);
}

TEST_F(filter, trap_of_the_first)
{
	self->chain.exec.uatom = PTR(&self->chain.atoms[1]);
	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	EXPECT_DONE(0, 0, -ENOSYS);
	EXPECT_EQ(1, traps);
	self->magic = 0;
	EXPECT_DONE(0x4, 1, 3);
	EXPECT_EQ(1, traps);
}

TEST_F_SIGNAL(filter, trap_without_a_handler, SIGSYS)
{
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	submit();
}

TEST_F_SIGNAL(filter, kill_process, SIGSYS)
{
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_KILL_PROCESS, 0));
	submit();
}

static void *submit_doomed(void *arg)
{
	FIXTURE_DATA(filter) *self = arg;

	if (!install(__NR_getppid, 0, SECCOMP_RET_KILL_THREAD, 0))
		submit();
	return NULL;
}

TEST_F(filter, kill_thread_spares_the_others)
{
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_doomed, self));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0x1, chain_ran(&self->chain));
	EXPECT_EQ(POISON_LONG, self->chain.ret[1]);
	EXPECT_EQ(0, self->chain.exec.status);
	EXPECT_EQ(0, ring_count(&self->head));
	self->magic = 0;
	self->chain.sum[0] = 0;
	EXPECT_DONE(0x5, 2, 3);
}

/* The same behind a read that has blocked: the filter judges a cachemiss thread. */
FIXTURE(blocked) {
	struct head head;
	struct chain chain;
	int go[2];
	char byte;
	unsigned long magic, read_args[3];
};

FIXTURE_VARIANT(blocked) {
	__u32 of_call;			/* NO_COMPLETE: of the call, */
	unsigned long of_uatoms[3];	/* and of each uatom */
	bool posts;			/* where the chain ends with the second one */
};

FIXTURE_VARIANT_ADD(blocked, completes) { 0, { 0, 0, 0 }, true };
FIXTURE_VARIANT_ADD(blocked, no_complete_of_others) {
	0, { SYSLET_NO_COMPLETE, 0, SYSLET_NO_COMPLETE }, true
};
FIXTURE_VARIANT_ADD(blocked, no_complete_of_this_one) { 0, { 0, SYSLET_NO_COMPLETE, 0 }, false };
FIXTURE_VARIANT_ADD(blocked, no_complete_of_the_call) {
	SYSLET_NO_COMPLETE, { 0, 0, 0 }, false
};

FIXTURE_SETUP(blocked)
{
	struct syslet_uatom *atoms = self->chain.atoms;
	unsigned int i;

	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, pipe2(self->go, O_CLOEXEC));
	chain_init(&self->chain, 3);
	self->magic = MAGIC;
	uatom_calls(&atoms[0], __NR_read, self->read_args, self->go[0],
		    (unsigned long)&self->byte, 1);
	for (i = 0; i < 3; i++)
		atoms[i].flags = variant->of_uatoms[i];
	atoms[1].nr = __NR_getppid;
	atoms[1].arg_ptr[0] = &self->magic;
	atoms[1].arg_ptr[1] = NULL;
	self->chain.exec.flags = variant->of_call;
	self->chain.exec.user_data = DATA;
}

FIXTURE_TEARDOWN(blocked)
{
	head_close(&self->head);
}

#define EXPECT_END(res, bits) do {					\
	struct syslet_cqe cqe_;						\
									\
	ASSERT_EQ(1, submit());						\
	ASSERT_EQ(SYSLET_PENDING, self->chain.exec.status);		\
	ASSERT_EQ(0, write_all(self->go[1], "!", 1));			\
	if (variant->posts) {						\
		ASSERT_EQ(0, take_wait(&self->head, &cqe_));		\
		EXPECT_CQE(cqe_, DATA, res, 1, SYSLET_CQE_ASYNC | (bits)); \
	}								\
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 100 * NSEC_PER_MSEC)); \
	EXPECT_EQ(1, self->chain.ret[0]);				\
	EXPECT_EQ(0, self->chain.sum[2]);				\
} while (0)

TEST_F(blocked, is_stopped_by_an_errno)
{
	self->chain.atoms[1].flags |= SYSLET_STOP_ON_NEGATIVE;
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EXDEV, 0));
	EXPECT_END(-EXDEV, SYSLET_CQE_STOPPED);
	EXPECT_EQ(-EXDEV, self->chain.ret[1]);
}

TEST_F(blocked, is_trapped)
{
	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	EXPECT_END(-ENOSYS, 0);
	EXPECT_EQ(-ENOSYS, self->chain.ret[1]);
	EXPECT_EQ(0, traps);
}

TEST_F(blocked, loses_its_thread)
{
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_KILL_THREAD, 0));
	EXPECT_END(-ECANCELED, SYSLET_CQE_CANCELED);
	EXPECT_EQ(POISON_LONG, self->chain.ret[1]);
	EXPECT_EQ(variant->posts, value(self->head.fd, "completions"));
	/* The process, and its head, live on. */
	self->magic = 0;
	self->chain.exec.flags |= SYSLET_SYNC;
	ASSERT_EQ(0, write_all(self->go[1], "!", 1));
	EXPECT_EQ(1, submit());
	EXPECT_EQ(SYSLET_DONE, self->chain.exec.status);
	EXPECT_EQ(getppid(), self->chain.ret[1]);
}

TEST_F(blocked, loses_its_process)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct head head;

		if (head_open(&head, 64) ||
		    install(__NR_getppid, 0, SECCOMP_RET_KILL_PROCESS, 0) ||
		    dev_exec_uatom(head.fd, &self->chain.exec) != 1 ||
		    self->chain.exec.status != SYSLET_PENDING ||
		    write_all(self->go[1], "!", 1))
			_exit(1);
		pause();
		_exit(2);
	}
	EXPECT_EQ(-SIGSYS, child_status(pid));
}

/* The rule is that of a chain which is canceled by its caller. */
TEST_F(blocked, is_canceled_in_the_second)
{
	struct syslet_cqe cqe;

	/* Nobody writes there a second time. */
	self->chain.atoms[1].nr = __NR_read;
	memcpy(self->chain.atoms[1].arg_ptr, self->chain.atoms[0].arg_ptr,
	       sizeof(self->chain.atoms[1].arg_ptr));
	ASSERT_EQ(1, submit());
	ASSERT_EQ(SYSLET_PENDING, self->chain.exec.status);
	ASSERT_EQ(0, write_all(self->go[1], "!", 1));
	while (__atomic_load_n(&self->chain.ret[0], __ATOMIC_ACQUIRE) != 1 ||
	       value(self->head.fd, "threads-blocked") != 1)
		sched_yield();
	EXPECT_EQ(1, dev_cancel(self->head.fd, DATA, 0));
	if (variant->posts) {
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_CQE(cqe, DATA, -ECANCELED, 1, SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
	}
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 100 * NSEC_PER_MSEC));
}

TEST_HARNESS_MAIN
