/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the torture test share: the memory through which the test
 * and its workers speak, random numbers, and how to fail.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include "async_test.h"

#define WORKERS		3	/* processes at a time */
#define THREADS		5	/* of a worker, that live as long as it does */
#define EXTRAS		3	/* and such that come and go */
#define SLOTS		32	/* programs of a thread at a time */
#define ATOMS		8
#define BATCH		16
#define HEADS		8
#define PIPES		4
#define FUTEXES		2
#define SEED		20070213ULL

/* What is counted, over all workers. */
enum {
	N_PROGRAMS, N_PENDING, N_CANCELED, N_CALLS, N_EINTR, N_EBUSY, N_EAGAIN, N_SHORT, N_WAITS,
	N_SIGNALS, N_HANDLED, N_FORKS, N_EXTRAS, N_OPENED, N_CLOSED, N_STARTS, N_KILLS, N_STOPS,
	N_EXITS, N_EXECS, N_LEFT, N_DRAINED, N_NAMES
};

static const char * const count_names[] = {
	"programs", "pending", "canceled", "calls", "EINTR", "EBUSY", "EAGAIN", "short", "waits",
	"signals", "handled", "forks", "extras", "opened", "closed", "starts", "kills", "stops",
	"exit_group", "exec", "all-exit", "drained",
};

/* How a worker says that it is about to end; several threads may. */
enum { EXITS = 1, LEAVES = 2 };

#define STATUS_EXIT	42
#define STATUS_LEFT	7
#define STATUS_FAILED	99

/* One worker: what it blocks on, which the test unblocks, and how it fares. */
struct place {
	int pipes[PIPES][2], pairs[2][2], eventfd;
	__u32 futex[FUTEXES];
	pid_t pid;
	__u64 generation;
	int base_fds;
	int ending;
	bool execs;		/* a thread is in an exec, or about to be */
	bool drain;		/* written by the test */
	__u64 steps[THREADS + EXTRAS];	/* 0: no such thread */
	char doing[THREADS + EXTRAS];
};

struct shared {
	__u64 seed;
	pid_t test;
	bool failed;
	unsigned long counts[N_NAMES];
	struct place places[WORKERS];
};

static struct shared *shared;
static struct place *place;	/* in a worker: its own */

static inline void count(int what)
{
	__atomic_fetch_add(&shared->counts[what], 1, __ATOMIC_RELAXED);
}

static inline __u64 stream(__u64 seed, unsigned int worker, __u64 generation, unsigned int thread)
{
	return mix(mix(mix(seed + worker) + generation) + thread);
}

static inline __u64 seconds(void)
{
	return number_from_env("SYSLET_SECONDS", 15);
}

/* Says what is wrong, and ends the worker; the test hears of it by both. */
static inline __attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	dprintf(2, "# torture: seed %llu, worker %d generation %llu, PID %d TID %d: %s\n",
		(unsigned long long)shared->seed, (int)(place - shared->places),
		(unsigned long long)place->generation, getpid(), my_tid(), text);
	__atomic_store_n(&shared->failed, true, __ATOMIC_RELEASE);
	_exit(STATUS_FAILED);
}

/* What a task of this process @pid says that it is doing. */
static inline void show_task_file(pid_t pid, const char *tid, const char *name)
{
	char path[64], text[4096];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	dprintf(2, "# %s: %.*s\n", path, (int)(len > 0 ? len : 0), text);
}

static inline void show_tasks(pid_t pid)
{
	struct dirent *entry;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		show_task_file(pid, entry->d_name, "wchan");
		show_task_file(pid, entry->d_name, "syscall");
		show_task_file(pid, entry->d_name, "stack");
		show_task_file(pid, entry->d_name, "status");
	}
	if (dir)
		closedir(dir);
}

static inline int count_fds(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (dir && (entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return nr;
}

#endif /* TORTURE_H */
