/* SPDX-License-Identifier: GPL-2.0 */
/* What a worker of the torture test does, until it ends or is ended. */
#ifndef TORTURE_WORKER_H
#define TORTURE_WORKER_H

#include "torture_submit.h"

#define SELF_EXEC	"SYSLET_TORTURE"	/* "memfd:worker", for a worker that executes itself */

static __u64 all_signals = ~0ULL;
static unsigned int nr_threads;		/* besides the main one and the extra ones */
static unsigned int drained;		/* threads that have none of their programs left */
static bool ends;			/* all of them are to exit */
static char **next_env;

static __u64 set_mask(__u64 mask)
{
	__u64 was = 0;

	if (syscall(__NR_rt_sigprocmask, SIG_SETMASK, &mask, &was, KERNEL_SIGSET))
		fail("rt_sigprocmask: %s", strerror(errno));
	return was;
}

static void handler(int sig)
{
	int was = errno;

	(void)sig;
	count(N_HANDLED);
	if (me)
		check_identity();
	errno = was;
}

/* A signal to one of the threads, or to what once ran a program. */
static void send_signal(void)
{
	static const int signals[] = { SIGUSR1, SIGUSR2, SIGALRM };
	int sig = signals[below(&me->random, 3)];
	pid_t tid = some_tid();
	long ret;

	if (one_in(&me->random, 8))
		ret = sysret(kill(getpid(), sig));
	else
		ret = sysret(syscall(__NR_tgkill, getpid(), tid, sig));
	if (ret && ret != -ESRCH)
		fail("a signal cannot be sent: %ld", ret);
	count(N_SIGNALS);
	check_self();
}

static void set_timer(void)
{
	struct itimerval timer = {
		.it_value.tv_usec = below(&me->random, 20000),
		.it_interval.tv_usec = one_in(&me->random, 3) ? 5000 + below(&me->random, 20000) : 0,
	};

	if (setitimer(ITIMER_REAL, &timer, NULL))
		fail("setitimer: %s", strerror(errno));
}

/* A child is a process like any other, whatever its parent's thread went through. */
static void in_child(unsigned int how)
{
	char *argv[] = { "true", NULL };
	struct syslet_atom atom = { .nr = __NR_getpid };
	struct syslet_program program = { .atoms = PTR(&atom), .nr_atoms = 1 };
	unsigned int i;

	if (my_tid() != getpid() || getppid() != place->pid || canary != CANARY(me))
		_exit(1);
	if (count_tasks(getpid()) != 1)
		_exit(2);
	for (i = 0; i < HEADS; i++)
		if (heads[i].state == OPENED && dev_exec(heads[i].head.fd, &program, 1, 0) != -EACCES)
			_exit(3);
	if (how == 0)
		execv("/bin/true", argv);
	_exit(how == 0 ? 4 : 0);
}

static void fork_one(void)
{
	int status = -1;
	pid_t pid, ret;

	doing('f');
	/* heads_lock: the child looks at them. A handler there would not know itself. */
	pthread_mutex_lock(&heads_lock);
	set_mask(all_signals);
	pid = fork();
	if (!pid)
		in_child(below(&me->random, 3));
	set_mask(me->mask);
	pthread_mutex_unlock(&heads_lock);
	check_self();
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	do
		ret = waitpid(pid, &status, 0);
	while (ret < 0 && errno == EINTR);
	doing('.');
	if (ret != pid || status)
		fail("a child %d: waitpid says %d, status %x", pid, ret, status);
	count(N_FORKS);
}

static void set_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || setrlimit(RLIMIT_NOFILE, &limit))
		fail("rlimit: %s", strerror(errno));
	if (setpgid(0, one_in(&me->random, 2) ? 0 : getpgid(shared->test)))
		fail("setpgid: %s", strerror(errno));
}

static void change_dup(void)
{
	int which = FIRST_DUP + below(&me->random, DUPS), side = below(&me->random, 2);

	if (one_in(&me->random, 2))
		close(which);
	/* Ends of a kind have numbers of a kind, so that a read finds what it may read. */
	else if (dup3(place->pairs[below(&me->random, 2)][side], which, O_CLOEXEC) != which &&
		 errno != EBUSY)
		fail("dup3: %s", strerror(errno));
}

static void thread_begins(struct thread *thread)
{
	me = thread;
	canary = CANARY(me);
	me->tid = my_tid();
	/* Another way of rounding, and all exceptions masked. */
	me->mxcsr = 0x1f80 | (me->index & 3) << 13;
	__asm__ volatile("ldmxcsr %0" : : "m" (me->mxcsr));
	/* Its number of programs so far: not the same again for the next in its place. */
	me->random = stream(shared->seed, place - shared->places, place->generation,
			    me->index + (me->next << 8));
	me->mask = one_in(&me->random, 3) ? SIGBIT(SIGUSR2) :
		one_in(&me->random, 3) ? SIGBIT(SIGUSR1) | SIGBIT(SIGALRM) : 0;
	set_mask(me->mask);
	check_self();
}

/* Ends the thread and nothing else, the last one the process. */
static __attribute__((noreturn)) void leave(void)
{
	count(N_LEFT);
	for (;;)
		syscall(__NR_exit, STATUS_LEFT);
}

static void step_done(void)
{
	__atomic_fetch_add(&place->steps[me->index], 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&ends, __ATOMIC_ACQUIRE))
		leave();
}

/* Until none of its programs is left. */
static void drain(void)
{
	unsigned int rounds = 0;

	doing('d');
	while (harvest()) {
		take();
		if (rounds++ > 20)
			cancel_some(one_in(&me->random, 8));
		usleep(1000);
		/* Those of others, too, as theirs may be in what one is to make room in. */
		if (__atomic_load_n(&ends, __ATOMIC_ACQUIRE))
			leave();
	}
}

static void *extra_main(void *arg)
{
	unsigned int i, nr;

	thread_begins(arg);
	nr = 1 + below(&me->random, 6);
	for (i = 0; i < nr; i++) {
		submit();
		take();
		harvest();
		step_done();
	}
	drain();
	set_mask(all_signals);
	__atomic_store_n(&me->tid, 0, __ATOMIC_RELAXED);
	/* Should all threads end, the last one's status counts: they have the same. */
	for (;;)
		syscall(__NR_exit, STATUS_LEFT);
	return NULL;
}

/*
 * While a thread is in an exec, which ends the others, the kernel lets none be made
 * that shares its fs.
 */
static void make_thread(struct thread *thread, void *(*run)(void *))
{
	int ret;

	while ((ret = pthread_create(&thread->handle, NULL, run, thread)) == EAGAIN &&
	       __atomic_load_n(&place->execs, __ATOMIC_SEQ_CST))
		usleep(100);
	if (ret)
		fail("pthread_create: %s", strerror(ret));
}

/* A thread more, for a short time. */
static void extra_thread(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct thread *thread;
	__u64 was;
	int ret;

	pthread_mutex_lock(&lock);
	for (thread = &threads[THREADS]; thread < &threads[THREADS + EXTRAS]; thread++)
		if (!thread->live)
			break;
	if (thread < &threads[THREADS + EXTRAS])
		thread->live = true;
	pthread_mutex_unlock(&lock);
	if (thread == &threads[THREADS + EXTRAS])
		return;
	thread->index = thread - threads;
	was = set_mask(all_signals);
	doing('t');
	make_thread(thread, extra_main);
	set_mask(was);
	/* One that another thread's end has called for is not waited for. */
	ret = pthread_join(thread->handle, NULL);
	doing('.');
	if (ret)
		fail("pthread_join: %s", strerror(ret));
	__atomic_store_n(&place->steps[thread->index], 0, __ATOMIC_RELAXED);
	count(N_EXTRAS);
	check_self();
	__atomic_store_n(&thread->live, false, __ATOMIC_RELEASE);
}

/* The worker ends by itself, or begins anew. */
static void end_somehow(void)
{
	static char *argv[] = { "torture", NULL };

	switch (below(&me->random, 3)) {
	case 0:
		__atomic_fetch_or(&place->ending, EXITS, __ATOMIC_SEQ_CST);
		count(N_EXITS);
		_exit(STATUS_EXIT);
	case 1:
		/* What is pending must not kill the next image. */
		set_mask(all_signals);
		count(N_EXECS);
		__atomic_store_n(&place->execs, true, __ATOMIC_SEQ_CST);
		execve("/proc/thread-self/exe", argv, next_env);
		fail("execve: %s", strerror(errno));
	case 2:
		__atomic_fetch_or(&place->ending, LEAVES, __ATOMIC_SEQ_CST);
		__atomic_store_n(&ends, true, __ATOMIC_SEQ_CST);
		leave();
	}
}

static void step(void)
{
	unsigned int dice = below(&me->random, 1000);

	if (dice < 450)
		submit();
	else if (dice < 700)
		take();
	else if (dice < 800)
		wait_some();
	else if (dice < 850)
		cancel_some(false);
	else if (dice < 855)
		cancel_some(true);
	else if (dice < 900)
		send_signal();
	else if (dice < 910)
		set_timer();
	else if (dice < 920)
		fork_one();
	else if (dice < 930)
		extra_thread();
	else if (dice < 935)
		set_limits();
	else if (dice < 955)
		change_dup();
	else if (dice < 965)
		close_head();
	else if (dice < 980)
		open_head();
	else if (dice < 998)
		usleep(below(&me->random, 2000));
	else
		end_somehow();
	harvest();
	step_done();
}

static void *thread_main(void *arg)
{
	thread_begins(arg);
	while (!__atomic_load_n(&place->drain, __ATOMIC_ACQUIRE))
		step();
	drain();
	__atomic_fetch_add(&drained, 1, __ATOMIC_SEQ_CST);
	/* Its completions may be among those that others wait for. */
	while (__atomic_load_n(&drained, __ATOMIC_ACQUIRE) <= nr_threads) {
		take();
		step_done();
		usleep(2000);
	}
	__atomic_store_n(&place->steps[me->index], 0, __ATOMIC_RELAXED);
	return NULL;
}

/* All programs have completed: nothing may be left of them. */
static void check_nothing_left(void)
{
	unsigned int i;
	int tasks, fds;

	for (i = 0; i < HEADS; i++) {
		if (heads[i].state == EMPTY)
			continue;
		if (get(&heads[i].left) || get(&heads[i].quiet))
			fail("%d programs of a head are left", get(&heads[i].left));
		if (ring_count(&heads[i].head) || ring_overflow(&heads[i].head))
			fail("a completion is left: %u in the ring, %u kept back",
			     ring_count(&heads[i].head), ring_overflow(&heads[i].head));
		munmap(heads[i].head.ring, heads[i].head.setup.ring_bytes);
		close(heads[i].head.fd);
		if (heads[i].spare_fd >= 0)
			close(heads[i].spare_fd);
	}
	for (i = 0; i < DUPS; i++)
		close(FIRST_DUP + i);
	close(null_fd);
	/* Children of an image that was left by exec: a worker stays with those of its task. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	tasks = wait_tasks(getpid(), 1);
	if (tasks != 1) {
		show_tasks(getpid());
		fail("%d tasks are left", tasks);
	}
	fds = count_fds();
	if (fds != place->base_fds)
		fail("%d descriptors are open, not %d", fds, place->base_fds);
}

static void install_handlers(void)
{
	struct sigaction action = { .sa_handler = handler };

	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = 0;
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
}

/* In the main thread, all signals blocked. */
static __attribute__((noreturn)) void worker_main(void)
{
	struct itimerval none = { 0 };
	unsigned int i;
	__u64 random;

	place->generation++;
	place->ending = 0;
	place->execs = false;
	memset(place->steps, 0, sizeof(place->steps));
	random = stream(shared->seed, place - shared->places, place->generation, 99);
	if (my_tid() != getpid() || getpid() != place->pid || getppid() != shared->test)
		fail("PID %d, TID %d, parent %d, where they should be %d and %d", getpid(), my_tid(),
		     getppid(), place->pid, shared->test);
	if (count_tasks(getpid()) != 1 || count_fds() != place->base_fds)
		fail("%d tasks, %d descriptors, not %d", count_tasks(getpid()), count_fds(),
		     place->base_fds);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		fail("prctl: %s", strerror(errno));
	setitimer(ITIMER_REAL, &none, NULL);
	install_handlers();
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (i = 0; i < HEADS; i++)
		pthread_mutex_init(&heads[i].taking, NULL);
	nr_threads = below(&random, THREADS);
	for (i = 1; i <= nr_threads; i++) {
		threads[i].index = i;
		make_thread(&threads[i], thread_main);
	}
	thread_main(&threads[0]);
	/* The timer may still want to be heard. */
	setitimer(ITIMER_REAL, &none, NULL);
	for (i = 1; i <= nr_threads; i++)
		if (pthread_join(threads[i].handle, NULL))
			fail("pthread_join");
	check_nothing_left();
	count(N_DRAINED);
	_exit(0);
}

#endif /* TORTURE_WORKER_H */
