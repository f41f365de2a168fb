// SPDX-License-Identifier: GPL-2.0
/*
 * Memory and files that change while EXEC looks at them: the outcome is always
 * one of those that either state would have had.
 */
#include "syslet_test.h"

#define ROUNDS 3000

FIXTURE(race) {
	struct head head;
	struct syslet_program program;
	struct syslet_atom atoms[SYSLET_MAX_ATOMS + 1];
	__s64 results[SYSLET_MAX_ATOMS];
	long value;
};

FIXTURE_SETUP(race)
{
	unsigned int i;

	ASSERT_EQ(0, head_open(&self->head, 64));
	for (i = 0; i < ARRAY_SIZE(self->atoms); i++)
		self->atoms[i] = (struct syslet_atom) {
			.nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&self->value), 1 },
		};
	self->program = (struct syslet_program) { .atoms = PTR(self->atoms), .nr_atoms = 2 };
}

FIXTURE_TEARDOWN(race)
{
	head_close(&self->head);
}

/* A thread that does something again and again until told to stop. */
static volatile bool stop;
static volatile unsigned long turns;

struct flip {
	void *at;
	size_t size;
	__u64 values[2];
};

static void *flipper(void *arg)
{
	struct flip *flip = arg;

	for (; !stop; turns++) {
		__u64 value = flip->values[turns & 1];

		switch (flip->size) {
		case 1:
			*(volatile __u8 *)flip->at = value;
			break;
		case 4:
			*(volatile __u32 *)flip->at = value;
			break;
		default:
			*(volatile __u64 *)flip->at = value;
		}
	}
	return NULL;
}

/* Returns once it has done so at least twice. */
static int begin(pthread_t *thread, void *(*run)(void *), void *arg)
{
	int ret = pthread_create(thread, NULL, run, arg);

	while (!ret && turns < 2)
		sched_yield();
	return ret;
}

static int end(pthread_t thread)
{
	stop = true;
	return pthread_join(thread, NULL);
}

#define submit() dev_exec(self->head.fd, &self->program, 1, 0)

/*
 * Runs the program ROUNDS times while @flip goes on; counts what it returned
 * besides 1 and the one error that the other value stands for.
 */
static unsigned int race(struct __test_metadata *_metadata, int fd, struct syslet_program *program,
			 struct flip *flip, long error)
{
	unsigned int i, others = 0;
	pthread_t thread;

	ASSERT_EQ(0, begin(&thread, flipper, flip));
	for (i = 0; i < ROUNDS; i++) {
		long ret = dev_exec(fd, program, 1, 0);

		others += ret != 1 && ret != error;
	}
	ASSERT_EQ(0, end(thread));
	return others;
}

#define FLIP(field, one, two) \
	{ .at = &(field), .size = sizeof(field), .values = { one, two } }

TEST_F(race, the_number_of_an_atom)
{
	struct flip flip = FLIP(self->atoms[1].nr, __NR_getppid, __NR_clone);

	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -EPERM));
	EXPECT_EQ(-ECHILD, sysret(waitpid(-1, NULL, WNOHANG)));
}

TEST_F(race, the_flags_of_an_atom)
{
	struct flip flip = FLIP(self->atoms[1].flags, 0, 1);

	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -EINVAL));
}

TEST_F(race, arg_from)
{
	struct flip flip = FLIP(self->atoms[1].arg_from[2], 1, 255);

	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -EINVAL));
}

TEST_F(race, skip)
{
	struct flip flip = FLIP(self->atoms[0].skip, 1, 255);

	self->atoms[0].flags = SYSLET_SKIP_ON_STOP | SYSLET_STOP_ON_NONZERO;
	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -EINVAL));
}

TEST_F(race, an_argument)
{
	struct flip flip = FLIP(self->atoms[1].args[1], 0, 1000000);
	unsigned int i, others = 0;
	pthread_t thread;
	long before;

	ASSERT_EQ(0, begin(&thread, flipper, &flip));
	for (i = 0; i < ROUNDS; i++) {
		before = self->value;
		ASSERT_EQ(1, submit());
		others += self->value != before + 1 && self->value != before + 1000001;
		others += self->program.result != self->value;
	}
	ASSERT_EQ(0, end(thread));
	EXPECT_EQ(0, others);
}

TEST_F(race, the_number_of_atoms)
{
	struct flip flip = FLIP(self->program.nr_atoms, 2, SYSLET_MAX_ATOMS + 1);

	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -E2BIG));
}

TEST_F(race, the_number_of_atoms_with_results)
{
	/* As many slots are written as atoms were read, whatever the count says later. */
	struct flip flip = FLIP(self->program.nr_atoms, 2, SYSLET_MAX_ATOMS);
	unsigned int i, others = 0;
	pthread_t thread;

	self->program.results = PTR(self->results);
	ASSERT_EQ(0, begin(&thread, flipper, &flip));
	for (i = 0; i < ROUNDS; i++) {
		self->results[2] = POISON64;
		self->results[SYSLET_MAX_ATOMS - 1] = POISON64;
		ASSERT_EQ(1, submit());
		others += self->program.last != 1 && self->program.last != SYSLET_MAX_ATOMS - 1;
		others += (self->program.last == 1) != (self->results[2] == POISON64);
		others += (self->program.last == 1) !=
			  (self->results[SYSLET_MAX_ATOMS - 1] == POISON64);
	}
	ASSERT_EQ(0, end(thread));
	EXPECT_EQ(0, others);
}

TEST_F(race, the_address_of_the_atoms)
{
	struct flip flip = FLIP(self->program.atoms, PTR(self->atoms), 64);

	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -EFAULT));
}

TEST_F(race, the_flags_of_a_program)
{
	struct flip flip = FLIP(self->program.flags, 0, 0x80);

	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -EINVAL));
}

TEST_F(race, the_address_of_the_results)
{
	struct flip flip = FLIP(self->program.results, 0, 64);

	EXPECT_EQ(0, race(_metadata, self->head.fd, &self->program, &flip, -EFAULT));
}

TEST_F(race, the_size_of_exec)
{
	struct syslet_exec exec[2] = { {
		.size = sizeof(*exec),
		.programs = PTR(&self->program),
		.nr_programs = 1,
	}, { .size = 1 } };
	struct flip flip = FLIP(exec[0].size, sizeof(*exec), 2 * sizeof(*exec));
	unsigned int i, others = 0;
	pthread_t thread;
	long ret;

	ASSERT_EQ(0, begin(&thread, flipper, &flip));
	for (i = 0; i < ROUNDS; i++) {
		ret = dev_ioctl(self->head.fd, SYSLET_IOC_EXEC, exec);
		others += ret != 1 && ret != -E2BIG;
	}
	ASSERT_EQ(0, end(thread));
	EXPECT_EQ(0, others);
}

/* Pages that come and go. */
struct toggle {
	void *page;
	long size;
};

static void *toggler(void *arg)
{
	struct toggle *toggle = arg;

	for (; !stop; turns++)
		mprotect(toggle->page, toggle->size,
			 turns & 1 ? PROT_READ | PROT_WRITE : PROT_NONE);
	return NULL;
}

static unsigned int race_page(struct __test_metadata *_metadata, int fd,
			      struct syslet_program *program, void *page)
{
	struct toggle toggle = { page, sysconf(_SC_PAGESIZE) };
	unsigned int i, others = 0;
	pthread_t thread;

	/* A fault may block, and nobody takes completions from the ring. */
	program->flags |= SYSLET_NO_COMPLETE;
	ASSERT_EQ(0, begin(&thread, toggler, &toggle));
	for (i = 0; i < ROUNDS; i++) {
		long ret = dev_exec(fd, program, 1, 0);

		others += ret != 1 && ret != -EFAULT;
	}
	ASSERT_EQ(0, end(thread));
	return others;
}

TEST_F(race, the_page_of_the_program)
{
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	memcpy(page, &self->program, sizeof(self->program));
	EXPECT_EQ(0, race_page(_metadata, self->head.fd, (void *)page, page));
}

TEST_F(race, the_page_of_the_atoms)
{
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	memcpy(page, self->atoms, 2 * sizeof(*self->atoms));
	self->program.atoms = PTR(page);
	EXPECT_EQ(0, race_page(_metadata, self->head.fd, &self->program, page));
}

TEST_F(race, the_page_of_the_results)
{
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	self->program.results = PTR(page);
	EXPECT_EQ(0, race_page(_metadata, self->head.fd, &self->program, page));
}

TEST_F(race, the_page_of_a_variable)
{
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	self->atoms[0].args[0] = PTR(page);
	EXPECT_EQ(0, race_page(_metadata, self->head.fd, &self->program, page));
}

/* A descriptor that is closed and opened again. */
static void *closer(void *arg)
{
	int *fds = arg;	/* the one to close, and a good one */

	for (; !stop; turns++) {
		close(fds[0]);
		dup2(fds[1], fds[0]);
	}
	return NULL;
}

TEST_F(race, the_descriptor)
{
	int fds[2] = { dup(self->head.fd), self->head.fd };
	unsigned int i, others = 0;
	pthread_t thread;
	long ret;

	ASSERT_LE(0, fds[0]);
	ASSERT_EQ(0, begin(&thread, closer, fds));
	for (i = 0; i < ROUNDS; i++) {
		ret = dev_exec(fds[0], &self->program, 1, 0);
		others += ret != 1 && ret != -EBADF;
	}
	ASSERT_EQ(0, end(thread));
	EXPECT_EQ(0, others);
}

/* A head that is closed for good while its owner submits. */
struct victim {
	int fd;
	pthread_barrier_t barrier;
};

static void *close_once(void *arg)
{
	struct victim *victim = arg;

	pthread_barrier_wait(&victim->barrier);
	close(victim->fd);
	return NULL;
}

TEST_F(race, the_last_descriptor)
{
	struct victim victim;
	unsigned int i, others = 0;
	struct syslet_setup setup;
	pthread_t thread;
	long ret;

	for (i = 0; i < 100; i++) {
		victim.fd = dev_open();
		ASSERT_LE(0, victim.fd);
		ASSERT_EQ(0, dev_setup(victim.fd, 8, &setup));
		ASSERT_EQ(0, pthread_barrier_init(&victim.barrier, NULL, 2));
		ASSERT_EQ(0, pthread_create(&thread, NULL, close_once, &victim));
		pthread_barrier_wait(&victim.barrier);
		do {
			ret = dev_exec(victim.fd, &self->program, 1, SYSLET_EXEC_RING_ALL);
		} while (ret == 1);
		others += ret != -EBADF && ret != -EBUSY;
		ASSERT_EQ(0, pthread_join(thread, NULL));
		pthread_barrier_destroy(&victim.barrier);
	}
	EXPECT_EQ(0, others);
}

/* Threads that share one head. */
#define THREADS 4
#define EACH 300

struct sharer {
	pthread_t thread;
	struct head *head;
	unsigned int index;
	long failed;
};

static void *share(void *arg)
{
	struct sharer *sharer = arg;
	unsigned int i;

	for (i = 0; i < EACH; i++) {
		struct syslet_atom atoms[] = { { .nr = __NR_gettid } };
		__s64 result = POISON64;
		struct syslet_program program = PROGRAM(atoms,
			.user_data = (__u64)sharer->index << 32 | i,
			.results = PTR(&result));
		long ret;

		while ((ret = dev_exec(sharer->head->fd, &program, 1, SYSLET_EXEC_RING_ALL)) == -EBUSY)
			sched_yield();
		if (ret != 1 || program.result != syscall(__NR_gettid) || result != program.result)
			sharer->failed++;
	}
	return NULL;
}

TEST_F(race, threads_that_share_a_head)
{
	struct sharer sharers[THREADS];
	__u32 next[THREADS] = { 0 };
	unsigned int i, got = 0;
	struct syslet_cqe cqe;

	for (i = 0; i < THREADS; i++) {
		sharers[i] = (struct sharer) { .head = &self->head, .index = i };
		ASSERT_EQ(0, pthread_create(&sharers[i].thread, NULL, share, &sharers[i]));
	}
	/* Each thread's completions come in its order; none is lost or doubled. */
	while (got < THREADS * EACH) {
		ASSERT_LE(1, dev_wait(self->head.fd, 1, 20 * NSEC_PER_SEC));
		while (ring_take(&self->head, &cqe)) {
			i = cqe.user_data >> 32;
			ASSERT_GT(THREADS, i);
			EXPECT_EQ(next[i], (__u32)cqe.user_data);
			next[i]++;
			got++;
		}
	}
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(sharers[i].thread, NULL));
		EXPECT_EQ(0, sharers[i].failed);
	}
	EXPECT_EQ(0, dev_wait(self->head.fd, 0, 0));
}

static void *set_up(void *arg)
{
	struct victim *victim = arg;
	struct syslet_setup setup;

	pthread_barrier_wait(&victim->barrier);
	return (void *)dev_setup(victim->fd, 8, &setup);
}

TEST_F(race, two_setups)
{
	struct victim victim;
	struct syslet_setup setup;
	pthread_t thread;
	unsigned int i;
	void *other;
	long mine;

	ASSERT_EQ(0, pthread_barrier_init(&victim.barrier, NULL, 2));
	for (i = 0; i < 100; i++) {
		victim.fd = dev_open();
		ASSERT_LE(0, victim.fd);
		ASSERT_EQ(0, pthread_create(&thread, NULL, set_up, &victim));
		pthread_barrier_wait(&victim.barrier);
		mine = dev_setup(victim.fd, 16, &setup);
		ASSERT_EQ(0, pthread_join(thread, &other));
		EXPECT_EQ(-EBUSY, mine + (long)other);
		ASSERT_EQ(0, close(victim.fd));
	}
}

TEST_HARNESS_MAIN
