// SPDX-License-Identifier: GPL-2.0
/* Which calls may be in an atom, and that EXEC and QUERY agree on it. */
#include "syslet_test.h"

FIXTURE_HEAD(policy, 64);

/* The verdict on a call that stands where it is checked but never run. */
static long verdict(int fd, __u32 nr)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getpid, .flags = SYSLET_STOP_ON_NONZERO },
		{ .nr = nr },
	};
	struct syslet_program program = PROGRAM(atoms);
	long ret = dev_exec(fd, &program, 1, 0);

	return ret == 1 && program.last != 0 ? -EPROTO : ret;
}

struct named_call {
	const char *name;
	__u32 nr;
};

/* The name of the first call whose verdict is another; "" where all agree. */
static const char *first_other(int fd, const struct named_call *calls, size_t nr, long expected)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (verdict(fd, calls[i].nr) != expected)
			return calls[i].name;
	return "";
}

#define DENIED(name) { #name, __NR_##name }

static const struct named_call denied[] = {
#ifdef __NR_fork
	DENIED(fork), DENIED(vfork),
#endif
	DENIED(clone), DENIED(clone3), DENIED(execve), DENIED(execveat), DENIED(exit),
	DENIED(exit_group), DENIED(rt_sigreturn), DENIED(restart_syscall), DENIED(sigaltstack),
	DENIED(rt_sigprocmask), DENIED(rt_sigsuspend), DENIED(pause), DENIED(rt_sigtimedwait),
	DENIED(set_tid_address), DENIED(set_robust_list), DENIED(rseq), DENIED(arch_prctl),
	DENIED(modify_ldt), DENIED(iopl), DENIED(ioperm), DENIED(ptrace),
	DENIED(seccomp), DENIED(prctl), DENIED(landlock_restrict_self), DENIED(personality),
	DENIED(unshare), DENIED(setns), DENIED(capset), DENIED(setuid), DENIED(setgid),
	DENIED(setreuid), DENIED(setregid), DENIED(setresuid), DENIED(setresgid),
	DENIED(setfsuid), DENIED(setfsgid), DENIED(setgroups), DENIED(keyctl),
	DENIED(sched_setscheduler), DENIED(sched_setparam), DENIED(sched_setattr),
	DENIED(sched_setaffinity), DENIED(setpriority), DENIED(ioprio_set), DENIED(set_mempolicy),
	DENIED(io_uring_setup), DENIED(io_uring_enter), DENIED(io_uring_register),
#ifdef __i386__
	DENIED(set_thread_area), DENIED(sigreturn), DENIED(sigprocmask), DENIED(sigsuspend), DENIED(vm86), DENIED(vm86old),
	DENIED(setuid32), DENIED(setgid32), DENIED(setreuid32), DENIED(setregid32),
	DENIED(setresuid32), DENIED(setresgid32), DENIED(setfsuid32), DENIED(setfsgid32),
	DENIED(setgroups32), DENIED(rt_sigtimedwait_time64),
#endif
};

#define ALLOWED(name) { #name, __NR_##name }

static const struct named_call allowed[] = {
	ALLOWED(read), ALLOWED(write), ALLOWED(readv), ALLOWED(preadv2), ALLOWED(openat),
	ALLOWED(openat2), ALLOWED(close), ALLOWED(statx), ALLOWED(getdents64), ALLOWED(fsync),
	ALLOWED(ioctl), ALLOWED(fcntl), ALLOWED(futex), ALLOWED(ppoll), ALLOWED(pselect6),
	ALLOWED(epoll_pwait), ALLOWED(epoll_wait), ALLOWED(poll), ALLOWED(nanosleep),
	ALLOWED(clock_nanosleep), ALLOWED(socket), ALLOWED(connect), ALLOWED(accept4),
	ALLOWED(sendto), ALLOWED(recvfrom), ALLOWED(sendmsg), ALLOWED(recvmsg), ALLOWED(pipe2),
	ALLOWED(dup2), ALLOWED(munmap), ALLOWED(mprotect), ALLOWED(madvise), ALLOWED(getpid),
	ALLOWED(kill), ALLOWED(wait4), ALLOWED(waitid), ALLOWED(unlinkat), ALLOWED(renameat2),
	ALLOWED(mkdirat), ALLOWED(copy_file_range), ALLOWED(splice), ALLOWED(getrandom),
};

TEST_F(policy, what_acts_on_the_task_is_denied)
{
	EXPECT_STREQ("", first_other(self->head.fd, denied, ARRAY_SIZE(denied), -EPERM));
}

TEST_F(policy, everyday_calls_are_allowed)
{
	EXPECT_STREQ("", first_other(self->head.fd, allowed, ARRAY_SIZE(allowed), 1));
}

TEST_F(policy, query_and_exec_agree)
{
	static const long expected[] = {
		[SYSLET_POLICY_UNKNOWN] = -ENOSYS,
		[SYSLET_POLICY_ALLOW] = 1,
		[SYSLET_POLICY_DENY] = -EPERM,
	};
	__u8 table[1024];
	struct syslet_query query;
	unsigned int nr;

	memset(table, POISON_BYTE, sizeof(table));
	memset(&query, 0, sizeof(query));
	query.size = sizeof(query);
	query.policies = PTR(table);
	query.nr_policies = sizeof(table);
	ASSERT_EQ(0, dev_ioctl(self->head.fd, SYSLET_IOC_QUERY, &query));
	for (nr = 0; nr < ARRAY_SIZE(table); nr++) {
		ASSERT_GE(SYSLET_POLICY_DENY, table[nr]);
		EXPECT_EQ(expected[table[nr]], verdict(self->head.fd, nr))
			TH_LOG("of number %u", nr);
	}
}

TEST_F(policy, the_devices_own_commands_are_refused_when_run)
{
	struct syslet_query query = { .size = sizeof(query) };
	struct syslet_atom atoms[] = {
		{ .nr = __NR_ioctl, .args = { self->head.fd, SYSLET_IOC_QUERY, PTR(&query) } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EPERM, program.result);
	EXPECT_EQ(0, query.max_atoms);
}

TEST_F(policy, no_exec_within_exec)
{
	long value = 0;
	struct syslet_atom inner[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 } },
	};
	struct syslet_program inner_program = PROGRAM(inner);
	struct syslet_exec exec = {
		.size = sizeof(exec),
		.programs = PTR(&inner_program),
		.nr_programs = 1,
	};
	struct syslet_atom atoms[] = {
		{ .nr = __NR_dup, .args = { self->head.fd } },
		{ .nr = __NR_ioctl, .args = { 0, SYSLET_IOC_EXEC, PTR(&exec) }, .arg_from = { 1 } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EPERM, program.result);
	EXPECT_EQ(0, value);
}

TEST_F(policy, no_park_within_exec)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_ioctl, .args = { self->head.fd, SYSLET_IOC_PARK, 0 } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EPERM, program.result);
}

TEST_F(policy, no_setup_of_another_head_within_exec)
{
	int fd = dev_open();
	struct syslet_setup setup = { .size = sizeof(setup) };
	struct syslet_atom atoms[] = {
		{ .nr = __NR_ioctl, .args = { fd, SYSLET_IOC_SETUP, PTR(&setup) } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EPERM, program.result);
	EXPECT_EQ(0, setup.ring_bytes);
}

TEST_F(policy, ioctls_of_other_devices_run)
{
	int pipes[2], waiting = -1;
	struct syslet_atom atoms[1];
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(3, write(pipes[1], "abc", 3));
	atoms[0] = (struct syslet_atom) {
		.nr = __NR_ioctl,
		.args = { pipes[0], FIONREAD, PTR(&waiting) },
	};
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(0, program.result);
	EXPECT_EQ(3, waiting);
}

TEST_HARNESS_MAIN
