// SPDX-License-Identifier: GPL-2.0
/* A head serves the address space that set it up, for as long as anyone holds it open. */
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "syslet_test.h"

FIXTURE_HEAD(owner, 8);

static long run_getppid(int fd)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);

	return dev_exec(fd, &program, 1, 0);
}

/* 0 if all that others may not do is refused with -EACCES, or the number of what is not. */
static int stranger(int fd, size_t ring_bytes)
{
	struct syslet_setup setup;

	if (run_getppid(fd) != -EACCES)
		return 1;
	if (dev_wait(fd, 0, 0) != -EACCES)
		return 2;
	if (mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED ||
	    errno != EACCES)
		return 3;
	if (dev_eventfd(fd, -1) != -EACCES)
		return 4;
	if (dev_setup(fd, 0, &setup) >= 0)
		return 5;
	return 0;
}

TEST_F(owner, a_child_is_a_stranger)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(stranger(self->head.fd, self->head.setup.ring_bytes));
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(1, run_getppid(self->head.fd));
}

TEST_F(owner, a_child_may_query)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct syslet_query query;

		_exit(dev_query(self->head.fd, &query) ? 1 : 0);
	}
	EXPECT_EQ(0, child_status(pid));
}

TEST_F(owner, a_child_that_closes_takes_nothing_away)
{
	pid_t pid;

	ASSERT_EQ(0, ring_fill(&self->head, 1, 10));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(close(self->head.fd));
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(8, dev_wait(self->head.fd, 8, 0));
	EXPECT_EQ(2, ring_overflow(&self->head));
}

TEST_F(owner, a_child_can_have_a_head_of_its_own)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct head head;

		if (head_open(&head, 8))
			_exit(1);
		_exit(ring_fill(&head, 1, 1) || ring_count(&head) != 1);
	}
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(owner, who_sets_up_owns)
{
	int fd = dev_open();
	pid_t pid;

	ASSERT_LE(0, fd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct syslet_setup setup;

		if (dev_setup(fd, 8, &setup))
			_exit(1);
		_exit(run_getppid(fd) == 1 ? 0 : 2);
	}
	EXPECT_EQ(0, child_status(pid));
	/* The owner is gone, its head is nobody's. */
	EXPECT_EQ(-EACCES, run_getppid(fd));
	EXPECT_EQ(-EACCES, dev_wait(fd, 0, 0));
}

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int socket)
{
	int fd;
	char control[CMSG_SPACE(sizeof(fd))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&message);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

TEST(a_head_sent_over_a_socket)
{
	int sockets[2];
	struct head head;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	/* Forked before there is a head: nothing of it is inherited. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = receive_fd(sockets[1]);

		_exit(fd < 0 ? 100 : stranger(fd, 4096));
	}
	ASSERT_EQ(0, head_open(&head, 8));
	ASSERT_EQ(0, send_fd(sockets[0], head.fd));
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(1, run_getppid(head.fd));
}

static void *run_in_thread(void *arg)
{
	return (void *)run_getppid((long)arg);
}

TEST_F(owner, its_other_threads_are_no_strangers)
{
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, run_in_thread, (void *)(long)self->head.fd));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(1, (long)ret);
}

/* What this very program does after an execve(): argv[2] is the head's descriptor. */
static int after_exec(int fd)
{
	return stranger(fd, 4096);
}

TEST_F(owner, execve_makes_a_stranger)
{
	pid_t pid;
	char fd[16];

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct head head;

		if (head_open(&head, 8) || fcntl(head.fd, F_SETFD, 0))
			_exit(100);
		snprintf(fd, sizeof(fd), "%d", head.fd);
		execl("/proc/self/exe", "owner", "--after-exec", fd, NULL);
		_exit(101);
	}
	EXPECT_EQ(0, child_status(pid));
}

/* Descriptors that go away under a program. */
TEST_F(owner, a_program_closes_the_last_descriptor_of_its_head)
{
	long value = 0;
	struct syslet_atom atoms[] = {
		{ .nr = __NR_close, .args = { self->head.fd } },
		{ .nr = __NR_getppid },
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 } },
	};
	__s64 results[] = { POISON64, POISON64, POISON64 };
	struct syslet_program programs[] = {
		PROGRAM(atoms, .results = PTR(results)),
		PROGRAM(atoms),
	};

	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(0, results[0]);
	EXPECT_EQ(getppid(), results[1]);
	EXPECT_EQ(2, value);
	EXPECT_EQ(2, ring_count(&self->head));
	EXPECT_EQ(-EBADF, run_getppid(self->head.fd));
	self->head.fd = -1;
}

TEST_F(owner, a_program_closes_everything)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_close_range, .args = { 0, ~0U, 0 } },
		{ .nr = __NR_getppid },
	};
	/* To close what is on a slow file system blocks. */
	struct syslet_program program = PROGRAM(atoms, .flags = SYSLET_SYNC);
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct head head;

		if (head_open(&head, 8))
			_exit(1);
		if (dev_exec(head.fd, &program, 1, SYSLET_EXEC_RING_ALL) != 1)
			_exit(2);
		if (program.result != getppid() || ring_count(&head) != 1)
			_exit(3);
		_exit(0);
	}
	EXPECT_EQ(0, child_status(pid));
}

TEST_F(owner, a_program_puts_another_file_in_its_place)
{
	int pipes[2];
	struct syslet_atom atoms[2];
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	atoms[0] = (struct syslet_atom) {
		.nr = __NR_dup2,
		.args = { pipes[0], self->head.fd },
	};
	atoms[1] = (struct syslet_atom) { .nr = __NR_getppid };
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(getppid(), program.result);
	EXPECT_EQ(1, ring_count(&self->head));
	EXPECT_EQ(-ENOTTY, run_getppid(self->head.fd));
}

TEST_F(owner, a_program_unmaps_the_ring)
{
	struct syslet_atom atoms[] = {
		{ .nr = __NR_munmap, .args = { PTR(self->head.ring), self->head.setup.ring_bytes } },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_RING_ALL));
	EXPECT_EQ(0, program.result);
	self->head.ring = NULL;
	EXPECT_EQ(1, dev_wait(self->head.fd, 1, 0));
}

TEST_F(owner, a_program_unmaps_its_own_text)
{
	long page_size = sysconf(_SC_PAGESIZE);
	char *page = page_before_hole();
	struct syslet_atom atoms[] = {
		{ .nr = __NR_munmap, .args = { PTR(page), page_size } },
		{ .nr = __NR_getppid },
		{ .nr = __NR_getpid },
	};
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_NE(NULL, page);
	memcpy(page, atoms, sizeof(atoms));
	program.atoms = PTR(page);
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(getpid(), program.result);
	EXPECT_EQ(2, program.last);
}

TEST_F(owner, a_program_unmaps_where_its_outcome_goes)
{
	long page_size = sysconf(_SC_PAGESIZE);
	char *page = page_before_hole();
	struct syslet_atom atoms[] = {
		{ .nr = __NR_munmap, .args = { PTR(page), page_size } },
	};
	struct syslet_program program = PROGRAM(atoms, .user_data = 3);
	struct syslet_cqe cqe;

	ASSERT_NE(NULL, page);
	memcpy(page, &program, sizeof(program));
	EXPECT_EQ(-EFAULT, dev_exec(self->head.fd, (void *)page, 1, SYSLET_EXEC_RING_ALL));
	/* It did run, and its completion says so. */
	ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_EQ(3, cqe.user_data);
	EXPECT_EQ(0, cqe.result);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--after-exec"))
		return after_exec(atoi(argv[2]));
	return test_harness_run(argc, argv);
}
