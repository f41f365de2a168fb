// SPDX-License-Identifier: GPL-2.0
/* Signals while programs are blocked: the caller gets its own, programs go on unharmed. */
#include <sys/epoll.h>
#include <sys/time.h>
#include "async_test.h"

FIXTURE_BLOCK(signals);

static volatile sig_atomic_t calls, wrong_tid;
static pid_t expected_tid;
static _Thread_local unsigned long tls = 0x715;

static void on_signal(int sig)
{
	(void)sig;
	calls++;
	if (my_tid() != expected_tid || tls != 0x715)
		wrong_tid++;
}

static int catch_signal(int sig, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	expected_tid = my_tid();
	return sigaction(sig, &action, NULL);
}

static int tick(unsigned int usec)
{
	struct itimerval timer = { { 0, usec }, { 0, usec } };

	return setitimer(ITIMER_REAL, &timer, NULL);
}

TEST_F(signals, a_blocked_program_is_not_interrupted)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ASSERT_EQ(0, kill(getpid(), SIGUSR1));
	ASSERT_EQ(0, syscall(__NR_tgkill, getpid(), my_tid(), SIGUSR1));
	EXPECT_EQ(2, calls);
	EXPECT_EQ(0, wrong_tid);
	EXPECT_EQ(SYSLET_NOT_RUN, self->block.results[0]);
	EXPECT_EQ(0, block_finish(&self->head, &self->block));
}

TEST_F(signals, a_handler_in_the_caller_can_release_it)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct syslet_cqe cqe;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ualarm(20000, 0);
	EXPECT_EQ(-EINTR, dev_wait(self->head.fd, 1, FOREVER));
	EXPECT_EQ(1, calls);
	ASSERT_EQ(0, block_release(&self->block));
	EXPECT_EQ(0, take_wait(&self->head, &cqe));
}

/* A storm of timer signals over handoffs, from call to completion. */
static void storm(struct __test_metadata *_metadata, struct head *head, struct block *block,
		  int flags)
{
	unsigned int i, nr = 100 * stress();

	ASSERT_EQ(0, catch_signal(SIGALRM, flags));
	ASSERT_EQ(0, tick(2000));
	for (i = 0; i < nr || calls < 20; i++)
		ASSERT_EQ(0, hop(head, block));
	tick(0);
	EXPECT_EQ(0, wrong_tid);
}

TEST_F(signals, a_storm_with_sa_restart)
{
	storm(_metadata, &self->head, &self->block, SA_RESTART);
}

TEST_F(signals, a_storm_without_sa_restart)
{
	storm(_metadata, &self->head, &self->block, 0);
}

TEST_F(signals, a_storm_over_programs_that_stay_blocked)
{
	struct block blocks[8];
	struct syslet_cqe cqe;
	int i;

	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(0, tick(2000));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, block_init(&blocks[i], 0));
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &blocks[i]));
	}
	while (calls < 30)
		pause();
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, block_release(&blocks[i]));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_CQE(cqe, PTR(&blocks[i]), 1, 2, SYSLET_CQE_ASYNC);
	}
	tick(0);
	EXPECT_EQ(0, wrong_tid);
}

/* Every program of a batch is handled once, however often the call is cut short. */
TEST_F(signals, a_storm_over_batches)
{
	unsigned long sum = 0, expected = 0;
	struct syslet_atom add[] = { { .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&sum), 1 } } };
	struct syslet_program programs[16];
	unsigned int i, round, nr = 30 * stress(), interrupted = 0;
	struct syslet_cqe cqe;
	long done, ret;

	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(0, tick(2000));
	for (round = 0; round < nr; round++) {
		for (i = 0; i < 16; i++)
			programs[i] = PROGRAM(add);
		programs[5] = self->block.program;
		for (done = 0; done < 16; done += ret) {
			ret = dev_exec(self->head.fd, &programs[done], 16 - done, 0);
			if (ret == -EINTR)
				ret = 0;
			ASSERT_LE(0, ret);
		}
		expected += 15;
		ASSERT_EQ(expected, sum);
		/* A signal may come between the read's beginning and its sleep. */
		if (programs[5].status == SYSLET_DONE) {
			ASSERT_EQ(-EINTR, self->block.results[0]);
			ASSERT_EQ('d', read_byte(self->block.done[0]));
			interrupted++;
			continue;
		}
		ASSERT_EQ(SYSLET_PENDING, programs[5].status);
		ASSERT_EQ(0, write_all(self->block.go[1], "!", 1));
		ASSERT_EQ('d', read_byte(self->block.done[0]));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		ASSERT_EQ(1, cqe.result);
	}
	tick(0);
	if (interrupted)
		TH_LOG("%u of %u reads were interrupted", interrupted, nr);
	EXPECT_LT(interrupted, nr / 2);
	EXPECT_LT(0, calls);
	EXPECT_EQ(0, wrong_tid);
}

/* A signal that is pending before the call, and comes through after it. */
TEST_F(signals, alarm_of_the_process_while_programs_sleep)
{
	struct __kernel_timespec ts = { .tv_nsec = 100 * NSEC_PER_MSEC };
	struct syslet_atom atoms[] = { {
		.nr = NR_CLOCK_NANOSLEEP,
		.args = { CLOCK_MONOTONIC, 0, PTR(&ts), PTR(&ts) },
	} };
	struct syslet_program program = PROGRAM(atoms);
	__u64 begun = now_ns();
	struct syslet_cqe cqe;

	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, tick(5000));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	tick(0);
	EXPECT_CQE(cqe, 0, 0, 0, SYSLET_CQE_ASYNC);
	EXPECT_LE(100 * NSEC_PER_MSEC, now_ns() - begun);
	EXPECT_LT(0, calls);
}

static void expect_epipe(struct __test_metadata *_metadata, struct head *head, struct block *block)
{
	int pipes[2];
	struct syslet_atom atoms[2] = { block->atoms[0] };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, close(pipes[0]));
	atoms[1] = write_atom(pipes[1], "x", 1);
	ASSERT_EQ(1, dev_exec(head->fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(block->go[1], "!", 1));
	ASSERT_EQ(0, take_wait(head, &cqe));
	EXPECT_CQE(cqe, 0, -EPIPE, 1, SYSLET_CQE_ASYNC);
}

TEST_F(signals, sigpipe_of_a_cachemiss_thread_kills_nobody)
{
	int i;

	expect_epipe(_metadata, &self->head, &self->block);
	/* The task that got it becomes the caller's in time. */
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, hop(&self->head, &self->block));
}

TEST_F(signals, sigpipe_of_a_cachemiss_thread_does_not_reach_the_caller)
{
	sigset_t pending;
	int i;

	ASSERT_EQ(0, catch_signal(SIGPIPE, 0));
	expect_epipe(_metadata, &self->head, &self->block);
	EXPECT_EQ(0, calls);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, hop(&self->head, &self->block));
		ASSERT_EQ(0, sigpending(&pending));
		EXPECT_EQ(0, sigismember(&pending, SIGPIPE));
	}
	EXPECT_EQ(0, calls);
}

TEST_F(signals, sigpipe_in_the_caller_is_as_ever)
{
	int pipes[2];

	ASSERT_EQ(0, catch_signal(SIGPIPE, 0));
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, close(pipes[0]));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(-EPIPE, sysret(write(pipes[1], "x", 1)));
	EXPECT_EQ(1, calls);
	EXPECT_EQ(0, wrong_tid);
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
}

/* A program that sends a signal to its caller's thread. */
TEST_F(signals, a_program_signals_its_caller)
{
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_tgkill, .args = { getpid(), my_tid(), SIGUSR1 } },
		{ .nr = __NR_getppid },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, getppid(), 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ(1, calls);
	EXPECT_EQ(0, wrong_tid);
}

/* Where the compiler does not see that nothing is there. */
static char *volatile nowhere = BAD_LOW;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_addr == nowhere && my_tid() == expected_tid)
		_exit(42);
	_exit(43);
}

TEST_F(signals, a_fault_of_the_moved_caller_is_its_own)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
		struct block block;
		struct head head;

		child_move(&head, &block);
		expected_tid = my_tid();
		sigaction(SIGSEGV, &action, NULL);
		*nowhere = 1;
		_exit(44);
	}
	EXPECT_EQ(42, child_status(pid));
}

TEST_F(signals, a_fault_without_a_handler_kills_the_process)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head head;

		child_move(&head, &block);
		*nowhere = 1;
		_exit(44);
	}
	EXPECT_EQ(-SIGSEGV, child_status(pid));
}

/* POSIX timers that are aimed at the caller's thread find it. */
TEST_F(signals, a_timer_for_the_thread)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
	};
	struct itimerspec soon = { .it_value.tv_nsec = 5 * NSEC_PER_MSEC };
	timer_t timer;
	int i;

	event._sigev_un._tid = my_tid();
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
	for (i = 1; i <= 5; i++) {
		ASSERT_EQ(0, timer_settime(timer, 0, &soon, NULL));
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
		while (calls < i)
			usleep(1000);
		ASSERT_EQ(0, block_finish(&self->head, &self->block));
	}
	EXPECT_EQ(5, calls);
	EXPECT_EQ(0, wrong_tid);
}

TEST_HARNESS_MAIN
