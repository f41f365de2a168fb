/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of handoffs share.
 *
 * The usual way to make a program leave its caller is a struct block: it reads
 * from a pipe that nobody has written to yet, and tells through another one
 * that it is done.
 */
#ifndef ASYNC_TEST_H
#define ASYNC_TEST_H

#include <dirent.h>
#include <poll.h>
#include <sys/prctl.h>
#include "../random.h"
#include "../syslet_test.h"

/* Longer than anything takes that comes at all, on a slow machine. */
#define PATIENCE	(15 * NSEC_PER_SEC * factor("SYSLET_SLOW"))

/* Runs that are made longer have more time, too, and those on a kernel that checks itself. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	(int)(30 * stress() * factor("SYSLET_SLOW"))

#ifdef __NR_futex_time64
#define NR_FUTEX	__NR_futex_time64
#else
#define NR_FUTEX	__NR_futex
#endif

/* The kernel's signal set, in both word sizes. */
#define KERNEL_SIGSET	8
#define SIGBIT(sig)	(1ULL << ((sig) - 1))

/* In a fixture's setup. 32-bit callers are served in the caller where that is not supported. */
#define NEED_ASYNC()							\
	do {								\
		__u64 features_ = dev_features();			\
									\
		ASSERT_TRUE(features_ & SYSLET_FEAT_ASYNC) {		\
			TH_LOG("this kernel has no cachemiss threads");	\
		}							\
		if (sizeof(long) == 4 && !(features_ & SYSLET_FEAT_COMPAT_ASYNC))	\
			SKIP(return, "no cachemiss threads for 32-bit callers");	\
	} while (0)

#define EXPECT_CQE(cqe, data, res, at, bits)				\
	do {								\
		EXPECT_EQ((__u64)(data), (cqe).user_data);		\
		EXPECT_EQ((__s64)(res), (cqe).result);			\
		EXPECT_EQ((__u32)(at), (cqe).last);			\
		EXPECT_EQ((__u32)(bits), (cqe).flags);			\
	} while (0)

/* What variable @name says: 1 where it says nothing. */
static inline unsigned int factor(const char *name)
{
	__u64 value = number_from_env(name, 1);

	return value < 1 ? 1 : value > 10000 ? 10000 : value;
}

/* How many times longer loops are to run. */
static inline unsigned int stress(void)
{
	return factor("SYSLET_STRESS");
}

static inline pid_t my_tid(void)
{
	return syscall(__NR_gettid);
}

static inline struct syslet_atom read_atom(int fd, void *buf, size_t len)
{
	return (struct syslet_atom) { .nr = __NR_read, .args = { fd, PTR(buf), len } };
}

static inline struct syslet_atom write_atom(int fd, const void *buf, size_t len)
{
	return (struct syslet_atom) { .nr = __NR_write, .args = { fd, PTR(buf), len } };
}

/* As head_open(), with limits. */
static inline long head_open_limits(struct head *head, __u32 cq_entries, __u32 max_threads,
				    __u32 spare_threads, __u32 idle_ms)
{
	long ret;

	*head = (struct head) { .fd = dev_open() };
	if (head->fd < 0)
		return head->fd;
	head->setup = (struct syslet_setup) {
		.size = sizeof(head->setup),
		.cq_entries = cq_entries,
		.max_threads = max_threads,
		.spare_threads = spare_threads,
		.idle_ms = idle_ms,
	};
	ret = dev_ioctl(head->fd, SYSLET_IOC_SETUP, &head->setup);
	return ret ? ret : head_map(head);
}

/* Waits for a completion and takes it. */
static inline long take_wait(struct head *head, struct syslet_cqe *cqe)
{
	long ret;

	do
		ret = dev_wait(head->fd, 1, PATIENCE);
	while (ret == -EINTR);
	if (ret >= 0)
		ret = ring_take(head, cqe) ? 0 : -EPROTO;
	else
		memset(cqe, POISON_BYTE, sizeof(*cqe));
	return ret;
}

static inline long dev_cancel(int fd, __u64 user_data, __u32 flags)
{
	struct syslet_cancel cancel = {
		.size = sizeof(cancel),
		.flags = flags,
		.user_data = user_data,
	};

	return dev_ioctl(fd, SYSLET_IOC_CANCEL, &cancel);
}

static inline int write_all(int fd, const void *buf, size_t len)
{
	ssize_t ret;

	do
		ret = write(fd, buf, len);
	while (ret < 0 && errno == EINTR);
	return ret == (ssize_t)len ? 0 : ret < 0 ? -errno : -EPROTO;
}

/* Writes to file @name in directory @dir, as the kernel's pseudo file systems have them. */
static inline int write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, text, strlen(text));
	close(fd);
	return ret;
}

/* Reads one byte; -ETIMEDOUT where none comes. */
static inline int read_byte(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	__u64 deadline = now_ns() + PATIENCE;
	unsigned char byte;
	int ret;

	for (;;) {
		ret = poll(&pollfd, 1, 1000);
		if (ret > 0)
			ret = read(fd, &byte, 1);
		if (ret > 0)
			return byte;
		if (ret < 0 && errno != EINTR)
			return -errno;
		if (now_ns() > deadline)
			return -ETIMEDOUT;
	}
}

/* A program that blocks until it is released; see above. */
struct block {
	int go[2], done[2];
	char byte;
	struct syslet_atom atoms[3];
	__s64 results[3];
	struct syslet_program program;
};

static inline int block_init(struct block *block, __u32 flags)
{
	if (pipe2(block->go, O_CLOEXEC) || pipe2(block->done, O_CLOEXEC))
		return -errno;
	block->atoms[0] = read_atom(block->go[0], &block->byte, 1);
	block->atoms[1] = (struct syslet_atom) { .nr = __NR_gettid };
	block->atoms[2] = write_atom(block->done[1], "d", 1);
	block->program = PROGRAM(block->atoms, .flags = flags, .results = PTR(block->results),
				 .user_data = PTR(block));
	return 0;
}

static inline void block_free(struct block *block)
{
	close(block->go[0]);
	close(block->go[1]);
	close(block->done[0]);
	close(block->done[1]);
}

/* Submits it; returns its status. */
static inline long block_submit(struct head *head, struct block *block)
{
	long ret;

	memset(block->results, POISON_BYTE, sizeof(block->results));
	block->byte = POISON_BYTE;
	block->program.status = POISON32;
	do
		ret = dev_exec(head->fd, &block->program, 1, 0);
	while (ret == -EINTR);
	return ret == 1 ? (long)block->program.status : ret < 0 ? ret : -EPROTO;
}

/* Lets it go on and waits until it is as good as done. */
static inline long block_release(struct block *block)
{
	int ret = write_all(block->go[1], "!", 1);

	if (ret)
		return ret;
	ret = read_byte(block->done[0]);
	if (ret != 'd')
		return ret < 0 ? ret : -EPROTO;
	return block->byte == '!' && block->results[0] == 1 ? 0 : -EBADMSG;
}

/* The same, and takes its completion, the only one to come. */
static inline long block_finish(struct head *head, struct block *block)
{
	struct syslet_cqe cqe;
	long ret = block_release(block);

	if (!ret)
		ret = take_wait(head, &cqe);
	if (ret)
		return ret;
	if (cqe.user_data != PTR(block) || cqe.result != 1 || cqe.last != 2 ||
	    cqe.flags != SYSLET_CQE_ASYNC || block->results[2] != 1)
		return -EBADMSG;
	return 0;
}

/* One handoff from beginning to end. */
static inline long hop(struct head *head, struct block *block)
{
	long ret = block_submit(head, block);

	if (ret != SYSLET_PENDING)
		return ret < 0 ? ret : -EINPROGRESS;
	if (block->program.flags & SYSLET_NO_COMPLETE)
		return block_release(block);
	return block_finish(head, block);
}

/* For TEST_F: a head and a block, as self->head and self->block. */
#define FIXTURE_BLOCK(name)						\
FIXTURE(name) {								\
	struct head head;						\
	struct block block;						\
};									\
FIXTURE_SETUP(name)							\
{									\
	NEED_ASYNC();							\
	ASSERT_EQ(0, head_open(&self->head, 64));			\
	ASSERT_EQ(0, block_init(&self->block, 0));			\
}									\
FIXTURE_TEARDOWN(name)							\
{									\
	head_close(&self->head);					\
}									\
struct name##_ends_in_a_semicolon

/*
 * The same in two variants, for what a process can tell that has moved:
 * MOVE_AWAY() has its caller go on in another task.
 */
#define FIXTURE_MOVE(name)						\
FIXTURE_BLOCK(name);							\
FIXTURE_VARIANT(name) {							\
	bool blocked;	/* the program still is, behind MOVE_AWAY() */	\
};									\
FIXTURE_VARIANT_ADD(name, while_blocked) { true };			\
FIXTURE_VARIANT_ADD(name, when_done) { false }

#define MOVE_AWAY()							\
	do {								\
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));	\
		if (!variant->blocked) {				\
			ASSERT_EQ(0, block_release(&self->block));	\
		}							\
	} while (0)

/* Opens both in a child, or ends it. */
static inline void child_open(struct head *head, struct block *block)
{
	if (head_open(head, 64) || block_init(block, 0))
		_exit(100);
}

/* Goes on in another task, while the program stays blocked; or ends the child. */
static inline void child_move(struct head *head, struct block *block)
{
	child_open(head, block);
	if (block_submit(head, block) != SYSLET_PENDING)
		_exit(101);
}

/* What call task @tid sleeps in; -1 where it does not sleep in one. */
static inline long sleeps_in(pid_t tid)
{
	char path[64], line[256];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, line, sizeof(line) - 1);
		close(fd);
	}
	if (len <= 0 || line[0] == 'r')	/* "running" */
		return -1;
	line[len] = '\0';
	return strtol(line, NULL, 10);
}

/*
 * A thread that writes to a pipe as soon as another one sleeps in a call: so a
 * program that blocks in the caller comes to an end. It gives up once stopped.
 */
struct rescuer {
	pthread_t thread;
	pid_t tid;
	long nr;
	int fd;
	bool stop;
	bool wrote;
};

static inline void *rescuer_main(void *arg)
{
	struct rescuer *rescuer = arg;

	while (!__atomic_load_n(&rescuer->stop, __ATOMIC_ACQUIRE)) {
		if (sleeps_in(rescuer->tid) == rescuer->nr) {
			rescuer->wrote = write(rescuer->fd, "!", 1) == 1;
			break;
		}
		usleep(1000);
	}
	return NULL;
}

static inline int rescuer_start(struct rescuer *rescuer, long nr, int fd)
{
	*rescuer = (struct rescuer) { .tid = my_tid(), .nr = nr, .fd = fd };
	return pthread_create(&rescuer->thread, NULL, rescuer_main, rescuer);
}

/* Whether it had to write. */
static inline bool rescuer_end(struct rescuer *rescuer)
{
	__atomic_store_n(&rescuer->stop, true, __ATOMIC_RELEASE);
	pthread_join(rescuer->thread, NULL);
	return rescuer->wrote;
}

/* Whether a symbolic link, as /proc has them, is @expected. */
static inline bool link_is(const char *path, const char *expected)
{
	char now[64] = "";

	return readlink(path, now, sizeof(now) - 1) > 0 && !strcmp(now, expected);
}

/* How many tasks process @pid has, those of the kernel's making included. */
static inline int count_tasks(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* The TIDs of the tasks of process @pid, @most of them; returns how many. */
static inline int list_tasks(pid_t pid, pid_t *tids, int most)
{
	struct dirent *entry;
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && count < most && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			tids[count++] = strtol(entry->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	return count;
}

/* Waits until there are at most @most; returns how many there are. There is no event for that. */
static inline int wait_tasks(pid_t pid, int most)
{
	__u64 deadline = now_ns() + PATIENCE;
	int count;

	while ((count = count_tasks(pid)) > most && now_ns() < deadline)
		usleep(5000);
	return count;
}

/* A line of /proc/@pid/status, behind its tab; empty where there is none. */
static inline void status_line(const char *pid, const char *name, char *value, size_t size)
{
	char path[64], line[256];
	size_t len = strlen(name);
	FILE *file;

	value[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, len) && line[len] == ':') {
			line[strcspn(line, "\n")] = '\0';
			snprintf(value, size, "%.*s", (int)size - 1, line + len + 2);
			break;
		}
	}
	fclose(file);
}

/* A result that is stored when a program of no other trace has run so far. */
static inline bool result_appears(volatile __s64 *slot)
{
	__u64 deadline = now_ns() + PATIENCE;

	while (*slot == SYSLET_NOT_RUN && now_ns() < deadline)
		sched_yield();
	return *slot != SYSLET_NOT_RUN;
}

/*
 * A FIXTURE_BLOCK() in two variants, for what belongs to a thread: the main one
 * moves in another way than others do. The bodies of its tests, TEST_F_THREAD()s,
 * run in the thread meant; the main thread leaves all signals to it.
 */
#define FIXTURE_THREAD(name)						\
FIXTURE_BLOCK(name);							\
FIXTURE_VARIANT(name) {							\
	bool other;	/* than the main thread */			\
};									\
FIXTURE_VARIANT_ADD(name, main_thread) { false };			\
FIXTURE_VARIANT_ADD(name, other_thread) { true }

#define TEST_F_THREAD(fixture, name)					\
	static void fixture##_##name##_body(				\
		struct __test_metadata *_metadata,			\
		FIXTURE_DATA(fixture) *self,				\
		const FIXTURE_VARIANT(fixture) *variant);		\
	static void *fixture##_##name##_main(void *arg)			\
	{								\
		struct __test_metadata *metadata = arg;			\
									\
		fixture##_##name##_body(metadata, metadata->self, metadata->variant);	\
		return NULL;						\
	}								\
	TEST_F(fixture, name)						\
	{								\
		if (variant->other) {					\
			ASSERT_EQ(0, run_thread(fixture##_##name##_main, _metadata));	\
		} else {						\
			fixture##_##name##_body(_metadata, self, variant);	\
		}							\
	}								\
	static void fixture##_##name##_body(				\
		struct __test_metadata __attribute__((unused)) *_metadata,	\
		FIXTURE_DATA(fixture) __attribute__((unused)) *self,	\
		const FIXTURE_VARIANT(fixture) __attribute__((unused)) *variant)

/* Runs @main in a thread with the caller's signal mask, while the caller has all blocked. */
static inline int run_thread(void *(*main)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setsigmask_np(&attr, &old);
	ret = pthread_create(&thread, &attr, main, arg);
	if (!ret)
		ret = pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

#endif /* ASYNC_TEST_H */
