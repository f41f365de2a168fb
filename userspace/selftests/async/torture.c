// SPDX-License-Identifier: GPL-2.0
/*
 * Random programs, from processes that do random things and end at random.
 *
 * Each worker is a process with some threads and heads. What its programs block
 * on it has from the test, which gives to and takes from all of it again and
 * again, so that everything goes on; stops workers, kills them, and starts
 * others. In the end they have to bring all they began to an end.
 *
 *   SYSLET_SEED     where all random numbers come from
 *   SYSLET_SECONDS  how long
 *
 * What the threads do follows from the seed; when, and so what comes of it, does not.
 */
#include "torture_worker.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	(int)(seconds() + 90)

/* A thread that makes no step for so long is stuck. */
#define STUCK		(30 * NSEC_PER_SEC)

/* What the test knows of a worker. */
struct worker {
	bool killed, stopped;
	__u64 stop_until, since[THREADS + EXTRAS], killed_at;
	__u64 steps[THREADS + EXTRAS];
};

static struct worker workers[WORKERS];
static int memory_fd;
static __u64 test_random;

/* In the image that a worker has executed. */
static __attribute__((constructor)) void go_on_as_worker(void)
{
	char *text = getenv(SELF_EXEC);
	int fd, index;

	if (!text || sscanf(text, "%d:%d", &fd, &index) != 2)
		return;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		_exit(STATUS_FAILED);
	place = &shared->places[index];
	next_env = environ;
	worker_main();
}

static char **env_for_worker(int index)
{
	static char *env[1024], text[64];
	int nr;

	for (nr = 0; environ[nr] && nr < 1022; nr++)
		env[nr] = environ[nr];
	snprintf(text, sizeof(text), SELF_EXEC "=%d:%d", memory_fd, index);
	env[nr] = text;
	return env;
}

static int start_worker(int index)
{
	struct worker *worker = &workers[index];
	struct place *p = &shared->places[index];
	sigset_t all, was;
	pid_t pid;

	memset(worker, 0, sizeof(*worker));
	memset(p->steps, 0, sizeof(p->steps));
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	pid = fork();
	if (!pid) {
		place = p;
		place->pid = getpid();
		place->base_fds = count_fds();
		next_env = env_for_worker(index);
		worker_main();
	}
	sigprocmask(SIG_SETMASK, &was, NULL);
	p->pid = pid;
	count(N_STARTS);
	return pid < 0 ? -errno : 0;
}

/* Nothing here may block: it goes on for those that do. */
static void unblock(struct place *p, bool all)
{
	static char buffer[4096];
	struct iovec iov = { .iov_base = buffer };
	__u64 *random = &test_random;
	int i, k;

	for (i = 0; i < PIPES; i++) {
		iov.iov_len = 1 + below(random, sizeof(buffer));
		if (all || one_in(random, 3))
			preadv2(p->pipes[i][0], &iov, 1, -1, RWF_NOWAIT);
		if (all || one_in(random, 3))
			pwritev2(p->pipes[i][1], &iov, 1, -1, RWF_NOWAIT);
	}
	for (i = 0; i < 2; i++) {
		for (k = 0; k < 2; k++) {
			if (all || one_in(random, 3))
				recv(p->pairs[i][k], buffer, sizeof(buffer), MSG_DONTWAIT);
			if (all || one_in(random, 3))
				send(p->pairs[i][k], buffer, 1 + below(random, 600),
				     MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	}
	iov.iov_len = 8;
	if (!all && one_in(random, 4))
		preadv2(p->eventfd, &iov, 1, -1, RWF_NOWAIT);
	else if (write(p->eventfd, &(__u64) { 1 }, 8) != 8)
		perror("# torture: eventfd");
	for (i = 0; i < FUTEXES; i++) {
		p->futex[i] = below(random, 2);
		syscall(NR_FUTEX, &p->futex[i], 1, 1000, NULL, NULL, 0);
	}
}

static int make_place(struct place *p)
{
	int i;

	/* Small ones, which fill. They are inherited over exec, too. */
	for (i = 0; i < PIPES; i++)
		if (pipe(p->pipes[i]) || fcntl(p->pipes[i][1], F_SETPIPE_SZ, 4096) < 0)
			return -errno;
	for (i = 0; i < 2; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, p->pairs[i]))
			return -errno;
	p->eventfd = eventfd(0, 0);
	return p->eventfd < 0 ? -errno : 0;
}

static int complain(int index, const char *what, int number)
{
	dprintf(2, "# torture: seed %llu, worker %d generation %llu, PID %d: %s (%d)\n",
		(unsigned long long)shared->seed, index,
		(unsigned long long)shared->places[index].generation, shared->places[index].pid,
		what, number);
	return -EPROTO;
}

/* Its end: was it to end, and so? */
static int judge_end(int index, int status)
{
	struct place *p = &shared->places[index];
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);

	p->pid = 0;
	if ((code == STATUS_EXIT && p->ending & EXITS) ||
	    (code == STATUS_LEFT && p->ending & LEAVES) ||
	    (code == -SIGKILL && workers[index].killed) || (code == 0 && p->drain))
		return 0;
	return complain(index, "ended with a status that it should not have", code);
}

/* Whether all its threads get on. */
static int watch(int index)
{
	struct worker *worker = &workers[index];
	struct place *p = &shared->places[index];
	__u64 now = now_ns(), steps;
	int i;

	if (worker->killed && now > worker->killed_at + STUCK)
		return complain(index, "killed, and does not end", 0);
	for (i = 0; i < THREADS + EXTRAS; i++) {
		steps = __atomic_load_n(&p->steps[i], __ATOMIC_RELAXED);
		if (!worker->since[i] || steps != worker->steps[i] || (!steps && i)) {
			worker->since[i] = now;
			worker->steps[i] = steps;
		} else if (now > worker->since[i] + STUCK) {
			complain(index, "a thread is stuck", i);
			dprintf(2, "# it does '%c' since step %llu\n", p->doing[i],
				(unsigned long long)steps);
			return -ETIMEDOUT;
		}
	}
	return 0;
}

/* Stops, continues and kills it now and then. */
static void disturb(int index)
{
	struct worker *worker = &workers[index];
	pid_t pid = shared->places[index].pid;

	if (worker->stopped && now_ns() > worker->stop_until) {
		worker->stopped = false;
		kill(pid, SIGCONT);
	} else if (!worker->stopped && one_in(&test_random, 60)) {
		worker->stopped = true;
		worker->stop_until = now_ns() + below(&test_random, 10000000);
		kill(pid, SIGSTOP);
		count(N_STOPS);
	}
	if (one_in(&test_random, 300)) {
		worker->killed = true;
		worker->killed_at = now_ns();
		kill(pid, SIGKILL);
		count(N_KILLS);
	}
}

/* One round for one worker. */
static int attend(int index, bool go_on)
{
	struct place *p = &shared->places[index];
	int status, ret;

	if (!p->pid)
		return go_on ? start_worker(index) : 0;
	ret = waitpid(p->pid, &status, WNOHANG);
	if (ret == p->pid)
		return judge_end(index, status);
	if (ret < 0)
		return complain(index, "waitpid", -errno);
	unblock(p, !go_on);
	if (go_on && !workers[index].killed)
		disturb(index);
	ret = watch(index);
	if (ret)
		show_tasks(p->pid);
	return ret;
}

static int run_workers(__u64 nsec)
{
	__u64 end = now_ns() + nsec;
	int i, ret, alive;

	do {
		for (i = 0; i < WORKERS; i++) {
			ret = attend(i, true);
			if (ret || __atomic_load_n(&shared->failed, __ATOMIC_ACQUIRE))
				return ret ? ret : -EBADMSG;
		}
		usleep(1500);
	} while (now_ns() < end);
	for (i = 0; i < WORKERS; i++) {
		__atomic_store_n(&shared->places[i].drain, true, __ATOMIC_RELEASE);
		if (shared->places[i].pid)
			kill(shared->places[i].pid, SIGCONT);
	}
	do {
		alive = 0;
		for (i = 0; i < WORKERS; i++) {
			ret = attend(i, false);
			if (ret || __atomic_load_n(&shared->failed, __ATOMIC_ACQUIRE))
				return ret ? ret : -EBADMSG;
			alive += shared->places[i].pid != 0;
		}
		usleep(1500);
	} while (alive);
	return 0;
}

/* Children of workers that did not live to wait for them. */
static int wait_for_orphans(void)
{
	__u64 deadline = now_ns() + PATIENCE;

	while (now_ns() < deadline) {
		if (waitpid(-1, NULL, WNOHANG) < 0)
			return errno == ECHILD ? 0 : -errno;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

static void show_counts(void)
{
	int i;

	printf("# %llu seconds, SYSLET_SEED=%llu:", (unsigned long long)seconds(),
	       (unsigned long long)shared->seed);
	for (i = 0; i < N_NAMES; i++)
		printf(" %s %lu", count_names[i], shared->counts[i]);
	printf("\n");
	fflush(stdout);
}

FIXTURE(torture) {
	long references;
};

FIXTURE_SETUP(torture)
{
	int i;

	NEED_ASYNC();
	self->references = module_references();
	memory_fd = memfd_create("torture", 0);
	ASSERT_LE(0, memory_fd);
	ASSERT_EQ(0, ftruncate(memory_fd, sizeof(*shared)));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	ASSERT_NE(MAP_FAILED, shared);
	shared->seed = number_from_env("SYSLET_SEED", SEED);
	shared->test = getpid();
	test_random = stream(shared->seed, WORKERS, 0, 0);
	for (i = 0; i < WORKERS; i++)
		ASSERT_EQ(0, make_place(&shared->places[i]));
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(torture) { }

TEST_F(torture, all_at_once)
{
	int i, ret;

	TH_LOG("SYSLET_SEED=%llu", (unsigned long long)shared->seed);
	ret = run_workers(seconds() * NSEC_PER_SEC);
	for (i = 0; i < WORKERS; i++)
		if (shared->places[i].pid)
			kill(shared->places[i].pid, SIGKILL);
	show_counts();
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, wait_for_orphans());
	EXPECT_EQ(self->references, module_references_come_to(self->references));
	/* It did what it is for. */
	EXPECT_LT(0, shared->counts[N_PENDING]);
	EXPECT_LT(0, shared->counts[N_DRAINED]);
}

TEST_HARNESS_MAIN
