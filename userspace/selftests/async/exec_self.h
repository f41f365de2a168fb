/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that execute themselves: as a process that looks at itself and exits
 * with 42 if it likes what it sees.
 */
#ifndef EXEC_SELF_H
#define EXEC_SELF_H

#include "async_test.h"

#define ROLE	"SYSLET_TEST_ROLE"	/* the PID that it should have, or 0 */

extern char **environ;

static char *self_argv[] = { "self", NULL };

__attribute__((constructor)) static void play_role(void)
{
	const char *text = getenv(ROLE);
	pid_t pid;

	if (!text)
		return;
	pid = strtol(text, NULL, 10);
	if (pid && getpid() != pid)
		_exit(51);
	if (my_tid() != getpid())
		_exit(52);
	if (count_tasks(getpid()) != 1)
		_exit(53);
	_exit(42);
}

static inline void exec_self(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv(ROLE, pid, 1);
	/* Not that of the main thread, which may be gone. */
	execve("/proc/thread-self/exe", self_argv, environ);
	_exit(50);
}

#endif /* EXEC_SELF_H */
