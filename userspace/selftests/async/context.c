// SPDX-License-Identifier: GPL-2.0
/* The caller sees nothing: what belongs to its thread is there after a handoff. */
#include <sys/auxv.h>
#include <sys/rseq.h>
#include <sys/resource.h>
#include "async_test.h"

#ifndef PR_GET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#define PR_GET_IO_FLUSHER	58
#endif
#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE	27
#endif
#define ARCH_SET_GS	0x1001
#define ARCH_GET_FS	0x1003
#define ARCH_GET_GS	0x1004

static _Thread_local unsigned long tls = 0x5151;

FIXTURE_THREAD(context);

/*
 * Each test looks twice: while the program is blocked in the task that was the
 * caller's, and when it is done.
 */
#define MOVE()		ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block))
#define MOVE_ON()	ASSERT_EQ(0, block_finish(&self->head, &self->block))

#define UNCHANGED(looks)						\
	do {								\
		MOVE();							\
		EXPECT_TRUE(looks);					\
		MOVE_ON();						\
		EXPECT_TRUE(looks);					\
		ASSERT_EQ(0, hop(&self->head, &self->block));		\
		EXPECT_TRUE(looks);					\
	} while (0)

TEST_F_THREAD(context, gettid)
{
	pid_t tid = my_tid();

	EXPECT_EQ(variant->other, tid != getpid());
	UNCHANGED(my_tid() == tid && gettid() == tid);
}

TEST_F_THREAD(context, the_worker_has_a_tid_of_its_own)
{
	MOVE();
	MOVE_ON();
	EXPECT_LT(0, self->block.results[1]);
	EXPECT_NE(my_tid(), self->block.results[1]);
}

TEST_F_THREAD(context, pthread_self)
{
	pthread_t thread = pthread_self();

	UNCHANGED(pthread_equal(thread, pthread_self()));
}

TEST_F_THREAD(context, thread_locals)
{
	volatile unsigned long *where = &tls;

	tls = 0x7e57;
	UNCHANGED(where == &tls && tls == 0x7e57);
	tls = 0x1234;
	UNCHANGED(tls == 0x1234);
}

TEST_F_THREAD(context, errno_is_left_alone)
{
	long ret;

	errno = ENOTUNIQ;
	ret = dev_exec(self->head.fd, &self->block.program, 1, 0);
	EXPECT_EQ(ENOTUNIQ, errno);
	ASSERT_EQ(1, ret);
	MOVE_ON();
}

TEST_F_THREAD(context, segment_bases)
{
#ifdef __x86_64__
	static unsigned long anything[4];
	unsigned long fs[2] = { 1, 2 }, gs[2] = { 1, 2 };
	unsigned long at_gs;

	ASSERT_EQ(0, syscall(__NR_arch_prctl, ARCH_SET_GS, anything));
	ASSERT_EQ(0, syscall(__NR_arch_prctl, ARCH_GET_FS, &fs[0]));
	MOVE();
	ASSERT_EQ(0, syscall(__NR_arch_prctl, ARCH_GET_FS, &fs[1]));
	ASSERT_EQ(0, syscall(__NR_arch_prctl, ARCH_GET_GS, &gs[0]));
	anything[1] = 0x600df00d;
	asm volatile("mov %%gs:8, %0" : "=r"(at_gs));
	EXPECT_EQ(0x600df00d, at_gs);
	MOVE_ON();
	ASSERT_EQ(0, syscall(__NR_arch_prctl, ARCH_GET_GS, &gs[1]));
	EXPECT_EQ(fs[0], fs[1]);
	EXPECT_EQ(PTR(anything), gs[0]);
	EXPECT_EQ(PTR(anything), gs[1]);
#else
	SKIP(return, "no bases of its own");
#endif
}

TEST_F_THREAD(context, segment_selectors)
{
	unsigned short before[4], after[4];

#define SELECTORS(to)							\
	asm volatile("mov %%ds, %0\n mov %%es, %1\n mov %%fs, %2\n mov %%gs, %3"	\
		     : "=m"(to[0]), "=m"(to[1]), "=m"(to[2]), "=m"(to[3]))
	SELECTORS(before);
	MOVE();
	SELECTORS(after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
	MOVE_ON();
	SELECTORS(after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
}

TEST_F_THREAD(context, name_of_the_thread)
{
	char name[17] = "", other[64];

	ASSERT_EQ(0, prctl(PR_SET_NAME, "wanderer"));
	UNCHANGED(!prctl(PR_GET_NAME, name) && !strcmp(name, "wanderer"));
	MOVE();
	ASSERT_EQ(0, prctl(PR_SET_NAME, "renamed"));
	MOVE_ON();
	ASSERT_EQ(0, prctl(PR_GET_NAME, name));
	EXPECT_STREQ("renamed", name);
	status_line("thread-self", "Name", other, sizeof(other));
	EXPECT_STREQ("renamed", other);
}

TEST_F_THREAD(context, options_of_the_thread)
{
	static const struct {
		int set, get;
		unsigned long value;
		bool returned;	/* by GET, rather than stored */
	} options[] = {
		{ PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, 123456, true },
		{ PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, SIGURG, false },
		{ PR_SET_IO_FLUSHER, PR_GET_IO_FLUSHER, 1, true },
		{ PR_SET_KEEPCAPS, PR_GET_KEEPCAPS, 1, true },
	};
	int value, slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	unsigned int i;
	long ret;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		ASSERT_EQ(0, prctl(options[i].set, options[i].value, 0, 0, 0)) {
			TH_LOG("option %u: %m", i);
		}
	ASSERT_EQ(0, prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	MOVE();
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		value = -1;
		ret = options[i].returned ? prctl(options[i].get, 0, 0, 0, 0)
					  : prctl(options[i].get, &value, 0, 0, 0);
		EXPECT_EQ(options[i].value, options[i].returned ? ret : value) {
			TH_LOG("option %u", i);
		}
	}
	EXPECT_EQ(PR_MCE_KILL_EARLY, prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	MOVE_ON();
	/* The one that it began with. */
	ASSERT_EQ(0, prctl(PR_SET_TIMERSLACK, 0, 0, 0, 0));
	EXPECT_EQ(slack, prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
}

TEST_F_THREAD(context, nice_value_and_io_priority)
{
	const int best_effort_2 = 2 << 13 | 2;

	errno = 0;
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, 0, 7));
	ASSERT_EQ(0, syscall(__NR_ioprio_set, 1, 0, best_effort_2));
	UNCHANGED(getpriority(PRIO_PROCESS, 0) == 7 &&
		  syscall(__NR_ioprio_get, 1, 0) == best_effort_2);
}

TEST_F_THREAD(context, scheduling_policy)
{
	struct sched_param param = { 0 };

	ASSERT_EQ(0, sched_setscheduler(0, SCHED_BATCH, &param));
	UNCHANGED(sched_getscheduler(0) == SCHED_BATCH);
}

/* The area that the C library registered is kept up to date. */
static struct rseq *rseq_area(void)
{
	return (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static bool rseq_tells_the_cpu(void)
{
	unsigned int before, after, told, tries;

	for (tries = 0; tries < 1000; tries++) {
		syscall(__NR_getcpu, &before, NULL, NULL);
		told = *(volatile __u32 *)&rseq_area()->cpu_id;
		syscall(__NR_getcpu, &after, NULL, NULL);
		if (before == after)
			return told == before && rseq_area()->cpu_id_start == before;
	}
	return false;
}

TEST_F_THREAD(context, rseq_area)
{
	unsigned int i, nr = 50 * stress();

	if (!__rseq_size)
		SKIP(return, "no rseq");
	ASSERT_TRUE(rseq_tells_the_cpu());
	for (i = 0; i < nr; i++) {
		MOVE();
		ASSERT_TRUE(rseq_tells_the_cpu());
		ASSERT_LE(0, sched_getcpu());
		MOVE_ON();
		ASSERT_TRUE(rseq_tells_the_cpu());
	}
}

TEST_F_THREAD(context, rseq_area_after_being_pinned)
{
	cpu_set_t set, all;
	int cpu;

	if (!__rseq_size)
		SKIP(return, "no rseq");
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		MOVE();
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
		EXPECT_EQ(cpu, sched_getcpu());
		EXPECT_EQ(cpu, (int)rseq_area()->cpu_id);
		MOVE_ON();
		EXPECT_EQ(cpu, sched_getcpu());
		EXPECT_EQ(cpu, (int)rseq_area()->cpu_id);
	}
}

/* What an attempt to register the area again says. */
static int register_again(unsigned int length, unsigned int signature)
{
	return syscall(__NR_rseq, rseq_area(), length, 0, signature) ? errno : 0;
}

TEST_F_THREAD(context, rseq_is_registered_still)
{
	unsigned int length = 32;

	if (!__rseq_size)
		SKIP(return, "no rseq");
	while (register_again(length, RSEQ_SIG) != EBUSY) {
		length++;
		ASSERT_GT(1024, length);
	}
	UNCHANGED(register_again(length, RSEQ_SIG) == EBUSY &&
		  register_again(length, RSEQ_SIG + 1) == EPERM &&
		  register_again(length + 1, RSEQ_SIG) == EINVAL);
}

TEST_F_THREAD(context, rseq_time_slice_extension)
{
	const int enable = 1, get = 1, set = 2, option = 79; /* PR_RSEQ_SLICE_EXTENSION */

	if (!__rseq_size || prctl(option, set, enable, 0, 0))
		SKIP(return, "no extension of time slices");
	ASSERT_EQ(enable, prctl(option, get, 0, 0, 0));
	UNCHANGED(prctl(option, get, 0, 0, 0) == enable);
	ASSERT_EQ(0, prctl(option, set, 0, 0, 0));
	UNCHANGED(prctl(option, get, 0, 0, 0) == 0);
}

static void on_tick(int sig)
{
	(void)sig;
}

#ifdef __x86_64__
/* Stays in a critical section until it is aborted. */
static int wait_for_abort(void)
{
	unsigned long budget = 1UL << 32;
	int aborted = 0;

	asm volatile goto(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3:	.long 0, 0\n"
		"	.quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"	lea 3b(%%rip), %%rax\n"
		"	mov %%rax, (%[cs])\n"
		"1:	dec %[budget]\n"
		"	jnz 1b\n"
		"2:	jmp %l[done]\n"
		".pushsection __rseq_failure, \"ax\"\n"
		"	.byte 0x0f, 0xb9, 0x3d\n"	/* ud1 with the signature */
		"	.long %c[signature]\n"
		"4:	jmp %l[abort]\n"
		".popsection\n"
		: : [cs] "r"(&rseq_area()->rseq_cs), [budget] "r"(budget),
		  [signature] "i"(RSEQ_SIG)
		: "rax", "memory", "cc" : done, abort);
abort:
	aborted = 1;
done:
	*(volatile __u64 *)&rseq_area()->rseq_cs = 0;
	return aborted;
}
#endif

TEST_F_THREAD(context, rseq_critical_sections_are_aborted)
{
#ifdef __x86_64__
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	if (!__rseq_size)
		SKIP(return, "no rseq");
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	MOVE();
	ualarm(20000, 0);
	EXPECT_EQ(1, wait_for_abort());
	MOVE_ON();
	ualarm(20000, 0);
	EXPECT_EQ(1, wait_for_abort());
#else
	(void)on_tick;
	SKIP(return, "x86-64 only");
#endif
}

/*
 * No two threads that run at the same time have the same concurrency ID: each
 * counts, without a lock, in the counter of the one that it has.
 */
#define RSEQ_MM_CID	24	/* newer than the C library's headers */
#define MAX_CIDS	4096

#ifdef __x86_64__
/* Adds 1 to the counter of the ID, unless it may have another one by then. */
static bool count_in_cid(unsigned long *counters)
{
	asm volatile goto(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3:	.long 0, 0\n"
		"	.quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"	lea 3b(%%rip), %%rax\n"
		"	mov %%rax, (%[cs])\n"
		"1:	mov (%[cid]), %%eax\n"
		"	mov (%[counters], %%rax, 8), %%rcx\n"
		"	inc %%rcx\n"
		"	mov %%rcx, (%[counters], %%rax, 8)\n"
		"2:	jmp %l[done]\n"
		".pushsection __rseq_failure, \"ax\"\n"
		"	.byte 0x0f, 0xb9, 0x3d\n"	/* ud1 with the signature */
		"	.long %c[signature]\n"
		"4:	jmp %l[abort]\n"
		".popsection\n"
		: : [cs] "r"(&rseq_area()->rseq_cs), [cid] "r"((char *)rseq_area() + RSEQ_MM_CID),
		  [counters] "r"(counters), [signature] "i"(RSEQ_SIG)
		: "rax", "rcx", "memory", "cc" : done, abort);
done:
	*(volatile __u64 *)&rseq_area()->rseq_cs = 0;
	return true;
abort:
	*(volatile __u64 *)&rseq_area()->rseq_cs = 0;
	return false;
}

struct counter {
	struct head *head;
	pthread_barrier_t barrier;
	unsigned long counters[MAX_CIDS];
};

/* Counts so often while its program is blocked, and as often when that is done. */
#define COUNTS	20000

static void *count_moved(void *arg)
{
	struct counter *counter = arg;
	unsigned int i, round, rounds = 5 * stress();
	struct block block;
	long ret = block_init(&block, SYSLET_NO_COMPLETE);

	for (round = 0; round < rounds; round++) {
		if (!ret && block_submit(counter->head, &block) != SYSLET_PENDING)
			ret = -EINPROGRESS;
		pthread_barrier_wait(&counter->barrier);
		for (i = 0; i < COUNTS; i++)
			while (!count_in_cid(counter->counters))
				;
		if (!ret)
			ret = block_release(&block);
		pthread_barrier_wait(&counter->barrier);
		for (i = 0; i < COUNTS; i++)
			while (!count_in_cid(counter->counters))
				;
	}
	return (void *)ret;
}
#endif

TEST_F_THREAD(context, rseq_concurrency_ids)
{
#ifdef __x86_64__
	static struct counter counter;
	unsigned long i, sum = 0;
	pthread_t thread;
	void *ret;

	if (!__rseq_size || getauxval(AT_RSEQ_FEATURE_SIZE) < RSEQ_MM_CID + sizeof(__u32))
		SKIP(return, "no concurrency IDs");
	counter.head = &self->head;
	ASSERT_EQ(0, pthread_barrier_init(&counter.barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, count_moved, &counter));
	EXPECT_EQ(NULL, count_moved(&counter));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	for (i = 0; i < MAX_CIDS; i++)
		sum += counter.counters[i];
	EXPECT_EQ(2UL * 2 * COUNTS * 5 * stress(), sum);
#else
	SKIP(return, "x86-64 only");
#endif
}

TEST_F_THREAD(context, protection_keys)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP(return, "no protection keys");
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_WRITE));
	UNCHANGED(pkey_get(key) == PKEY_DISABLE_WRITE);
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_ACCESS));
	UNCHANGED(pkey_get(key) == PKEY_DISABLE_ACCESS);
	ASSERT_EQ(0, pkey_set(key, 0));
	UNCHANGED(pkey_get(key) == 0);
}

TEST_F_THREAD(context, a_program_keeps_the_key_rights_it_had)
{
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct syslet_atom atoms[] = { read_atom(self->block.go[0], page, 1) };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP(return, "no protection keys");
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, pkey_mprotect(page, size, PROT_READ | PROT_WRITE, key));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_ACCESS));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(1, cqe.result);
	EXPECT_EQ(PKEY_DISABLE_ACCESS, pkey_get(key));
	ASSERT_EQ(0, pkey_set(key, 0));
	EXPECT_EQ('!', page[0]);
}

TEST_F_THREAD(context, a_program_has_no_more_key_rights_than_its_caller)
{
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct syslet_atom atoms[] = { read_atom(self->block.go[0], page, 1) };
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_cqe cqe;
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP(return, "no protection keys");
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, hop(&self->head, &self->block));	/* a worker of that time is there */
	ASSERT_EQ(0, pkey_mprotect(page, size, PROT_READ | PROT_WRITE, key));
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_WRITE));
	ASSERT_EQ(1, dev_exec(self->head.fd, &program, 1, 0));
	ASSERT_EQ(SYSLET_PENDING, program.status);
	ASSERT_EQ(0, pkey_set(key, 0));
	ASSERT_EQ(1, write(self->block.go[1], "!", 1));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_EQ(-EFAULT, cqe.result);
	EXPECT_EQ(0, page[0]);
}

TEST_F_THREAD(context, cpu_time_of_the_process_goes_on)
{
	struct timespec before, after;

	ASSERT_EQ(0, clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before));
	MOVE();
	ASSERT_EQ(0, clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after));
	EXPECT_LT(before.tv_sec * NSEC_PER_SEC + before.tv_nsec,
		  after.tv_sec * NSEC_PER_SEC + after.tv_nsec);
	MOVE_ON();
}

TEST_HARNESS_MAIN
