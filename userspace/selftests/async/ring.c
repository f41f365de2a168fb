// SPDX-License-Identifier: GPL-2.0
/* Completions that come from cachemiss threads: none is lost, and no wake-up either. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "async_test.h"

#define ENTRIES	4
#define MANY	(3 * ENTRIES)

FIXTURE(ring) {
	struct head head;
	struct block block;
	int go[2];
	char bytes[64];
};

FIXTURE_SETUP(ring)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, ENTRIES));
	ASSERT_EQ(0, block_init(&self->block, 0));
	ASSERT_EQ(0, pipe2(self->go, O_CLOEXEC));
}

FIXTURE_TEARDOWN(ring)
{
	head_close(&self->head);
}

/* @nr programs that wait for a byte each, with user data @first, @first + 1, ... */
static void submit(struct __test_metadata *_metadata, FIXTURE_DATA(ring) *self, __u64 first, int nr)
{
	struct syslet_atom atom;
	struct syslet_program program;
	int i;

	for (i = 0; i < nr; i++) {
		atom = read_atom(self->go[0], &self->bytes[i], 1);
		program = (struct syslet_program) {
			.atoms = PTR(&atom),
			.nr_atoms = 1,
			.user_data = first + i,
		};
		ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
		ASSERT_EQ(SYSLET_PENDING, program.status);
	}
}

static void release(struct __test_metadata *_metadata, FIXTURE_DATA(ring) *self, int nr)
{
	static const char bytes[64];

	ASSERT_EQ(nr, write(self->go[1], bytes, nr));
}

/* Waits until @nr completions are there, in the ring or kept back. */
static void await(struct __test_metadata *_metadata, struct head *head, __u32 nr)
{
	__u64 deadline = now_ns() + PATIENCE;

	while (ring_count(head) + ring_overflow(head) < nr && now_ns() < deadline)
		sched_yield();
	ASSERT_EQ(nr, ring_count(head) + ring_overflow(head));
}

/* Takes @nr; their user data are @first, @first + 1, ... in any order. */
static void take_all(struct __test_metadata *_metadata, struct head *head, __u64 first, int nr)
{
	struct syslet_cqe cqe;
	__u64 seen = 0;
	int i;

	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, take_wait(head, &cqe));
		ASSERT_LE(first, cqe.user_data);
		ASSERT_GT(first + nr, cqe.user_data);
		EXPECT_CQE(cqe, cqe.user_data, 1, 0, SYSLET_CQE_ASYNC);
		EXPECT_FALSE(seen & (1ULL << (cqe.user_data - first)));
		seen |= 1ULL << (cqe.user_data - first);
	}
	EXPECT_FALSE(ring_take(head, &cqe));
}

TEST_F(ring, overflow_is_kept_and_delivered)
{
	submit(_metadata, self, 100, MANY);
	release(_metadata, self, MANY);
	await(_metadata, &self->head, MANY);
	EXPECT_EQ(ENTRIES, ring_count(&self->head));
	EXPECT_EQ(MANY - ENTRIES, ring_overflow(&self->head));
	take_all(_metadata, &self->head, 100, MANY);
	EXPECT_EQ(0, ring_overflow(&self->head));
}

/* Completions that come one by one are in the ring in that order, kept back or not. */
TEST_F(ring, order_of_what_was_kept)
{
	struct block blocks[MANY];
	struct syslet_cqe cqe;
	int i;

	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(0, block_init(&blocks[i], 0));
		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &blocks[i]));
	}
	for (i = MANY; i--;) {
		ASSERT_EQ(0, block_release(&blocks[i]));
		await(_metadata, &self->head, MANY - i);
	}
	for (i = MANY; i--;) {
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_CQE(cqe, PTR(&blocks[i]), 1, 2, SYSLET_CQE_ASYNC);
	}
}

TEST_F(ring, exec_moves_in_what_was_kept)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;
	int i;

	submit(_metadata, self, 0, 2 * ENTRIES);
	release(_metadata, self, 2 * ENTRIES);
	await(_metadata, &self->head, 2 * ENTRIES);
	for (i = 0; i < ENTRIES; i++)
		ASSERT_TRUE(ring_take(&self->head, &cqe));
	EXPECT_FALSE(ring_take(&self->head, &cqe));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, SYSLET_EXEC_RING_ALL));
	for (i = 0; i < ENTRIES; i++)
		ASSERT_TRUE(ring_take(&self->head, &cqe));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(getppid(), cqe.result);
}

/* Past four times the ring's size no more programs are taken; those in flight are not lost. */
TEST_F(ring, too_many_kept)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;
	int i;

	submit(_metadata, self, 0, 6 * ENTRIES);
	release(_metadata, self, 6 * ENTRIES);
	await(_metadata, &self->head, 6 * ENTRIES);
	EXPECT_EQ(-EBUSY, dev_exec(self->head.fd, &program, 1, 0));
	for (i = 0; i < 2 * ENTRIES; i++)
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	for (i = 0; i < 4 * ENTRIES; i++)
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_FALSE(ring_take(&self->head, &cqe));
}

TEST_F(ring, wait_for_several)
{
	submit(_metadata, self, 0, ENTRIES);
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, 1, 0));
	release(_metadata, self, ENTRIES - 1);
	EXPECT_EQ(ENTRIES - 1, dev_wait(self->head.fd, ENTRIES - 1, PATIENCE));
	EXPECT_EQ(-ETIME, dev_wait(self->head.fd, ENTRIES, 20 * NSEC_PER_MSEC));
	release(_metadata, self, 1);
	EXPECT_EQ(ENTRIES, dev_wait(self->head.fd, ENTRIES, PATIENCE));
}

struct waiter {
	pthread_t thread;
	struct head *head;
	__u32 min;
	pid_t tid;
	__s64 result;
};

static void *wait_in_thread(void *arg)
{
	struct waiter *waiter = arg;

	__atomic_store_n(&waiter->tid, my_tid(), __ATOMIC_RELEASE);
	waiter->result = dev_wait(waiter->head->fd, waiter->min, PATIENCE);
	return NULL;
}

static void start_waiter(struct __test_metadata *_metadata, struct waiter *waiter,
			 struct head *head, __u32 min)
{
	pid_t tid;

	*waiter = (struct waiter) { .head = head, .min = min, .result = POISON64 };
	ASSERT_EQ(0, pthread_create(&waiter->thread, NULL, wait_in_thread, waiter));
	while (!(tid = __atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	ASSERT_EQ(0, wait_blocked(tid, __NR_ioctl));
}

TEST_F(ring, two_threads_wait)
{
	struct waiter one, three;

	submit(_metadata, self, 0, 3);
	start_waiter(_metadata, &one, &self->head, 1);
	start_waiter(_metadata, &three, &self->head, 3);
	release(_metadata, self, 1);
	ASSERT_EQ(0, pthread_join(one.thread, NULL));
	EXPECT_EQ(1, one.result);
	EXPECT_EQ(POISON64, three.result);
	release(_metadata, self, 2);
	ASSERT_EQ(0, pthread_join(three.thread, NULL));
	EXPECT_EQ(3, three.result);
}

TEST_F(ring, waits_of_both_threads_end_with_one_completion)
{
	struct waiter first, second;

	submit(_metadata, self, 0, 1);
	start_waiter(_metadata, &first, &self->head, 1);
	start_waiter(_metadata, &second, &self->head, 1);
	release(_metadata, self, 1);
	ASSERT_EQ(0, pthread_join(first.thread, NULL));
	ASSERT_EQ(0, pthread_join(second.thread, NULL));
	EXPECT_EQ(1, first.result);
	EXPECT_EQ(1, second.result);
}

static volatile sig_atomic_t calls;

static void on_signal(int sig)
{
	(void)sig;
	calls++;
}

/* The mask of WAIT lets a signal in that came before, and only then. */
TEST_F(ring, wait_with_a_mask)
{
	struct sigaction action = { .sa_handler = on_signal };
	__u64 none = 0, own = SIGBIT(SIGUSR1), now = 0;
	struct syslet_wait wait = {
		.size = sizeof(wait),
		.min_complete = 1,
		.timeout_ns = PATIENCE,
		.sigset_size = KERNEL_SIGSET,
		.sigmask = PTR(&none),
	};

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, syscall(__NR_rt_sigprocmask, SIG_SETMASK, &own, NULL, KERNEL_SIGSET));
	submit(_metadata, self, 0, 1);
	ASSERT_EQ(0, kill(getpid(), SIGUSR1));
	EXPECT_EQ(0, calls);
	EXPECT_EQ(-EINTR, dev_ioctl(self->head.fd, SYSLET_IOC_WAIT, &wait));
	EXPECT_EQ(1, calls);
	ASSERT_EQ(0, syscall(__NR_rt_sigprocmask, SIG_BLOCK, NULL, &now, KERNEL_SIGSET));
	EXPECT_EQ(own, now);
	release(_metadata, self, 1);
	EXPECT_EQ(1, dev_ioctl(self->head.fd, SYSLET_IOC_WAIT, &wait));
	EXPECT_EQ(1, calls);
}

/* One edge for each completion into an empty ring, over many rounds. */
TEST_F(ring, epoll_edges)
{
	unsigned int i, nr = 100 * stress();
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct syslet_cqe cqe;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_LE(0, epoll);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->head.fd, &event));
	for (i = 0; i < nr; i++) {
		submit(_metadata, self, i, 1);
		ASSERT_EQ(0, epoll_wait(epoll, &event, 1, 0));
		release(_metadata, self, 1);
		ASSERT_EQ(1, epoll_wait(epoll, &event, 1, 15000));
		EXPECT_EQ(EPOLLIN, event.events);
		ASSERT_TRUE(ring_take(&self->head, &cqe));
		EXPECT_CQE(cqe, i, 1, 0, SYSLET_CQE_ASYNC);
	}
}

/* A consumer that drains at each edge gets everything, however edges and completions fall. */
TEST_F(ring, epoll_edges_under_load)
{
	unsigned int i, taken = 0, nr = 60 * stress();
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct syslet_cqe cqe;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_LE(0, epoll);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->head.fd, &event));
	for (i = 0; i < nr; i++) {
		submit(_metadata, self, 3 * i, 3);
		release(_metadata, self, 3);
		while (taken < 3 * (i + 1)) {
			ASSERT_EQ(1, epoll_wait(epoll, &event, 1, 15000));
			while (ring_take(&self->head, &cqe))
				taken++;
		}
	}
	EXPECT_EQ(3 * nr, taken);
}

TEST_F(ring, poll_wakes_up)
{
	unsigned int i, nr = 60 * stress();
	struct pollfd pollfd = { .fd = self->head.fd, .events = POLLIN };
	struct syslet_cqe cqe;

	for (i = 0; i < nr; i++) {
		submit(_metadata, self, i, 1);
		ASSERT_EQ(0, poll(&pollfd, 1, 0));
		release(_metadata, self, 1);
		ASSERT_EQ(1, poll(&pollfd, 1, 15000));
		EXPECT_EQ(POLLIN, pollfd.revents);
		ASSERT_TRUE(ring_take(&self->head, &cqe));
	}
}

TEST_F(ring, eventfd_counts_every_completion)
{
	unsigned int i, nr = 20 * stress();
	int fd = eventfd(0, EFD_CLOEXEC);
	__u64 value, sum = 0;
	struct syslet_cqe cqe;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dev_eventfd(self->head.fd, fd));
	for (i = 0; i < nr; i++) {
		submit(_metadata, self, 0, MANY);
		release(_metadata, self, MANY);
		while (sum < (i + 1) * MANY) {
			ASSERT_EQ(sizeof(value), read(fd, &value, sizeof(value)));
			sum += value;
		}
		EXPECT_EQ((i + 1) * MANY, sum);
		while (dev_wait(self->head.fd, 1, 0) >= 1)
			ring_take(&self->head, &cqe);
	}
}

TEST_HARNESS_MAIN
