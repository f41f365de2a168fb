// SPDX-License-Identifier: GPL-2.0
/*
 * What a thread can change about itself, one thing at a time: each is enough for a
 * spare of other times not to be the caller's any more, and none is undone.
 */
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include "async_test.h"
#include "../fdinfo.h"

static int set_timer_slack(void)
{
	return prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0) ? -errno : 0;
}

static bool has_timer_slack(void)
{
	return prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 123456;
}

static int set_keepcaps(void)
{
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) ? -errno : 0;
}

static bool has_keepcaps(void)
{
	return prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1;
}

/* SECBIT_NOROOT */
static int set_securebits(void)
{
	return prctl(PR_SET_SECUREBITS, 1, 0, 0, 0) ? -errno : 0;
}

static bool has_securebits(void)
{
	return prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == 1;
}

static int set_io_flusher(void)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) ? -errno : 0;
}

static bool has_io_flusher(void)
{
	return prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1;
}

static int set_mce_kill(void)
{
	return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) ? -errno : 0;
}

static bool has_mce_kill(void)
{
	return prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY;
}

/* No clock may be asked for the time from now on. */
static int set_tsc(void)
{
	return prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) ? -errno : 0;
}

static bool has_tsc(void)
{
	int value = -1;

	return !prctl(PR_GET_TSC, &value, 0, 0, 0) && value == PR_TSC_SIGSEGV;
}

static int set_speculation(unsigned long kind)
{
	return prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_DISABLE, 0, 0) ? -errno : 0;
}

static bool has_speculation(unsigned long kind)
{
	return prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0) == (PR_SPEC_PRCTL | PR_SPEC_DISABLE);
}

static int set_store_bypass(void)
{
	return set_speculation(PR_SPEC_STORE_BYPASS);
}

static bool has_store_bypass(void)
{
	return has_speculation(PR_SPEC_STORE_BYPASS);
}

static int set_indirect_branch(void)
{
	return set_speculation(PR_SPEC_INDIRECT_BRANCH);
}

static bool has_indirect_branch(void)
{
	return has_speculation(PR_SPEC_INDIRECT_BRANCH);
}

/* It is there to be enabled, other than the speculations. */
static int set_l1d_flush(void)
{
	return prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE, 0, 0)
		? -errno : 0;
}

static bool has_l1d_flush(void)
{
	return prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, 0, 0, 0) ==
	       (PR_SPEC_PRCTL | PR_SPEC_ENABLE);
}

/* struct sched_attr, which the C library may have under the same name. */
struct attr {
	__u32 size, policy;
	__u64 flags;
	__s32 nice;
	__u32 priority;
	__u64 runtime, deadline, period;
	__u32 util_min, util_max;
};

/* All but the limits of its utilisation stays. */
static int set_utilisation(__u64 flag)
{
	struct attr attr = {
		.size = sizeof(attr),
		.flags = 0x08 | 0x10 | flag,	/* SCHED_FLAG_KEEP_ALL, UTIL_CLAMP_* */
		.util_min = 100,
		.util_max = 900,
	};

	return syscall(__NR_sched_setattr, 0, &attr, 0) ? -errno : 0;
}

static bool attr_is(struct attr *attr)
{
	return !syscall(__NR_sched_getattr, 0, attr, sizeof(*attr), 0);
}

static int set_uclamp_min(void)
{
	return set_utilisation(0x20);
}

static bool has_uclamp_min(void)
{
	struct attr attr;

	return attr_is(&attr) && attr.util_min == 100 && attr.util_max == 1024;
}

static int set_uclamp_max(void)
{
	return set_utilisation(0x40);
}

static bool has_uclamp_max(void)
{
	struct attr attr;

	return attr_is(&attr) && attr.util_min == 0 && attr.util_max == 900;
}

static int set_slice(void)
{
	struct attr attr = { .size = sizeof(attr), .runtime = 50 * NSEC_PER_MSEC };

	return syscall(__NR_sched_setattr, 0, &attr, 0) ? -errno : 0;
}

static bool has_slice(void)
{
	struct attr attr;

	return attr_is(&attr) && attr.runtime == 50 * NSEC_PER_MSEC;
}

static int set_nice(void)
{
	return setpriority(PRIO_PROCESS, 0, 5) ? -errno : 0;
}

static bool has_nice(void)
{
	return getpriority(PRIO_PROCESS, 0) == 5;
}

static int set_batch(void)
{
	struct sched_param param = { 0 };

	return sched_setscheduler(0, SCHED_BATCH, &param) ? -errno : 0;
}

static bool has_batch(void)
{
	return sched_getscheduler(0) == SCHED_BATCH;
}

static int set_realtime(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, SCHED_FIFO, &param) ? -errno : 0;
}

static int set_realtime_3(void)
{
	return set_realtime(3);
}

static int set_realtime_4(void)
{
	return set_realtime(4);
}

static bool has_realtime_4(void)
{
	struct sched_param param;

	return !sched_getparam(0, &param) && param.sched_priority == 4;
}

/* The last CPU there is. */
static int pick_cpu(cpu_set_t *set)
{
	int cpu = CPU_SETSIZE;

	if (sched_getaffinity(0, sizeof(*set), set))
		return -1;
	while (cpu-- && !CPU_ISSET(cpu, set))
		;
	return cpu;
}

static int set_affinity(void)
{
	cpu_set_t set;
	int cpu = pick_cpu(&set);

	if (CPU_COUNT(&set) < 2)
		return -EOPNOTSUPP;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static bool has_affinity(void)
{
	cpu_set_t set;

	return pick_cpu(&set) == sched_getcpu() && CPU_COUNT(&set) == 1;
}

static int set_io_priority(void)
{
	return syscall(__NR_ioprio_set, 1, 0, 2 << 13 | 2) ? -errno : 0;
}

static bool has_io_priority(void)
{
	return syscall(__NR_ioprio_get, 1, 0) == (2 << 13 | 2);
}

static int set_personality(void)
{
	return personality(ADDR_NO_RANDOMIZE) < 0 ? -errno : 0;
}

static bool has_personality(void)
{
	return personality(0xffffffff) == ADDR_NO_RANDOMIZE;
}

static int set_login(void)
{
	int ret = write_file("/proc/thread-self", "loginuid", "4242");

	return ret == -ENOENT ? -EOPNOTSUPP : ret;
}

static bool has_login(void)
{
	char text[16] = "";
	int fd = open("/proc/thread-self/loginuid", O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	close(fd);
	return len > 0 && !strcmp(text, "4242");
}

static char entered[64];

/* The UTS namespace of a child, which differs from its parent's in that only. */
static int enter_namespace(void)
{
	int made[2], fd, error;
	char path[64], byte;
	pid_t pid;

	if (pipe2(made, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUTS) || write(made[1], "m", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(made[1]);
	if (read(made[0], &byte, 1) != 1)
		return -EIO;
	snprintf(path, sizeof(path), "/proc/%d/ns/uts", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = fd < 0 || readlink(path, entered, sizeof(entered) - 1) < 0 ||
		link_is("/proc/thread-self/ns/uts", entered) || setns(fd, CLONE_NEWUTS);
	close(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return error ? -EIO : 0;
}

static bool has_entered_namespace(void)
{
	return link_is("/proc/thread-self/ns/uts", entered);
}

FIXTURE(change) {
	struct head head;
	struct block block;
};

FIXTURE_VARIANT(change) {
	int (*before)(void);	/* what there is to be changed; 0, or -errno */
	int (*make)(void);
	bool (*is_made)(void);
};

#define CHANGE(name, make_, is_made_)					\
	FIXTURE_VARIANT_ADD(change, name) { .make = make_, .is_made = is_made_ }

CHANGE(timer_slack, set_timer_slack, has_timer_slack);
CHANGE(keepcaps, set_keepcaps, has_keepcaps);
CHANGE(securebits, set_securebits, has_securebits);
CHANGE(io_flusher, set_io_flusher, has_io_flusher);
CHANGE(mce_kill, set_mce_kill, has_mce_kill);
CHANGE(tsc, set_tsc, has_tsc);
CHANGE(store_bypass, set_store_bypass, has_store_bypass);
CHANGE(indirect_branch, set_indirect_branch, has_indirect_branch);
CHANGE(l1d_flush, set_l1d_flush, has_l1d_flush);
CHANGE(uclamp_min, set_uclamp_min, has_uclamp_min);
CHANGE(uclamp_max, set_uclamp_max, has_uclamp_max);
CHANGE(slice, set_slice, has_slice);
CHANGE(nice, set_nice, has_nice);
CHANGE(policy, set_batch, has_batch);
FIXTURE_VARIANT_ADD(change, realtime_priority) {
	.before = set_realtime_3, .make = set_realtime_4, .is_made = has_realtime_4
};
CHANGE(affinity, set_affinity, has_affinity);
CHANGE(io_priority, set_io_priority, has_io_priority);
CHANGE(personality, set_personality, has_personality);
CHANGE(login, set_login, has_login);
CHANGE(namespace, enter_namespace, has_entered_namespace);

FIXTURE_SETUP(change)
{
	NEED_ASYNC();
	ASSERT_EQ(0, geteuid());
	ASSERT_EQ(0, head_open_limits(&self->head, 64, 32, 4, 60000));
	ASSERT_EQ(0, block_init(&self->block, 0));
}

/* The test itself may have lost the right to, or die of asking for the time. */
FIXTURE_TEARDOWN(change) { }

/* hop(), but for its deadlines: not everybody here may ask for the time. */
static bool hops(struct head *head, struct block *block)
{
	struct syslet_cqe cqe;
	char byte;

	return block_submit(head, block) == SYSLET_PENDING && write(block->go[1], "!", 1) == 1 &&
	       !take_wait(head, &cqe) && cqe.result == 1 && cqe.last == 2 &&
	       read(block->done[0], &byte, 1) == 1;
}

TEST_F(change, is_not_undone_by_an_old_spare)
{
	__u64 deadline = now_ns() + PATIENCE;
	int fd = self->head.fd, error = variant->before ? variant->before() : 0;
	pid_t tid = my_tid();
	long long forks;
	int round;

	if (error == -EPERM)
		SKIP(return, "not here");
	ASSERT_EQ(0, error);
	ASSERT_EQ(0, hop(&self->head, &self->block));
	while (value(fd, "threads-idle") != 1 && now_ns() < deadline)
		usleep(1000);
	ASSERT_EQ(1, value(fd, "threads-idle"));
	forks = value(fd, "forks");
	/* It would be taken if nothing changed. */
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(forks, value(fd, "forks"));
	while (value(fd, "threads-idle") != 1 && now_ns() < deadline)
		usleep(1000);
	ASSERT_EQ(1, value(fd, "threads-idle"));

	ASSERT_FALSE(variant->is_made());
	error = variant->make();
	if (error == -ENODEV || error == -ENXIO || error == -EINVAL || error == -EPERM ||
	    error == -EOPNOTSUPP || error == -ENOSYS)
		SKIP(return, "not here");
	ASSERT_EQ(0, error);
	ASSERT_TRUE(variant->is_made());
	for (round = 0; round < 3; round++) {
		ASSERT_TRUE(hops(&self->head, &self->block));
		EXPECT_TRUE(variant->is_made());
		EXPECT_EQ(tid, my_tid());
	}
	EXPECT_LT(forks, value(fd, "forks"));
	EXPECT_EQ(0, value(fd, "fallback-refused"));
}

TEST_HARNESS_MAIN
