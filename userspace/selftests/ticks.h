/* SPDX-License-Identifier: GPL-2.0 */
/* A handler that counts, and a timer that has it called again and again. */
#ifndef TICKS_H
#define TICKS_H

#include <sys/time.h>
#include "syslet_test.h"

#define TICK_USEC 20000
#define LAST_TICK 3

static volatile sig_atomic_t ticks;
static int feed = -1;	/* written to by the handler at LAST_TICK */

static inline void on_signal(int sig)
{
	(void)sig;
	if (++ticks == LAST_TICK && feed >= 0 && write(feed, "!", 1) != 1)
		abort();
}

static inline int catch_signal(int sig, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	return sigaction(sig, &action, NULL);
}

static inline int tick(unsigned int usec)
{
	struct itimerval timer = {
		.it_value.tv_usec = usec,
		.it_interval.tv_usec = usec,
	};

	return setitimer(ITIMER_REAL, &timer, NULL);
}

#endif /* TICKS_H */
