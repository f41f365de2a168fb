// SPDX-License-Identifier: GPL-2.0
/* WAIT: how many, how long, and what signals do to it. */
#include <sys/time.h>
#include "syslet_test.h"

#define ENTRIES 8

FIXTURE(wait) {
	struct head head;
	struct syslet_wait wait;	/* for one entry, without end */
};

FIXTURE_SETUP(wait)
{
	ASSERT_EQ(0, head_open(&self->head, ENTRIES));
	self->wait = (struct syslet_wait) {
		.size = sizeof(self->wait),
		.min_complete = 1,
		.timeout_ns = FOREVER,
	};
}

FIXTURE_TEARDOWN(wait)
{
	head_close(&self->head);
}

#define submit() dev_ioctl(self->head.fd, SYSLET_IOC_WAIT, &self->wait)

TEST_F(wait, for_nothing)
{
	self->wait.min_complete = 0;
	EXPECT_EQ(0, submit());
}

TEST_F(wait, tells_how_many_are_there)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 3));
	EXPECT_EQ(3, submit());
	self->wait.min_complete = 3;
	EXPECT_EQ(3, submit());
}

TEST_F(wait, takes_nothing_out)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 2));
	EXPECT_EQ(2, submit());
	EXPECT_EQ(2, submit());
	EXPECT_EQ(2, ring_count(&self->head));
}

TEST_F(wait, for_a_full_ring)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, ENTRIES));
	self->wait.min_complete = ENTRIES;
	EXPECT_EQ(ENTRIES, submit());
}

TEST_F(wait, for_more_than_a_ring)
{
	self->wait.min_complete = ENTRIES + 1;
	EXPECT_EQ(-EINVAL, submit());
	self->wait.min_complete = ~0U;
	EXPECT_EQ(-EINVAL, submit());
}

TEST_F(wait, unknown_flags)
{
	unsigned int bit;

	self->wait.timeout_ns = 0;
	for (bit = 1; bit < 32; bit++) {
		self->wait.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, submit());
	}
}

TEST_F(wait, without_sleeping)
{
	self->wait.timeout_ns = 0;
	EXPECT_EQ(-ETIME, submit());
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, submit());
	self->wait.min_complete = 2;
	EXPECT_EQ(-ETIME, submit());
}

TEST_F(wait, a_short_struct_does_not_sleep)
{
	self->wait.size = offsetof(struct syslet_wait, timeout_ns);
	EXPECT_EQ(-ETIME, submit());
}

TEST_F(wait, up_to_a_time)
{
	__u64 begun = now_ns();

	self->wait.timeout_ns = 50 * NSEC_PER_MSEC;
	EXPECT_EQ(-ETIME, submit());
	EXPECT_LE(50 * NSEC_PER_MSEC, now_ns() - begun);
	EXPECT_GT(10 * NSEC_PER_SEC, now_ns() - begun);
}

TEST_F(wait, until_a_time)
{
	__u64 end = now_ns() + 50 * NSEC_PER_MSEC;

	self->wait.flags = SYSLET_WAIT_ABS;
	self->wait.timeout_ns = end;
	EXPECT_EQ(-ETIME, submit());
	EXPECT_LE(end, now_ns());
	EXPECT_GT(end + 10 * NSEC_PER_SEC, now_ns());
}

TEST_F(wait, until_a_time_in_the_past)
{
	__u64 begun = now_ns();

	self->wait.flags = SYSLET_WAIT_ABS;
	self->wait.timeout_ns = 1;
	EXPECT_EQ(-ETIME, submit());
	EXPECT_GT(10 * NSEC_PER_SEC, now_ns() - begun);
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, submit());
}

TEST_F(wait, a_time_limit_that_is_not_needed)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	self->wait.timeout_ns = 20 * NSEC_PER_SEC;
	EXPECT_EQ(1, submit());
	self->wait.timeout_ns = FOREVER - 1;
	EXPECT_EQ(1, submit());
}

struct waiter {
	pthread_t thread;
	int fd;
	struct syslet_wait wait;
	pid_t tid;	/* set when it is about to wait */
	long ret;
};

static void *run_waiter(void *arg)
{
	struct waiter *waiter = arg;

	__atomic_store_n(&waiter->tid, syscall(__NR_gettid), __ATOMIC_RELEASE);
	waiter->ret = dev_ioctl(waiter->fd, SYSLET_IOC_WAIT, &waiter->wait);
	return NULL;
}

/* Starts a thread that waits for @min entries; returns once it sleeps. */
static int waiter_start(struct waiter *waiter, int fd, __u32 min, __u64 timeout_ns)
{
	pid_t tid;

	*waiter = (struct waiter) {
		.fd = fd,
		.wait = {
			.size = sizeof(waiter->wait),
			.min_complete = min,
			.timeout_ns = timeout_ns,
		},
		.ret = POISON32,
	};
	if (pthread_create(&waiter->thread, NULL, run_waiter, waiter))
		return -1;
	while (!(tid = __atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	return wait_blocked(tid, __NR_ioctl);
}

static long waiter_end(struct waiter *waiter)
{
	pthread_join(waiter->thread, NULL);
	return waiter->ret;
}

TEST_F(wait, a_sleeper_is_woken)
{
	struct waiter waiter;

	ASSERT_EQ(0, waiter_start(&waiter, self->head.fd, 1, FOREVER));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, waiter_end(&waiter));
}

TEST_F(wait, a_sleeper_with_a_time_limit_is_woken)
{
	struct waiter waiter;

	ASSERT_EQ(0, waiter_start(&waiter, self->head.fd, 1, 25 * NSEC_PER_SEC));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, waiter_end(&waiter));
}

TEST_F(wait, a_sleeper_is_not_content_with_less)
{
	struct waiter waiter;

	ASSERT_EQ(0, waiter_start(&waiter, self->head.fd, 3, FOREVER));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 2));
	ASSERT_EQ(0, wait_blocked(waiter.tid, __NR_ioctl));
	EXPECT_EQ((long)POISON32, waiter.ret);
	ASSERT_EQ(0, ring_fill(&self->head, 2, 1));
	EXPECT_EQ(3, waiter_end(&waiter));
}

TEST_F(wait, two_sleepers_are_woken)
{
	struct waiter one, two;

	ASSERT_EQ(0, waiter_start(&one, self->head.fd, 1, FOREVER));
	ASSERT_EQ(0, waiter_start(&two, self->head.fd, 1, FOREVER));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, waiter_end(&one));
	EXPECT_EQ(1, waiter_end(&two));
}

TEST_F(wait, sleepers_for_different_numbers)
{
	struct waiter one, all;

	ASSERT_EQ(0, waiter_start(&one, self->head.fd, 1, FOREVER));
	ASSERT_EQ(0, waiter_start(&all, self->head.fd, ENTRIES, FOREVER));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, waiter_end(&one));
	ASSERT_EQ(0, ring_fill(&self->head, 1, ENTRIES - 1));
	EXPECT_EQ(ENTRIES, waiter_end(&all));
}

TEST_F(wait, a_sleeper_outlasts_the_closing_of_the_fd)
{
	struct waiter waiter;
	int fd = dup(self->head.fd);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, waiter_start(&waiter, fd, 1, FOREVER));
	ASSERT_EQ(0, close(fd));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, waiter_end(&waiter));
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static int catch_signal(int sig, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	return sigaction(sig, &action, NULL);
}

static int tick(unsigned int usec)
{
	struct itimerval timer = {
		.it_value.tv_usec = usec,
		.it_interval.tv_usec = usec,
	};

	return setitimer(ITIMER_REAL, &timer, NULL);
}

static bool is_blocked(int sig)
{
	sigset_t set;

	return sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, sig) == 1;
}

static int block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return sigprocmask(SIG_BLOCK, &set, NULL);
}

TEST_F(wait, a_signal_interrupts)
{
	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(0, tick(20000));
	EXPECT_EQ(-EINTR, submit());
	tick(0);
	EXPECT_LE(1, signals);
}

TEST_F(wait, a_signal_interrupts_under_sa_restart_too)
{
	ASSERT_EQ(0, catch_signal(SIGALRM, SA_RESTART));
	ASSERT_EQ(0, tick(20000));
	EXPECT_EQ(-EINTR, submit());
	tick(0);
	EXPECT_LE(1, signals);
}

TEST_F(wait, no_sleep_no_interruption)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(0, block(SIGUSR1));
	ASSERT_EQ(0, raise(SIGUSR1));
	EXPECT_EQ(1, submit());
	EXPECT_EQ(0, signals);
}

/* Signal sets of the kernel's size. */
static const __u64 none, all = ~0ULL;

TEST_F(wait, a_mask_lets_a_pending_signal_in)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(0, block(SIGUSR1));
	ASSERT_EQ(0, raise(SIGUSR1));
	self->wait.sigmask = PTR(&none);
	self->wait.sigset_size = sizeof(none);
	EXPECT_EQ(-EINTR, submit());
	EXPECT_EQ(1, signals);
	EXPECT_TRUE(is_blocked(SIGUSR1));
}

TEST_F(wait, a_mask_keeps_signals_out)
{
	ASSERT_EQ(0, catch_signal(SIGALRM, 0));
	ASSERT_EQ(0, tick(20000));
	self->wait.sigmask = PTR(&all);
	self->wait.sigset_size = sizeof(all);
	self->wait.timeout_ns = 100 * NSEC_PER_MSEC;
	EXPECT_EQ(-ETIME, submit());
	tick(0);
	EXPECT_LE(1, signals);
	EXPECT_FALSE(is_blocked(SIGALRM));
}

TEST_F(wait, a_mask_is_gone_after_success)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	self->wait.sigmask = PTR(&all);
	self->wait.sigset_size = sizeof(all);
	EXPECT_EQ(1, submit());
	EXPECT_FALSE(is_blocked(SIGUSR1));
}

TEST_F(wait, a_mask_cannot_block_sigkill)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct head head;

		if (head_open(&head, ENTRIES))
			_exit(1);
		self->wait.sigmask = PTR(&all);
		self->wait.sigset_size = sizeof(all);
		dev_ioctl(head.fd, SYSLET_IOC_WAIT, &self->wait);
		_exit(2);
	}
	EXPECT_EQ(0, wait_blocked(pid, __NR_ioctl));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, child_status(pid));
}

TEST_F(wait, a_mask_of_another_size)
{
	static const __u32 sizes[] = { 0, 4, 7, 9, 16, 128, ~0U };
	unsigned int i;

	self->wait.sigmask = PTR(&none);
	self->wait.timeout_ns = 0;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->wait.sigset_size = sizes[i];
		EXPECT_EQ(-EINVAL, submit());
	}
}

TEST_F(wait, a_mask_at_a_bad_address)
{
	self->wait.timeout_ns = 0;
	self->wait.sigset_size = sizeof(none);
	self->wait.sigmask = PTR(BAD_LOW);
	EXPECT_EQ(-EFAULT, submit());
	self->wait.sigmask = PTR(BAD_HIGH);
	EXPECT_EQ(-EFAULT, submit());
}

TEST_HARNESS_MAIN
