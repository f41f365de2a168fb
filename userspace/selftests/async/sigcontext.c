// SPDX-License-Identifier: GPL-2.0
/* The signal state of the caller's thread stays the caller's. */
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include "async_test.h"

FIXTURE_THREAD(sigcontext);

#define MOVE()		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block))
#define MOVE_ON()	ASSERT_EQ(0, block_finish(&self->head, &self->block))

static volatile sig_atomic_t calls, last_tid, last_code, last_pid;
static void *volatile last_stack;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	calls++;
	last_tid = my_tid();
	last_code = info->si_code;
	last_pid = info->si_pid;
	last_stack = __builtin_frame_address(0);
}

static int catch_signal(int sig, int flags)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = flags | SA_SIGINFO };

	return sigaction(sig, &action, NULL);
}

static __u64 get_mask(void)
{
	__u64 mask = 0;

	syscall(__NR_rt_sigprocmask, SIG_BLOCK, NULL, &mask, KERNEL_SIGSET);
	return mask;
}

static void set_mask(__u64 mask)
{
	syscall(__NR_rt_sigprocmask, SIG_SETMASK, &mask, NULL, KERNEL_SIGSET);
}

static __u64 get_pending(void)
{
	__u64 pending = 0;

	syscall(__NR_rt_sigpending, &pending, KERNEL_SIGSET);
	return pending;
}

static long signal_self(int sig)
{
	return syscall(__NR_tgkill, getpid(), my_tid(), sig);
}

TEST_F_THREAD(sigcontext, mask)
{
	const __u64 masks[] = { 0, SIGBIT(SIGUSR1), SIGBIT(SIGHUP) | SIGBIT(SIGTERM),
				~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP)) };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		set_mask(masks[i]);
		MOVE();
		EXPECT_EQ(masks[i], get_mask());
		MOVE_ON();
		EXPECT_EQ(masks[i], get_mask());
	}
}

TEST_F_THREAD(sigcontext, mask_that_changes_while_a_program_is_blocked)
{
	MOVE();
	set_mask(SIGBIT(SIGUSR2));
	MOVE_ON();
	EXPECT_EQ(SIGBIT(SIGUSR2), get_mask());
	ASSERT_EQ(0, hop(&self->head, &self->block));
	EXPECT_EQ(SIGBIT(SIGUSR2), get_mask());
}

TEST_F_THREAD(sigcontext, alternate_stack)
{
	static char stack[65536];
	stack_t set = { .ss_sp = stack, .ss_size = sizeof(stack) }, get;

	ASSERT_EQ(0, sigaltstack(&set, NULL));
	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_ONSTACK));
	MOVE();
	ASSERT_EQ(0, sigaltstack(NULL, &get));
	EXPECT_EQ(PTR(stack), PTR(get.ss_sp));
	EXPECT_EQ(sizeof(stack), get.ss_size);
	EXPECT_EQ(0, get.ss_flags);
	ASSERT_EQ(0, signal_self(SIGUSR1));
	EXPECT_EQ(1, calls);
	EXPECT_LE(PTR(stack), PTR(last_stack));
	EXPECT_GT(PTR(stack + sizeof(stack)), PTR(last_stack));
	MOVE_ON();
	last_stack = NULL;
	ASSERT_EQ(0, signal_self(SIGUSR1));
	EXPECT_EQ(2, calls);
	EXPECT_LE(PTR(stack), PTR(last_stack));
	EXPECT_GT(PTR(stack + sizeof(stack)), PTR(last_stack));
}

/* A program from a handler: the frame of the signal is on the stack that moves along. */
static struct head *handler_head;
static struct block *handler_block;
static volatile long handler_result = -1;

static void hop_in_handler(int sig)
{
	(void)sig;
	handler_result = hop(handler_head, handler_block);
}

TEST_F_THREAD(sigcontext, handoff_in_a_handler)
{
	static char stack[65536];
	stack_t set = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = hop_in_handler, .sa_flags = SA_ONSTACK };
	volatile unsigned long canary = 0xfeedf00dUL;

	handler_head = &self->head;
	handler_block = &self->block;
	ASSERT_EQ(0, sigaltstack(&set, NULL));
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, signal_self(SIGUSR1));
	EXPECT_EQ(0, handler_result);
	EXPECT_EQ(0xfeedf00dUL, canary);
	EXPECT_EQ(0, get_mask());
	handler_result = -1;
	ASSERT_EQ(0, signal_self(SIGUSR1));
	EXPECT_EQ(0, handler_result);
}

TEST_F_THREAD(sigcontext, pending_signal_of_the_thread)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	set_mask(SIGBIT(SIGUSR1));
	ASSERT_EQ(0, signal_self(SIGUSR1));
	MOVE();
	EXPECT_EQ(SIGBIT(SIGUSR1), get_pending());
	EXPECT_EQ(0, calls);
	set_mask(0);
	EXPECT_EQ(1, calls);
	EXPECT_EQ(SI_TKILL, last_code);
	EXPECT_EQ(getpid(), last_pid);
	EXPECT_EQ(my_tid(), last_tid);
	EXPECT_EQ(0, get_pending());
	MOVE_ON();
	EXPECT_EQ(1, calls);
}

TEST_F_THREAD(sigcontext, pending_signal_of_the_thread_comes_back)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	set_mask(SIGBIT(SIGUSR1));
	ASSERT_EQ(0, signal_self(SIGUSR1));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	EXPECT_EQ(SIGBIT(SIGUSR1), get_pending());
	EXPECT_EQ(0, calls);
	set_mask(0);
	EXPECT_EQ(1, calls);
	ASSERT_EQ(0, hop(&self->head, &self->block));
	EXPECT_EQ(1, calls);
}

TEST_F_THREAD(sigcontext, queued_signals_keep_values_and_order)
{
	const struct timespec now = { 0 };
	siginfo_t info = { .si_code = SI_QUEUE };
	sigset_t set;
	int i;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	for (i = 1; i <= 3; i++) {
		info.si_value.sival_int = i;
		ASSERT_EQ(0, syscall(__NR_rt_tgsigqueueinfo, getpid(), my_tid(), SIGRTMIN, &info));
	}
	MOVE();
	ASSERT_EQ(SIGRTMIN, sigtimedwait(&set, &info, &now));
	EXPECT_EQ(1, info.si_value.sival_int);
	MOVE_ON();
	for (i = 2; i <= 3; i++) {
		ASSERT_EQ(SIGRTMIN, sigtimedwait(&set, &info, &now));
		EXPECT_EQ(i, info.si_value.sival_int);
	}
	EXPECT_EQ(-1, sigtimedwait(&set, &info, &now));
}

TEST_F_THREAD(sigcontext, pending_signal_of_the_process)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	set_mask(SIGBIT(SIGUSR1));
	ASSERT_EQ(0, kill(getpid(), SIGUSR1));
	MOVE();
	EXPECT_EQ(SIGBIT(SIGUSR1), get_pending());
	EXPECT_EQ(0, calls);
	MOVE_ON();
	EXPECT_EQ(0, calls);
	set_mask(0);
	EXPECT_EQ(1, calls);
	EXPECT_EQ(my_tid(), last_tid);
}

TEST_F_THREAD(sigcontext, signals_reach_the_caller_where_it_went)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	MOVE();
	ASSERT_EQ(0, signal_self(SIGUSR1));
	EXPECT_EQ(1, calls);
	EXPECT_EQ(my_tid(), last_tid);
	ASSERT_EQ(0, kill(getpid(), SIGUSR1));
	EXPECT_EQ(2, calls);
	EXPECT_EQ(my_tid(), last_tid);
	ASSERT_EQ(0, raise(SIGUSR1));
	EXPECT_EQ(3, calls);
	ASSERT_EQ(0, pthread_kill(pthread_self(), SIGUSR1));
	EXPECT_EQ(4, calls);
	MOVE_ON();
	EXPECT_EQ(4, calls);
}

TEST_F_THREAD(sigcontext, signalfd_reads_them)
{
	struct signalfd_siginfo info = { 0 };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, signal_self(SIGUSR1));
	MOVE();
	EXPECT_EQ(sizeof(info), read(fd, &info, sizeof(info)));
	EXPECT_EQ(SIGUSR1, info.ssi_signo);
	MOVE_ON();
}

/* Calls that put another mask in force while they sleep. */
FIXTURE(mask) {
	struct head head;
	int pipes[2];
	struct pollfd pollfd;
	fd_set fds;
	unsigned long pselect_mask[2];	/* where the mask is, and how long it is */
	struct epoll_event event;
	__u64 temporary;
	struct syslet_atom atom;
};

FIXTURE_VARIANT(mask) {
	int call;
	__u64 own, temporary;
};

enum { PPOLL, PSELECT6, EPOLL_PWAIT };

FIXTURE_VARIANT_ADD(mask, ppoll_lets_in) { PPOLL, SIGBIT(SIGUSR1), 0 };
FIXTURE_VARIANT_ADD(mask, ppoll_keeps_out) { PPOLL, 0, SIGBIT(SIGUSR1) };
FIXTURE_VARIANT_ADD(mask, pselect6_lets_in) { PSELECT6, SIGBIT(SIGUSR1), 0 };
FIXTURE_VARIANT_ADD(mask, pselect6_keeps_out) { PSELECT6, 0, SIGBIT(SIGUSR1) };
FIXTURE_VARIANT_ADD(mask, epoll_pwait_lets_in) { EPOLL_PWAIT, SIGBIT(SIGUSR1), 0 };
FIXTURE_VARIANT_ADD(mask, epoll_pwait_keeps_out) { EPOLL_PWAIT, 0, SIGBIT(SIGUSR1) };

#ifdef __NR_pselect6_time64
#define NR_PSELECT6	__NR_pselect6_time64
#else
#define NR_PSELECT6	__NR_pselect6
#endif

FIXTURE_SETUP(mask)
{
	int epoll;

	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, pipe2(self->pipes, O_CLOEXEC));
	self->temporary = variant->temporary;
	self->pollfd = (struct pollfd) { .fd = self->pipes[0], .events = POLLIN };
	FD_ZERO(&self->fds);
	FD_SET(self->pipes[0], &self->fds);
	switch (variant->call) {
	case PPOLL:
		self->atom = (struct syslet_atom) {
			.nr = NR_PPOLL,
			.args = { PTR(&self->pollfd), 1, 0, PTR(&self->temporary), KERNEL_SIGSET },
		};
		break;
	case PSELECT6:
		self->pselect_mask[0] = PTR(&self->temporary);
		self->pselect_mask[1] = KERNEL_SIGSET;
		self->atom = (struct syslet_atom) {
			.nr = NR_PSELECT6,
			.args = { self->pipes[0] + 1, PTR(&self->fds), 0, 0, 0,
				  PTR(self->pselect_mask) },
		};
		break;
	case EPOLL_PWAIT:
		epoll = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_LE(0, epoll);
		self->event.events = EPOLLIN;
		ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->pipes[0], &self->event));
		self->atom = (struct syslet_atom) {
			.nr = __NR_epoll_pwait,
			.args = { epoll, PTR(&self->event), 1, -1, PTR(&self->temporary),
				  KERNEL_SIGSET },
		};
		break;
	}
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	set_mask(variant->own);
}

FIXTURE_TEARDOWN(mask)
{
	head_close(&self->head);
}

TEST_F(mask, the_caller_has_its_own_again)
{
	struct syslet_atom atoms[] = { self->atom };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	EXPECT_EQ(variant->own, get_mask());
	ASSERT_EQ(1, write(self->pipes[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 1, 0, SYSLET_CQE_ASYNC);
	EXPECT_EQ(variant->own, get_mask());
}

static void expect_signal_to_caller(struct __test_metadata *_metadata, bool blocked)
{
	EXPECT_EQ(blocked ? 0 : 1, calls);
	if (!blocked) {
		EXPECT_EQ(my_tid(), last_tid);
	}
}

TEST_F(mask, a_signal_to_the_process_is_for_the_caller)
{
	struct syslet_atom atoms[] = { self->atom };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, kill(getpid(), SIGUSR1));
	expect_signal_to_caller(_metadata, variant->own);
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 50 * NSEC_PER_MSEC));
	ASSERT_EQ(1, write(self->pipes[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(1, cqe.result);
	expect_signal_to_caller(_metadata, variant->own);
	set_mask(0);
	EXPECT_EQ(1, calls);
	EXPECT_EQ(my_tid(), last_tid);
}

TEST_F(mask, a_signal_to_the_thread_is_for_the_caller)
{
	struct syslet_atom atoms[] = { self->atom };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, signal_self(SIGUSR1));
	expect_signal_to_caller(_metadata, variant->own);
	ASSERT_EQ(1, write(self->pipes[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(1, cqe.result);
	set_mask(0);
	EXPECT_EQ(1, calls);
}

/* The worker's own mask is back afterwards: a later atom is not interrupted. */
TEST_F(mask, two_such_calls_in_a_program)
{
	char byte;
	struct syslet_atom atoms[] = {
		self->atom,
		read_atom(self->pipes[0], &byte, 1),
		self->atom,
		read_atom(self->pipes[0], &byte, 1),
		read_atom(self->pipes[0], &byte, 1),
	};
	__s64 results[ARRAY_SIZE(atoms)];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;
	int i;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, kill(getpid(), SIGUSR1));
		ASSERT_EQ(1, write(self->pipes[1], "!", 1));
		ASSERT_TRUE(result_appears(&results[i < 2 ? 2 * i + 1 : 4]));
		EXPECT_EQ(variant->own, get_mask());
	}
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, 1, 4, SYSLET_CQE_ASYNC);
	for (i = 0; i < 5; i++)
		EXPECT_LT(0, results[i]);
	EXPECT_EQ(variant->own ? 0 : 3, calls);
}

TEST_F(mask, the_next_program_of_the_worker_finds_nothing_of_it)
{
	struct syslet_atom atoms[] = { self->atom };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
		ASSERT_EQ(SYSLET_PENDING, program.status);
		EXPECT_EQ(variant->own, get_mask());
		ASSERT_EQ(1, write(self->pipes[1], "!", 1));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_EQ(1, cqe.result);
		EXPECT_EQ(variant->own, get_mask());
		ASSERT_EQ(1, read(self->pipes[0], &(char) { 0 }, 1));
	}
}

TEST_HARNESS_MAIN
