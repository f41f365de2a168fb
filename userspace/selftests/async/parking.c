// SPDX-License-Identifier: GPL-2.0
/*
 * The parking page is memory of the process: what becomes of one that changes it.
 *
 * Whatever its cachemiss threads then run, it harms the process alone: no
 * worker is taken for another, programs run in the caller where no worker
 * arrives, and nothing of it is left when it is gone.
 */
#ifdef __x86_64__

#include <sys/time.h>
#include "async_test.h"
#include "../fdinfo.h"

#define PAGE	4096

static struct head head;
static struct block block;

/* What a worker runs: mov %r12d, %edi; mov $SYSLET_IOC_PARK, %esi; ... syscall at 16 */
static const unsigned char begins[] = { 0x44, 0x89, 0xe7, 0xbe };
#define AT_SYSCALL	16

/* Exits as the parking page does when its call returns: mov $60, %eax; syscall */
#define EXIT		0xb8, 60, 0, 0, 0, 0x0f, 0x05
static const unsigned char only_exits[] = { EXIT };
static const unsigned char faults[] = { 0x0f, 0x0b };

/* The page of this process, writable from now on; or ends the child. */
static unsigned char *parking_page(void)
{
	unsigned long from, to, inode;
	unsigned char *page = NULL;
	char line[256], perms[5];
	FILE *maps = fopen("/proc/self/maps", "re");

	while (maps && !page && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &from, &to, perms, &inode) == 4 &&
		    !inode && to - from == PAGE && !strcmp(perms, "r-xp") &&
		    !memcmp((void *)from, begins, sizeof(begins)))
			page = (void *)from;
	}
	if (maps)
		fclose(maps);
	if (!page || mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC))
		_exit(110);
	return page;
}

/* The program blocks its caller, as no worker arrives: somebody else lets it go on. */
static int runs_in_the_caller(struct block *one)
{
	struct rescuer rescuer;
	long ret;

	if (rescuer_start(&rescuer, __NR_read, one->go[1]))
		return 120;
	ret = block_submit(&head, one);
	return rescuer_end(&rescuer) && ret == SYSLET_DONE ? 42 : 121;
}

static int workers_that_exit(void)
{
	memcpy(parking_page(), only_exits, sizeof(only_exits));
	return runs_in_the_caller(&block);
}

static int workers_that_fault(void)
{
	memcpy(parking_page(), faults, sizeof(faults));
	return runs_in_the_caller(&block);
}

static int page_is_unmapped(void)
{
	munmap(parking_page(), PAGE);
	return runs_in_the_caller(&block);
}

static void interrupt(int sig)
{
	(void)sig;
}

/* Has a signal come soon, and again and again; or none. */
static void expect_signals(bool yes)
{
	struct itimerval soon = { { 0, 100000 * yes }, { 0, 100000 * yes } };
	struct sigaction action = { .sa_handler = interrupt };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

/* Has a worker forked that never arrives; or ends the child. */
static void fork_one_that_loops(unsigned char *page)
{
	struct syslet_program program = block.program;

	/* Where it stays when the beginning is changed again. */
	memcpy(page + 64, "\xeb\xfe", 2);
	memcpy(page, "\xeb\x3e", 2);
	expect_signals(true);
	if (dev_exec(head.fd, &program, 1, 0) != -EINTR && program.status != SYSLET_DONE)
		_exit(111);
	expect_signals(false);
}

static int workers_that_never_arrive(void)
{
	fork_one_that_loops(parking_page());
	/* Each keeps a CPU busy, and there may be no more than these. */
	expect_signals(true);
	return runs_in_the_caller(&block);
}

/* The first worker does not arrive, and the second one says that it is the first. */
static int worker_says_it_is_another(void)
{
	unsigned char *page = parking_page(), code[32];

	memcpy(code, page, sizeof(code));
	fork_one_that_loops(page);
	/* The call has to come from where it was. */
	memcpy(page, "\x49\xff\xcd", 3);			/* dec %r13 */
	memcpy(page + 3, "\x44\x89\xe7\x4c\x89\xea", 6);	/* %edi, %rdx */
	page[9] = 0xbe;						/* mov $SYSLET_IOC_PARK, %esi */
	memcpy(page + 10, code + 4, 4);
	memcpy(page + 14, "\xb0\x10", 2);			/* mov $16, %al; the rest is 0 */
	return runs_in_the_caller(&block);
}

static unsigned char *thread_parks_at;

/* At the page's very call, with the number of a worker that there is. */
static void *parks(void *number)
{
	register long fd asm("r12") = head.fd;
	register long id asm("r13") = (long)number;

	asm volatile("jmp *%0" : : "r"(thread_parks_at), "r"(fd), "r"(id) : "memory");
	__builtin_unreachable();
}

static int thread_says_it_is_a_worker(void)
{
	pthread_t thread;
	long number;

	thread_parks_at = parking_page();
	if (hop(&head, &block))
		return 111;
	for (number = 0; number < 4; number++) {
		if (pthread_create(&thread, NULL, parks, (void *)number) ||
		    pthread_join(thread, NULL))
			return 112;
	}
	return hop(&head, &block) ? 113 : 42;
}

/*
 * The first worker to be forked calls EXEC itself, and is handed over: its task
 * then is the second worker as well, and the process' end meets it as both.
 */
static struct syslet_exec its_exec;
static char its_stack[4096] __attribute__((aligned(16)));
long its_result, its_cmd = SYSLET_IOC_EXEC, park_cmd = SYSLET_IOC_PARK, park_at;
int its_turn, its_fd;
void *its_argument = &its_exec, *its_sp = its_stack + sizeof(its_stack);
void its_entry(void);

asm(".text\n"
    ".globl its_entry\n"
    "its_entry:\n"
    "	movl	$1, %eax\n"
    "	lock xaddl %eax, its_turn(%rip)\n"
    "	testl	%eax, %eax\n"
    "	jz	1f\n"
    "	movl	%r12d, %edi\n"
    "	movl	park_cmd(%rip), %esi\n"
    "	movq	%r13, %rdx\n"
    "	movl	$16, %eax\n"
    "	jmp	*park_at(%rip)\n"
    "1:	movq	its_sp(%rip), %rsp\n"
    "	movl	its_fd(%rip), %edi\n"
    "	movl	its_cmd(%rip), %esi\n"
    "	movq	its_argument(%rip), %rdx\n"
    "	movl	$16, %eax\n"
    "	syscall\n"
    "	movq	%rax, its_result(%rip)\n"
    "2:	movl	$34, %eax\n"			/* pause() */
    "	syscall\n"
    "	jmp	2b\n");

static int worker_becomes_another_one_too(void)
{
	unsigned char *page = parking_page();
	struct syslet_program program;
	void *entry = its_entry;
	struct block its;
	pid_t pid;

	if (block_init(&its, 0))
		return 111;
	its_fd = head.fd;
	its_exec = (struct syslet_exec) {
		.size = sizeof(its_exec),
		.programs = PTR(&its.program),
		.nr_programs = 1,
	};
	park_at = (long)page + AT_SYSCALL;
	memcpy(page, "\x48\xb8", 2);		/* movabs $its_entry, %rax; jmp *%rax */
	memcpy(page + 2, &entry, sizeof(entry));
	memcpy(page + 10, "\xff\xe0", 2);
	expect_signals(true);
	program = block.program;
	if (dev_exec(head.fd, &program, 1, 0) != -EINTR && program.status != SYSLET_DONE)
		return 112;
	expect_signals(false);
	while (!__atomic_load_n(&its_result, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (its_result != 1 || its.program.status != SYSLET_PENDING)
		return 113;
	if (block_finish(&head, &its))
		return 114;
	/* A stop takes it to user mode, and there it stays: it does not leave as either. */
	memcpy(page + AT_SYSCALL, "\xeb\xfe", 2);
	pid = fork();
	if (!pid) {
		usleep(100000);
		_exit(kill(getppid(), SIGCONT));
	}
	if (pid < 0 || raise(SIGSTOP))
		return 115;
	return child_status(pid) ? 116 : 42;
}

FIXTURE(parking) {
	long references;
};

FIXTURE_VARIANT(parking) {
	int (*run)(void);
	int status;
};

FIXTURE_VARIANT_ADD(parking, workers_exit) { workers_that_exit, 42 };
FIXTURE_VARIANT_ADD(parking, workers_fault) { workers_that_fault, -SIGILL };
FIXTURE_VARIANT_ADD(parking, page_is_unmapped) { page_is_unmapped, -SIGSEGV };
FIXTURE_VARIANT_ADD(parking, workers_never_arrive) { workers_that_never_arrive, 42 };
FIXTURE_VARIANT_ADD(parking, worker_says_it_is_another) { worker_says_it_is_another, 42 };
FIXTURE_VARIANT_ADD(parking, thread_says_it_is_a_worker) { thread_says_it_is_a_worker, 42 };
FIXTURE_VARIANT_ADD(parking, worker_becomes_another) { worker_becomes_another_one_too, 42 };

FIXTURE_SETUP(parking)
{
	NEED_ASYNC();
	self->references = module_references();
}

FIXTURE_TEARDOWN(parking) { }

TEST_F(parking, harms_its_process_alone)
{
	pid_t pid;
	int fd;

	/* Its head outlives it, but the workers must not. */
	fd = dev_open();
	ASSERT_LE(0, fd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		head.fd = fd;
		head.setup = (struct syslet_setup) {
			.size = sizeof(head.setup), .cq_entries = 64, .max_threads = 3,
			.spare_threads = 1, .idle_ms = 100,
		};
		if (dev_ioctl(fd, SYSLET_IOC_SETUP, &head.setup) || head_map(&head) ||
		    block_init(&block, 0))
			_exit(100);
		_exit(variant->run());
	}
	EXPECT_EQ(variant->status, child_status(pid));
	EXPECT_EQ(0, value(fd, "threads"));
	EXPECT_EQ(0, value(fd, "in-flight"));
	close(fd);
	EXPECT_EQ(self->references, module_references_come_to(self->references));
	ASSERT_EQ(0, head_open(&head, 64));
	ASSERT_EQ(0, block_init(&block, 0));
	EXPECT_EQ(0, hop(&head, &block));
	head_close(&head);
	EXPECT_EQ(self->references, module_references_come_to(self->references));
}

#else

#include "../syslet_test.h"

TEST(no_cachemiss_threads_for_32_bit_callers)
{
	SKIP(return, "no cachemiss threads for 32-bit callers");
}

#endif

TEST_HARNESS_MAIN
