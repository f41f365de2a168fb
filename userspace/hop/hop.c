// SPDX-License-Identifier: GPL-2.0
/*
 * libsyslet_hop: makes a program that knows nothing of syslets go on in
 * another task, to see that it cannot tell.
 *
 *   LD_PRELOAD=libsyslet_hop.so PROGRAM...
 *
 * Before main() one program of a sleep leaves the caller, so that main() runs
 * in the task that took the user context over. The environment says more:
 *
 *   SYSLET_HOP_EVERY=N    hop again at every Nth wrapped call of each thread
 *   SYSLET_HOP_LEAVE=1    leave one program blocked for as long as the process lives
 *   SYSLET_HOP_STATS=FILE append what happened, a line at the start and one at the end
 *   SYSLET_HOP_VERBOSE=1  say what goes wrong
 *
 * Each hop checks that thread ID, signal mask, thread-locals and floating-point
 * modes stay what they were. Every program that left the caller must complete
 * once, with the result that it should have: what does not counts as `bad` or
 * `lost`. Everything from hop() on may be called in a signal handler.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <xmmintrin.h>
#include <linux/futex.h>
#include <linux/syslet.h>
#include "hop.h"

#define KERNEL_SIGSET	8
#define NSEC_PER_SEC	1000000000ULL
#define RING_ENTRIES	256
/* A program finds descriptors of its own below this, unless it looks for others. */
#define HIGH_FD		1000
/* What a hop that was not counted yet may take to end, at the end of the process. */
#define PATIENCE	(5 * NSEC_PER_SEC)
#define CANARY		0x5ca1ab1e0ddba11ULL

enum { HEAD_NONE, HEAD_OPENING, HEAD_OPEN };

unsigned int hop_every;
int hop_fd = -1;
__thread unsigned int hop_calls;
__thread bool hop_busy;
static __thread __u64 canary = CANARY;

/* The process that the head is of: neither a child nor whom it shares memory with. */
static pid_t owner;
static int head_state;
static bool verbose, ended;
static const char *stats_path;
static struct syslet_ring *ring;
static struct syslet_cqe *cqes;
static size_t ring_bytes;

static struct {
	unsigned long tried, pending, done, failed, completed, bad;
} count;

#define COUNT(what)	__atomic_fetch_add(&count.what, 1, __ATOMIC_RELAXED)
#define COUNTED(what)	__atomic_load_n(&count.what, __ATOMIC_RELAXED)

/* The program reads them after its caller has gone on. */
static const struct timespec naps[] = { { 0, 50000 }, { 0, 1000000 }, { 0, 1 } };

static const struct syslet_atom nap_atoms[] = {
	{ .nr = __NR_nanosleep, .args = { (uintptr_t)&naps[0] } },
	{ .nr = __NR_nanosleep, .args = { (uintptr_t)&naps[1] } },
	{ .nr = __NR_nanosleep, .args = { (uintptr_t)&naps[2] } },
};

static __u32 never_changes;
static const struct syslet_atom wait_for_ever = {
	.nr = __NR_futex,
	.args = { (uintptr_t)&never_changes, FUTEX_WAIT_PRIVATE },
};

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	char text[200];
	va_list args;
	int len;

	if (!verbose)
		return;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len > 0)
		syscall(__NR_write, STDERR_FILENO, text, strlen(text));
}

/* What a thread can tell about itself. */
struct self {
	pid_t tid;
	__u64 mask;
	unsigned int mxcsr;
	unsigned short control;
	const __u64 *local;
};

static void look_at_self(struct self *self)
{
	memset(self, 0, sizeof(*self));
	self->tid = syscall(__NR_gettid);
	syscall(__NR_rt_sigprocmask, SIG_BLOCK, NULL, &self->mask, KERNEL_SIGSET);
	self->mxcsr = _mm_getcsr();
	__asm__ volatile("fnstcw %0" : "=m"(self->control));
	self->local = &canary;
}

static void check_self(const struct self *before)
{
	struct self after;

	look_at_self(&after);
	if (!memcmp(before, &after, sizeof(after)) && canary == CANARY)
		return;
	COUNT(bad);
	complain("hop: thread %d is %d, mask %llx is %llx, mxcsr %x is %x, control %x is %x\n",
		 before->tid, after.tid, before->mask, after.mask, before->mxcsr, after.mxcsr,
		 before->control, after.control);
}

static long nap_program(__u64 kind, __u32 flags, __u32 *status)
{
	struct syslet_program program = {
		.atoms = (uintptr_t)&nap_atoms[kind],
		.nr_atoms = 1,
		.flags = flags,
		.user_data = kind,
	};
	struct syslet_exec exec = {
		.size = sizeof(exec),
		.programs = (uintptr_t)&program,
		.nr_programs = 1,
	};
	long ret = syscall(__NR_ioctl, hop_fd, SYSLET_IOC_EXEC, &exec);

	*status = program.status;
	return ret < 0 ? -errno : ret;
}

/* Takes what is in the ring, be there others who do the same. */
static void drain(void)
{
	__u32 head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);

	while (head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) {
		struct syslet_cqe cqe = cqes[head & (RING_ENTRIES - 1)];

		if (!__atomic_compare_exchange_n(&ring->head, &head, head + 1, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			continue;
		head++;
		COUNT(completed);
		if (cqe.user_data < 3 && !cqe.result && !cqe.last && cqe.flags == SYSLET_CQE_ASYNC)
			continue;
		COUNT(bad);
		complain("hop: program %llu ended with %lld, flags %x\n", cqe.user_data,
			 cqe.result, cqe.flags);
	}
}

/* Waits until all completions were there that there will be. */
static void drain_all(void)
{
	struct timespec now;
	__u64 deadline = 0, ns;

	for (;;) {
		struct syslet_wait wait = {
			.size = sizeof(wait),
			.min_complete = 1,
			.timeout_ns = NSEC_PER_SEC / 10,
		};

		drain();
		if (COUNTED(completed) + COUNTED(done) + COUNTED(failed) >= COUNTED(tried))
			return;
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
		if (!deadline)
			deadline = ns + PATIENCE;
		if (ns > deadline || syscall(__NR_ioctl, hop_fd, SYSLET_IOC_WAIT, &wait) < 0) {
			if (ns > deadline || (errno != EINTR && errno != ETIME))
				return;
		}
	}
}

/* Moves a descriptor out of sight; closes it where that cannot be. */
static int out_of_sight(int fd)
{
	struct rlimit limit;
	int high = HIGH_FD;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur <= HIGH_FD)
		high = limit.rlim_cur > 8 ? limit.rlim_cur - 8 : 0;
	high = fcntl(fd, F_DUPFD_CLOEXEC, high);
	syscall(__NR_close, fd);
	return high;
}

/* One thread opens it; others come again some time later. */
static bool open_head(void)
{
	struct syslet_setup setup = { .size = sizeof(setup), .cq_entries = RING_ENTRIES,
				      .max_threads = 64 };
	int state = HEAD_NONE, fd;
	void *map = MAP_FAILED;

	if (!__atomic_compare_exchange_n(&head_state, &state, HEAD_OPENING, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return state == HEAD_OPEN;
	fd = syscall(__NR_openat, AT_FDCWD, "/dev/syslet", O_RDWR | O_CLOEXEC, 0);
	if (fd >= 0)
		fd = out_of_sight(fd);
	if (fd >= 0 && !syscall(__NR_ioctl, fd, SYSLET_IOC_SETUP, &setup))
		map = mmap(NULL, setup.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		complain("hop: no head: %s\n", strerror(errno));
		if (fd >= 0)
			syscall(__NR_close, fd);
		__atomic_store_n(&head_state, HEAD_NONE, __ATOMIC_RELEASE);
		return false;
	}
	ring = map;
	cqes = (void *)((char *)map + setup.cqes_offset);
	ring_bytes = setup.ring_bytes;
	hop_fd = fd;
	__atomic_store_n(&head_state, HEAD_OPEN, __ATOMIC_RELEASE);
	return true;
}

static void close_head(void)
{
	syscall(__NR_close, hop_fd);
	hop_fd = -1;
	__atomic_store_n(&head_state, HEAD_NONE, __ATOMIC_RELEASE);
}

/*
 * The program has closed or replaced what it did not know of. The old ring stays: others may look
 * at it. What would yet come there is not waited for.
 */
static void forget_head(void)
{
	unsigned long over = COUNTED(completed) + COUNTED(done) + COUNTED(failed);
	unsigned long tried = COUNTED(tried);

	if (tried > over)
		__atomic_fetch_add(&count.failed, tried - over, __ATOMIC_RELAXED);
	hop_fd = -1;
	__atomic_store_n(&head_state, HEAD_NONE, __ATOMIC_RELEASE);
}

static long hop_with(__u64 kind, __u32 flags)
{
	struct self self;
	__u32 status;
	long ret;

	look_at_self(&self);
	COUNT(tried);
	ret = nap_program(kind, flags, &status);
	check_self(&self);
	if (ret == 1 && status == SYSLET_PENDING) {
		COUNT(pending);
		return status;
	}
	if (ret == 1 && status == SYSLET_DONE) {
		COUNT(done);
		return status;
	}
	COUNT(failed);
	if (ret == -EBADF || ret == -ENOTTY)
		forget_head();
	else if (ret != -EINTR && ret != -EBUSY)
		complain("hop: no hop: %ld, status %u\n", ret, status);
	return ret;
}

void hop(void)
{
	static const struct { __u64 kind; __u32 flags; } ways[] = {
		{ 0, 0 }, { 2, SYSLET_ASYNC }, { 0, SYSLET_ASYNC }, { 2, 0 },
	};
	static __thread unsigned int way;
	int saved = errno;

	hop_busy = true;
	/* After a vfork() the memory is the parent's, and so is the head. */
	if (!ended && syscall(__NR_getpid) == owner && open_head()) {
		way = (way + 1) % 4;
		hop_with(ways[way].kind, ways[way].flags);
		drain();
	}
	hop_busy = false;
	errno = saved;
}

static void leave_one_blocked(void)
{
	struct syslet_program program = {
		.atoms = (uintptr_t)&wait_for_ever,
		.nr_atoms = 1,
		.flags = SYSLET_ASYNC | SYSLET_NO_COMPLETE,
	};
	struct syslet_exec exec = {
		.size = sizeof(exec),
		.programs = (uintptr_t)&program,
		.nr_programs = 1,
	};

	if (syscall(__NR_ioctl, hop_fd, SYSLET_IOC_EXEC, &exec) != 1 ||
	    program.status != SYSLET_PENDING)
		COUNT(bad);
}

/* A line "WHEN PID COMM NAME=NUMBER...". */
static void write_stats(const char *when)
{
	unsigned long over = COUNTED(completed) + COUNTED(done) + COUNTED(failed);
	unsigned long tried = COUNTED(tried);
	char line[200];
	int fd, len;

	if (!stats_path)
		return;
	fd = syscall(__NR_openat, AT_FDCWD, stats_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
		     0666);
	if (fd < 0)
		return;
	len = snprintf(line, sizeof(line),
		       "%s %d %s pending=%lu done=%lu failed=%lu bad=%lu lost=%lu\n", when,
		       (int)owner, program_invocation_short_name, COUNTED(pending), COUNTED(done),
		       COUNTED(failed), COUNTED(bad), tried > over ? tried - over : 0);
	if (len > 0)
		syscall(__NR_write, fd, line, len);
	syscall(__NR_close, fd);
}

/* How many threads the process has: each is a link of this directory. */
static int count_threads(void)
{
	struct stat status;

	return stat("/proc/self/task", &status) ? 0 : (int)status.st_nlink - 2;
}

/* Without a head its threads leave; a program that looks shall be alone. */
static void wait_alone(void)
{
	const struct timespec moment = { 0, 1000000 };
	int i;

	for (i = 0; i < 2000 && count_threads() > 1; i++)
		syscall(__NR_nanosleep, &moment, NULL);
}

/* A child has another address space: its head is to be its own. */
static void in_child(void)
{
	owner = syscall(__NR_getpid);
	if (hop_fd >= 0)
		close_head();
	head_state = HEAD_NONE;
	hop_busy = false;
	memset(&count, 0, sizeof(count));
}

__attribute__((constructor)) static void hop_begin(void)
{
	const char *every = getenv("SYSLET_HOP_EVERY");
	const char *leave = getenv("SYSLET_HOP_LEAVE");
	const char *stats = getenv("SYSLET_HOP_STATS");
	bool alone = count_threads() == 1;
	int saved = errno;

	hop_find_calls();
	verbose = getenv("SYSLET_HOP_VERBOSE");
	/* The program may change its environment, and the memory of it. */
	if (stats)
		stats_path = strdup(stats);
	owner = syscall(__NR_getpid);
	hop_busy = true;
	if (open_head()) {
		if (hop_with(1, SYSLET_ASYNC) != SYSLET_PENDING)
			complain("hop: main() stays where it was\n");
		if (leave && atoi(leave))
			leave_one_blocked();
		drain_all();
		if (every && atoi(every) > 0) {
			pthread_atfork(NULL, NULL, in_child);
			hop_every = atoi(every);
		} else {
			munmap(ring, ring_bytes);
			close_head();
			if (alone && !(leave && atoi(leave)))
				wait_alone();
		}
		write_stats("begin");
	}
	hop_busy = false;
	errno = saved;
}

void hop_end(void)
{
	int saved = errno;

	if (!hop_every || hop_busy || syscall(__NR_getpid) != owner)
		return;
	hop_busy = true;
	if (!__atomic_exchange_n(&ended, true, __ATOMIC_ACQ_REL)) {
		if (__atomic_load_n(&head_state, __ATOMIC_ACQUIRE) == HEAD_OPEN)
			drain_all();
		write_stats("end");
	}
	hop_busy = false;
	errno = saved;
}

__attribute__((destructor)) static void hop_leave(void)
{
	hop_end();
}
