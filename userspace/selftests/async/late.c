// SPDX-License-Identifier: GPL-2.0
/*
 * What is sent to a thread by somebody who has looked it up before a handoff, and is
 * done only behind it. That takes a delay between two instructions of the kernel's: it
 * is made by kprobes that record stack traces.
 */
#include <time.h>
#include "async_test.h"
#include "tracefs.h"

/* Where the looking up is over, and the sending has not begun: of signals and timers. */
static const char *const probed[] = { "security_task_kill", "lock_task_sighand" };

/* How many probes there are to be at each of them. */
#define PROBES		40
/* Whom they delay. */
#define SENDER		"late-sender"
/* How often it is tried, and how many times it has to have been late. */
#define ROUNDS		300
#define ENOUGH		(10 * (int)stress())
/* How late a handoff begins, in nanoseconds. */
#define MOST_DELAY	(100 * 1000)

/* A thread that makes one handoff. */
struct mover {
	pthread_t thread;
	struct head *head;
	pid_t tid;
	bool go, left;
	__u64 delay;		/* in nanoseconds, from go on */
	bool waits;		/* until the signal comes */
};

FIXTURE(late) {
	struct head head;
	struct mover mover;
	int crossings;
	__u64 random;
};

/* The two run on a CPU each: one that is delayed does not let go of it. */
static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static volatile sig_atomic_t calls;
static pid_t called;

static void on_signal(int sig)
{
	(void)sig;
	called = my_tid();
	calls++;
}

static int probe_all(bool on)
{
	char text[80];
	int i, ret = 0;

	for (i = 0; i < 2 * PROBES && !ret; i++) {
		snprintf(text, sizeof(text), on ? "p:syslet_late/p%d %s" : "-:syslet_late/p%d", i,
			 probed[i % 2]);
		ret = write_file(TRACEFS, "kprobe_events", text);
		if (ret || !on)
			continue;
		snprintf(text, sizeof(text), "events/syslet_late/p%d/filter", i);
		ret = write_file(TRACEFS, text, "comm == \"" SENDER "\"");
	}
	return ret;
}

FIXTURE_SETUP(late)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	NEED_ASYNC();
	if (run_on(1))
		SKIP(return, "needs CPUs 0 and 1");
	ASSERT_EQ(0, run_on(0));
	ASSERT_EQ(0, tracefs_mount());
	ASSERT_EQ(0, probe_all(true));
	ASSERT_EQ(0, write_file(TRACEFS, "options/stacktrace", "1"));
	ASSERT_EQ(0, write_file(TRACEFS, "events/syslet_late/enable", "1"));
	ASSERT_EQ(0, head_open(&self->head, 1024));
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, prctl(PR_SET_NAME, SENDER));
	self->random = number_from_env("SYSLET_SEED", 1);
}

FIXTURE_TEARDOWN(late)
{
	head_close(&self->head);
	write_file(TRACEFS, "events/syslet_late/enable", "0");
	write_file(TRACEFS, "options/stacktrace", "0");
	probe_all(false);
}

static void *move(void *arg)
{
	struct timespec brief = { .tv_nsec = NSEC_PER_MSEC };
	struct syslet_atom sleep[] = { {
		.nr = __NR_clock_nanosleep,
		.args = { CLOCK_MONOTONIC, 0, PTR(&brief), 0 },
	} };
	struct mover *mover = arg;
	struct syslet_program program;
	__u64 until;

	prctl(PR_SET_NAME, "late-mover");
	run_on(1);
	__atomic_store_n(&mover->tid, my_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&mover->go, __ATOMIC_ACQUIRE))
		;
	until = now_ns() + mover->delay;
	while (now_ns() < until)
		;
	do
		program = PROGRAM(sleep, .flags = SYSLET_NO_COMPLETE);
	while (dev_exec(mover->head->fd, &program, 1, 0) == -EINTR);
	__atomic_store_n(&mover->left, program.status == SYSLET_PENDING, __ATOMIC_RELEASE);
	/* Not asleep: a CPU timer goes on only so. */
	until = now_ns() + PATIENCE;
	while (mover->waits && !calls && now_ns() < until)
		;
	return NULL;
}

/* Has a thread begin that moves when it is told. */
static int mover_start(struct mover *mover, struct head *head, bool waits, __u64 delay)
{
	int ret;

	*mover = (struct mover) { .head = head, .waits = waits, .delay = delay };
	calls = 0;
	ret = pthread_create(&mover->thread, NULL, move, mover);
	while (!ret && !__atomic_load_n(&mover->tid, __ATOMIC_ACQUIRE))
		;
	return ret;
}

static void mover_go(struct mover *mover)
{
	__atomic_store_n(&mover->go, true, __ATOMIC_RELEASE);
}

/* Whether it has moved by now. */
static bool mover_left(struct mover *mover)
{
	return __atomic_load_n(&mover->left, __ATOMIC_ACQUIRE);
}

/* Ends it; returns once no task has its TID. */
static int mover_end(struct mover *mover)
{
	__u64 deadline = now_ns() + PATIENCE;
	int ret = pthread_join(mover->thread, NULL);

	while (!ret && syscall(__NR_tgkill, getpid(), mover->tid, 0) == 0)
		if (now_ns() > deadline)
			ret = ETIMEDOUT;
	return ret;
}

/* Begins a round, in which @self's mover gets something that may come late. */
#define ROUND_BEGIN(waits)						\
	ASSERT_EQ(0, mover_start(&self->mover, &self->head, waits,	\
				 below(&self->random, MOST_DELAY)))

/* Rounds of a test, until enough of them were late. */
#define FOR_EACH_ROUND()						\
	for (int i = 0; i < ROUNDS && self->crossings < ENOUGH; i++)

static int clock_timer(struct mover *mover, timer_t *timer)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

	/* As the kernel makes the number of a thread's clock from its TID. */
	return timer_create((~(clockid_t)mover->tid << 3) | 6, &event, timer);
}

static int arm(timer_t timer, __u64 ns)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC },
	};

	return timer_settime(timer, 0, &when, NULL);
}

TEST_F(late, a_signal_comes_to_the_thread)
{
	FOR_EACH_ROUND() {
		ROUND_BEGIN(true);
		mover_go(&self->mover);
		ASSERT_EQ(0, syscall(__NR_tgkill, getpid(), self->mover.tid, SIGUSR1));
		self->crossings += mover_left(&self->mover);
		ASSERT_EQ(0, mover_end(&self->mover));
		ASSERT_EQ(1, calls);
		ASSERT_EQ(self->mover.tid, called);
	}
	EXPECT_LT(0, self->crossings);
}

TEST_F(late, a_timer_of_its_clock_rings)
{
	FOR_EACH_ROUND() {
		timer_t timer;

		ROUND_BEGIN(true);
		ASSERT_EQ(0, clock_timer(&self->mover, &timer));
		mover_go(&self->mover);
		ASSERT_EQ(0, arm(timer, 2 * NSEC_PER_MSEC));
		self->crossings += mover_left(&self->mover);
		ASSERT_EQ(0, mover_end(&self->mover));
		ASSERT_EQ(1, calls);
		ASSERT_EQ(0, timer_delete(timer));
	}
	EXPECT_LT(0, self->crossings);
}

/* The kernel warns where it finds it queued still. */
TEST_F(late, a_timer_can_be_deleted_when_its_thread_is_gone)
{
	FOR_EACH_ROUND() {
		timer_t timer;

		ROUND_BEGIN(false);
		ASSERT_EQ(0, clock_timer(&self->mover, &timer));
		mover_go(&self->mover);
		ASSERT_EQ(0, arm(timer, 1000 * NSEC_PER_SEC));
		self->crossings += mover_left(&self->mover);
		ASSERT_EQ(0, mover_end(&self->mover));
		ASSERT_EQ(-1, arm(timer, 1000 * NSEC_PER_SEC));
		ASSERT_EQ(ESRCH, errno);
		ASSERT_EQ(0, timer_delete(timer));
	}
	EXPECT_LT(0, self->crossings);
}

/* Arms one, behind a first handoff that has left a spare; 1 if its thread has moved meanwhile. */
static int arm_in_child(__u64 delay)
{
	struct mover mover;
	struct head head;
	timer_t timer;

	if (head_open(&head, 64) || mover_start(&mover, &head, false, 0))
		return 2;
	mover_go(&mover);
	if (mover_end(&mover) || mover_start(&mover, &head, true, delay) ||
	    clock_timer(&mover, &timer))
		return 2;
	mover_go(&mover);
	if (arm(timer, 1000 * NSEC_PER_SEC))
		return 3;
	return mover_left(&mover);
}

TEST_F(late, a_timer_goes_with_its_process)
{
	FOR_EACH_ROUND() {
		__u64 delay = below(&self->random, MOST_DELAY);
		pid_t child = fork();
		int status;

		ASSERT_LE(0, child);
		if (!child)
			_exit(arm_in_child(delay));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_GT(2, WEXITSTATUS(status));
		self->crossings += WEXITSTATUS(status);
	}
	EXPECT_LT(0, self->crossings);
}

TEST_HARNESS_MAIN
