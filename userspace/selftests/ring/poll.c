// SPDX-License-Identifier: GPL-2.0
/* The head as a file to poll. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include "syslet_test.h"

#define ENTRIES 4

FIXTURE(poll) {
	struct head head;
	int epoll;
};

FIXTURE_SETUP(poll)
{
	ASSERT_EQ(0, head_open(&self->head, ENTRIES));
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, self->epoll);
}

FIXTURE_TEARDOWN(poll)
{
	close(self->epoll);
	head_close(&self->head);
}

static int readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int ret = poll(&pollfd, 1, 0);

	return ret == 1 ? pollfd.revents : ret;
}

static void take(struct __test_metadata *_metadata, struct head *head, __u32 nr)
{
	struct syslet_cqe cqe;

	while (nr--)
		ASSERT_TRUE(ring_take(head, &cqe));
}

TEST_F(poll, an_empty_ring_is_not_readable)
{
	EXPECT_EQ(0, readable(self->head.fd));
}

TEST_F(poll, an_entry_makes_it_readable)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(POLLIN, readable(self->head.fd));
	EXPECT_EQ(POLLIN, readable(self->head.fd));
}

TEST_F(poll, until_the_last_entry_is_taken)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 2));
	take(_metadata, &self->head, 1);
	EXPECT_EQ(POLLIN, readable(self->head.fd));
	take(_metadata, &self->head, 1);
	EXPECT_EQ(0, readable(self->head.fd));
}

TEST_F(poll, entries_kept_back_count)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, ENTRIES + 1));
	take(_metadata, &self->head, ENTRIES);
	EXPECT_EQ(POLLIN, readable(self->head.fd));
}

TEST_F(poll, is_never_writable)
{
	struct pollfd pollfd = { .fd = self->head.fd, .events = POLLOUT };

	EXPECT_EQ(0, poll(&pollfd, 1, 0));
}

TEST_F(poll, select_agrees)
{
	struct timeval now = { 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(self->head.fd, &set);
	EXPECT_EQ(0, select(self->head.fd + 1, &set, NULL, NULL, &now));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	FD_SET(self->head.fd, &set);
	EXPECT_EQ(1, select(self->head.fd + 1, &set, NULL, NULL, &now));
}

struct poller {
	int fd;
	pid_t tid;
	int ret, revents;
};

static void *run_poller(void *arg)
{
	struct poller *poller = arg;
	struct pollfd pollfd = { .fd = poller->fd, .events = POLLIN };

	__atomic_store_n(&poller->tid, syscall(__NR_gettid), __ATOMIC_RELEASE);
	poller->ret = syscall(NR_PPOLL, &pollfd, 1, NULL, NULL, 8);
	poller->revents = pollfd.revents;
	return NULL;
}

TEST_F(poll, a_sleeping_poll_is_woken)
{
	struct poller poller = { .fd = self->head.fd };
	pthread_t thread;
	pid_t tid;

	ASSERT_EQ(0, pthread_create(&thread, NULL, run_poller, &poller));
	while (!(tid = __atomic_load_n(&poller.tid, __ATOMIC_ACQUIRE)))
		sched_yield();
	ASSERT_EQ(0, wait_blocked(tid, NR_PPOLL));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(1, poller.ret);
	EXPECT_EQ(POLLIN, poller.revents);
}

/* 1 with the head's event, or 0. */
static int event(int epoll)
{
	struct epoll_event event = { 0 };
	int ret = epoll_wait(epoll, &event, 1, 0);

	return ret == 1 && (event.events != EPOLLIN || event.data.u32 != 99) ? -1 : ret;
}

static int add(int epoll, int fd, __u32 events)
{
	struct epoll_event event = { .events = EPOLLIN | events, .data.u32 = 99 };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

TEST_F(poll, level_triggered)
{
	ASSERT_EQ(0, add(self->epoll, self->head.fd, 0));
	EXPECT_EQ(0, event(self->epoll));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, event(self->epoll));
	EXPECT_EQ(1, event(self->epoll));
	take(_metadata, &self->head, 1);
	EXPECT_EQ(0, event(self->epoll));
}

TEST_F(poll, edge_triggered)
{
	ASSERT_EQ(0, add(self->epoll, self->head.fd, EPOLLET));
	EXPECT_EQ(0, event(self->epoll));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, event(self->epoll));
	EXPECT_EQ(0, event(self->epoll));
}

TEST_F(poll, every_completion_is_an_edge)
{
	__u32 i;

	ASSERT_EQ(0, add(self->epoll, self->head.fd, EPOLLET));
	for (i = 0; i < 3; i++) {
		/* The entries before it are still there. */
		ASSERT_EQ(0, ring_fill(&self->head, i, 1));
		EXPECT_EQ(1, event(self->epoll));
		EXPECT_EQ(0, event(self->epoll));
	}
}

TEST_F(poll, a_completion_that_is_kept_back_is_an_edge)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, ENTRIES));
	ASSERT_EQ(0, add(self->epoll, self->head.fd, EPOLLET));
	EXPECT_EQ(1, event(self->epoll));
	ASSERT_EQ(0, ring_fill(&self->head, ENTRIES, 1));
	EXPECT_EQ(1, event(self->epoll));
}

TEST_F(poll, added_when_there_is_an_entry_already)
{
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	ASSERT_EQ(0, add(self->epoll, self->head.fd, EPOLLET));
	EXPECT_EQ(1, event(self->epoll));
}

TEST_F(poll, one_shot)
{
	ASSERT_EQ(0, add(self->epoll, self->head.fd, EPOLLONESHOT));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	EXPECT_EQ(1, event(self->epoll));
	ASSERT_EQ(0, ring_fill(&self->head, 1, 1));
	EXPECT_EQ(0, event(self->epoll));
}

TEST_F(poll, closed_while_in_an_epoll)
{
	__u64 deadline;

	ASSERT_EQ(0, ring_fill(&self->head, 0, 1));
	ASSERT_EQ(0, add(self->epoll, self->head.fd, 0));
	EXPECT_EQ(1, event(self->epoll));
	/* The mapping would keep the file open; so do threads on their way out. */
	head_close(&self->head);
	deadline = now_ns() + 10 * NSEC_PER_SEC;
	while (event(self->epoll) && now_ns() < deadline)
		sched_yield();
	EXPECT_EQ(0, event(self->epoll));
}

#define TOTAL 1000

static void *produce(void *arg)
{
	struct head *head = arg;
	long failed = 0, ret;
	__u32 i;

	for (i = 0; i < TOTAL; i++) {
		while ((ret = ring_fill(head, i, 1)) == -EBUSY)
			sched_yield();
		failed += ret != 0;
	}
	return (void *)failed;
}

/* Takes all that there is, kept back or not; returns how many came in order from @next on. */
static __u32 take_all(struct head *head, __u32 next)
{
	struct syslet_cqe cqe;
	__u32 taken = 0;

	do {
		while (ring_take(head, &cqe))
			if (cqe.user_data == next + taken)
				taken++;
	} while (ring_overflow(head) && dev_wait(head->fd, 0, 0) >= 0);
	return taken;
}

static void consume(struct __test_metadata *_metadata, struct head *head, int epoll, int eventfd)
{
	struct epoll_event event;
	pthread_t thread;
	__u32 taken = 0;
	void *failed;
	__u64 count;

	ASSERT_EQ(0, pthread_create(&thread, NULL, produce, head));
	while (taken < TOTAL) {
		ASSERT_EQ(1, epoll_wait(epoll, &event, 1, 20000));
		if (eventfd >= 0)
			ASSERT_EQ(sizeof(count), read(eventfd, &count, sizeof(count)));
		taken += take_all(head, taken);
	}
	ASSERT_EQ(0, pthread_join(thread, &failed));
	EXPECT_NULL(failed);
	EXPECT_EQ(0, dev_wait(head->fd, 0, 0));
}

TEST_F(poll, no_edge_is_lost)
{
	ASSERT_EQ(0, add(self->epoll, self->head.fd, EPOLLET));
	consume(_metadata, &self->head, self->epoll, -1);
}

TEST_F(poll, no_edge_of_an_eventfd_is_lost)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dev_eventfd(self->head.fd, fd));
	ASSERT_EQ(0, add(self->epoll, fd, EPOLLET));
	consume(_metadata, &self->head, self->epoll, fd);
}

TEST_HARNESS_MAIN
