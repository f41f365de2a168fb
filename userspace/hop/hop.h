/* SPDX-License-Identifier: GPL-2.0 */
/* libsyslet_hop: what its two halves know of each other. */
#ifndef HOP_H
#define HOP_H

#include <errno.h>
#include <stdbool.h>

/* Off, or the number of wrapped calls of a thread from one hop to the next. */
extern unsigned int hop_every;

/* The head's descriptor, which the program shall not see; -1 without one. */
extern int hop_fd;

/* The calls that the thread has made since its last hop, and whether it hops now. */
extern __thread unsigned int hop_calls __attribute__((tls_model("initial-exec")));
extern __thread bool hop_busy __attribute__((tls_model("initial-exec")));

/* Goes on in another task, if that can be had. Keeps errno. */
void hop(void);

/* Writes down what was counted, as the process ends without running destructors. */
void hop_end(void);

/* Finds the wrapped functions. */
void hop_find_calls(void);

/* What every wrapper does first. */
static inline void hop_sometimes(void)
{
	if (!hop_every || hop_busy || ++hop_calls < hop_every)
		return;
	hop_calls = 0;
	hop();
}

#endif /* HOP_H */
