// SPDX-License-Identifier: GPL-2.0
/*
 * No spare thread of other times becomes the caller's: what the caller changed
 * about itself between two handoffs is still so after the second. And what is
 * in flight keeps the credentials, filters and namespaces that it was submitted
 * with.
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

#define NOBODY	65534

/* A head with idle cachemiss threads, forked before any change. */
FIXTURE(security) {
	struct head head;
	struct block block;
	char secret[64];	/* a file that only root may open */
};

FIXTURE_SETUP(security)
{
	struct block more[3];
	struct syslet_cqe cqe;
	int i, fd;

	NEED_ASYNC();
	ASSERT_EQ(0, geteuid());
	strcpy(self->secret, "/tmp/syslet-secret-XXXXXX");
	fd = mkstemp(self->secret);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fchmod(fd, 0600));
	close(fd);
	ASSERT_EQ(0, head_open_limits(&self->head, 64, 32, 4, 60000));
	ASSERT_EQ(0, block_init(&self->block, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, block_init(&more[i], 0));
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &more[i]));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, block_release(&more[i]));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		block_free(&more[i]);
	}
	ASSERT_LE(3, count_tasks(getpid()));
}

/* The test itself may have lost the right to. */
FIXTURE_TEARDOWN_PARENT(security)
{
	unlink(self->secret);
}

/* Twice, as a worker that was not right might come second. */
#define AFTER_HANDOFFS(looks)						\
	do {								\
		int round_;						\
									\
		for (round_ = 0; round_ < 3; round_++) {		\
			ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));	\
			EXPECT_TRUE(looks);				\
			ASSERT_EQ(0, block_finish(&self->head, &self->block));	\
			EXPECT_TRUE(looks);				\
		}							\
	} while (0)

static bool uids_are(uid_t real, uid_t effective, uid_t saved)
{
	uid_t r, e, s;

	return !getresuid(&r, &e, &s) && r == real && e == effective && s == saved;
}

static bool opens(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The raw call: of this thread only. */
static long set_uids(uid_t real, uid_t effective, uid_t saved)
{
	return sysret(syscall(__NR_setresuid, real, effective, saved));
}

TEST_F(security, setresuid)
{
	ASSERT_EQ(0, set_uids(NOBODY, NOBODY, NOBODY));
	AFTER_HANDOFFS(uids_are(NOBODY, NOBODY, NOBODY) && !opens(self->secret) && setuid(0));
}

TEST_F(security, seteuid_and_back)
{
	ASSERT_EQ(0, set_uids(-1, NOBODY, -1));
	AFTER_HANDOFFS(uids_are(0, NOBODY, 0) && !opens(self->secret));
	ASSERT_EQ(0, set_uids(-1, 0, -1));
	AFTER_HANDOFFS(uids_are(0, 0, 0) && opens(self->secret));
}

TEST_F(security, setresuid_while_a_program_is_blocked)
{
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ASSERT_EQ(0, set_uids(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	EXPECT_TRUE(uids_are(NOBODY, NOBODY, NOBODY));
	AFTER_HANDOFFS(uids_are(NOBODY, NOBODY, NOBODY) && !opens(self->secret));
}

TEST_F(security, groups)
{
	gid_t groups[2] = { 100, 101 }, get[4];

	ASSERT_EQ(0, setgroups(2, groups));
	ASSERT_EQ(0, syscall(__NR_setresgid, 5, 6, 7));
	AFTER_HANDOFFS(getgid() == 5 && getegid() == 6 && getgroups(4, get) == 2 &&
		       get[0] == 100 && get[1] == 101);
}

TEST_F(security, fsuid)
{
	ASSERT_EQ(0, setfsuid(NOBODY));
	AFTER_HANDOFFS(setfsuid(-1) == NOBODY && !opens(self->secret));
}

static __u64 effective_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(__NR_capget, &header, data))
		return ~0ULL;
	return data[0].effective | (__u64)data[1].effective << 32;
}

TEST_F(security, capset)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	ASSERT_NE(0, effective_capabilities());
	ASSERT_EQ(0, syscall(__NR_capset, &header, data));
	AFTER_HANDOFFS(effective_capabilities() == 0);
}

TEST_F(security, no_new_privs)
{
	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	AFTER_HANDOFFS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

/* Makes call @nr fail with EXDEV from now on. */
static long deny(unsigned int nr, unsigned int flags)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };

	return sysret(syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static bool denied(long nr)
{
	return syscall(nr) == -1 && errno == EXDEV;
}

static bool seccomp_mode_is(const char *mode)
{
	char value[16];

	status_line("thread-self", "Seccomp", value, sizeof(value));
	return !strcmp(value, mode);
}

TEST_F(security, seccomp_filter)
{
	ASSERT_TRUE(seccomp_mode_is("0"));
	ASSERT_EQ(0, deny(__NR_getpgrp, 0));
	AFTER_HANDOFFS(denied(__NR_getpgrp) && seccomp_mode_is("2"));
}

TEST_F(security, one_more_seccomp_filter)
{
	ASSERT_EQ(0, deny(__NR_getpgrp, 0));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(0, deny(__NR_umask, 0));
	AFTER_HANDOFFS(denied(__NR_getpgrp) && denied(__NR_umask));
}

TEST_F(security, seccomp_filter_applies_to_atoms_in_a_cachemiss_thread)
{
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_getpgrp },
		{ .nr = __NR_getppid },
	};
	__s64 results[3];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;

	ASSERT_EQ(0, deny(__NR_getpgrp, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, 0, getppid(), 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ(-EXDEV, results[1]);
}

/* The worker's parking calls are its own business: a filter may not know them. */
TEST_F(security, seccomp_filter_that_denies_ioctl)
{
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ASSERT_EQ(0, deny(__NR_ioctl, 0));
	ASSERT_EQ(0, block_release(&self->block));
	EXPECT_TRUE(denied(__NR_ioctl));
	EXPECT_EQ(-EXDEV, dev_exec(self->head.fd, &self->block.program, 1, 0));
}

/* All tasks of the process get it, or the call says which does not. */
TEST_F(security, seccomp_filter_for_all_threads)
{
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(0, deny(__NR_getpgrp, SECCOMP_FILTER_FLAG_TSYNC));
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	AFTER_HANDOFFS(denied(__NR_getpgrp) && seccomp_mode_is("2"));
}

/*
 * A stop takes the blocked worker to user mode, from where the filter does not
 * let it back in: it leaves, and its program is over.
 */
TEST_F(security, seccomp_filter_that_keeps_a_worker_out)
{
	int pipes[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		__u64 deadline = now_ns() + PATIENCE;
		struct block block;
		struct head head;
		struct syslet_cqe cqe;

		child_move(&head, &block);
		if (deny(__NR_ioctl, SECCOMP_FILTER_FLAG_TSYNC) || write(pipes[1], "f", 1) != 1)
			_exit(1);
		while (!ring_count(&head) && now_ns() < deadline)
			sched_yield();
		if (!ring_take(&head, &cqe))
			_exit(2);
		if (cqe.result != -ECANCELED)
			_exit(3);
		_exit(42);
	}
	ASSERT_EQ('f', read_byte(pipes[0]));
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	EXPECT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	EXPECT_EQ(42, child_status(pid));
}

TEST_F(security, namespaces)
{
	static const struct {
		int flag;
		const char *link;
	} kinds[] = {
		{ CLONE_NEWUTS, "/proc/thread-self/ns/uts" },
		{ CLONE_NEWIPC, "/proc/thread-self/ns/ipc" },
		{ CLONE_NEWNS, "/proc/thread-self/ns/mnt" },
		{ CLONE_NEWNET, "/proc/thread-self/ns/net" },
		{ CLONE_NEWCGROUP, "/proc/thread-self/ns/cgroup" },
	};
	char before[64], after[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		memset(before, 0, sizeof(before));
		memset(after, 0, sizeof(after));
		ASSERT_LT(0, readlink(kinds[i].link, before, sizeof(before) - 1));
		ASSERT_EQ(0, unshare(kinds[i].flag));
		ASSERT_LT(0, readlink(kinds[i].link, after, sizeof(after) - 1));
		ASSERT_STRNE(before, after);
		AFTER_HANDOFFS(link_is(kinds[i].link, after));
	}
}

TEST_F(security, working_directory_of_its_own)
{
	char path[64];

	ASSERT_EQ(0, unshare(CLONE_FS));
	ASSERT_EQ(0, chdir("/proc"));
	AFTER_HANDOFFS(getcwd(path, sizeof(path)) && !strcmp(path, "/proc"));
	ASSERT_EQ(0, chdir("/dev"));
	AFTER_HANDOFFS(getcwd(path, sizeof(path)) && !strcmp(path, "/dev"));
}

TEST_F(security, file_table_of_its_own)
{
	char byte = 0;
	int pipes[2], fd = fcntl(self->block.go[0], F_DUPFD_CLOEXEC, 50);
	struct syslet_atom atoms[] = { read_atom(fd, &byte, 1) };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_ASYNC);
	struct syslet_cqe cqe;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, unshare(CLONE_FILES));
	ASSERT_EQ(fd, dup3(pipes[0], fd, O_CLOEXEC));
	/* Threads of before still have the other pipe there. */
	ASSERT_EQ(1, write(pipes[1], "n", 1));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(1, cqe.result);
	EXPECT_EQ('n', byte);
	AFTER_HANDOFFS(fcntl(fd, F_GETFD) >= 0);
}

TEST_F(security, scheduling)
{
	struct sched_param param = { .sched_priority = 0 };
	cpu_set_t set, get;

	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, 5));
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_BATCH, &param));
	AFTER_HANDOFFS(getpriority(PRIO_PROCESS, 0) == 5 && sched_getscheduler(0) == SCHED_BATCH);
	param.sched_priority = 5;
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_RR, &param));
	AFTER_HANDOFFS(sched_getscheduler(0) == SCHED_RR && !sched_getparam(0, &param) &&
		       param.sched_priority == 5);
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(get), &get));
	if (CPU_COUNT(&get) < 2)
		return;
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
	AFTER_HANDOFFS(!sched_getaffinity(0, sizeof(get), &get) && CPU_EQUAL(&set, &get) &&
		       sched_getcpu() == 1);
}

#define LONG_READ	(64UL << 20)

struct mover {
	struct block *block;
	volatile char *buf;	/* what the long read fills with zeros */
	pid_t tid;
	cpu_set_t set;
	unsigned long moved;
	int error;
};

/* Gives another thread one CPU while it reads, and releases it when it has slept for a while. */
static void *move_meanwhile(void *arg)
{
	struct mover *mover = arg;

	while (mover->buf[0])
		;
	if (sched_setaffinity(mover->tid, sizeof(mover->set), &mover->set))
		mover->error = errno;
	__atomic_store_n(&mover->moved, 1, __ATOMIC_RELEASE);
	usleep(100 * 1000);
	if (write_all(mover->block->go[1], "!", 1))
		mover->error = EIO;
	return NULL;
}

/* The spare was right when the program began, and is not any more when it blocks. */
TEST_F(security, affinity_set_while_a_program_runs)
{
	struct mover mover = { .block = &self->block, .tid = my_tid() };
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), tries;
	__s64 results[3];
	struct syslet_atom atoms[3];
	struct syslet_program program;
	cpu_set_t all, get;
	pthread_t thread;
	char *buf;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	if (CPU_COUNT(&all) < 2)
		SKIP(return, "one CPU");
	CPU_ZERO(&mover.set);
	CPU_SET(1, &mover.set);
	ASSERT_LE(0, fd);
	buf = malloc(LONG_READ);
	ASSERT_NE(NULL, buf);
	mover.buf = buf;
	atoms[0] = read_atom(fd, buf, LONG_READ);
	atoms[1] = (struct syslet_atom) {
		.nr = SYSLET_NR_UMEM_ADD,
		.args = { PTR(&mover.moved), 0 },
	};
	atoms[2] = read_atom(self->block.go[0], &self->block.byte, 1);
	for (tries = 0; tries < 10; tries++) {
		program = PROGRAM(atoms, .results = PTR(results));
		memset(buf, 1, LONG_READ);
		mover.moved = 0;
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(all), &all));
		ASSERT_EQ(0, pthread_create(&thread, NULL, move_meanwhile, &mover));
		ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, mover.error);
		if (results[1] == 1)
			break;
		/* The other thread was late, and the spare had been right. */
		ASSERT_EQ(SYSLET_PENDING, program.status);
	}
	if (tries == 10)
		SKIP(return, "the other thread was always late");
	EXPECT_EQ(LONG_READ, results[0]);
	EXPECT_EQ(1, results[2]);
	EXPECT_EQ(SYSLET_DONE, program.status);
	EXPECT_EQ(0, sched_getaffinity(0, sizeof(get), &get));
	EXPECT_TRUE(CPU_EQUAL(&mover.set, &get));
}

TEST_F(security, personality)
{
	int old = personality(0xffffffff);

	ASSERT_LE(0, personality(old | ADDR_NO_RANDOMIZE));
	AFTER_HANDOFFS(personality(0xffffffff) == (old | ADDR_NO_RANDOMIZE));
}

/* In flight: as at submission, whatever became of the caller. */
TEST_F(security, a_program_keeps_the_rights_it_had)
{
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_openat, .args = { AT_FDCWD, PTR(self->secret), O_RDONLY } },
		{ .nr = __NR_geteuid },
	};
	__s64 results[3];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, set_uids(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_LE(0, results[1]);
	EXPECT_EQ(0, results[2]);
	EXPECT_FALSE(opens(self->secret));
}

TEST_F(security, a_program_has_not_the_rights_that_its_caller_gets_later)
{
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_openat, .args = { AT_FDCWD, PTR(self->secret), O_RDONLY } },
		{ .nr = __NR_geteuid },
	};
	__s64 results[3];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;

	ASSERT_EQ(0, set_uids(0, NOBODY, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, set_uids(0, 0, 0));
	EXPECT_TRUE(opens(self->secret));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(-EACCES, results[1]);
	EXPECT_EQ(NOBODY, results[2]);
}

/*
 * What else a program has of its caller, as that was: a blocked one, whose later
 * atoms are called when the caller, in another task by now, has changed.
 */
#define BLOCK_BEFORE(program, change)					\
	do {								\
		ASSERT_EQ(1, dev_exec(self->head.fd, &(program), 1, 0));	\
		ASSERT_EQ(SYSLET_PENDING, (program).status);		\
		change;							\
		ASSERT_EQ(1, write(self->block.go[1], "!", 1));		\
		ASSERT_EQ(0, take_wait(&self->head, &cqe));		\
	} while (0)

TEST_F(security, a_program_is_not_filtered_by_what_comes_later)
{
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_getpgrp },
		{ .nr = __NR_getppid },
	};
	pid_t group = getpgrp();
	__s64 results[3];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;

	BLOCK_BEFORE(program, ASSERT_EQ(0, deny(__NR_getpgrp, 0)));
	EXPECT_CQE(cqe, 0, getppid(), 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ(group, results[1]);
	EXPECT_TRUE(denied(__NR_getpgrp));
	AFTER_HANDOFFS(denied(__NR_getpgrp));
}

/* A filter of which a part comes later. */
TEST_F(security, a_program_is_filtered_as_it_was)
{
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_umask },
		{ .nr = __NR_getpgrp },
	};
	pid_t group = getpgrp();
	__s64 results[3];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;

	ASSERT_EQ(0, deny(__NR_umask, 0));
	BLOCK_BEFORE(program, ASSERT_EQ(0, deny(__NR_getpgrp, 0)));
	EXPECT_CQE(cqe, 0, group, 2, SYSLET_CQE_ASYNC);
	EXPECT_EQ(-EXDEV, results[1]);
	EXPECT_TRUE(denied(__NR_getpgrp));
}

TEST_F(security, a_program_has_not_the_no_new_privs_of_later)
{
	static char status[8192];
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_openat, .args = { AT_FDCWD, PTR("/proc/thread-self/status"),
					       O_RDONLY | O_CLOEXEC } },
		{ .nr = __NR_read, .args = { 0, PTR(status), sizeof(status) - 1 },
		  .arg_from = { 2 } },
	};
	__s64 results[3];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_cqe cqe;

	BLOCK_BEFORE(program, ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)));
	EXPECT_LE(0, results[1]);
	EXPECT_LT(0, results[2]);
	EXPECT_NE(NULL, strstr(status, "\nNoNewPrivs:\t0\n"));
	EXPECT_EQ(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

/* The raw call: of this thread only. */
TEST_F(security, a_program_keeps_the_groups_it_had)
{
	gid_t before[2] = { 100, 101 }, later[1] = { 102 }, get[4] = { 0 };
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_getgroups, .args = { ARRAY_SIZE(get), PTR(get) } },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, syscall(__NR_setgroups, 2, before));
	BLOCK_BEFORE(program, ASSERT_EQ(0, syscall(__NR_setgroups, 1, later)));
	EXPECT_CQE(cqe, 0, 2, 1, SYSLET_CQE_ASYNC);
	EXPECT_EQ(0, memcmp(before, get, sizeof(before)));
	AFTER_HANDOFFS(getgroups(4, get) == 1 && get[0] == 102);
}

TEST_F(security, a_program_keeps_the_namespace_it_was_in)
{
	struct utsname before, seen = { 0 }, after;
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_uname, .args = { PTR(&seen) } },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, uname(&before));
	BLOCK_BEFORE(program, ({
		ASSERT_EQ(0, unshare(CLONE_NEWUTS));
		ASSERT_EQ(0, sethostname("syslet-later", 12));
	}));
	EXPECT_CQE(cqe, 0, 0, 1, SYSLET_CQE_ASYNC);
	EXPECT_STREQ(before.nodename, seen.nodename);
	ASSERT_STRNE("syslet-later", before.nodename);
	AFTER_HANDOFFS(!uname(&after) && !strcmp(after.nodename, "syslet-later"));
}

TEST_F(security, async_programs_run_with_the_rights_of_now)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_openat, .args = { AT_FDCWD, PTR(self->secret), O_RDONLY } },
	};
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_ASYNC);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, set_uids(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(-EACCES, cqe.result);
}

TEST_F(security, async_programs_are_filtered_as_of_now)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getpgrp } };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_ASYNC);
	struct syslet_cqe cqe;

	ASSERT_EQ(0, deny(__NR_getpgrp, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(-EXDEV, cqe.result);
}

/* Threads of a head whose callers differ: each gets back as itself. */
static void *hop_as_nobody(void *arg)
{
	FIXTURE_DATA(security) *self = arg;
	struct block block;
	unsigned int i, nr = 30 * stress();
	long bad = 0;

	if (block_init(&block, SYSLET_NO_COMPLETE) || set_uids(NOBODY, NOBODY, NOBODY))
		return self;
	for (i = 0; i < nr && !bad; i++)
		bad = hop(&self->head, &block) || !uids_are(NOBODY, NOBODY, NOBODY) ||
		      opens(self->secret);
	return (void *)bad;
}

TEST_F(security, threads_with_different_credentials_on_one_head)
{
	unsigned int i, nr = 30 * stress();
	struct block block;
	pthread_t thread;
	void *bad;

	ASSERT_EQ(0, block_init(&block, SYSLET_NO_COMPLETE));
	ASSERT_EQ(0, pthread_create(&thread, NULL, hop_as_nobody, self));
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, hop(&self->head, &block));
		ASSERT_TRUE(uids_are(0, 0, 0));
	}
	ASSERT_EQ(0, pthread_join(thread, &bad));
	EXPECT_EQ(NULL, bad);
}

TEST_HARNESS_MAIN
