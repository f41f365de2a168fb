/* SPDX-License-Identifier: GPL-2.0 */
/* Seccomp filters that mean one call, and what a trapping one does. */
#ifndef FILTER_H
#define FILTER_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include "syslet_test.h"

#define MAGIC 0x5ca1ab1e
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1	/* si_code; the C library has no name for it */
#endif

/* Returns the filter's fd or 0; @action for calls of @nr whose argument @pos is MAGIC. */
static inline long install(__u32 nr, unsigned int pos, __u32 action, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[pos])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return sysret(syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static volatile sig_atomic_t traps, trap_syscall, trap_errno, trap_code;

static inline void on_sigsys(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	traps++;
	trap_syscall = info->si_syscall;
	trap_errno = info->si_errno;
	trap_code = info->si_code;
}

static inline int catch_sigsys(void)
{
	struct sigaction action = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };

	return sigaction(SIGSYS, &action, NULL);
}

#endif /* FILTER_H */
