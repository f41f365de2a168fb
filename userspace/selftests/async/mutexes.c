// SPDX-License-Identifier: GPL-2.0
/* Locks that know their owner's TID, held while the owner goes on in another task. */
#include <linux/futex.h>
#include "async_test.h"

FIXTURE(mutexes) {
	struct head head;
	struct block block;
	pthread_mutexattr_t attr;
	pthread_mutex_t mutex;
};

FIXTURE_SETUP(mutexes)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, block_init(&self->block, 0));
	ASSERT_EQ(0, pthread_mutexattr_init(&self->attr));
}

FIXTURE_TEARDOWN(mutexes)
{
	head_close(&self->head);
}

static void *try_lock(void *mutex)
{
	return (void *)(long)pthread_mutex_trylock(mutex);
}

/* What another thread gets that tries to lock @mutex. */
static int others_try(pthread_mutex_t *mutex)
{
	pthread_t thread;
	void *ret;

	if (pthread_create(&thread, NULL, try_lock, mutex) || pthread_join(thread, &ret))
		return -1;
	return (long)ret;
}

TEST_F(mutexes, recursive)
{
	ASSERT_EQ(0, pthread_mutexattr_settype(&self->attr, PTHREAD_MUTEX_RECURSIVE));
	ASSERT_EQ(0, pthread_mutex_init(&self->mutex, &self->attr));
	ASSERT_EQ(0, pthread_mutex_lock(&self->mutex));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(0, pthread_mutex_lock(&self->mutex));
	EXPECT_EQ(EBUSY, others_try(&self->mutex));
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	EXPECT_EQ(0, pthread_mutex_lock(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
	EXPECT_EQ(EBUSY, others_try(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
	EXPECT_EQ(0, others_try(&self->mutex));
}

TEST_F(mutexes, error_checking)
{
	ASSERT_EQ(0, pthread_mutexattr_settype(&self->attr, PTHREAD_MUTEX_ERRORCHECK));
	ASSERT_EQ(0, pthread_mutex_init(&self->mutex, &self->attr));
	ASSERT_EQ(0, pthread_mutex_lock(&self->mutex));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(EDEADLK, pthread_mutex_lock(&self->mutex));
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	EXPECT_EQ(EDEADLK, pthread_mutex_lock(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
	EXPECT_EQ(EPERM, pthread_mutex_unlock(&self->mutex));
}

struct owner {
	struct head *head;
	pthread_mutex_t *mutex;
	long result;
};

static void *die_as_owner(void *arg)
{
	struct owner *owner = arg;
	struct block block;

	owner->result = block_init(&block, SYSLET_NO_COMPLETE);
	if (!owner->result)
		owner->result = pthread_mutex_lock(owner->mutex);
	if (!owner->result)
		owner->result = hop(owner->head, &block);
	return NULL;
}

static void make_robust(struct __test_metadata *_metadata, pthread_mutexattr_t *attr,
			pthread_mutex_t *mutex)
{
	ASSERT_EQ(0, pthread_mutexattr_setrobust(attr, PTHREAD_MUTEX_ROBUST));
	ASSERT_EQ(0, pthread_mutex_init(mutex, attr));
}

TEST_F(mutexes, robust_of_a_thread_that_dies)
{
	struct owner owner = { &self->head, &self->mutex, -1 };
	pthread_t thread;

	make_robust(_metadata, &self->attr, &self->mutex);
	ASSERT_EQ(0, pthread_create(&thread, NULL, die_as_owner, &owner));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, owner.result);
	EXPECT_EQ(EOWNERDEAD, pthread_mutex_lock(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_consistent(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
}

static void *die_moved(void *arg)
{
	struct owner *owner = arg;
	static struct block block;

	owner->result = block_init(&block, SYSLET_NO_COMPLETE);
	if (!owner->result)
		owner->result = pthread_mutex_lock(owner->mutex);
	if (!owner->result && block_submit(owner->head, &block) != SYSLET_PENDING)
		owner->result = -EINPROGRESS;
	return &block;
}

/* The program that is still blocked is not the owner, nor is its task. */
TEST_F(mutexes, robust_of_a_thread_that_dies_while_its_program_is_blocked)
{
	struct owner owner = { &self->head, &self->mutex, -1 };
	pthread_t thread;
	void *block;

	make_robust(_metadata, &self->attr, &self->mutex);
	ASSERT_EQ(0, pthread_create(&thread, NULL, die_moved, &owner));
	ASSERT_EQ(0, pthread_join(thread, &block));
	ASSERT_EQ(0, owner.result);
	EXPECT_EQ(EOWNERDEAD, pthread_mutex_lock(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_consistent(&self->mutex));
	EXPECT_EQ(0, block_release(block));
	EXPECT_EQ(EBUSY, others_try(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
}

TEST_F(mutexes, robust_that_is_taken_after_a_handoff)
{
	pthread_mutex_t *mutex = mmap(NULL, sizeof(*mutex), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, mutex);
	ASSERT_EQ(0, pthread_mutexattr_setpshared(&self->attr, PTHREAD_PROCESS_SHARED));
	make_robust(_metadata, &self->attr, mutex);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head head;

		child_move(&head, &block);
		_exit(pthread_mutex_lock(mutex));
	}
	ASSERT_EQ(0, child_status(pid));
	EXPECT_EQ(EOWNERDEAD, pthread_mutex_lock(mutex));
}

TEST_F(mutexes, robust_survives_its_worker)
{
	make_robust(_metadata, &self->attr, &self->mutex);
	ASSERT_EQ(0, pthread_mutex_lock(&self->mutex));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	/* Cachemiss threads leave with the head; none of them owned anything. */
	head_close(&self->head);
	EXPECT_GE(2, wait_tasks(getpid(), 2));
	EXPECT_EQ(EBUSY, others_try(&self->mutex));
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
	EXPECT_EQ(0, others_try(&self->mutex));
}

static void make_pi(struct __test_metadata *_metadata, pthread_mutexattr_t *attr,
		    pthread_mutex_t *mutex)
{
	ASSERT_EQ(0, pthread_mutexattr_setprotocol(attr, PTHREAD_PRIO_INHERIT));
	ASSERT_EQ(0, pthread_mutex_init(mutex, attr));
}

TEST_F(mutexes, pi_without_contention)
{
	make_pi(_metadata, &self->attr, &self->mutex);
	ASSERT_EQ(0, pthread_mutex_lock(&self->mutex));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	EXPECT_EQ(my_tid(), self->mutex.__data.__lock & FUTEX_TID_MASK);
	EXPECT_EQ(0, pthread_mutex_unlock(&self->mutex));
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	EXPECT_EQ(0, others_try(&self->mutex));
}

struct waiter {
	pthread_mutex_t *mutex;
	pid_t tid;
	int result;
	bool got;
};

static void *lock_and_unlock(void *arg)
{
	struct waiter *waiter = arg;

	__atomic_store_n(&waiter->tid, my_tid(), __ATOMIC_RELEASE);
	waiter->result = pthread_mutex_lock(waiter->mutex);
	__atomic_store_n(&waiter->got, true, __ATOMIC_RELEASE);
	return (void *)(long)pthread_mutex_unlock(waiter->mutex);
}

/* A thread that sleeps in the kernel for want of the mutex. */
static pthread_t start_waiter(struct __test_metadata *_metadata, struct waiter *waiter)
{
	__u64 deadline = now_ns() + PATIENCE;
	pthread_t thread;
	pid_t tid = 0;

	ASSERT_EQ(0, pthread_create(&thread, NULL, lock_and_unlock, waiter));
	while ((!tid || sleeps_in(tid) != __NR_futex) && now_ns() < deadline) {
		tid = __atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE);
		sched_yield();
	}
	ASSERT_TRUE(waiter->mutex->__data.__lock & FUTEX_WAITERS);
	return thread;
}

static void end_waiter(struct __test_metadata *_metadata, struct waiter *waiter, pthread_t thread)
{
	void *ret;

	EXPECT_FALSE(__atomic_load_n(&waiter->got, __ATOMIC_ACQUIRE));
	EXPECT_EQ(0, pthread_mutex_unlock(waiter->mutex));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(0, waiter->result);
	EXPECT_EQ(NULL, ret);
}

TEST_F(mutexes, pi_that_gets_contended_after_a_handoff)
{
	struct waiter waiter = { .mutex = &self->mutex };
	pthread_t thread;

	make_pi(_metadata, &self->attr, &self->mutex);
	ASSERT_EQ(0, pthread_mutex_lock(&self->mutex));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	thread = start_waiter(_metadata, &waiter);
	end_waiter(_metadata, &waiter, thread);
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
}

/* The kernel knows the owner's task by now: the program stays in the caller. */
TEST_F(mutexes, pi_with_contention_is_not_handed_over)
{
	struct waiter waiter = { .mutex = &self->mutex };
	struct rescuer rescuer;
	pthread_t thread;

	make_pi(_metadata, &self->attr, &self->mutex);
	ASSERT_EQ(0, pthread_mutex_lock(&self->mutex));
	thread = start_waiter(_metadata, &waiter);
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->block.go[1]));
	EXPECT_EQ(SYSLET_DONE, block_submit(&self->head, &self->block));
	EXPECT_TRUE(rescuer_end(&rescuer));
	EXPECT_EQ(1, self->block.results[2]);
	end_waiter(_metadata, &waiter, thread);
}

TEST_F(mutexes, plain_futexes)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct waiter waiter = { .mutex = &mutex };
	pthread_t thread;
	__u64 deadline;

	ASSERT_EQ(0, pthread_mutex_lock(&mutex));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	ASSERT_EQ(0, pthread_create(&thread, NULL, lock_and_unlock, &waiter));
	deadline = now_ns() + PATIENCE;
	while (mutex.__data.__lock != 2 && now_ns() < deadline)
		sched_yield();
	end_waiter(_metadata, &waiter, thread);
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
}

TEST_HARNESS_MAIN
