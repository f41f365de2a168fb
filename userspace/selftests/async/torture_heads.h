/* SPDX-License-Identifier: GPL-2.0 */
/* The heads of a worker, which its threads share, open and close. */
#ifndef TORTURE_HEADS_H
#define TORTURE_HEADS_H

#include "torture_program.h"

enum { EMPTY, OPENED, CLOSED };

/*
 * A head may be closed while others call it and while it has programs in
 * flight. Its number then names another file for as long as someone may use it,
 * and the ring stays mapped until all is taken from it.
 */
struct thread_head {
	struct head head;
	int state;		/* this and the next two under heads_lock */
	int users;		/* threads that may use the number */
	int owner;		/* thread that alone submits to it; -1: all do */
	int spare_fd;		/* another descriptor, kept over the close; or -1 */
	int left;		/* programs that may yet complete, or still run */
	int quiet;		/* those of them that have no completion */
	int canceling, cancels;	/* CANCEL_ALL calls under way, and so far */
	int overtaken;		/* its number was closed */
	pthread_mutex_t taking;
};

struct thread {
	unsigned int index;
	bool live;		/* its slots are in use */
	pid_t tid;
	pthread_t handle;
	__u64 random;
	__u64 next;		/* for user_data */
	__u64 mask;		/* signals that it blocks */
	__u32 mxcsr;
	struct slot slots[SLOTS];
};

static struct thread_head heads[HEADS];
static pthread_mutex_t heads_lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread threads[THREADS + EXTRAS];
static __thread struct thread *me;
static __thread __u64 canary;
static int null_fd = -1;

#define CANARY(thread)	(0xca9a4100ULL + (thread)->index)

static inline void doing(char what)
{
	place->doing[me->index] = what;
}

/* Also in signal handlers. */
static inline void check_identity(void)
{
	if (canary != CANARY(me))
		fail("thread %u has another's TLS", me->index);
	if (my_tid() != me->tid)
		fail("thread %u has TID %d, not %d", me->index, my_tid(), me->tid);
}

static inline void check_self(void)
{
	__u64 mask = 0;
	__u32 mxcsr;

	check_identity();
	__asm__ volatile("stmxcsr %0" : "=m" (mxcsr));
	/* But for the exceptions that have occurred. A handler has one of its own. */
	if ((mxcsr ^ me->mxcsr) & ~0x3f)
		fail("thread %u has MXCSR %x, not %x", me->index, mxcsr, me->mxcsr);
	if (syscall(__NR_rt_sigprocmask, SIG_BLOCK, NULL, &mask, KERNEL_SIGSET))
		fail("rt_sigprocmask: %s", strerror(errno));
	if (mask != me->mask)
		fail("thread %u has the signal mask %llx, not %llx", me->index,
		     (unsigned long long)mask, (unsigned long long)me->mask);
}

static inline void add(int *counter, int value)
{
	__atomic_fetch_add(counter, value, __ATOMIC_SEQ_CST);
}

static inline int get(int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static inline void open_head(void)
{
	static const int entries[] = { 1, 4, 32, 512 };
	static const int most[] = { 1, 3, 16, 64 };
	static const int idle[] = { 1, 5, 50, 5000 };
	__u64 *random = &me->random;
	struct thread_head *h;
	__u32 limit = most[below(random, 4)];
	long ret;

	pthread_mutex_lock(&heads_lock);
	for (h = heads; h < heads + HEADS && h->state != EMPTY; h++)
		;
	if (h < heads + HEADS) {
		ret = head_open_limits(&h->head, entries[below(random, 4)], limit,
				       1 + below(random, limit > 2 ? 2 : 1), idle[below(random, 4)]);
		if (ret)
			fail("a head does not open: %ld", ret);
		h->users = 0;
		h->owner = one_in(random, 3) && me->index < THREADS ? (int)me->index : -1;
		h->spare_fd = -1;
		h->left = h->quiet = h->canceling = h->cancels = h->overtaken = 0;
		h->state = OPENED;
		count(N_OPENED);
	}
	pthread_mutex_unlock(&heads_lock);
}

static inline bool may_use(struct thread_head *h)
{
	return h->state == OPENED && (h->owner < 0 || h->owner == (int)me->index);
}

/* One to submit to, or NULL. */
static inline struct thread_head *get_head(void)
{
	unsigned int i, at = below(&me->random, HEADS);
	struct thread_head *h = NULL;

	pthread_mutex_lock(&heads_lock);
	for (i = 0; i < HEADS; i++)
		if (may_use(&heads[(at + i) % HEADS]))
			break;
	if (i < HEADS) {
		h = &heads[(at + i) % HEADS];
		h->users++;
	}
	pthread_mutex_unlock(&heads_lock);
	return h;
}

/* Any that there is, closed or not, by its index; or NULL. */
static inline struct thread_head *get_any(unsigned int index)
{
	struct thread_head *h = NULL;

	pthread_mutex_lock(&heads_lock);
	if (heads[index].state != EMPTY) {
		h = &heads[index];
		h->users++;
	}
	pthread_mutex_unlock(&heads_lock);
	return h;
}

static inline void put_head(struct thread_head *h)
{
	pthread_mutex_lock(&heads_lock);
	h->users--;
	if (h->state == CLOSED && !h->users && !get(&h->left)) {
		munmap(h->head.ring, h->head.setup.ring_bytes);
		if (h->head.fd >= 0)
			close(h->head.fd);
		if (h->spare_fd >= 0)
			close(h->spare_fd);
		h->state = EMPTY;
	}
	pthread_mutex_unlock(&heads_lock);
}

/* A descriptor that reaches the head, if there still is one. */
static inline int fd_of(struct thread_head *h)
{
	return get(&h->overtaken) ? h->spare_fd : h->head.fd;
}

/* Closes one whatever it is at, or another descriptor of it. */
static inline void close_head(void)
{
	struct thread_head *h;
	unsigned int at = below(&me->random, HEADS);
	bool keep;
	int fd;

	pthread_mutex_lock(&heads_lock);
	h = &heads[at];
	if (h->state == OPENED && !one_in(&me->random, 3)) {
		/*
		 * What is kept back, or has no completion, is not heard of
		 * without a descriptor.
		 */
		keep = h->head.setup.cq_entries < 512 || get(&h->quiet) || one_in(&me->random, 2);
		if (keep)
			h->spare_fd = fcntl(h->head.fd, F_DUPFD_CLOEXEC, 0);
		if (keep && h->spare_fd < 0)
			fail("F_DUPFD: %s", strerror(errno));
		h->state = CLOSED;
		add(&h->overtaken, 1);
		if (h->users) {
			/* Nobody opens another head at this number yet. */
			if (dup3(null_fd, h->head.fd, O_CLOEXEC) != h->head.fd)
				fail("dup3: %s", strerror(errno));
		} else {
			fd = h->head.fd;
			h->head.fd = -1;
			close(fd);
		}
		h->users++;
		count(N_CLOSED);
	} else if (h->state == OPENED) {
		fd = fcntl(h->head.fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0)
			close(fd);
		h = NULL;
	} else {
		h = NULL;
	}
	pthread_mutex_unlock(&heads_lock);
	if (h)
		put_head(h);
}

/*
 * Whether a program of it may have been canceled by something that does not name it.
 * The one that is counted last is looked at first.
 */
static inline bool may_be_canceled(const struct slot *s)
{
	struct thread_head *h = s->head;

	return get(&h->overtaken) || get(&h->canceling) || get(&h->cancels) != (int)s->cancels;
}

/* The program that a completion belongs to is known, and has not completed before. */
static inline void complete(struct thread_head *h, const struct syslet_cqe *cqe)
{
	unsigned int thread = cqe->user_data >> 56, slot = cqe->user_data >> 48 & 0xff;
	struct slot *s;

	if (thread >= THREADS + EXTRAS || slot >= SLOTS)
		fail("a completion of nobody: %llx", (unsigned long long)cqe->user_data);
	s = &threads[thread].slots[slot];
	if (__atomic_load_n(&s->data, __ATOMIC_ACQUIRE) != cqe->user_data)
		fail("a stale completion: %llx, is %llx", (unsigned long long)cqe->user_data,
		     (unsigned long long)s->data);
	if (s->head != h)
		fail("a completion in another ring: %llx", (unsigned long long)cqe->user_data);
	if (s->flags & SYSLET_NO_COMPLETE)
		bad_program(s, "a completion that was not to be");
	if (cqe->reserved)
		fail("a reserved field is %llx", (unsigned long long)cqe->reserved);
	if (__atomic_load_n(&s->taken, __ATOMIC_ACQUIRE))
		bad_program(s, "a second completion");
	s->cqe = *cqe;
	s->excused = may_be_canceled(s);
	__atomic_store_n(&s->taken, true, __ATOMIC_RELEASE);
	add(&h->left, -1);
}

/* Takes some, or all, of what is in a ring. */
static inline void take_from(struct thread_head *h, unsigned int most)
{
	struct syslet_cqe cqe;

	pthread_mutex_lock(&h->taking);
	while (most-- && ring_take(&h->head, &cqe))
		complete(h, &cqe);
	pthread_mutex_unlock(&h->taking);
}

static inline void take(void)
{
	struct thread_head *h;
	unsigned int i;
	int fd;

	for (i = 0; i < HEADS; i++) {
		h = get_any(i);
		if (!h)
			continue;
		take_from(h, one_in(&me->random, 4) ? 2 : 1000);
		fd = fd_of(h);
		if (fd >= 0 && ring_overflow(&h->head))
			dev_wait(fd, 0, 0);
		put_head(h);
	}
}

#endif /* TORTURE_HEADS_H */
