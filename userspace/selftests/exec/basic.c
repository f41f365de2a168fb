// SPDX-License-Identifier: GPL-2.0
/* EXEC: programs run, their atoms see their arguments, their results come back. */
#include <sys/uio.h>
#include <linux/stat.h>
#include "syslet_test.h"

FIXTURE_HEAD(exec, 256);

TEST_F(exec, getppid)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), program.result);
	EXPECT_EQ(0, program.last);
	EXPECT_EQ(SYSLET_DONE, program.status);
}

TEST_F(exec, an_error_is_a_result)
{
	struct syslet_atom atoms[] = { { .nr = __NR_close, .args = { 0x7ffffff0 } } };
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EBADF, program.result);
	EXPECT_EQ(SYSLET_DONE, program.status);
}

TEST_F(exec, inputs_are_left_alone)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid, .args = { 1, 2, 3, 4, 5, 6 } } };
	struct syslet_atom before = atoms[0];
	__s64 results[1];
	struct syslet_program program = PROGRAM(atoms, .user_data = 77, .results = PTR(results));

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(PTR(atoms), program.atoms);
	EXPECT_EQ(1, program.nr_atoms);
	EXPECT_EQ(0, program.flags);
	EXPECT_EQ(77, program.user_data);
	EXPECT_EQ(PTR(results), program.results);
	EXPECT_EQ(0, memcmp(&before, atoms, sizeof(before)));
}

TEST_F(exec, results_of_all_atoms)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getppid },
		{ .nr = __NR_close, .args = { 0x7ffffff0 } },
		{ .nr = __NR_getpid },
	};
	__s64 results[] = { POISON64, POISON64, POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), results[0]);
	EXPECT_EQ(-EBADF, results[1]);
	EXPECT_EQ(getpid(), results[2]);
	EXPECT_EQ(POISON64, results[3]);
	EXPECT_EQ(getpid(), program.result);
	EXPECT_EQ(2, program.last);
}

TEST_F(exec, atoms_never_run_say_so)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_getppid, .flags = SYSLET_STOP_ON_NONZERO },
		{ .nr = __NR_getpid },
		{ .nr = __NR_getpid },
	};
	__s64 results[] = { POISON64, POISON64, POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getppid(), results[0]);
	EXPECT_EQ(SYSLET_NOT_RUN, results[1]);
	EXPECT_EQ(SYSLET_NOT_RUN, results[2]);
	EXPECT_EQ(POISON64, results[3]);
	EXPECT_EQ(0, program.last);
}

TEST_F(exec, open_stat_read_close)
{
	char path[32], bytes[8];
	struct statx stx;
	struct syslet_atom atoms[] = {
		{ .nr = __NR_openat, .args = { AT_FDCWD, PTR(path), O_RDONLY | O_CLOEXEC } },
		{ .nr = __NR_statx, .arg_from = { 1 },
		  .args = { 0, PTR(""), AT_EMPTY_PATH, STATX_SIZE, PTR(&stx) } },
		{ .nr = __NR_read, .arg_from = { 1 }, .args = { 0, PTR(bytes), sizeof(bytes) } },
		{ .nr = __NR_close, .arg_from = { 1 } },
	};
	__s64 results[] = { POISON64, POISON64, POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(results));

	memset(&stx, POISON_BYTE, sizeof(stx));
	memset(bytes, POISON_BYTE, sizeof(bytes));
	ASSERT_LE(0, file_with("hello", path));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_LT(0, results[0]);
	EXPECT_EQ(0, results[1]);
	EXPECT_EQ(5, stx.stx_size);
	EXPECT_EQ(5, results[2]);
	EXPECT_EQ(0, memcmp(bytes, "hello", 5));
	EXPECT_EQ((char)POISON_BYTE, bytes[5]);
	EXPECT_EQ(0, results[3]);
	EXPECT_EQ(-EBADF, sysret(fcntl(results[0], F_GETFD)));
}

/* All six arguments of process_vm_readv count; the last must be 0. */
struct vm_read {
	char from[4], to[4];
	struct iovec local, remote;
	struct syslet_atom atom;
};

static void vm_read_init(struct vm_read *vm)
{
	memcpy(vm->from, "abcd", 4);
	memcpy(vm->to, "----", 4);
	vm->local = (struct iovec) { vm->to, 4 };
	vm->remote = (struct iovec) { vm->from, 4 };
	vm->atom = (struct syslet_atom) {
		.nr = __NR_process_vm_readv,
		.args = { getpid(), PTR(&vm->local), 1, PTR(&vm->remote), 1, 0 },
	};
}

TEST_F(exec, six_arguments)
{
	struct vm_read vm;
	struct syslet_program program = {
		.atoms = PTR(&vm.atom),
		.nr_atoms = 1,
		.flags = SYSLET_SYNC,
		.result = POISON64,
	};

	vm_read_init(&vm);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(4, program.result);
	EXPECT_EQ(0, memcmp(vm.to, "abcd", 4));
}

TEST_F(exec, each_argument_counts)
{
	struct vm_read vm;
	struct syslet_program program = {
		.atoms = PTR(&vm.atom),
		.nr_atoms = 1,
		.flags = SYSLET_SYNC,
	};
	/* What is wrong at each position, and the error it gives. */
	static const struct { __u64 arg; long result; } wrong[] = {
		{ 0x7fffffff, -ESRCH }, { 16, -EFAULT }, { 0x7fffffff, -EINVAL },
		{ 16, -EFAULT }, { 0x7fffffff, -EINVAL }, { 1, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		vm_read_init(&vm);
		vm.atom.args[i] = wrong[i].arg;
		program.result = POISON64;
		ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
		EXPECT_EQ(wrong[i].result, program.result);
	}
}

TEST_F(exec, arg_from_at_each_position)
{
	struct vm_read vm;
	struct syslet_atom atoms[2];
	struct syslet_program program;
	unsigned long given;
	unsigned int i;

	for (i = 0; i < 6; i++) {
		vm_read_init(&vm);
		given = 0;
		/* Atom 0 results in the right value, atom 1 holds a wrong one. */
		atoms[0] = (struct syslet_atom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&given), vm.atom.args[i] },
		};
		atoms[1] = vm.atom;
		atoms[1].args[i] = 0x5a5a5a5a;
		atoms[1].arg_from[i] = 1;
		program = PROGRAM(atoms, .flags = SYSLET_SYNC);
		ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
		EXPECT_EQ(4, program.result);
		EXPECT_EQ(0, memcmp(vm.to, "abcd", 4));
	}
}

TEST_F(exec, arg_from_at_all_positions)
{
	struct vm_read vm;
	struct syslet_atom atoms[7];
	unsigned long given[6] = { 0 };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);
	unsigned int i;

	vm_read_init(&vm);
	atoms[6] = vm.atom;
	for (i = 0; i < 6; i++) {
		atoms[i] = (struct syslet_atom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&given[i]), vm.atom.args[i] },
		};
		atoms[6].args[i] = 0x5a5a5a5a;
		atoms[6].arg_from[i] = i + 1;
	}
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(4, program.result);
	EXPECT_EQ(0, memcmp(vm.to, "abcd", 4));
}

TEST_F(exec, a_sixth_argument_of_mmap)
{
	long page = sysconf(_SC_PAGESIZE);
	int fd = memfd_create("syslet-test", MFD_CLOEXEC);
	struct syslet_atom atoms[] = { {
		.nr = NR_MMAP,
		.args = { 0, page, PROT_READ, MAP_SHARED, fd, MMAP_OFF(page) },
	} };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "x", 1, page));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_NE(POISON64, program.result);
	EXPECT_EQ('x', *(char *)(unsigned long)program.result);
}

TEST_F(exec, an_error_flows_like_any_result)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_openat, .args = { AT_FDCWD, PTR(""), O_RDONLY } },
		{ .nr = __NR_close, .arg_from = { 1 } },
	};
	__s64 results[] = { POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-ENOENT, results[0]);
	EXPECT_EQ(-EBADF, results[1]);
}

TEST_F(exec, a_result_is_taken_many_atoms_later)
{
	struct syslet_atom atoms[16];
	struct syslet_program program = PROGRAM(atoms);
	long value = 0;
	unsigned int i;

	for (i = 0; i < 15; i++)
		atoms[i] = (struct syslet_atom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&value), 1 },
		};
	atoms[15] = (struct syslet_atom) {
		.nr = SYSLET_NR_UMEM_ADD,
		.args = { PTR(&value) },
		.arg_from = { 0, 3 },	/* atom 2's: 3 */
	};
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(18, value);
}

TEST_F(exec, as_many_atoms_as_there_may_be)
{
	struct syslet_atom atoms[SYSLET_MAX_ATOMS];
	__s64 results[SYSLET_MAX_ATOMS];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	struct syslet_query query;
	long value = 0;
	unsigned int i;

	ASSERT_EQ(0, dev_query(self->head.fd, &query));
	program.nr_atoms = query.max_atoms;
	memset(results, POISON_BYTE, sizeof(results));
	for (i = 0; i < query.max_atoms; i++)
		atoms[i] = (struct syslet_atom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&value), 1 },
		};
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	for (i = 0; i < query.max_atoms; i++)
		EXPECT_EQ(i + 1, results[i]);
	EXPECT_EQ(query.max_atoms, value);
	EXPECT_EQ(query.max_atoms - 1, program.last);
}

TEST_F(exec, as_many_programs_as_there_may_be)
{
	static struct syslet_program programs[SYSLET_MAX_PROGRAMS];
	static __s64 results[SYSLET_MAX_PROGRAMS];
	struct syslet_query query;
	struct syslet_atom atoms[1];
	unsigned int i, wrong = 0;
	long value = 0;

	ASSERT_EQ(0, dev_query(self->head.fd, &query));
	atoms[0] = (struct syslet_atom) {
		.nr = SYSLET_NR_UMEM_ADD,
		.args = { PTR(&value), 1 },
	};
	memset(results, POISON_BYTE, sizeof(results));
	for (i = 0; i < query.max_programs; i++)
		programs[i] = PROGRAM(atoms, .results = PTR(&results[i]));
	ASSERT_EQ(query.max_programs, dev_exec(self->head.fd, programs, query.max_programs, 0));
	for (i = 0; i < query.max_programs; i++)
		wrong += results[i] != i + 1 || programs[i].result != i + 1 ||
			 programs[i].last != 0 || programs[i].status != SYSLET_DONE;
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(query.max_programs, value);
}

TEST_F(exec, as_much_as_there_may_be_at_once)
{
	static struct syslet_program programs[SYSLET_MAX_PROGRAMS];
	struct syslet_atom atoms[SYSLET_MAX_ATOMS];
	struct syslet_query query;
	long value = 0;
	unsigned int i;

	ASSERT_EQ(0, dev_query(self->head.fd, &query));
	for (i = 0; i < query.max_atoms; i++)
		atoms[i] = (struct syslet_atom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&value), 1 },
		};
	for (i = 0; i < query.max_programs; i++) {
		programs[i] = PROGRAM(atoms);
		programs[i].nr_atoms = query.max_atoms;
	}
	ASSERT_EQ(query.max_programs, dev_exec(self->head.fd, programs, query.max_programs, 0));
	EXPECT_EQ((long)query.max_programs * query.max_atoms, value);
	EXPECT_EQ(value, programs[query.max_programs - 1].result);
}

TEST_F(exec, programs_know_nothing_of_each_other)
{
	struct syslet_atom first[] = { { .nr = __NR_getppid, .flags = SYSLET_STOP_ON_NONZERO },
				       { .nr = __NR_getpid } };
	struct syslet_atom second[] = { { .nr = __NR_getpid } };
	struct syslet_program programs[] = { PROGRAM(first), PROGRAM(second) };

	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_EQ(getppid(), programs[0].result);
	EXPECT_EQ(getpid(), programs[1].result);
	EXPECT_EQ(SYSLET_DONE, programs[1].status);
}

/*
 * dup2 and close_range leave the last work on a file that they close to the
 * way back to user space, which comes before the next call: were the write end
 * still open then, the read would say -EAGAIN.
 */
static void expect_closed_by(struct __test_metadata *_metadata, int fd, int *pipes,
			     struct syslet_atom closing)
{
	char byte = POISON_BYTE;
	struct syslet_atom atoms[] = {
		closing,
		{ .nr = __NR_read, .args = { pipes[0], PTR(&byte), 1 } },
	};
	__s64 results[] = { POISON64, POISON64 };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC,
						.results = PTR(results));

	ASSERT_EQ(1, dev_exec(fd, &program, 1, 0));
	EXPECT_LE(0, results[0]);
	EXPECT_EQ(0, results[1]);
}

TEST_F(exec, close_is_done_before_the_next_atom)
{
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	expect_closed_by(_metadata, self->head.fd, pipes, (struct syslet_atom) {
		.nr = __NR_close,
		.args = { pipes[1] },
	});
}

TEST_F(exec, dup2_is_done_before_the_next_atom)
{
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	expect_closed_by(_metadata, self->head.fd, pipes, (struct syslet_atom) {
		.nr = __NR_dup2,
		.args = { pipes[0], pipes[1] },
	});
}

TEST_F(exec, close_range_is_done_before_the_next_atom)
{
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	expect_closed_by(_metadata, self->head.fd, pipes, (struct syslet_atom) {
		.nr = __NR_close_range,
		.args = { pipes[1], pipes[1], 0 },
	});
}

TEST_F(exec, files_are_closed_before_the_next_program)
{
	char byte = POISON_BYTE;
	struct syslet_atom closing[1], reading[1];
	struct syslet_program programs[2];
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	closing[0] = (struct syslet_atom) {
		.nr = __NR_dup2,
		.args = { pipes[0], pipes[1] },
	};
	reading[0] = (struct syslet_atom) {
		.nr = __NR_read,
		.args = { pipes[0], PTR(&byte), 1 },
	};
	programs[0] = PROGRAM(closing, .flags = SYSLET_SYNC);
	programs[1] = PROGRAM(reading, .flags = SYSLET_SYNC);
	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_EQ(0, programs[1].result);
}

TEST_F(exec, sync_blocks_in_the_caller)
{
	struct __kernel_timespec ts = { .tv_nsec = 20 * NSEC_PER_MSEC };
	struct syslet_atom atoms[] = { {
		.nr = NR_CLOCK_NANOSLEEP,
		.args = { CLOCK_MONOTONIC, 0, PTR(&ts), 0 },
	} };
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);
	__u64 begun = now_ns();

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(0, program.result);
	EXPECT_EQ(SYSLET_DONE, program.status);
	EXPECT_LE(20 * NSEC_PER_MSEC, now_ns() - begun);
}

TEST_F(exec, the_caller_is_who_runs)
{
	struct syslet_atom atoms[] = { { .nr = __NR_gettid } };
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(syscall(__NR_gettid), program.result);
}

TEST_F(exec, nowait_runs_what_does_not_block)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	if (!dev_is_async())
		SKIP(return, "no asynchronous half");
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_NOWAIT));
	EXPECT_EQ(getppid(), program.result);
}

TEST_F(exec, nowait_needs_the_asynchronous_half)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	if (dev_features() & SYSLET_FEAT_ASYNC)
		SKIP(return, "there is one");
	EXPECT_EQ(-EOPNOTSUPP, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_NOWAIT));
	EXPECT_NE(SYSLET_DONE, program.status);
}

TEST_F(exec, nowait_where_only_other_callers_leave)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	if (dev_is_async() || !(dev_features() & SYSLET_FEAT_ASYNC))
		SKIP(return, "all leave or none");
	EXPECT_EQ(-EAGAIN, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_NOWAIT));
	EXPECT_NE(SYSLET_DONE, program.status);
}

TEST_HARNESS_MAIN
