// SPDX-License-Identifier: GPL-2.0
/*
 * A random chain does the same as uatoms, as native atoms, and by plain calls:
 * in what each call returns, in memory, and in descriptors, files and pipes.
 *
 *   SYSLET_SEED    where all random numbers come from
 *   SYSLET_STRESS  how many times more chains than usual
 */
#define _FILE_OFFSET_BITS 64	/* files may come out long */
#include <stdarg.h>
#include "property_make.h"
#include "property_run.h"

#define CHAINS	3000
#define SEED	20070213ULL

/* What is counted; the parent sees that there was something of each. */
enum {
	RUN, NATIVE, LONG, CALLED, FAILED_CALLS, ENDED, STOPPED, FAULTED, LEFT, UNTOUCHED,
	NR_COUNTS,
};

static const char * const count_names[] = {
	"chains", "native", "long", "calls", "failed", "ended", "stopped", "faulted", "left",
	"given up",
};

static unsigned long *counts;

static struct program program;
static struct native native;
static struct outcome plain, uatoms, atoms;
static struct head head;

static __attribute__((format(printf, 1, 2))) void tell(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vdprintf(LOG_FD, format, list);
	va_end(list);
}

static void tell_pointer(const char *what, const void *at)
{
	size_t offset = (const char *)at - (const char *)HERE;

	if (offset >= sizeof(*HERE))
		tell(" %s%p", what, at);
	else if (offset < offsetof(struct arena, vars))
		tell(" %s#%zu", what, offset / sizeof(struct syslet_uatom));
	else
		tell(" %s+%zx", what, offset);
}

/* In the order in which they run; #N is their place in memory. */
static void tell_program(void)
{
	unsigned int i, arg, place;

	tell("# %u bytes in the files, %u in the pipe\n", program.in_file, program.in_pipe);
	for (i = 0; i < program.nr; i++) {
		const struct syslet_uatom *uatom = uatom_of(&program, i);
		unsigned long value;

		place = program.place_of[i];
		tell("# #%u %s flags %lx", place, name_of(uatom->nr), uatom->flags);
		for (arg = 0; arg < 6 && uatom->arg_ptr[arg]; arg++) {
			memcpy(&value, in_image(&program, uatom->arg_ptr[arg]), sizeof(value));
			tell_pointer("", uatom->arg_ptr[arg]);
			tell("=%lx", value);
		}
		if (uatom->ret_ptr)
			tell_pointer("ret ", uatom->ret_ptr);
		if (uatom->next)
			tell_pointer("next ", uatom->next);
		tell(" => %lld\n", (long long)plain.results[place]);
	}
}

static void tell_memory(const union memory *one, const union memory *other)
{
	const unsigned char *a = (const void *)one, *b = (const void *)other;
	unsigned int i, told = 0;

	for (i = 0; i < sizeof(*one) && told < 16; i++) {
		if (a[i] != b[i]) {
			tell("# memory +%x: %02x, %02x\n", i, a[i], b[i]);
			told++;
		}
	}
}

static void tell_world(const struct world *one, const struct world *other)
{
	int fd;

	for (fd = 0; fd < FDS; fd++)
		if (one->events[fd] != other->events[fd] ||
		    one->fd_flags[fd] != other->fd_flags[fd] ||
		    one->position[fd] != other->position[fd] ||
		    one->size[fd] != other->size[fd] || one->mode[fd] != other->mode[fd] ||
		    one->in_pipe[fd] != other->in_pipe[fd])
			tell("# fd %d: events %x, %x; position %lld, %lld; size %lld, %lld\n", fd,
			     one->events[fd], other->events[fd], (long long)one->position[fd],
			     (long long)other->position[fd], (long long)one->size[fd],
			     (long long)other->size[fd]);
	for (fd = 0; fd < FILES; fd++)
		if (one->in_file[fd] != other->in_file[fd] ||
		    one->file_size[fd] != other->file_size[fd])
			tell("# file %d: size %lld, %lld\n", fd, (long long)one->file_size[fd],
			     (long long)other->file_size[fd]);
	if (one->umask != other->umask)
		tell("# umask %lo, %lo\n", one->umask, other->umask);
}

/* Whether @other is what the plain calls have come to; @wrong if that is known not to be so. */
static bool same(const char *name, const struct outcome *other, const char *wrong, __u64 seed,
		 unsigned int number)
{
	bool results = other == &atoms &&
		memcmp(plain.results, other->results, sizeof(plain.results));

	if (!wrong && !results && plain.result == other->result && plain.last == other->last &&
	    (!other->left || (plain.stopped == other->stopped && plain.failed == other->failed)) &&
	    !memcmp(&plain.memory, &other->memory, sizeof(plain.memory)) &&
	    !memcmp(&plain.world, &other->world, sizeof(plain.world)))
		return true;
	tell("# SYSLET_SEED=%llu, chain %u: plain calls and %s differ%s%s\n",
	     (unsigned long long)seed, number, name, wrong ? ": " : "", wrong ?: "");
	tell_program();
	if (wrong)
		return false;
	tell("# last #%u, #%u; result %lld, %lld; stopped %d, %d; failed %d, %d; left %d\n",
	     plain.last, other->last, (long long)plain.result, (long long)other->result,
	     plain.stopped, other->stopped, plain.failed, other->failed, other->left);
	for (number = 0; results && number < SYSLET_MAX_ATOMS; number++)
		if (plain.results[number] != other->results[number])
			tell("# #%u => %lld, %lld\n", number, (long long)plain.results[number],
			     (long long)other->results[number]);
	tell_memory(&plain.memory, &other->memory);
	tell_world(&plain.world, &other->world);
	return false;
}

static void count_chain(bool is_native)
{
	unsigned int i;

	counts[RUN]++;
	counts[NATIVE] += is_native;
	counts[LONG] += program.nr > SYSLET_MAX_ATOMS / 2;
	counts[STOPPED] += plain.stopped;
	counts[FAULTED] += plain.failed;
	counts[ENDED] += !plain.stopped && !plain.failed;
	counts[LEFT] += uatoms.left + (is_native && atoms.left);
	for (i = 0; i < SYSLET_MAX_ATOMS; i++) {
		counts[CALLED] += plain.results[i] != SYSLET_NOT_RUN;
		counts[FAILED_CALLS] += plain.results[i] != SYSLET_NOT_RUN &&
			plain.results[i] < 0 && plain.results[i] >= -4095;
	}
}

static void clear(struct outcome *outcome)
{
	unsigned int i;

	outcome->stopped = outcome->failed = outcome->left = outcome->missed = false;
	for (i = 0; i < SYSLET_MAX_ATOMS; i++)
		outcome->results[i] = SYSLET_NOT_RUN;
}

static bool run_one(__u64 seed, unsigned int number)
{
	static const __u32 ways[] = { 0, 0, 0, 0, 0, 0, SYSLET_SYNC, SYSLET_ASYNC };
	__u64 random = mix(mix(seed) + number);
	const char *wrong;
	bool is_native;

	make_program(&program, &random);
	clear(&plain);
	clear(&uatoms);
	clear(&atoms);
	run_plain(&program, &plain);
	if (plain.missed) {
		counts[UNTOUCHED]++;
		return true;
	}
	wrong = run_uatoms(&program, &head, ways[below(&random, ARRAY_SIZE(ways))], &uatoms);
	if (!same("uatoms", &uatoms, wrong, seed, number))
		return false;
	is_native = make_native(&program, &native);
	if (is_native) {
		wrong = run_native(&program, &native, &head, ways[below(&random, ARRAY_SIZE(ways))],
				   &atoms);
		if (!same("atoms", &atoms, wrong, seed, number))
			return false;
	}
	count_chain(is_native);
	return true;
}

/* A test without one has no time of its own. */
FIXTURE(chains) {
	__u64 seed;
	unsigned int nr;
};

FIXTURE_SETUP(chains)
{
	self->seed = number_from_env("SYSLET_SEED", SEED);
	self->nr = CHAINS * stress();
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, counts);
}

FIXTURE_TEARDOWN(chains)
{
	munmap(counts, 4096);
}

TEST_F(chains, do_the_same_in_three_ways)
{
	unsigned int i;
	pid_t pid;

	/* Chains do as they like with descriptors. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (!make_world(&head))
			_exit(2);
		for (i = 0; i < self->nr; i++)
			if (!run_one(self->seed, i))
				_exit(1);
		_exit(0);
	}
	EXPECT_EQ(0, child_status(pid));
	printf("# SYSLET_SEED=%llu:", (unsigned long long)self->seed);
	for (i = 0; i < NR_COUNTS; i++)
		printf(" %s %lu%s", count_names[i], counts[i], i + 1 < NR_COUNTS ? "," : "\n");
	for (i = 0; i < UNTOUCHED; i++)
		if (i != LEFT || dev_is_async())
			EXPECT_LT(0, counts[i]);
	EXPECT_LT(counts[RUN] / 2, counts[NATIVE]);
	EXPECT_GT(counts[RUN] / 100 + 10, counts[UNTOUCHED]);
}

TEST_HARNESS_MAIN
