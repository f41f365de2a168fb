// SPDX-License-Identifier: GPL-2.0
/* Every atom passes the caller's seccomp filter as the call that it is. */
#include "filter.h"
#include "watched_page.h"

FIXTURE_HEAD(filter, 64);

/* A program whose middle atom is the one that the filter means. */
struct judged {
	long before, after;
	struct syslet_atom atoms[3];
	__s64 results[3];
	struct syslet_program program;
};

static void judged_init(struct judged *judged)
{
	*judged = (struct judged) {
		.atoms = {
			{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&judged->before), 1 } },
			{ .nr = __NR_getppid, .args = { MAGIC } },
			{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&judged->after), 1 } },
		},
		.results = { POISON64, POISON64, POISON64 },
	};
	judged->program = PROGRAM(judged->atoms, .flags = SYSLET_SYNC,
				  .results = PTR(judged->results));
}

TEST_F(filter, allow)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ALLOW, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(getppid(), judged.results[1]);
	EXPECT_EQ(1, judged.after);
}

TEST_F(filter, log)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_LOG, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(getppid(), judged.results[1]);
	EXPECT_EQ(1, judged.after);
}

TEST_F(filter, errno_is_the_result)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EXDEV, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(-EXDEV, judged.results[1]);
	EXPECT_EQ(1, judged.after);
	EXPECT_EQ(SYSLET_DONE, judged.program.status);
}

TEST_F(filter, errno_zero)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(0, judged.results[1]);
	EXPECT_EQ(1, judged.after);
}

TEST_F(filter, errno_meets_stop_conditions)
{
	struct judged judged;

	judged_init(&judged);
	judged.atoms[1].flags = SYSLET_STOP_ON_NEGATIVE;
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EPERM, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(-EPERM, judged.program.result);
	EXPECT_EQ(1, judged.program.last);
	EXPECT_EQ(0, judged.after);
}

TEST_F(filter, sees_other_numbers_and_arguments_too)
{
	struct judged judged;

	judged_init(&judged);
	judged.atoms[1].args[0] = MAGIC + 1;
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_ERRNO | EXDEV, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(getppid(), judged.results[1]);
}

TEST_F(filter, sees_each_argument)
{
	struct judged judged;
	unsigned int pos;

	for (pos = 0; pos < 6; pos++)
		ASSERT_EQ(0, install(__NR_getppid, pos, SECCOMP_RET_ERRNO | (100 + pos), 0));
	for (pos = 0; pos < 6; pos++) {
		judged_init(&judged);
		judged.atoms[1].args[0] = 0;
		judged.atoms[1].args[pos] = MAGIC;
		ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
		EXPECT_EQ(-100 - (int)pos, judged.results[1]);
	}
}

TEST_F(filter, sees_an_argument_that_is_a_result)
{
	long value = 0;
	struct syslet_atom atoms[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), MAGIC } },
		{ .nr = __NR_getppid, .args = { 0, 0, 3 }, .arg_from = { 0, 0, 1 } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, install(__NR_getppid, 2, SECCOMP_RET_ERRNO | EXDEV, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EXDEV, program.result);
}

TEST_F(filter, an_ioctl_atom_is_an_ioctl)
{
	int waiting = -1;
	struct syslet_atom atoms[] = {
		{ .nr = __NR_ioctl, .args = { self->head.fd, MAGIC, PTR(&waiting) } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, install(__NR_ioctl, 1, SECCOMP_RET_ERRNO | EXDEV, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(-EXDEV, program.result);
}

TEST_F(filter, trap)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP | 33, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(1, traps);
	EXPECT_EQ(__NR_getppid, trap_syscall);
	EXPECT_EQ(33, trap_errno);
	EXPECT_EQ(SYS_SECCOMP, trap_code);
	EXPECT_EQ(1, judged.before);
	EXPECT_EQ(-ENOSYS, judged.results[1]);
	EXPECT_EQ(SYSLET_NOT_RUN, judged.results[2]);
	EXPECT_EQ(0, judged.after);
	EXPECT_EQ(1, judged.program.last);
	EXPECT_EQ(SYSLET_DONE, judged.program.status);
}

TEST_F(filter, trap_ends_the_batch)
{
	struct judged first, second;
	struct syslet_program programs[2];

	judged_init(&first);
	judged_init(&second);
	programs[0] = first.program;
	programs[1] = second.program;
	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	EXPECT_EQ(1, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_EQ(1, traps);
	EXPECT_EQ(SYSLET_DONE, programs[0].status);
	EXPECT_EQ(0, programs[1].status);
	EXPECT_EQ(0, second.before);
}

TEST_F(filter, trap_of_the_first_atom)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid, .args = { MAGIC } } };
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	EXPECT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1, traps);
	EXPECT_EQ(-ENOSYS, program.result);
}

TEST_F(filter, trap_then_plain_calls_work)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, catch_sigsys());
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	judged.atoms[1].args[0] = 0;
	ASSERT_EQ(1, dev_exec(self->head.fd, &judged.program, 1, 0));
	EXPECT_EQ(getppid(), judged.results[1]);
	EXPECT_EQ(1, traps);
}

TEST_F_SIGNAL(filter, trap_without_a_handler, SIGSYS)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_TRAP, 0));
	dev_exec(self->head.fd, &judged.program, 1, 0);
}

TEST_F_SIGNAL(filter, kill_process, SIGSYS)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_KILL_PROCESS, 0));
	dev_exec(self->head.fd, &judged.program, 1, 0);
}

TEST_F_SIGNAL(filter, kill_thread_of_the_only_one, SIGSYS)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_KILL_THREAD, 0));
	dev_exec(self->head.fd, &judged.program, 1, 0);
}

/* Cachemiss threads are none that the process could live on by. */
TEST_F_SIGNAL(filter, kill_thread_of_the_only_one_but_spares, SIGSYS)
{
	struct judged judged;

	ASSERT_EQ(0, ring_fill(&self->head, 1, 1));
	judged_init(&judged);
	judged.program.flags = 0;
	ASSERT_EQ(0, install(__NR_getppid, 0, SECCOMP_RET_KILL_THREAD, 0));
	ASSERT_EQ(0, ring_fill(&self->head, 2, 1));
	dev_exec(self->head.fd, &judged.program, 1, 0);
}

struct doomed {
	int fd;
	long installed;
	bool returned;
	struct judged judged;
};

static void *run_doomed(void *arg)
{
	struct doomed *doomed = arg;

	doomed->installed = install(__NR_getppid, 0, SECCOMP_RET_KILL_THREAD, 0);
	dev_exec(doomed->fd, &doomed->judged.program, 1, 0);
	doomed->returned = true;
	return NULL;
}

TEST_F(filter, kill_thread_spares_the_others)
{
	struct doomed doomed = { .fd = self->head.fd, .installed = -1 };
	pthread_t thread;

	judged_init(&doomed.judged);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_doomed, &doomed));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, doomed.installed);
	EXPECT_FALSE(doomed.returned);
	EXPECT_EQ(1, doomed.judged.before);
	EXPECT_EQ(0, doomed.judged.after);
	EXPECT_EQ(0, ring_fill(&self->head, 1, 1));
}

/* Ends within EXEC, in the way that @action says. */
static void *end_in_exec(void *arg)
{
	struct head head;
	struct judged judged;
	__u32 action = (long)arg;

	judged_init(&judged);
	if (head_open(&head, 8) || install(__NR_getppid, 0, action, 0))
		return NULL;
	dev_exec(head.fd, &judged.program, 1, SYSLET_EXEC_RING_ALL);
	return NULL;
}

TEST(a_killed_process_leaves_nothing_behind)
{
	long before = module_references();
	pid_t pid;

	if (before == -ENOENT)
		SKIP(return, "not a module");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		end_in_exec((void *)(long)SECCOMP_RET_KILL_PROCESS);
		_exit(1);
	}
	EXPECT_EQ(-SIGSYS, child_status(pid));
	EXPECT_EQ(before, module_references_come_to(before));
}

TEST(a_killed_thread_leaves_nothing_behind)
{
	long before = module_references();
	pid_t pid;

	if (before == -ENOENT)
		SKIP(return, "not a module");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, end_in_exec,
				   (void *)(long)SECCOMP_RET_KILL_THREAD))
			_exit(1);
		pthread_join(thread, NULL);
		_exit(0);
	}
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(before, module_references_come_to(before));
}

/* A thread that shares its file table with another process when it calls EXEC, and not for long. */
struct sharing {
	struct head head;
	struct judged judged;
	int go[2], fd;
	void *page;
	pid_t sharer;
	char stack[16384];
};

static int share_until_told(void *arg)
{
	struct sharing *sharing = arg;
	char byte;

	syscall(__NR_read, sharing->go[0], &byte, 1);
	syscall(__NR_exit_group, 0);
	return 0;
}

static void *end_in_exec_while_sharing(void *arg)
{
	struct sharing *sharing = arg;

	if (unshare(CLONE_FILES))
		return NULL;
	sharing->sharer = clone(share_until_told, sharing->stack + sizeof(sharing->stack),
				CLONE_VM | CLONE_FILES | SIGCHLD, sharing);
	if (sharing->sharer < 0 || install(__NR_getppid, 0, SECCOMP_RET_KILL_THREAD, 0))
		_exit(2);
	dev_ioctl(sharing->head.fd, SYSLET_IOC_EXEC, sharing->page);
	_exit(3);
}

TEST(a_killed_thread_whose_file_table_was_shared_leaves_nothing_behind)
{
	struct sharing *sharing;
	long before = module_references();
	struct syslet_exec *exec;
	pthread_t thread;
	int status;
	pid_t pid;

	if (before == -ENOENT)
		SKIP(return, "not a module");
	sharing = malloc(sizeof(*sharing));
	exec = fresh_page();
	ASSERT_NE(NULL, sharing);
	ASSERT_NE(NULL, exec);
	judged_init(&sharing->judged);
	*exec = (struct syslet_exec) {
		.size = sizeof(*exec), .programs = PTR(&sharing->judged.program), .nr_programs = 1,
	};
	ASSERT_EQ(0, pipe(sharing->go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		sharing->page = fresh_page();
		sharing->fd = watch_page(sharing->page);
		if (sharing->fd < 0)
			_exit(sharing->fd == -ENOSYS || sharing->fd == -EPERM ? 77 : 1);
		if (head_open(&sharing->head, 8) ||
		    pthread_create(&thread, NULL, end_in_exec_while_sharing, sharing) ||
		    page_is_wanted(sharing->fd) || write(sharing->go[1], "!", 1) != 1 ||
		    waitpid(sharing->sharer, NULL, __WALL) != sharing->sharer)
			_exit(1);
		_exit(fill_page_with(sharing->fd, sharing->page, exec) ||
		      pthread_join(thread, NULL));
	}
	status = child_status(pid);
	if (status == 77)
		SKIP(return, "no userfaultfd");
	EXPECT_EQ(0, status);
	EXPECT_EQ(before, module_references_come_to(before));
	free(sharing);
}

TEST_F_SIGNAL(filter, strict_mode_knows_no_ioctl, SIGKILL)
{
	struct judged judged;

	judged_init(&judged);
	ASSERT_EQ(0, prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	dev_exec(self->head.fd, &judged.program, 1, 0);
	syscall(__NR_exit, 0);
}

struct supervisor {
	int listener;
	struct seccomp_notif seen;
	struct seccomp_notif_resp answer;
	long received, sent;
};

static void *supervise(void *arg)
{
	struct supervisor *supervisor = arg;

	supervisor->received = sysret(ioctl(supervisor->listener, SECCOMP_IOCTL_NOTIF_RECV,
					    &supervisor->seen));
	supervisor->answer.id = supervisor->seen.id;
	supervisor->sent = sysret(ioctl(supervisor->listener, SECCOMP_IOCTL_NOTIF_SEND,
					&supervisor->answer));
	return NULL;
}

static void run_supervised(struct __test_metadata *_metadata, int fd, struct judged *judged,
			   struct supervisor *supervisor)
{
	pthread_t thread;

	judged_init(judged);
	judged->atoms[1].args[5] = 0x1234;
	supervisor->listener = install(__NR_getppid, 0, SECCOMP_RET_USER_NOTIF,
				       SECCOMP_FILTER_FLAG_NEW_LISTENER);
	ASSERT_LE(0, supervisor->listener);
	ASSERT_EQ(0, pthread_create(&thread, NULL, supervise, supervisor));
	ASSERT_EQ(1, dev_exec(fd, &judged->program, 1, 0));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, supervisor->received);
	ASSERT_EQ(0, supervisor->sent);
	EXPECT_EQ(__NR_getppid, supervisor->seen.data.nr);
	EXPECT_EQ(MAGIC, supervisor->seen.data.args[0]);
	EXPECT_EQ(0x1234, supervisor->seen.data.args[5]);
	EXPECT_EQ(1, judged->after);
}

TEST_F(filter, user_notif_answers_a_value)
{
	struct supervisor supervisor = { .answer = { .val = 4711 } };
	struct judged judged;

	run_supervised(_metadata, self->head.fd, &judged, &supervisor);
	EXPECT_EQ(4711, judged.results[1]);
}

TEST_F(filter, user_notif_answers_an_error)
{
	struct supervisor supervisor = { .answer = { .error = -EXDEV } };
	struct judged judged;

	run_supervised(_metadata, self->head.fd, &judged, &supervisor);
	EXPECT_EQ(-EXDEV, judged.results[1]);
}

TEST_F(filter, user_notif_lets_it_go_on)
{
	struct supervisor supervisor = {
		.answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE },
	};
	struct judged judged;

	run_supervised(_metadata, self->head.fd, &judged, &supervisor);
	EXPECT_EQ(getppid(), judged.results[1]);
}

TEST_F(filter, umem_add_is_no_call_to_judge)
{
	long value = 0;
	struct syslet_atom atoms[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), MAGIC } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, install(SYSLET_NR_UMEM_ADD, 1, SECCOMP_RET_KILL_PROCESS, 0));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(MAGIC, value);
}

TEST_HARNESS_MAIN
