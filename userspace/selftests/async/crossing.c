// SPDX-License-Identifier: GPL-2.0
/*
 * Signals that cross a handoff: round for round, one comes some time after a program
 * that blocks was submitted, and whoever sends it may have found the caller in the task
 * that it has left since.
 */
#include "async_test.h"

/* What the sender may do @rounds times, some time after each round has begun. */
struct sender {
	pthread_t thread;
	void (*send)(struct sender *sender);
	pid_t tid;
	int fd;
	int rounds, round, sent;
};

FIXTURE(crossing) {
	struct head head;
	struct block block;
	struct sender sender;
};

static volatile sig_atomic_t calls, elsewhere;
static pid_t expected_tid;

static void on_signal(int sig)
{
	(void)sig;
	calls++;
	if (my_tid() != expected_tid)
		elsewhere++;
}

static int catch_signal(int sig, pid_t tid)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	expected_tid = tid;
	return sigaction(sig, &action, NULL);
}

/* Blocks or unblocks SIGUSR1 in this thread. */
static int mask_signal(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return pthread_sigmask(how, &set, NULL);
}

FIXTURE_SETUP(crossing)
{
	NEED_ASYNC();
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, block_init(&self->block, 0));
	self->sender = (struct sender) { .tid = my_tid(), .rounds = 500 * stress() };
}

FIXTURE_TEARDOWN(crossing)
{
	head_close(&self->head);
}

static void *send_each_round(void *arg)
{
	struct sender *sender = arg;
	__u64 random = number_from_env("SYSLET_SEED", 1), until;
	int i;

	mask_signal(SIG_BLOCK);
	for (i = 1; i <= sender->rounds; i++) {
		while (__atomic_load_n(&sender->round, __ATOMIC_ACQUIRE) < i)
			;
		until = now_ns() + below(&random, 200 * 1000);
		while (now_ns() < until)
			;
		sender->send(sender);
		__atomic_store_n(&sender->sent, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

static int sender_start(struct sender *sender, void (*send)(struct sender *sender))
{
	sender->send = send;
	return pthread_create(&sender->thread, NULL, send_each_round, sender);
}

static void sender_begin(struct sender *sender, int round)
{
	__atomic_store_n(&sender->round, round, __ATOMIC_RELEASE);
}

static void sender_await(struct sender *sender, int round)
{
	while (__atomic_load_n(&sender->sent, __ATOMIC_ACQUIRE) < round)
		;
}

/* How many handlers have run, once they are @enough or none comes any more. */
static int await_calls(int enough)
{
	__u64 deadline = now_ns() + PATIENCE;

	while (calls < enough && now_ns() < deadline)
		;
	return calls;
}

/* Each of the sender's signals is to come, and to this thread. */
static void none_is_lost(struct __test_metadata *_metadata, struct head *head,
			 struct block *block, struct sender *sender)
{
	int i;

	for (i = 1; i <= sender->rounds; i++) {
		sender_begin(sender, i);
		ASSERT_EQ(0, hop(head, block));
		ASSERT_EQ(i, await_calls(i));
	}
	ASSERT_EQ(0, pthread_join(sender->thread, NULL));
	EXPECT_EQ(0, elsewhere);
}

static void send_to_thread(struct sender *sender)
{
	syscall(__NR_tgkill, getpid(), sender->tid, SIGUSR1);
}

TEST_F(crossing, none_sent_to_the_thread_is_lost)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, my_tid()));
	ASSERT_EQ(0, sender_start(&self->sender, send_to_thread));
	none_is_lost(_metadata, &self->head, &self->block, &self->sender);
}

static void send_by_pipe(struct sender *sender)
{
	if (write(sender->fd, "x", 1) != 1)
		abort();
}

/* The kernel sends it, as the owner of a file has wanted. */
TEST_F(crossing, none_for_the_threads_file_is_lost)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = my_tid() };
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_LE(self->sender.rounds, fcntl(pipes[1], F_SETPIPE_SZ, self->sender.rounds));
	ASSERT_EQ(0, fcntl(pipes[0], F_SETOWN_EX, &owner));
	ASSERT_EQ(0, fcntl(pipes[0], F_SETFL, O_ASYNC));
	self->sender.fd = pipes[1];
	ASSERT_EQ(0, catch_signal(SIGIO, my_tid()));
	ASSERT_EQ(0, sender_start(&self->sender, send_by_pipe));
	none_is_lost(_metadata, &self->head, &self->block, &self->sender);
}

/* A thread that has SIGUSR1 unblocked, and nothing to do. */
struct sleeper {
	pthread_t thread;
	pid_t tid;
	bool stop;
};

static void *sleep_on(void *arg)
{
	struct sleeper *sleeper = arg;
	struct timespec second = { .tv_sec = 1 };

	mask_signal(SIG_UNBLOCK);
	__atomic_store_n(&sleeper->tid, my_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&sleeper->stop, __ATOMIC_ACQUIRE))
		nanosleep(&second, NULL);
	return NULL;
}

static void send_to_process(struct sender *sender)
{
	(void)sender;
	kill(getpid(), SIGUSR1);
}

/*
 * What a ppoll() has let in, and the caller has blocked, is another thread's once the
 * caller has moved: that is woken for it.
 */
TEST_F(crossing, what_a_mask_let_in_goes_to_another_thread)
{
	__u8 none[KERNEL_SIGSET] = {};
	struct pollfd ready = { .fd = self->block.go[0], .events = POLLIN };
	struct syslet_atom atoms[] = {
		{ .nr = __NR_ppoll, .args = { PTR(&ready), 1, 0, PTR(none), sizeof(none) } },
	};
	struct syslet_program program;
	struct sleeper sleeper = {};
	struct syslet_cqe cqe;
	char byte;
	int i;

	ASSERT_EQ(0, mask_signal(SIG_BLOCK));
	ASSERT_EQ(0, catch_signal(SIGUSR1, my_tid()));
	ASSERT_EQ(0, pthread_create(&sleeper.thread, NULL, sleep_on, &sleeper));
	while (!__atomic_load_n(&sleeper.tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	ASSERT_EQ(0, sender_start(&self->sender, send_to_process));
	for (i = 1; i <= self->sender.rounds; i++) {
		__u64 begun = now_ns();

		sender_begin(&self->sender, i);
		program = PROGRAM(atoms);
		while (dev_exec(self->head.fd, &program, 1, 0) == -EINTR)
			program = PROGRAM(atoms);
		sender_await(&self->sender, i);
		ASSERT_EQ(i, await_calls(i));
		/* The sleeper would have found it by itself after a second. */
		ASSERT_GT(NSEC_PER_SEC * factor("SYSLET_SLOW") / 2, now_ns() - begun);
		if (program.status != SYSLET_PENDING)
			continue;
		ASSERT_EQ(1, write(self->block.go[1], "x", 1));
		ASSERT_EQ(0, take_wait(&self->head, &cqe));
		EXPECT_EQ(1, cqe.result);
		ASSERT_EQ(1, read(self->block.go[0], &byte, 1));
	}
	ASSERT_EQ(0, pthread_join(self->sender.thread, NULL));
	__atomic_store_n(&sleeper.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(sleeper.thread, NULL));
}

static void close_pipe(struct sender *sender)
{
	close(sender->fd);
}

/* What a write raises when the caller has left is not the caller's. */
TEST_F(crossing, a_sigpipe_of_the_program_is_not_the_callers)
{
	static char full[65536];
	struct syslet_atom atoms[1];
	struct syslet_program program;
	struct syslet_cqe cqe;
	int i, before, pipes[2], left = 0;

	ASSERT_EQ(0, catch_signal(SIGPIPE, my_tid()));
	ASSERT_EQ(0, sender_start(&self->sender, close_pipe));
	for (i = 1; i <= self->sender.rounds; i++) {
		ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
		ASSERT_EQ((ssize_t)sizeof(full), write(pipes[1], full, sizeof(full)));
		self->sender.fd = pipes[0];
		atoms[0] = write_atom(pipes[1], "x", 1);
		program = PROGRAM(atoms);
		before = calls;
		sender_begin(&self->sender, i);
		ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
		sender_await(&self->sender, i);
		if (program.status == SYSLET_PENDING) {
			left++;
			ASSERT_EQ(0, take_wait(&self->head, &cqe));
			EXPECT_EQ(-EPIPE, cqe.result);
			ASSERT_EQ(before, calls);
		} else {
			EXPECT_EQ(-EPIPE, program.result);
			ASSERT_EQ(before + 1, await_calls(before + 1));
		}
		close(pipes[1]);
	}
	EXPECT_LT(0, left);
	ASSERT_EQ(0, pthread_join(self->sender.thread, NULL));
}

/* The one other task of this process; 0 if there is none, or several. */
static pid_t other_task(void)
{
	pid_t tids[3];

	if (list_tasks(getpid(), tids, 3) != 2)
		return 0;
	return tids[tids[0] == my_tid()];
}

/* What is sent to a cachemiss thread by its own TID is nobody's. */
TEST_F(crossing, one_for_a_cachemiss_thread_is_not_the_callers)
{
	pid_t other;

	ASSERT_EQ(0, catch_signal(SIGUSR1, my_tid()));
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	/* Until nobody can take it for the task that the caller was in. */
	usleep(500 * 1000 * factor("SYSLET_SLOW"));
	other = other_task();
	ASSERT_LT(0, other);
	ASSERT_EQ(0, syscall(__NR_tgkill, getpid(), other, SIGUSR1));
	ASSERT_EQ(0, block_finish(&self->head, &self->block));
	usleep(100 * 1000);
	EXPECT_EQ(0, calls);
}

TEST_HARNESS_MAIN
