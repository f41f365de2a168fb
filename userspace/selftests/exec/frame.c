// SPDX-License-Identifier: GPL-2.0
/*
 * While an atom runs, the task's frame holds that atom's number and arguments.
 * Neither the caller nor its tracer sees any of it.
 */
#include <sys/ptrace.h>
#include <sys/user.h>
#include "syslet_test.h"

FIXTURE(frame) {
	struct head head;
	struct syslet_atom atoms[2];
	struct syslet_program program;
	struct syslet_exec exec;
};

FIXTURE_SETUP(frame)
{
	unsigned int i;

	ASSERT_EQ(0, head_open(&self->head, 8));
	for (i = 0; i < 2; i++)
		self->atoms[i] = (struct syslet_atom) {
			.nr = __NR_getppid,
			.args = { 0x111, 0x222, 0x333, 0x444, 0x555, 0x666 },
		};
	self->program = PROGRAM(self->atoms);
	self->exec = (struct syslet_exec) {
		.size = sizeof(self->exec),
		.programs = PTR(&self->program),
		.nr_programs = 1,
	};
}

FIXTURE_TEARDOWN(frame)
{
	head_close(&self->head);
}

#ifdef __x86_64__

TEST_F(frame, argument_registers_survive)
{
	register unsigned long d asm("r10") = 0x4444444444444444;
	register unsigned long e asm("r8") = 0x5555555555555555;
	register unsigned long f asm("r9") = 0x6666666666666666;
	unsigned long a = self->head.fd, b = SYSLET_IOC_EXEC, c = PTR(&self->exec);
	unsigned long d_now, e_now, f_now;
	long ret = __NR_ioctl;

	asm volatile("syscall"
		     : "+a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(d), "+r"(e), "+r"(f)
		     : : "rcx", "r11", "memory", "cc");
	d_now = d;
	e_now = e;
	f_now = f;
	EXPECT_EQ(1, ret);
	EXPECT_EQ(self->head.fd, a);
	EXPECT_EQ(SYSLET_IOC_EXEC, b);
	EXPECT_EQ(PTR(&self->exec), c);
	EXPECT_EQ(0x4444444444444444, d_now);
	EXPECT_EQ(0x5555555555555555, e_now);
	EXPECT_EQ(0x6666666666666666, f_now);
	EXPECT_EQ(getppid(), self->program.result);
}

TEST_F(frame, flags_survive)
{
	unsigned long flags;
	long ret = __NR_ioctl;

	/* The direction flag and carry; rcx and r11 are the instruction's own. */
	asm volatile("std\n\t"
		     "stc\n\t"
		     "syscall\n\t"
		     "pushfq\n\t"
		     "popq %1\n\t"
		     "cld"
		     : "+a"(ret), "=r"(flags)
		     : "D"((long)self->head.fd), "S"(SYSLET_IOC_EXEC), "d"(&self->exec)
		     : "rcx", "r11", "memory", "cc");
	EXPECT_EQ(1, ret);
	EXPECT_EQ(0x401, flags & 0x401);
}

#else

TEST_F(frame, argument_registers_survive)
{
	unsigned long a = self->head.fd, b = SYSLET_IOC_EXEC, c = PTR(&self->exec);
	unsigned long d = 0x44444444, e = 0x55555555;
	long ret = __NR_ioctl;

	asm volatile("int $0x80"
		     : "+a"(ret), "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e)
		     : : "memory", "cc");
	EXPECT_EQ(1, ret);
	EXPECT_EQ(self->head.fd, a);
	EXPECT_EQ(SYSLET_IOC_EXEC, b);
	EXPECT_EQ(PTR(&self->exec), c);
	EXPECT_EQ(0x44444444, d);
	EXPECT_EQ(0x55555555, e);
	EXPECT_EQ(getppid(), self->program.result);
}

#endif

#ifdef __x86_64__
#define USER_NR(regs)	((regs).orig_rax)
#define USER_RET(regs)	((regs).rax)
#define USER_ARG1(regs)	((regs).rdi)
#define USER_ARG2(regs)	((regs).rsi)
#define USER_ARG3(regs)	((regs).rdx)
#else
#define USER_NR(regs)	((regs).orig_eax)
#define USER_RET(regs)	((regs).eax)
#define USER_ARG1(regs)	((regs).ebx)
#define USER_ARG2(regs)	((regs).ecx)
#define USER_ARG3(regs)	((regs).edx)
#endif

/* What a tracer sees at the end of the child's EXEC. */
static int trace_exec(pid_t pid, struct user_regs_struct *regs)
{
	int status, entries = 0;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
		return -2;
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) || waitpid(pid, &status, 0) != pid)
			return -3;
		if (!WIFSTOPPED(status))
			return -4;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (ptrace(PTRACE_GETREGS, pid, 0, regs))
			return -5;
		if (USER_NR(*regs) == __NR_ioctl && ++entries == 2)
			return 0;
	}
}

TEST_F(frame, a_tracer_sees_one_call)
{
	struct user_regs_struct regs;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct head head;

		if (head_open(&head, 8) || ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(1);
		/* Where the parent looks for it. */
		if (dup2(head.fd, 100) != 100 || raise(SIGSTOP))
			_exit(2);
		_exit(dev_ioctl(100, SYSLET_IOC_EXEC, &self->exec) == 1 ? 0 : 3);
	}
	ASSERT_EQ(0, trace_exec(pid, &regs));
	EXPECT_EQ(1, USER_RET(regs));
	EXPECT_EQ(100, USER_ARG1(regs));
	EXPECT_EQ(SYSLET_IOC_EXEC, USER_ARG2(regs));
	EXPECT_EQ((unsigned long)&self->exec, USER_ARG3(regs));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, 0, 0));
	EXPECT_EQ(0, child_status(pid));
}

TEST_HARNESS_MAIN
