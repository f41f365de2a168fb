// SPDX-License-Identifier: GPL-2.0
/*
 * Stops: job control, the freezer, and tracers that come and go while programs
 * are blocked. The programs notice nothing.
 *
 * The process in question is a child, which reports through its exit status
 * whether its programs came to the right end.
 */
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include "async_test.h"

#define SLEEP_NSEC	(300 * NSEC_PER_MSEC)

enum { READ, NANOSLEEP, POLL, FUTEX, READ_AFTER_READ, IDLE };

FIXTURE(stops) {
	int go[2];	/* ends the blocked call, unless time does */
	int leave[2];	/* lets the child exit */
	int told[2];	/* the child is blocked as wanted */
	pid_t child;
	int call;
};

FIXTURE_VARIANT(stops) {
	int call;
};

FIXTURE_VARIANT_ADD(stops, in_read) { READ };
FIXTURE_VARIANT_ADD(stops, in_nanosleep) { NANOSLEEP };
FIXTURE_VARIANT_ADD(stops, in_poll) { POLL };
FIXTURE_VARIANT_ADD(stops, in_futex) { FUTEX };
FIXTURE_VARIANT_ADD(stops, in_the_second_atom) { READ_AFTER_READ };
FIXTURE_VARIANT_ADD(stops, when_done) { IDLE };

/* What the child does; its status says how that went. */
static int child_main(int call, int *go, int *leave, int *told)
{
	struct __kernel_timespec ts = { .tv_nsec = SLEEP_NSEC };
	struct pollfd pollfd = { .fd = go[0], .events = POLLIN };
	__u32 word = 0;
	char bytes[2] = "";
	struct syslet_atom read_go = read_atom(go[0], &bytes[1], 1);
	struct syslet_atom atoms[2] = { { .nr = __NR_getppid }, read_go };
	struct syslet_program program = PROGRAM(atoms);
	__u64 begun = now_ns();
	struct syslet_cqe cqe;
	struct head head;
	int more[2];
	bool timed = false;
	__s64 expected = 1;

	if (head_open(&head, 8) || pipe2(more, O_CLOEXEC))
		return 10;
	switch (call) {
	case NANOSLEEP:
		atoms[1] = (struct syslet_atom) {
			.nr = NR_CLOCK_NANOSLEEP,
			.args = { CLOCK_MONOTONIC, 0, PTR(&ts), 0 },
		};
		timed = true;
		expected = 0;
		break;
	case POLL:
		atoms[1] = (struct syslet_atom) {
			.nr = __NR_poll,
			.args = { PTR(&pollfd), 1, -1 },
		};
		break;
	case FUTEX:
		atoms[1] = (struct syslet_atom) {
			.nr = NR_FUTEX,
			.args = { PTR(&word), 0, 0, PTR(&ts) },
		};
		timed = true;
		expected = -ETIMEDOUT;
		break;
	case READ_AFTER_READ:
		atoms[0] = read_atom(more[0], &bytes[0], 1);
		break;
	}
	if (dev_exec(head.fd, &program, 1, 0) != 1 || program.status != SYSLET_PENDING)
		return 11;
	if (call == READ_AFTER_READ && write(more[1], "m", 1) != 1)
		return 12;
	if (call == IDLE && (write(go[1], "!", 1) != 1 || dev_wait(head.fd, 1, PATIENCE) != 1))
		return 13;
	if (write(told[1], "t", 1) != 1)
		return 14;
	if (take_wait(&head, &cqe))
		return 15;
	if (cqe.result != expected || cqe.last != 1 || cqe.flags != SYSLET_CQE_ASYNC)
		return 16;
	if (timed && now_ns() - begun < SLEEP_NSEC)
		return 17;
	return read_byte(leave[0]) == '!' ? 0 : 18;
}

FIXTURE_SETUP(stops)
{
	NEED_ASYNC();
	self->call = variant->call;
	ASSERT_EQ(0, pipe2(self->go, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->leave, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->told, O_CLOEXEC));
	self->child = fork();
	ASSERT_LE(0, self->child);
	if (!self->child)
		_exit(child_main(variant->call, self->go, self->leave, self->told));
	ASSERT_EQ('t', read_byte(self->told[0]));
}

FIXTURE_TEARDOWN(stops)
{
	/* Gone already, unless the test failed. */
	kill(self->child, SIGKILL);
	waitpid(self->child, NULL, 0);
}

static void let_end(struct __test_metadata *_metadata, FIXTURE_DATA(stops) *self)
{
	if (self->call == READ || self->call == POLL || self->call == READ_AFTER_READ) {
		ASSERT_EQ(1, write(self->go[1], "!", 1));
	}
	ASSERT_EQ(1, write(self->leave[1], "!", 1));
}

static void expect_right_end(struct __test_metadata *_metadata, FIXTURE_DATA(stops) *self)
{
	int status;

	let_end(_metadata, self);
	ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

/* How many tasks of the child are in @state. */
static int tasks_in_state(pid_t pid, char state)
{
	pid_t tids[64];
	char name[32], value[64];
	int i, found = 0, count = list_tasks(pid, tids, 64);

	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d/task/%d", pid, tids[i]);
		status_line(name, "State", value, sizeof(value));
		found += value[0] == state;
	}
	return found;
}

static void stop_and_continue(struct __test_metadata *_metadata, pid_t pid, int sig)
{
	__u64 deadline = now_ns() + PATIENCE;
	int status;

	ASSERT_EQ(0, kill(pid, sig));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(sig, WSTOPSIG(status));
	/* All of it stops, its cachemiss threads as well. */
	while (tasks_in_state(pid, 'T') != count_tasks(pid) && now_ns() < deadline)
		sched_yield();
	EXPECT_EQ(count_tasks(pid), tasks_in_state(pid, 'T'));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	ASSERT_EQ(pid, waitpid(pid, &status, WCONTINUED));
	EXPECT_TRUE(WIFCONTINUED(status));
}

TEST_F(stops, sigstop)
{
	stop_and_continue(_metadata, self->child, SIGSTOP);
	expect_right_end(_metadata, self);
}

TEST_F(stops, sigtstp)
{
	stop_and_continue(_metadata, self->child, SIGTSTP);
	expect_right_end(_metadata, self);
}

TEST_F(stops, again_and_again)
{
	int i;

	for (i = 0; i < 5; i++)
		stop_and_continue(_metadata, self->child, i % 2 ? SIGTSTP : SIGSTOP);
	expect_right_end(_metadata, self);
}

TEST_F(stops, sigkill_while_stopped)
{
	int status;

	ASSERT_EQ(0, kill(self->child, SIGSTOP));
	ASSERT_EQ(0, kill(self->child, SIGKILL));
	ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
}

/* Like strace -f -p and gdb -p: every task is seized, interrupted and let go. */
static int seize_all(pid_t pid, pid_t *tids, int most)
{
	int i, status, count = list_tasks(pid, tids, most);

	for (i = 0; i < count; i++) {
		if (ptrace(PTRACE_SEIZE, tids[i], NULL, (void *)(long)PTRACE_O_TRACESYSGOOD))
			return -errno;
		if (ptrace(PTRACE_INTERRUPT, tids[i], NULL, NULL))
			return -errno;
	}
	for (i = 0; i < count; i++) {
		if (waitpid(tids[i], &status, __WALL) != tids[i])
			return -errno;
		if (!WIFSTOPPED(status))
			return -EPROTO;
	}
	return count;
}

TEST_F(stops, seize_and_detach)
{
	pid_t tids[64];
	int i, count = seize_all(self->child, tids, 64);

	ASSERT_LE(2, count);
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, tids[i], NULL, NULL));
	expect_right_end(_metadata, self);
}

TEST_F(stops, attach_and_detach)
{
	pid_t tids[64];
	int i, status, count = list_tasks(self->child, tids, 64);

	ASSERT_LE(2, count);
	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, ptrace(PTRACE_ATTACH, tids[i], NULL, NULL));
		ASSERT_EQ(tids[i], waitpid(tids[i], &status, __WALL));
		ASSERT_TRUE(WIFSTOPPED(status));
		EXPECT_EQ(SIGSTOP, WSTOPSIG(status));
	}
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, tids[i], NULL, NULL));
	expect_right_end(_metadata, self);
}

/* The tracer follows to the end: the stops that it sees are those of sane tasks. */
TEST_F(stops, traced_to_the_end)
{
	pid_t tids[64], tid;
	int i, status = -1, count = seize_all(self->child, tids, 64);
	bool exited = false;

	ASSERT_LE(2, count);
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, tids[i], NULL, NULL));
	let_end(_metadata, self);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			/* Nothing but system calls happens. */
			EXPECT_TRUE(WSTOPSIG(status) == (SIGTRAP | 0x80) ||
				    status >> 16 == PTRACE_EVENT_STOP) {
				TH_LOG("task %d stopped with status %x", tid, status);
			}
			ptrace(PTRACE_SYSCALL, tid, NULL, NULL);
		} else if (tid == self->child) {
			exited = true;
			EXPECT_TRUE(WIFEXITED(status));
			EXPECT_EQ(0, WEXITSTATUS(status));
		}
	}
	EXPECT_TRUE(exited);
}

/* A debugger reads registers and memory of what it stopped. */
TEST_F(stops, registers_of_the_stopped_tasks)
{
	struct {
		unsigned long words[64];
	} regs;
	struct __ptrace_syscall_info info;
	pid_t tids[64];
	int i, count = seize_all(self->child, tids, 64);

	ASSERT_LE(2, count);
	for (i = 0; i < count; i++) {
		memset(&info, 0, sizeof(info));
		ASSERT_LT(0, ptrace(PTRACE_GET_SYSCALL_INFO, tids[i], sizeof(info), &info));
		EXPECT_EQ(0, ptrace(PTRACE_GETREGS, tids[i], NULL, &regs));
		/* Its program counter points at code that is there. */
		errno = 0;
		ptrace(PTRACE_PEEKTEXT, tids[i], (void *)(uintptr_t)info.instruction_pointer, NULL);
		EXPECT_EQ(0, errno);
	}
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, tids[i], NULL, NULL));
	expect_right_end(_metadata, self);
}

TEST_F(stops, tracer_dies)
{
	pid_t tids[64], tracer = fork();

	ASSERT_LE(0, tracer);
	if (!tracer)
		_exit(seize_all(self->child, tids, 64) >= 2 ? 0 : 1);
	ASSERT_EQ(0, child_status(tracer));
	expect_right_end(_metadata, self);
}

/* The freezer of version 2 control groups. */
static int put(const char *dir, const char *file, const char *text)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, text, strlen(text));
	close(fd);
	return ret;
}

static bool frozen_becomes(const char *dir, bool frozen)
{
	__u64 deadline = now_ns() + PATIENCE;
	char path[128], text[128];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	while (now_ns() < deadline) {
		memset(text, 0, sizeof(text));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
			return false;
		close(fd);
		if (strstr(text, frozen ? "frozen 1" : "frozen 0"))
			return true;
		usleep(5000);
	}
	return false;
}

TEST_F(stops, freezer)
{
	char root[] = "/tmp/syslet-cgroup-XXXXXX", dir[64], pid[16];
	bool froze, thawed;

	ASSERT_NE(NULL, mkdtemp(root));
	if (mount("cgroup2", root, "cgroup2", 0, NULL)) {
		rmdir(root);
		expect_right_end(_metadata, self);
		SKIP(return, "no version 2 control groups: %m");
	}
	snprintf(dir, sizeof(dir), "%s/syslet-%d", root, getpid());
	snprintf(pid, sizeof(pid), "%d", self->child);
	EXPECT_EQ(0, mkdir(dir, 0700));
	EXPECT_EQ(0, put(dir, "cgroup.procs", pid));
	EXPECT_EQ(0, put(dir, "cgroup.freeze", "1"));
	froze = frozen_becomes(dir, true);
	EXPECT_TRUE(froze);
	EXPECT_EQ(0, put(dir, "cgroup.freeze", "0"));
	thawed = frozen_becomes(dir, false);
	EXPECT_TRUE(thawed);
	expect_right_end(_metadata, self);
	EXPECT_EQ(0, rmdir(dir));
	EXPECT_EQ(0, umount(root));
	rmdir(root);
}

TEST_HARNESS_MAIN
