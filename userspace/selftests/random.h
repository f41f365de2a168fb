/* SPDX-License-Identifier: GPL-2.0 */
/* Random numbers that a seed makes come again, and numbers from the environment. */
#ifndef SYSLET_RANDOM_H
#define SYSLET_RANDOM_H

#include <stdbool.h>
#include <stdlib.h>
#include <linux/types.h>

/* SplitMix64: any state will do, and neighbouring ones have nothing in common. */
static inline __u64 mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline unsigned int below(__u64 *state, unsigned int limit)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return (mix(*state) >> 32) % limit;
}

/* One in @n. */
static inline bool one_in(__u64 *state, unsigned int n)
{
	return !below(state, n);
}

static inline __u64 number_from_env(const char *name, __u64 otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

#endif /* SYSLET_RANDOM_H */
