// SPDX-License-Identifier: GPL-2.0
/*
 * User contexts that cannot be moved faithfully: their programs block in the
 * caller, and come to the right end.
 *
 * Each variant puts its thread, in a child, in a state that is not handed over.
 * Another thread, which is not in it, releases what blocks.
 */
#include <linux/mempolicy.h>
#include <linux/perf_event.h>
#include <linux/hw_breakpoint.h>
#include <sys/io.h>
#include <sys/ptrace.h>
#include "async_test.h"
#include "../fdinfo.h"

#ifndef PR_SYS_DISPATCH_ON
#define PR_SET_SYSCALL_USER_DISPATCH	59
#define PR_SYS_DISPATCH_ON		1
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x80
#endif

#define UNAVAILABLE	4	/* exit status: this kernel has not got it */

static char selector;
static volatile int watched;

/* What puts the calling thread in a state; 0, or an errno. */
static int in_no_state(void)
{
	return 0;
}

static timer_t timer;

static int with_cpu_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec later = { .it_value.tv_sec = 1000 };

	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer))
		return errno;
	return timer_settime(timer, 0, &later, NULL) ? errno : 0;
}

static int with_a_past_cpu_timer(void)
{
	int error = with_cpu_timer();

	return error ?: timer_delete(timer) ? errno : 0;
}

static int with_memory_policy(void)
{
	unsigned long nodes = 1;

	return syscall(__NR_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)) ? errno : 0;
}

static int with_io_uring(void)
{
	char params[120] = "";

	return syscall(__NR_io_uring_setup, 4, params) < 0 ? errno : 0;
}

/* What the thread may not do with io_uring, though it does nothing with it: for good. */
static int with_io_uring_restriction(void)
{
	enum { RESTRICTIONS = 11, SQE_OP = 1, NOP = 0 };
	const struct {
		__u16 flags, count;
		__u32 reserved[3];
		__u16 kind;
		__u8 allowed, reserved_byte;
		__u32 reserved_words[3];
	} only_nops = { .count = 1, .kind = SQE_OP, .allowed = NOP };

	return syscall(__NR_io_uring_register, -1, RESTRICTIONS, &only_nops, 1) ? errno : 0;
}

static int with_io_ports(void)
{
	return ioperm(0x80, 1, 1) ? errno : 0;
}

static int with_io_privilege(void)
{
	return iopl(3) ? errno : 0;
}

/* A thread of such a policy would not have it. */
static int with_reset_on_fork(void)
{
	struct sched_param param = { 0 };

	return sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &param) ? errno : 0;
}

/* Nor can one of this be forked at all. */
static int with_deadline(void)
{
	struct {
		__u32 size, policy;
		__u64 flags;
		__s32 nice;
		__u32 priority;
		__u64 runtime, deadline, period;
	} attr = {
		.size = sizeof(attr),
		.policy = 6,
		.runtime = 10 * NSEC_PER_MSEC,
		.deadline = 100 * NSEC_PER_MSEC,
		.period = 100 * NSEC_PER_MSEC,
	};

	return syscall(__NR_sched_setattr, 0, &attr, 0) ? errno : 0;
}

/* Nor is a thread's keyring another one's. */
static int with_thread_keyring(void)
{
	return syscall(__NR_add_key, "user", "syslet-test", "x", 1UL, -1L) < 0 ? errno : 0;
}

/* With the selector at 0 every call is let through, but seen. */
static int with_user_dispatch(void)
{
	return prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector)
		? errno : 0;
}

static int with_pid_namespace(void)
{
	return unshare(CLONE_NEWPID) ? errno : 0;
}

static int with_time_namespace(void)
{
	return unshare(CLONE_NEWTIME) ? errno : 0;
}

/* How often each reason was in a handoff's way so far. */
struct reasons {
	long long counts[9];
};

static const char *const reason_names[] = {
	"no-page", "compat", "traced", "task-state", "registers", "limit", "fork", "no-spare",
	"refused",
};

static void count_reasons(int fd, struct reasons *reasons)
{
	char name[32];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reason_names); i++) {
		snprintf(name, sizeof(name), "fallback-%s", reason_names[i]);
		reasons->counts[i] = value(fd, name);
	}
}

/* Whether since @before @wanted was once, and no other; or none, where it is NULL. */
static bool was_reason(int fd, const struct reasons *before, const char *wanted)
{
	struct reasons after;
	bool right = true;
	unsigned int i;
	int grew;

	count_reasons(fd, &after);
	for (i = 0; i < ARRAY_SIZE(reason_names); i++) {
		grew = wanted && !strcmp(wanted, reason_names[i]);
		if (before->counts[i] >= 0 && after.counts[i] == before->counts[i] + grew)
			continue;
		fprintf(stderr, "# fallback-%s: %lld, then %lld\n", reason_names[i],
			before->counts[i], after.counts[i]);
		right = false;
	}
	return right;
}

FIXTURE(fallback) { };

FIXTURE_VARIANT(fallback) {
	int (*enter)(void);
	const char *reason;	/* NULL: none */
};

FIXTURE_VARIANT_ADD(fallback, none) { in_no_state, NULL };
FIXTURE_VARIANT_ADD(fallback, cpu_timer) { with_cpu_timer, "task-state" };
FIXTURE_VARIANT_ADD(fallback, a_past_cpu_timer) { with_a_past_cpu_timer, NULL };
FIXTURE_VARIANT_ADD(fallback, memory_policy) { with_memory_policy, "task-state" };
FIXTURE_VARIANT_ADD(fallback, io_uring) { with_io_uring, "task-state" };
FIXTURE_VARIANT_ADD(fallback, io_uring_restriction) { with_io_uring_restriction, "task-state" };
FIXTURE_VARIANT_ADD(fallback, io_ports) { with_io_ports, "registers" };
FIXTURE_VARIANT_ADD(fallback, io_privilege) { with_io_privilege, "registers" };
FIXTURE_VARIANT_ADD(fallback, reset_on_fork) { with_reset_on_fork, "task-state" };
FIXTURE_VARIANT_ADD(fallback, deadline) { with_deadline, "task-state" };
FIXTURE_VARIANT_ADD(fallback, thread_keyring) { with_thread_keyring, "no-spare" };
FIXTURE_VARIANT_ADD(fallback, user_dispatch) { with_user_dispatch, "task-state" };
FIXTURE_VARIANT_ADD(fallback, pid_namespace) { with_pid_namespace, "fork" };
FIXTURE_VARIANT_ADD(fallback, time_namespace) { with_time_namespace, NULL };

FIXTURE_SETUP(fallback)
{
	NEED_ASYNC();
}

FIXTURE_TEARDOWN(fallback) { }

/*
 * Enters a state and runs a program that blocks; 0 if it ended as it should.
 * Some of the states forbid to make a thread: the rescuer is there before.
 */
static int run_blocking(struct head *head, struct block *block, int (*enter)(void),
			const char *reason)
{
	struct reasons before;
	struct rescuer rescuer;
	struct syslet_cqe cqe;
	long status;
	int error;

	if (rescuer_start(&rescuer, __NR_read, block->go[1]))
		return 20;
	error = enter();
	if (error == ENOSYS || error == EPERM || error == EINVAL || error == EOPNOTSUPP)
		return UNAVAILABLE;
	if (error)
		return 21;
	count_reasons(head->fd, &before);
	status = block_submit(head, block);
	rescuer_end(&rescuer);
	if (status != (reason ? SYSLET_DONE : SYSLET_PENDING))
		return 22;
	if (!was_reason(head->fd, &before, reason))
		return 27;
	if (status == SYSLET_PENDING)
		return block_finish(head, block) ? 23 : 0;
	if (block->program.result != 1 || block->program.last != 2 || block->byte != '!')
		return 24;
	if (block->results[0] != 1 || block->results[1] != my_tid() || block->results[2] != 1)
		return 25;
	return read_byte(block->done[0]) == 'd' && !ring_take(head, &cqe) ? 0 : 26;
}

static int child_main(int (*enter)(void), const char *reason)
{
	struct block block;
	struct head head;

	child_open(&head, &block);
	if (hop(&head, &block))
		return 10;
	return run_blocking(&head, &block, enter, reason);
}

TEST_F(fallback, or_not)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(child_main(variant->enter, variant->reason));
	status = child_status(pid);
	if (status == UNAVAILABLE)
		SKIP(return, "not here");
	EXPECT_EQ(0, status);
}

FIXTURE(special) {
	int ready[2];
};

FIXTURE_SETUP(special)
{
	NEED_ASYNC();
	ASSERT_EQ(0, pipe2(self->ready, O_CLOEXEC));
}

FIXTURE_TEARDOWN(special) { }

/* As under strace: every call of the child stops, twice. */
static int follow(struct __test_metadata *_metadata, pid_t pid, int request)
{
	int status, sig;

	for (;;) {
		ASSERT_EQ(pid, waitpid(pid, &status, __WALL));
		if (!WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80) || sig == SIGTRAP || sig == SIGSTOP)
			sig = 0;
		ASSERT_EQ(0, ptrace(request, pid, NULL, (void *)(long)sig));
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_F(special, traced_from_the_beginning)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head head;

		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		child_open(&head, &block);
		_exit(run_blocking(&head, &block, in_no_state, "traced") ?:
		      run_blocking(&head, &block, in_no_state, "traced"));
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)PTRACE_O_TRACESYSGOOD));
	ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
	EXPECT_EQ(0, follow(_metadata, pid, PTRACE_SYSCALL));
}

/* Attached to when there are idle cachemiss threads already. */
TEST_F(special, traced_after_handoffs)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head head;

		child_open(&head, &block);
		if (hop(&head, &block))
			_exit(1);
		if (write(self->ready[1], "r", 1) != 1)
			_exit(2);
		raise(SIGSTOP);
		_exit(run_blocking(&head, &block, in_no_state, "traced"));
	}
	ASSERT_EQ('r', read_byte(self->ready[0]));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, NULL, (void *)(long)PTRACE_O_TRACESYSGOOD));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	EXPECT_EQ(0, follow(_metadata, pid, PTRACE_SYSCALL));
}

/* The tracer has gone: it is handed over again. */
TEST_F(special, traced_no_longer)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head head;

		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		child_open(&head, &block);
		if (run_blocking(&head, &block, in_no_state, "traced"))
			_exit(1);
		raise(SIGSTOP);
		_exit(hop(&head, &block) ? 2 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
	EXPECT_EQ(0, child_status(pid));
}

TEST_F(special, single_stepped)
{
	int status, steps = 0;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct reasons before;
		struct rescuer rescuer;
		struct block block;
		struct head head;

		child_open(&head, &block);
		count_reasons(head.fd, &before);
		if (rescuer_start(&rescuer, __NR_read, block.go[1]))
			_exit(1);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		if (block_submit(&head, &block) != SYSLET_DONE ||
		    block.results[1] != my_tid() || block.results[2] != 1)
			_exit(2);
		/* There are too many steps in what is left. */
		raise(SIGSTOP);
		_exit(was_reason(head.fd, &before, "traced") ? 0 : 3);
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	do {
		ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		steps++;
	} while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	EXPECT_LT(10, steps);
	ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP) {
		TH_LOG("status %x", status);
	}
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	EXPECT_EQ(0, child_status(pid));
}

#ifdef __x86_64__
static volatile sig_atomic_t traps;

static void on_trap(int sig)
{
	(void)sig;
	traps++;
}

/* The trap flag that a program sets for itself. */
TEST_F(special, trap_flag)
{
	struct sigaction action = { .sa_handler = on_trap, .sa_flags = SA_RESTART };
	struct reasons before;
	struct rescuer rescuer;
	struct block block;
	struct syslet_exec exec = {
		.size = sizeof(exec),
		.programs = PTR(&block.program),
		.nr_programs = 1,
	};
	struct head head;
	long ret;

	ASSERT_EQ(0, head_open(&head, 8));
	ASSERT_EQ(0, block_init(&block, 0));
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, block.go[1]));
	ASSERT_EQ(0, sigaction(SIGTRAP, &action, NULL));
	count_reasons(head.fd, &before);
	asm volatile("lea -128(%%rsp), %%rsp\n"
		     "pushf\n"
		     "orl $0x100, (%%rsp)\n"
		     "popf\n"
		     "syscall\n"
		     "nop\n"
		     "nop\n"
		     "nop\n"
		     "pushf\n"
		     "andl $~0x100, (%%rsp)\n"
		     "popf\n"
		     "lea 128(%%rsp), %%rsp\n"
		     : "=a"(ret)
		     : "a"(__NR_ioctl), "D"(head.fd), "S"(SYSLET_IOC_EXEC), "d"(&exec)
		     : "rcx", "r11", "memory", "cc");
	rescuer_end(&rescuer);
	EXPECT_EQ(1, ret);
	EXPECT_EQ(SYSLET_DONE, block.program.status);
	EXPECT_EQ(my_tid(), block.results[1]);
	EXPECT_EQ(1, block.results[2]);
	EXPECT_TRUE(was_reason(head.fd, &before, "registers"));
	/* The instructions behind the call trapped as those before it. */
	EXPECT_LE(3, traps);
	head_close(&head);
}
#endif

/* A breakpoint that the thread has set on itself goes on hitting. */
TEST_F(special, hardware_breakpoint)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = PTR(&watched),
		.bp_len = HW_BREAKPOINT_LEN_4,
		.sample_period = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	int fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	struct reasons reasons;
	struct rescuer rescuer;
	__u64 before, after;
	struct block block;
	struct head head;

	if (fd < 0)
		SKIP(return, "no breakpoint: %m");
	ASSERT_EQ(0, head_open(&head, 8));
	ASSERT_EQ(0, block_init(&block, SYSLET_NO_COMPLETE));
	watched = 1;
	ASSERT_EQ(sizeof(before), read(fd, &before, sizeof(before)));
	if (!before)
		SKIP(return, "a breakpoint that does not hit");
	count_reasons(head.fd, &reasons);
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, block.go[1]));
	ASSERT_EQ(SYSLET_DONE, block_submit(&head, &block));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_TRUE(was_reason(head.fd, &reasons, "task-state"));
	watched = 2;
	watched = 3;
	ASSERT_EQ(sizeof(after), read(fd, &after, sizeof(after)));
	EXPECT_EQ(before + 2, after);
	head_close(&head);
}

/* A tracer, to which its tracee is tied by the task, remains one. */
TEST_F(special, a_tracer)
{
	struct reasons before;
	struct rescuer rescuer;
	struct block block;
	struct head head;
	int status;
	pid_t pid;

	ASSERT_EQ(0, head_open(&head, 8));
	ASSERT_EQ(0, block_init(&block, SYSLET_NO_COMPLETE));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (;;)
			pause();
	}
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	count_reasons(head.fd, &before);
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, block.go[1]));
	ASSERT_EQ(SYSLET_DONE, block_submit(&head, &block));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_TRUE(was_reason(head.fd, &before, "task-state"));
	EXPECT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
	EXPECT_EQ(pid, waitpid(pid, &status, __WALL));
	errno = 0;
	ptrace(PTRACE_PEEKDATA, pid, &watched, NULL);
	EXPECT_EQ(0, errno);
	EXPECT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, child_status(pid));
	head_close(&head);
}

/* A vfork child has the parent's memory, and with it what its head is for. */
struct vfork_args {
	struct head *head;
	struct block *block;
	long status, plain;
	pid_t tid;
};

static int vfork_child(void *arg)
{
	struct vfork_args *args = arg;
	struct syslet_atom atom = { .nr = __NR_getppid };
	struct syslet_program program = { .atoms = PTR(&atom), .nr_atoms = 1 };

	args->tid = my_tid();
	args->plain = dev_exec(args->head->fd, &program, 1, 0);
	/* Who waits for this child cannot release anything: it need not block. */
	args->status = write(args->block->go[1], "!", 1) == 1
		? block_submit(args->head, args->block) : -EIO;
	return 42;
}

TEST_F(special, a_vfork_child)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct vfork_args args;
	struct block block;
	struct head head;
	pid_t pid;

	ASSERT_EQ(0, head_open(&head, 8));
	ASSERT_EQ(0, block_init(&block, 0));
	args = (struct vfork_args) { &head, &block, -1, -1, -1 };
	pid = clone(vfork_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &args);
	ASSERT_LT(0, pid);
	EXPECT_EQ(42, child_status(pid));
	EXPECT_EQ(pid, args.tid);
	/* Either it is served right or it is refused for good reason. */
	if (args.plain == 1) {
		EXPECT_EQ(SYSLET_DONE, args.status);
		EXPECT_EQ(pid, block.results[1]);
	} else {
		EXPECT_EQ(-EACCES, args.plain);
		EXPECT_EQ(-EACCES, args.status);
		ASSERT_EQ('!', read_byte(block.go[0]));
	}
	/* The parent is as before. */
	while (poll(&(struct pollfd) { .fd = block.done[0], .events = POLLIN }, 1, 0) == 1)
		read_byte(block.done[0]);
	EXPECT_EQ(0, hop(&head, &block));
	head_close(&head);
}

TEST_HARNESS_MAIN
