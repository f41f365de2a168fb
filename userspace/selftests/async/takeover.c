// SPDX-License-Identifier: GPL-2.0
/* What comes between a program's blocking and the worker's having taken over. */
#include <linux/aio_abi.h>
#include <sys/resource.h>
#include "async_test.h"
#include "../fdinfo.h"
#include "../watched_page.h"

#ifndef __NR_landlock_restrict_self
#define __NR_landlock_restrict_self 446
#endif
#ifndef LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF
#define LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF	(1U << 2)
#endif
#ifndef LANDLOCK_RESTRICT_SELF_TSYNC
#define LANDLOCK_RESTRICT_SELF_TSYNC			(1U << 3)
#endif

FIXTURE_BLOCK(takeover);

static volatile sig_atomic_t handled;

static void handle(int sig)
{
	(void)sig;
	handled++;
}

/*
 * A thread that is in a call which relies on the process' leader: the main
 * thread cannot be taken over meanwhile.
 */
struct section {
	pthread_t thread;
	void *page;
	int fd;
};

static void *ask_for_limits(void *arg)
{
	struct section *section = arg;

	syscall(__NR_prlimit64, 0, RLIMIT_CORE, section->page, NULL);
	return NULL;
}

/* A program that blocks, and one behind it, for a main thread that such a thread holds up. */
struct batch {
	struct block block;
	int written[2];
	struct syslet_atom atoms[1];
	struct syslet_program programs[2];
};

static int batch_init(struct batch *batch)
{
	int ret = block_init(&batch->block, 0);

	if (ret || pipe2(batch->written, O_CLOEXEC | O_NONBLOCK))
		return ret ? ret : -errno;
	batch->atoms[0] = write_atom(batch->written[1], "x", 1);
	batch->programs[0] = batch->block.program;
	batch->programs[1] = PROGRAM(batch->atoms, .flags = SYSLET_SYNC);
	return 0;
}

/* Sends a signal to the process once it has blocked, and only then lets it be taken over. */
struct sender {
	struct section section;
	pthread_t thread;
	pid_t tid;
	int sig;
};

static void *send_late(void *arg)
{
	struct sender *sender = arg;

	while (sleeps_in(sender->tid) != __NR_read)
		usleep(1000);
	kill(getpid(), sender->sig);
	usleep(20000);
	fill_page(sender->section.fd, sender->section.page);
	return NULL;
}

static int submit_held_up(struct head *head, struct batch *batch, struct sender *sender)
{
	if (pthread_create(&sender->section.thread, NULL, ask_for_limits, &sender->section) ||
	    page_is_wanted(sender->section.fd) ||
	    pthread_create(&sender->thread, NULL, send_late, sender))
		return -EAGAIN;
	return dev_exec(head->fd, batch->programs, 2, 0);
}

TEST_F(takeover, a_signal_meanwhile_ends_the_call)
{
	struct sigaction action = { .sa_handler = handle };
	struct sender sender = { .tid = my_tid(), .sig = SIGUSR1 };
	struct batch batch;
	char byte;

	WATCHED_PAGE(sender.section.page, sender.section.fd);
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, batch_init(&batch));
	ASSERT_EQ(0, hop(&self->head, &self->block));
	EXPECT_EQ(1, submit_held_up(&self->head, &batch, &sender));
	EXPECT_EQ(1, handled);
	EXPECT_EQ(SYSLET_PENDING, batch.programs[0].status);
	EXPECT_NE(SYSLET_DONE, batch.programs[1].status);
	EXPECT_EQ(-1, read(batch.written[0], &byte, 1));
	pthread_join(sender.thread, NULL);
	pthread_join(sender.section.thread, NULL);
}

TEST_F(takeover, nothing_runs_after_a_kill)
{
	struct batch batch;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, batch_init(&batch));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct sender sender = { .tid = my_tid(), .sig = SIGKILL };
		struct head head;

		sender.section.page = fresh_page();
		sender.section.fd = watch_page(sender.section.page);
		if (sender.section.fd < 0)
			_exit(sender.section.fd == -ENOSYS || sender.section.fd == -EPERM);
		if (head_open(&head, 8))
			_exit(2);
		submit_held_up(&head, &batch, &sender);
		_exit(3);
	}
	if (child_status(pid) == 1)
		SKIP(return, "no userfaultfd");
	EXPECT_EQ(-1, read(batch.written[0], &byte, 1));
}

/*
 * io_pgetevents() leaves its signal mask in force for the handler even where it
 * returns events: the handler has to run before the next atom has the context
 * move.
 */
struct events {
	aio_context_t context;
	struct iocb iocb;
	char buffer[8];
	struct io_event events[2];
	struct timespec none;
	__u64 mask;
	struct {
		const __u64 *mask;
		size_t size;
	} masked;
};

static int events_init(struct events *events)
{
	struct iocb *list[1] = { &events->iocb };
	int fd = memfd_create("syslet-test", MFD_CLOEXEC);

	memset(events, 0, sizeof(*events));
	events->iocb = (struct iocb) {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = fd,
		.aio_buf = PTR(events->buffer),
		.aio_nbytes = sizeof(events->buffer),
	};
	events->masked.mask = &events->mask;
	events->masked.size = KERNEL_SIGSET;
	if (fd < 0 || syscall(__NR_io_setup, 8, &events->context))
		return -errno;
	return syscall(__NR_io_submit, events->context, 1, list) == 1 ? 0 : -errno;
}

/* Holds a pipe's lock while its page is missing, and fills that once @tid waits for the lock. */
struct holder {
	int pipe, fd;
	void *page;
	pid_t tid;
};

static void *hold_pipe(void *arg)
{
	struct holder *holder = arg;

	return (void *)write(holder->pipe, holder->page, 1);
}

static void *fill_when_wanted(void *arg)
{
	struct holder *holder = arg;

	while (sleeps_in(holder->tid) != __NR_write)
		usleep(1000);
	fill_page(holder->fd, holder->page);
	return NULL;
}

TEST_F(takeover, a_handler_that_an_atom_let_in)
{
	struct sigaction action = { .sa_handler = handle };
	struct holder holder = { .pipe = self->block.go[1], .tid = my_tid() };
	struct events events;
	struct syslet_atom atoms[] = {
		{ .nr = __NR_io_pgetevents, .args = { 0, 1, 2, PTR(events.events), PTR(&events.none),
						      PTR(&events.masked) } },
		write_atom(self->block.go[1], "y", 1),
	};
	__s64 results[2];
	struct syslet_program program = PROGRAM(atoms, .results = PTR(results));
	pthread_t thread, filler;
	sigset_t set;
	int ret;

	WATCHED_PAGE(holder.page, holder.fd);
	ret = events_init(&events);
	if (ret == -ENOSYS)
		SKIP(return, "no asynchronous I/O");
	ASSERT_EQ(0, ret);
	atoms[0].args[0] = events.context;
	ASSERT_EQ(0, hop(&self->head, &self->block));
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(0, raise(SIGUSR1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, hold_pipe, &holder));
	ASSERT_EQ(0, page_is_wanted(holder.fd));
	ASSERT_EQ(0, pthread_create(&filler, NULL, fill_when_wanted, &holder));
	EXPECT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(1, handled);
	EXPECT_EQ(SYSLET_DONE, program.status);
	EXPECT_EQ(1, results[0]);
	EXPECT_EQ(0, sigpending(&set));
	EXPECT_FALSE(sigismember(&set, SIGUSR1));
	pthread_join(thread, NULL);
	pthread_join(filler, NULL);
}

/* Arms a timer on the CPU time of each task of the process but the caller's; returns how many. */
static int arm_the_others(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec later = { .it_value.tv_sec = 1000 };
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	timer_t timer;
	int tid, armed = 0;

	while (dir && (entry = readdir(dir))) {
		tid = atoi(entry->d_name);
		if (!tid || tid == my_tid())
			continue;
		/* CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED of that TID */
		if (timer_create((clockid_t)((~(unsigned int)tid << 3) | 6), &event, &timer) ||
		    timer_settime(timer, 0, &later, NULL))
			return -errno;
		armed++;
	}
	if (dir)
		closedir(dir);
	return armed;
}

/* The timer belongs to the spare's task: the caller would have it after a handoff. */
TEST_F(takeover, a_spare_with_a_timer_takes_nothing_over)
{
	__u64 deadline = now_ns() + PATIENCE;
	struct rescuer rescuer;
	struct head head;

	/* One thread only, so that there is no other spare. */
	ASSERT_EQ(0, head_open_limits(&head, 8, 1, 1, 0));
	ASSERT_EQ(0, hop(&head, &self->block));
	while (value(head.fd, "threads-idle") != 1 && now_ns() < deadline)
		usleep(1000);
	ASSERT_EQ(1, value(head.fd, "threads-idle"));
	ASSERT_LT(0, arm_the_others());
	ASSERT_EQ(0, rescuer_start(&rescuer, __NR_read, self->block.go[1]));
	EXPECT_EQ(SYSLET_DONE, block_submit(&head, &self->block));
	EXPECT_TRUE(rescuer_end(&rescuer));
	head_close(&head);
}

/*
 * Landlock has all threads of a process wait for each other in a task work each:
 * a parked worker must not, while a task that waits for it is one of them.
 */
struct locker {
	bool stop;
	unsigned long syncs;
	int error;
};

static void *lock_all(void *arg)
{
	struct locker *locker = arg;

	while (!__atomic_load_n(&locker->stop, __ATOMIC_ACQUIRE)) {
		if (syscall(__NR_landlock_restrict_self, -1,
			    LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF |
			    LANDLOCK_RESTRICT_SELF_TSYNC) &&
		    errno != EINTR && errno != ERESTART) {
			locker->error = errno;
			break;
		}
		locker->syncs++;
		usleep(200);
	}
	return NULL;
}

static void meet_while_programs_block(struct __test_metadata *_metadata, struct head *head,
				      __u32 flags)
{
	struct timespec soon = { .tv_nsec = 20000 };
	struct syslet_atom atoms[] = { { .nr = __NR_nanosleep, .args = { PTR(&soon) } } };
	struct syslet_program programs[4];
	__u64 deadline = now_ns() + 2 * NSEC_PER_SEC;
	struct locker locker = { 0 };
	pthread_t thread;
	long ret;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, lock_all, &locker));
	while (now_ns() < deadline) {
		for (i = 0; i < 4; i++)
			programs[i] = PROGRAM(atoms, .flags = flags | SYSLET_NO_COMPLETE);
		ret = dev_exec(head->fd, programs, 4, 0);
		ASSERT_TRUE(ret > 0 || ret == -EINTR);
	}
	__atomic_store_n(&locker.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	if (locker.error == ENOSYS || locker.error == EOPNOTSUPP || locker.error == EINVAL)
		SKIP(return, "no Landlock for all threads");
	EXPECT_EQ(0, locker.error);
	EXPECT_LT(0, locker.syncs);
}

TEST_F(takeover, threads_meet_in_works_while_programs_block)
{
	meet_while_programs_block(_metadata, &self->head, 0);
}

TEST_F(takeover, threads_meet_in_works_while_programs_leave)
{
	meet_while_programs_block(_metadata, &self->head, SYSLET_ASYNC);
}

TEST_HARNESS_MAIN
