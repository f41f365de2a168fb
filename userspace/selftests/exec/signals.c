// SPDX-License-Identifier: GPL-2.0
/*
 * Signals that meet a program in the caller.
 *
 * A timer that fires again and again interrupts a blocked atom however long it
 * took to get there; a signal that an atom sends to its own task is pending
 * when the next one blocks.
 */
#include <poll.h>
#include "ticks.h"

static bool is_restart_code(__s64 result)
{
	return result <= -512 && result >= -516;
}

FIXTURE(signals) {
	struct head head;
	int pipes[2];
	char byte;
	struct syslet_atom read_pipe;
	struct syslet_atom signal_self;
	__s64 results[4];
};

FIXTURE_SETUP(signals)
{
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, pipe2(self->pipes, O_CLOEXEC));
	self->read_pipe = (struct syslet_atom) {
		.nr = __NR_read,
		.args = { self->pipes[0], PTR(&self->byte), 1 },
	};
	self->signal_self = (struct syslet_atom) {
		.nr = __NR_tgkill,
		.args = { getpid(), syscall(__NR_gettid), SIGUSR1 },
	};
	memset(self->results, POISON_BYTE, sizeof(self->results));
}

FIXTURE_TEARDOWN(signals)
{
	tick(0);
	head_close(&self->head);
}

TEST_F(signals, exec_restarts_under_sa_restart)
{
	struct syslet_atom atoms[] = { self->read_pipe };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);

	ASSERT_EQ(0, catch_signal(SIGALRM, SA_RESTART));
	feed = self->pipes[1];
	ASSERT_EQ(0, tick(TICK_USEC));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	tick(0);
	EXPECT_LE(LAST_TICK, ticks);
	EXPECT_EQ(1, program.result);
	EXPECT_EQ('!', self->byte);
	EXPECT_EQ(SYSLET_DONE, program.status);
}

TEST_F(signals, a_restarted_exec_completes_once)
{
	struct syslet_atom atoms[] = { self->read_pipe };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);

	ASSERT_EQ(0, catch_signal(SIGALRM, SA_RESTART));
	feed = self->pipes[1];
	ASSERT_EQ(0, tick(TICK_USEC));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_RING_ALL));
	tick(0);
	EXPECT_EQ(1, ring_count(&self->head));
}

TEST_F(signals, exec_is_interrupted_without_sa_restart)
{
	struct syslet_atom atoms[] = { self->read_pipe };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);

	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(0, tick(TICK_USEC));
	EXPECT_EQ(-EINTR, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_RING_ALL));
	tick(0);
	EXPECT_LE(1, ticks);
	EXPECT_NE(SYSLET_DONE, program.status);
	EXPECT_NE(SYSLET_PENDING, program.status);
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(signals, a_sleep_as_first_atom)
{
	struct __kernel_timespec ts = { .tv_sec = 20 };
	struct syslet_atom atoms[] = { {
		.nr = NR_CLOCK_NANOSLEEP,
		.args = { CLOCK_MONOTONIC, 0, PTR(&ts), PTR(&ts) },
	} };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);
	__u64 begun = now_ns();
	long ret;

	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(0, tick(TICK_USEC));
	ret = dev_exec(self->head.fd, &program, 1, 0);
	tick(0);
	EXPECT_GT(15 * NSEC_PER_SEC, now_ns() - begun);
	EXPECT_EQ(-EINTR, ret == 1 ? program.result : ret);
}

TEST_F(signals, a_later_atom_is_interrupted)
{
	struct syslet_atom atoms[] = { self->signal_self, self->read_pipe };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(self->results));

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1, ticks);
	EXPECT_EQ(0, self->results[0]);
	EXPECT_EQ(-EINTR, self->results[1]);
	EXPECT_EQ(-EINTR, program.result);
	EXPECT_EQ(1, program.last);
	EXPECT_EQ(SYSLET_DONE, program.status);
}

TEST_F(signals, a_later_atom_is_not_restarted_by_sa_restart)
{
	struct syslet_atom atoms[] = { self->signal_self, self->read_pipe };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(self->results));

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1, ticks);
	EXPECT_EQ(0, self->results[0]);
	EXPECT_EQ(-EINTR, self->results[1]);
}

TEST_F(signals, a_later_atom_is_interrupted_while_it_sleeps)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid }, self->read_pipe };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(self->results));

	ASSERT_EQ(0, catch_signal(SIGALRM, SA_RESTART));
	ASSERT_EQ(0, tick(TICK_USEC));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	tick(0);
	EXPECT_LE(1, ticks);
	EXPECT_EQ(getppid(), self->results[0]);
	EXPECT_EQ(-EINTR, self->results[1]);
}

TEST_F(signals, no_restart_code_is_ever_a_result)
{
	struct __kernel_timespec ts = { .tv_sec = 20 };
	struct pollfd pollfd = { .fd = self->pipes[0], .events = POLLIN };
	struct syslet_atom atoms[] = {
		self->signal_self,
		{ .nr = NR_CLOCK_NANOSLEEP, .args = { CLOCK_MONOTONIC, 0, PTR(&ts), 0 } },
		{ .nr = __NR_poll, .args = { PTR(&pollfd), 1, 20000 } },
		{ .nr = NR_PPOLL, .args = { PTR(&pollfd), 1, 0, 0, 8 } },
	};
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(self->results));
	unsigned int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1, ticks);
	for (i = 0; i < 4; i++)
		EXPECT_FALSE(is_restart_code(self->results[i]));
	EXPECT_EQ(-EINTR, self->results[1]);
}

TEST_F(signals, atoms_that_do_not_sleep_go_on)
{
	struct syslet_atom atoms[] = { self->signal_self, { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(self->results));

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1, ticks);
	EXPECT_EQ(0, self->results[0]);
	EXPECT_EQ(getppid(), self->results[1]);
}

TEST_F(signals, between_programs_the_call_may_end)
{
	struct syslet_atom first[] = { self->signal_self };
	struct syslet_atom second[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[] = { PROGRAM(first), PROGRAM(second), PROGRAM(second) };
	long i, ret;

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	ret = dev_exec(self->head.fd, programs, 3, SYSLET_EXEC_RING_ALL);
	EXPECT_EQ(1, ticks);
	ASSERT_LE(1, ret);
	ASSERT_GE(3, ret);
	EXPECT_EQ(ret, ring_count(&self->head));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i < ret ? SYSLET_DONE : 0, programs[i].status);
}

TEST_F(signals, the_rest_can_be_submitted_again)
{
	long value = 0, done = 0, ret;
	struct syslet_atom first[] = { self->signal_self };
	struct syslet_atom second[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 } },
	};
	struct syslet_program programs[] = {
		PROGRAM(first), PROGRAM(second), PROGRAM(first), PROGRAM(second), PROGRAM(second),
	};

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	while (done < 5) {
		ret = dev_exec(self->head.fd, &programs[done], 5 - done, 0);
		ASSERT_LE(1, ret);
		done += ret;
	}
	EXPECT_EQ(5, done);
	/* Twice, or once for both where the call did not end between them. */
	EXPECT_TRUE(ticks == 1 || ticks == 2);
	EXPECT_EQ(3, value);
}

TEST_F(signals, a_blocked_signal_interrupts_nothing)
{
	struct syslet_atom atoms[] = { self->signal_self, self->read_pipe };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(self->results));
	sigset_t set;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(1, write(self->pipes[1], "x", 1));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1, self->results[1]);
	EXPECT_EQ(0, ticks);
	ASSERT_EQ(0, sigprocmask(SIG_UNBLOCK, &set, NULL));
	EXPECT_EQ(1, ticks);
}

/*
 * ppoll leaves its own mask in force until the signal is delivered, on the way
 * back to user space: a second one must not take it for the caller's.
 */
static bool is_blocked(int sig)
{
	sigset_t set;

	return sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, sig) == 1;
}

static void ppoll_twice(struct __test_metadata *_metadata, int fd, struct syslet_atom first,
			__s64 *results, int pipe_fd)
{
	__u64 none = 0;
	struct pollfd pollfd = { .fd = pipe_fd, .events = POLLIN };
	struct syslet_atom ppoll_atom = {
		.nr = NR_PPOLL,
		.args = { PTR(&pollfd), 1, 0, PTR(&none), sizeof(none) },
	};
	struct syslet_atom atoms[] = { first, ppoll_atom, ppoll_atom, { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(results));
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(1, dev_exec(fd, &program, 1, 0));
}

TEST_F(signals, ppoll_is_interrupted_by_what_its_mask_lets_in)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ppoll_twice(_metadata, self->head.fd, self->signal_self, self->results, self->pipes[0]);
	EXPECT_EQ(0, self->results[0]);
	EXPECT_EQ(-EINTR, self->results[1]);
	EXPECT_EQ(1, ticks);
}

TEST_F(signals, the_mask_survives_two_interrupted_ppolls)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ppoll_twice(_metadata, self->head.fd, self->signal_self, self->results, self->pipes[0]);
	EXPECT_TRUE(is_blocked(SIGUSR1));
	EXPECT_FALSE(is_blocked(SIGUSR2));
}

TEST_F(signals, the_mask_survives_a_ppoll_behind_an_interrupted_one)
{
	struct pollfd ready = { .fd = self->pipes[1], .events = POLLOUT };
	__u64 none = 0, other = 1ULL << (SIGUSR2 - 1);
	struct syslet_atom atoms[] = {
		self->signal_self,
		{ .nr = NR_PPOLL, .args = { 0, 0, 0, PTR(&none), sizeof(none) } },
		{ .nr = NR_PPOLL, .args = { PTR(&ready), 1, 0, PTR(&other), sizeof(other) } },
	};
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(self->results));
	sigset_t set;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EINTR, self->results[1]);
	EXPECT_EQ(1, self->results[2]);
	EXPECT_EQ(1, ticks);
	EXPECT_TRUE(is_blocked(SIGUSR1));
	EXPECT_FALSE(is_blocked(SIGUSR2));
}

TEST_F(signals, the_mask_survives_a_ppoll_that_times_out)
{
	struct __kernel_timespec now = { 0 };
	__u64 all = ~0ULL;
	struct syslet_atom atoms[] = {
		{ .nr = NR_PPOLL, .args = { 0, 0, PTR(&now), PTR(&all), sizeof(all) } },
		{ .nr = __NR_getppid },
	};
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
	EXPECT_FALSE(is_blocked(SIGUSR1));
}

TEST_HARNESS_MAIN
