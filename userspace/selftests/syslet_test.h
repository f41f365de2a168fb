/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the selftests share: constructors, calls and a ring reader.
 *
 * Every wrapper returns what the kernel returned, with a negative errno for a
 * failure. Every structure that the kernel is to fill in starts out poisoned.
 */
#ifndef SYSLET_TEST_H
#define SYSLET_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/syslet.h>
#include <linux/time_types.h>
#include "kselftest_harness.h"

#define SYSLET_DEV	"/dev/syslet"

/* No kernel writes these by chance. */
#define POISON_BYTE	0xa5
#define POISON32	0xa5a5a5a5U
#define POISON64	((__s64)0xa5a5a5a5a5a5a5a5ULL)

/* An address that no user mapping has: in the first page, or the kernel's. */
#define BAD_LOW		((void *)16)
#define BAD_HIGH	((void *)(-4096UL))

#define PTR(p)		((__u64)(uintptr_t)(p))
#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL
#define FOREVER		(~0ULL)

/* Where the 32-bit ABI has the wanted call under another name. */
#ifdef __NR_mmap2
#define NR_MMAP		__NR_mmap2
#define MMAP_OFF(bytes)	((bytes) / 4096)
#else
#define NR_MMAP		__NR_mmap
#define MMAP_OFF(bytes)	(bytes)
#endif
#ifdef __NR_ppoll_time64
#define NR_PPOLL	__NR_ppoll_time64
#else
#define NR_PPOLL	__NR_ppoll
#endif
#ifdef __NR_clock_nanosleep_time64
#define NR_CLOCK_NANOSLEEP __NR_clock_nanosleep_time64
#else
#define NR_CLOCK_NANOSLEEP __NR_clock_nanosleep
#endif

/* A program of all of @array, with its outputs poisoned. */
#define PROGRAM(array, ...) ((struct syslet_program) {			\
	.atoms = PTR(array),						\
	.nr_atoms = ARRAY_SIZE(array),					\
	.result = POISON64,						\
	.last = POISON32,						\
	.status = POISON32,						\
	##__VA_ARGS__ })

static inline long sysret(long ret)
{
	return ret == -1 ? -errno : ret;
}

static inline long dev_open(void)
{
	return sysret(open(SYSLET_DEV, O_RDWR | O_CLOEXEC));
}

static inline long dev_ioctl(int fd, unsigned long cmd, void *arg)
{
	return sysret(ioctl(fd, cmd, arg));
}

static inline long dev_query(int fd, struct syslet_query *query)
{
	memset(query, POISON_BYTE, sizeof(*query));
	query->size = sizeof(*query);
	query->flags = 0;
	query->policies = 0;
	query->nr_policies = 0;
	query->reserved = 0;
	return dev_ioctl(fd, SYSLET_IOC_QUERY, query);
}

/* The features of this kernel; 0 where it cannot even be asked. */
static inline __u64 dev_features(void)
{
	struct syslet_query query;
	int fd = dev_open();
	long ret;

	if (fd < 0)
		return 0;
	ret = dev_query(fd, &query);
	close(fd);
	return ret ? 0 : query.features;
}

/* Whether programs of a caller of this word size go on by themselves when they block. */
static inline bool dev_is_async(void)
{
	return dev_features() & (sizeof(long) == 8 ? SYSLET_FEAT_ASYNC : SYSLET_FEAT_COMPAT_ASYNC);
}

static inline long dev_setup(int fd, __u32 cq_entries, struct syslet_setup *setup)
{
	memset(setup, 0, sizeof(*setup));
	setup->size = sizeof(*setup);
	setup->cq_entries = cq_entries;
	setup->ring_bytes = POISON64;
	setup->cqes_offset = POISON64;
	return dev_ioctl(fd, SYSLET_IOC_SETUP, setup);
}

static inline long dev_exec(int fd, struct syslet_program *programs, __u32 nr, __u32 flags)
{
	struct syslet_exec exec = {
		.size = sizeof(exec),
		.flags = flags,
		.programs = PTR(programs),
		.nr_programs = nr,
	};

	return dev_ioctl(fd, SYSLET_IOC_EXEC, &exec);
}

static inline long dev_wait(int fd, __u32 min_complete, __u64 timeout_ns)
{
	struct syslet_wait wait = {
		.size = sizeof(wait),
		.min_complete = min_complete,
		.timeout_ns = timeout_ns,
	};

	return dev_ioctl(fd, SYSLET_IOC_WAIT, &wait);
}

static inline long dev_eventfd(int fd, __s32 eventfd)
{
	return dev_ioctl(fd, SYSLET_IOC_EVENTFD, &eventfd);
}

/* An open device with its ring. */
struct head {
	int fd;
	struct syslet_setup setup;
	struct syslet_ring *ring;
	struct syslet_cqe *cqes;
};

/* Maps the ring of a head that is set up. */
static inline long head_map(struct head *head)
{
	void *map = mmap(NULL, head->setup.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 head->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	head->ring = map;
	head->cqes = (void *)((char *)map + head->setup.cqes_offset);
	return 0;
}

static inline long head_open(struct head *head, __u32 cq_entries)
{
	long ret;

	head->ring = NULL;
	head->fd = dev_open();
	if (head->fd < 0)
		return head->fd;
	ret = dev_setup(head->fd, cq_entries, &head->setup);
	return ret ? ret : head_map(head);
}

static inline void head_close(struct head *head)
{
	if (head->ring)
		munmap(head->ring, head->setup.ring_bytes);
	if (head->fd >= 0)
		close(head->fd);
	head->ring = NULL;
	head->fd = -1;
}

/* For TEST_F: a fixture with one head, @entries in its ring, as self->head. */
#define FIXTURE_HEAD(name, entries)					\
FIXTURE(name) {								\
	struct head head;						\
};									\
FIXTURE_SETUP(name)							\
{									\
	ASSERT_EQ(0, head_open(&self->head, entries));			\
}									\
FIXTURE_TEARDOWN(name)							\
{									\
	head_close(&self->head);					\
}									\
struct name##_ends_in_a_semicolon

static inline __u32 ring_tail(struct head *head)
{
	return __atomic_load_n(&head->ring->tail, __ATOMIC_ACQUIRE);
}

static inline __u32 ring_count(struct head *head)
{
	return ring_tail(head) - head->ring->head;
}

static inline __u32 ring_overflow(struct head *head)
{
	return __atomic_load_n(&head->ring->overflow, __ATOMIC_ACQUIRE);
}

static inline struct syslet_cqe *ring_slot(struct head *head, __u32 index)
{
	return &head->cqes[index & (head->setup.cq_entries - 1)];
}

/* Takes the oldest entry; false with @cqe poisoned where there is none. */
static inline bool ring_take(struct head *head, struct syslet_cqe *cqe)
{
	__u32 index = head->ring->head;

	memset(cqe, POISON_BYTE, sizeof(*cqe));
	if (index == ring_tail(head))
		return false;
	*cqe = *ring_slot(head, index);
	__atomic_store_n(&head->ring->head, index + 1, __ATOMIC_RELEASE);
	return true;
}

/* Puts @nr entries of programs that call getppid in the ring: @first, @first + 1, ... */
static inline long ring_fill(struct head *head, __u64 first, __u32 nr)
{
	struct syslet_atom atom = { .nr = __NR_getppid };
	struct syslet_program program;
	__u32 i;
	long ret;

	for (i = 0; i < nr; i++) {
		program = (struct syslet_program) {
			.atoms = PTR(&atom),
			.nr_atoms = 1,
			.user_data = first + i,
		};
		ret = dev_exec(head->fd, &program, 1, SYSLET_EXEC_RING_ALL);
		if (ret != 1)
			return ret < 0 ? ret : -EPROTO;
	}
	return 0;
}

static inline __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/*
 * Waits until task @tid sleeps in an ioctl or, as the frame of a task shows
 * the atom that it runs, in call @nr. There is no event for that.
 */
static inline int wait_blocked(pid_t tid, long nr)
{
	__u64 deadline = now_ns() + 10 * NSEC_PER_SEC;
	char path[64], line[256];
	ssize_t len;
	long in;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	while (now_ns() < deadline) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		len = read(fd, line, sizeof(line) - 1);
		close(fd);
		if (len > 0 && line[0] != 'r') {	/* "running" */
			line[len] = '\0';
			in = strtol(line, NULL, 10);
			if (in == __NR_ioctl || in == nr)
				return 0;
		}
		sched_yield();
	}
	return -ETIMEDOUT;
}

/* A page that can be accessed, followed by one that cannot. */
static inline char *page_before_hole(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED || mprotect(map + page, page, PROT_NONE))
		return NULL;
	memset(map, POISON_BYTE, page);
	return map;
}

/* A file in memory with @text in it; @path (32 bytes) opens it anew. */
static inline int file_with(const char *text, char *path)
{
	int fd = memfd_create("syslet-test", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* How many hold the module, or a negative errno: -ENOENT where it is built in. */
static inline long module_references(void)
{
	char text[32] = "";
	int fd = open("/sys/module/syslet/refcnt", O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	return len > 0 ? atol(text) : -EIO;
}

/* Threads that a closed head had let go of it on their way out. */
static inline long module_references_come_to(long wanted)
{
	__u64 deadline = now_ns() + 10 * NSEC_PER_SEC;

	while (module_references() != wanted && now_ns() < deadline)
		sched_yield();
	return module_references();
}

/* How a child ended: its exit status, or minus the signal that killed it. */
static inline int child_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1000;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#endif /* SYSLET_TEST_H */
