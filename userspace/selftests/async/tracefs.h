/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's tracing, as tests use it. */
#ifndef TRACEFS_H
#define TRACEFS_H

#include <sys/mount.h>

#define TRACEFS "/sys/kernel/tracing"

/* Has it there. */
static inline int tracefs_mount(void)
{
	if (!access(TRACEFS "/instances", X_OK))
		return 0;
	return mount("tracefs", TRACEFS, "tracefs", 0, NULL) ? -errno : 0;
}

#endif /* TRACEFS_H */
