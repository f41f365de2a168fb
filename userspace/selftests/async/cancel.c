// SPDX-License-Identifier: GPL-2.0
/* CANCEL: programs in flight are interrupted, and end as canceled. */
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include "async_test.h"
#include "../watched_page.h"

#define DATA	0xca9ce1ULL

FIXTURE_BLOCK(cancel);

TEST_F(cancel, is_a_feature)
{
	EXPECT_TRUE(dev_features() & SYSLET_FEAT_CANCEL);
}

TEST_F(cancel, nothing_in_flight)
{
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, DATA, 0));
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, 0, SYSLET_CANCEL_ALL));
}

TEST_F(cancel, unknown_flags)
{
	EXPECT_EQ(-EINVAL, dev_cancel(self->head.fd, DATA, 2));
	EXPECT_EQ(-EINVAL, dev_cancel(self->head.fd, DATA, SYSLET_CANCEL_ALL | 0x80000000U));
}

TEST_F(cancel, before_setup)
{
	int fd = dev_open();

	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENXIO, dev_cancel(fd, DATA, 0));
	close(fd);
}

TEST_F(cancel, one_of_another_user_data)
{
	self->block.program.user_data = DATA;
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, DATA + 1, 0));
	EXPECT_EQ(1, dev_cancel(self->head.fd, DATA, 0));
}

TEST_F(cancel, one_that_has_completed)
{
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, PTR(&self->block), 0));
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, 0, SYSLET_CANCEL_ALL));
}

TEST_F(cancel, ends_the_program)
{
	struct syslet_cqe cqe;

	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ASSERT_EQ(1, dev_cancel(self->head.fd, PTR(&self->block), 0));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, PTR(&self->block), -ECANCELED, 0, SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
	EXPECT_EQ(SYSLET_NOT_RUN, self->block.results[1]);
	EXPECT_EQ(SYSLET_NOT_RUN, self->block.results[2]);
	/* Nothing of the pipe was taken. */
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	EXPECT_EQ('!', read_byte(self->block.go[0]));
	EXPECT_EQ((char)POISON_BYTE, self->block.byte);
}

TEST_F(cancel, in_a_later_atom)
{
	char byte;
	struct syslet_atom atoms[] = {
		self->block.atoms[0],
		{ .nr = __NR_getppid },
		read_atom(self->block.done[0], &byte, 1),
		{ .nr = __NR_getppid },
	};
	__s64 results[4];
	struct syslet_program program = PROGRAM(atoms, .user_data = DATA, .results = PTR(results));
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_TRUE(result_appears(&results[1]));
	EXPECT_EQ(1, dev_cancel(self->head.fd, DATA, 0));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, DATA, -ECANCELED, 2, SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
	EXPECT_EQ(1, results[0]);
	EXPECT_EQ(getppid(), results[1]);
	EXPECT_EQ(SYSLET_NOT_RUN, results[3]);
}

TEST_F(cancel, all_with_the_same_user_data)
{
	struct block blocks[6];
	struct syslet_cqe cqe;
	int i;

	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, block_init(&blocks[i], 0));
		blocks[i].program.user_data = i % 2;
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &blocks[i]));
	}
	EXPECT_EQ(3, dev_cancel(self->head.fd, 1, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_CQE(cqe, 1, -ECANCELED, 0, SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
	}
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 20 * NSEC_PER_MSEC));
	for (i = 0; i < 6; i += 2) {
		ASSERT_EQ(0, block_release(&blocks[i]));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_CQE(cqe, 0, 1, 2, SYSLET_CQE_ASYNC);
	}
}

TEST_F(cancel, all)
{
	struct block blocks[6];
	struct syslet_cqe cqe;
	int i;

	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, block_init(&blocks[i], 0));
		blocks[i].program.user_data = i;
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &blocks[i]));
	}
	EXPECT_EQ(6, dev_cancel(self->head.fd, 77, SYSLET_CANCEL_ALL));
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_EQ(-ECANCELED, cqe.result);
	}
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, 77, SYSLET_CANCEL_ALL));
}

TEST_F(cancel, only_of_this_head)
{
	struct head other;
	struct block block;

	ASSERT_EQ(0, head_open(&other, 8));
	ASSERT_EQ(0, block_init(&block, 0));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&other, &block));
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, PTR(&block), 0));
	EXPECT_EQ(-ENOENT, dev_cancel(self->head.fd, 0, SYSLET_CANCEL_ALL));
	EXPECT_EQ(0, block_finish(&other, &block));
	head_close(&other);
}

TEST_F(cancel, one_without_a_completion)
{
	self->block.program.flags = SYSLET_NO_COMPLETE;
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(1, dev_cancel(self->head.fd, PTR(&self->block), 0));
	ASSERT_TRUE(result_appears(&self->block.results[0]));
	EXPECT_GT(0, self->block.results[0]);
	EXPECT_EQ(0, ring_count(&self->head));
}

TEST_F(cancel, the_worker_serves_again)
{
	struct syslet_cqe cqe;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
		ASSERT_EQ(1, dev_cancel(self->head.fd, PTR(&self->block), 0));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_EQ(-ECANCELED, cqe.result);
		ASSERT_EQ(0, hop(&self->head, &self->block));
	}
}

/* A caller's own calls are not interrupted by what meant a worker. */
TEST_F(cancel, leaves_no_signal_behind)
{
	struct pollfd pollfd = { .fd = self->block.done[0], .events = POLLIN };
	struct syslet_cqe cqe;
	sigset_t pending;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
		ASSERT_EQ(1, dev_cancel(self->head.fd, PTR(&self->block), 0));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_EQ(0, poll(&pollfd, 1, 5));
		ASSERT_EQ(0, sigpending(&pending));
		EXPECT_EQ(0, memcmp(&pending, &(sigset_t) { 0 }, KERNEL_SIGSET));
	}
}

static void *cancel_soon(void *arg)
{
	FIXTURE_DATA(cancel) *self = arg;
	long ret;

	do
		ret = dev_cancel(self->head.fd, DATA, 0);
	while (ret == -ENOENT);
	return (void *)ret;
}

TEST_F(cancel, by_another_thread)
{
	pthread_t thread;
	struct syslet_cqe cqe;
	void *ret;

	self->block.program.user_data = DATA;
	ASSERT_EQ(0, pthread_create(&thread, NULL, cancel_soon, self));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(-ECANCELED, cqe.result);
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(1, (long)ret);
}

/* Released and canceled at about the same time: it ends once, one way or the other. */
TEST_F(cancel, races_with_the_end)
{
	unsigned int i, nr = 60 * stress();
	struct syslet_cqe cqe;
	long ret;

	for (i = 0; i < nr; i++) {
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
		ASSERT_EQ(1, write(self->block.go[1], "!", 1));
		ret = dev_cancel(self->head.fd, PTR(&self->block), 0);
		ASSERT_TRUE(ret == 1 || ret == -ENOENT);
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		if (cqe.flags & SYSLET_CQE_CANCELED) {
			EXPECT_EQ(-ECANCELED, cqe.result);
			EXPECT_EQ(1, ret);
		} else {
			EXPECT_EQ(1, cqe.result);
			EXPECT_EQ(2, cqe.last);
		}
		ASSERT_FALSE(ring_take(&self->head, &cqe));
		/* Whatever is left in the pipes belongs to this round. */
		ASSERT_EQ(0, fcntl(self->block.go[0], F_SETFL, O_NONBLOCK));
		ASSERT_EQ(0, fcntl(self->block.done[0], F_SETFL, O_NONBLOCK));
		if (read(self->block.go[0], &self->block.byte, 1) == 1) {
			EXPECT_TRUE(cqe.flags & SYSLET_CQE_CANCELED);
		}
		while (read(self->block.done[0], &self->block.byte, 1) == 1)
			;
		ASSERT_EQ(0, fcntl(self->block.go[0], F_SETFL, 0));
	}
}

/* Whether a program that was canceled has completed, once, as canceled or with its result. */
static bool completes_once(struct head *head, long canceled, __u64 user_data, __s64 result,
			   __u32 last)
{
	struct syslet_cqe cqe, more;

	if ((canceled != 1 && canceled != -ENOENT) || take_wait(head, &cqe) ||
	    cqe.user_data != user_data)
		return false;
	if (cqe.flags == (SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED)) {
		if (canceled != 1 || cqe.result != -ECANCELED)
			return false;
	} else if (cqe.flags != SYSLET_CQE_ASYNC || cqe.result != result || cqe.last != last) {
		return false;
	}
	return dev_wait(head->fd, 1, 10 * NSEC_PER_MSEC) == -ETIME && !ring_take(head, &more) &&
	       dev_cancel(head->fd, user_data, 0) == -ENOENT;
}

/* It may be about to leave, to begin, to end, or blocked. */
TEST_F(cancel, one_that_was_just_submitted)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid }, { .nr = __NR_getppid } };
	unsigned int i, nr = 60 * stress();
	struct syslet_program program;
	struct syslet_cqe cqe;
	long ret;

	for (i = 0; i < nr; i++) {
		program = PROGRAM(atoms, .user_data = DATA, .flags = SYSLET_ASYNC);
		ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
		ASSERT_EQ(SYSLET_PENDING, program.status);
		ret = dev_cancel(self->head.fd, DATA, 0);
		ASSERT_TRUE(completes_once(&self->head, ret, DATA, getppid(), 1));
		/* One that is to block first; nobody lets it go on. */
		self->block.program.flags = SYSLET_ASYNC;
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
		ASSERT_EQ(1, dev_cancel(self->head.fd, PTR(&self->block), 0));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_CQE(cqe, PTR(&self->block), -ECANCELED, 0,
			   SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
		ASSERT_FALSE(ring_take(&self->head, &cqe));
	}
}

/*
 * The process is stopped, and goes on: the cachemiss thread is on its way from
 * where it was stopped back into its call, or about to end, when it is canceled.
 */
static int cancel_after_stops(unsigned int nr, bool released)
{
	struct block block;
	struct head head;
	unsigned int i;
	long ret;

	child_open(&head, &block);
	for (i = 0; i < nr; i++) {
		if (block_submit(&head, &block) != SYSLET_PENDING)
			return 10;
		/* On the far side of the stop the program may end by itself. */
		if (released && write(block.go[1], "!", 1) != 1)
			return 11;
		if (kill(getpid(), SIGSTOP))
			return 12;
		ret = dev_cancel(head.fd, PTR(&block), 0);
		if (!released && ret != 1)
			return 13;
		if (!completes_once(&head, ret, PTR(&block), 1, 2))
			return 14;
		/* What is left in the pipes belongs to this round. */
		block_free(&block);
		if (block_init(&block, 0))
			return 15;
	}
	return 42;
}

static void stop_and_continue(struct __test_metadata *_metadata, bool released)
{
	unsigned int i, nr = 20 * stress();
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(cancel_after_stops(nr, released));
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
		ASSERT_TRUE(WIFSTOPPED(status)) {
			TH_LOG("in round %u: %x", i, status);
		}
		ASSERT_EQ(0, kill(pid, SIGCONT));
	}
	EXPECT_EQ(42, child_status(pid));
}

TEST_F(cancel, after_a_stop)
{
	stop_and_continue(_metadata, false);
}

TEST_F(cancel, after_a_stop_and_released)
{
	stop_and_continue(_metadata, true);
}

/* A tracer has stopped the cachemiss thread alone: it completes once it is let go. */
TEST_F(cancel, a_stopped_thread)
{
	int i, count, status, stopped[2], canceled[2];
	pid_t pid, tids[8];

	ASSERT_EQ(0, pipe2(stopped, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(canceled, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head head;
		long ret;

		child_move(&head, &block);
		if (write(canceled[1], "m", 1) != 1 || read_byte(stopped[0]) != 's')
			_exit(10);
		ret = dev_cancel(head.fd, PTR(&block), 0);
		if (ret != 1 || dev_wait(head.fd, 1, 50 * NSEC_PER_MSEC) != -ETIME)
			_exit(11);
		/* Once more is no more. */
		if (dev_cancel(head.fd, PTR(&block), 0) != 1 || write(canceled[1], "c", 1) != 1)
			_exit(12);
		_exit(completes_once(&head, ret, PTR(&block), -ECANCELED, 0) &&
		      block.results[1] == SYSLET_NOT_RUN ? 42 : 13);
	}
	ASSERT_EQ('m', read_byte(canceled[0]));
	count = list_tasks(pid, tids, 8);
	ASSERT_LE(2, count);
	for (i = 0; i < count; i++) {
		/* The caller has its PID; the others are the blocked one and, maybe, spares. */
		if (tids[i] == pid)
			continue;
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, tids[i], NULL, NULL));
		ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, tids[i], NULL, NULL));
		ASSERT_EQ(tids[i], waitpid(tids[i], &status, __WALL));
		ASSERT_TRUE(WIFSTOPPED(status));
	}
	ASSERT_EQ(1, write(stopped[1], "s", 1));
	ASSERT_EQ('c', read_byte(canceled[0]));
	for (i = 0; i < count; i++) {
		if (tids[i] == pid)
			continue;
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, tids[i], NULL, NULL));
	}
	EXPECT_EQ(42, child_status(pid));
}

/*
 * A file that another write has locked cannot be waited for interruptibly: the
 * program does not end before it can, and then at once.
 *
 * The other write holds the lock as long as the page that it is to read from is
 * missing, which userfaultfd decides.
 */
struct writer {
	int fd;
	char *page;
	pid_t tid;
	ssize_t result;
};

static void *write_page(void *arg)
{
	struct writer *writer = arg;

	__atomic_store_n(&writer->tid, my_tid(), __ATOMIC_RELEASE);
	writer->result = write(writer->fd, writer->page, 16);
	return NULL;
}

TEST_F(cancel, what_cannot_be_interrupted)
{
	struct writer writer = { .fd = memfd_create("syslet-test", MFD_CLOEXEC) };
	struct syslet_atom atoms[] = {
		write_atom(writer.fd, "abc", 3),
		{ .nr = __NR_getppid },
	};
	__s64 results[2];
	struct syslet_program program = PROGRAM(atoms, .user_data = DATA, .results = PTR(results));
	struct syslet_cqe cqe;
	pthread_t thread;
	pid_t tid;
	int uffd;

	ASSERT_LE(0, writer.fd);
	WATCHED_PAGE(writer.page, uffd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_page, &writer));
	while (!(tid = __atomic_load_n(&writer.tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	ASSERT_EQ(0, wait_blocked(tid, __NR_write));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	EXPECT_EQ(1, dev_cancel(self->head.fd, DATA, 0));
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 50 * NSEC_PER_MSEC));
	ASSERT_EQ(0, fill_page(uffd, writer.page));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(16, writer.result);
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, DATA, -ECANCELED, 0, SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
	EXPECT_EQ(SYSLET_NOT_RUN, results[1]);
}

/* The kinds of calls that programs wait in. */
FIXTURE(call) {
	struct head head;
	struct syslet_atom atom;
	struct __kernel_timespec ts;
	struct pollfd pollfd;
	struct epoll_event event;
	__u32 word;
	char byte;
};

FIXTURE_VARIANT(call) {
	int kind;
};

enum { PIPE, SLEEP, FUTEX, ACCEPT, POLL, EPOLL, RECV, FLOCK };

FIXTURE_VARIANT_ADD(call, pipe_read) { PIPE };
FIXTURE_VARIANT_ADD(call, nanosleep) { SLEEP };
FIXTURE_VARIANT_ADD(call, futex) { FUTEX };
FIXTURE_VARIANT_ADD(call, accept) { ACCEPT };
FIXTURE_VARIANT_ADD(call, poll) { POLL };
FIXTURE_VARIANT_ADD(call, epoll_wait) { EPOLL };
FIXTURE_VARIANT_ADD(call, socket_read) { RECV };
FIXTURE_VARIANT_ADD(call, flock) { FLOCK };

FIXTURE_SETUP(call)
{
	char path[32];
	int fds[2], fd;

	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 8));
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	self->ts.tv_sec = 1000;
	switch (variant->kind) {
	case PIPE:
		self->atom = read_atom(fds[0], &self->byte, 1);
		break;
	case SLEEP:
		self->atom = (struct syslet_atom) {
			.nr = NR_CLOCK_NANOSLEEP,
			.args = { CLOCK_MONOTONIC, 0, PTR(&self->ts), 0 },
		};
		break;
	case FUTEX:
		self->atom = (struct syslet_atom) {
			.nr = NR_FUTEX,
			.args = { PTR(&self->word), 0, 0, 0 },
		};
		break;
	case ACCEPT:
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, bind(fd, &(struct sockaddr) { .sa_family = AF_UNIX },
				  sizeof(sa_family_t)));
		ASSERT_EQ(0, listen(fd, 1));
		self->atom = (struct syslet_atom) { .nr = __NR_accept4, .args = { fd } };
		break;
	case POLL:
		self->pollfd = (struct pollfd) { .fd = fds[0], .events = POLLIN };
		self->atom = (struct syslet_atom) {
			.nr = __NR_poll,
			.args = { PTR(&self->pollfd), 1, -1 },
		};
		break;
	case EPOLL:
		fd = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_LE(0, fd);
		self->event.events = EPOLLIN;
		ASSERT_EQ(0, epoll_ctl(fd, EPOLL_CTL_ADD, fds[0], &self->event));
		self->atom = (struct syslet_atom) {
			.nr = __NR_epoll_wait,
			.args = { fd, PTR(&self->event), 1, -1 },
		};
		break;
	case RECV:
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
		self->atom = read_atom(fds[0], &self->byte, 1);
		break;
	case FLOCK:
		fd = file_with("x", path);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, flock(fd, LOCK_EX));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		self->atom = (struct syslet_atom) { .nr = __NR_flock, .args = { fd, LOCK_EX } };
		break;
	}
}

FIXTURE_TEARDOWN(call)
{
	head_close(&self->head);
}

TEST_F(call, is_canceled)
{
	struct syslet_atom atoms[] = { self->atom, { .nr = __NR_getppid } };
	__s64 results[2];
	struct syslet_program program = PROGRAM(atoms, .user_data = DATA, .results = PTR(results));
	struct syslet_cqe cqe;

	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(1, dev_cancel(self->head.fd, DATA, 0));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, DATA, -ECANCELED, 0, SYSLET_CQE_ASYNC | SYSLET_CQE_CANCELED);
	EXPECT_EQ(SYSLET_NOT_RUN, results[1]);
}

TEST_HARNESS_MAIN
