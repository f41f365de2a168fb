// SPDX-License-Identifier: GPL-2.0
/*
 * Registers, across the call in which the caller goes on in another task.
 *
 * An assembler routine fills all of them with a pattern, makes the call, and
 * stores all of them again. The extended state is loaded and stored by XRSTOR
 * and XSAVE, so that it covers whatever the processor has.
 */
#include <cpuid.h>
#include <sys/time.h>
#include "async_test.h"

/* Components: x87, SSE, AVX, and the three of AVX-512. */
#define LEGACY		0x03
#define COMPONENTS	(LEGACY | 0x04 | 0xe0)

#define XSAVE_BYTES	4096
#define FXSAVE_ST	32	/* eight registers of 80 bits, 16 bytes apart */
#define FXSAVE_XMM	160
#define FXSAVE_END	(FXSAVE_XMM + 16 * sizeof(long) / 4 * 8)
#define XSTATE_BV	512

/*
 * What the routine loads and stores. Its offsets are in the routine, too:
 * words 0 to 15 for the registers in order of their encoding, without the
 * stack pointer, then the flags.
 */
struct registers {
	unsigned long word[17];
	unsigned long mask;	/* of components */
	unsigned char xsave[XSAVE_BYTES] __attribute__((aligned(64)));
};

enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R9, R10, R11, R12, R13, R14, R15, FLAGS };

/* Makes the call whose number and arguments @in holds; fills @out. */
void call_with(const struct registers *in, struct registers *out);

#ifdef __x86_64__
#define RED_ZONE	128
#define FLAGS_PATTERN	0xcd5UL	/* CF PF AF ZF SF DF OF */
asm(".pushsection .text\n"
    ".globl call_with\n"
    "call_with:\n"
    "	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
    "	push %rsi\n"
    "	mov 17*8(%rdi), %eax\n"
    "	xor %edx, %edx\n"
    "	xrstor64 192(%rdi)\n"
    "	lea -128(%rsp), %rcx\n"
    "	mov $0x5a5a5a5a, %eax\n"
    "1:	mov %rax, (%rcx)\n"
    "	add $8, %rcx\n"
    "	cmp %rsp, %rcx\n"
    "	jne 1b\n"
    "	lea -128(%rsp), %rsp\n"
    "	push 16*8(%rdi)\n"
    "	popf\n"
    "	lea 128(%rsp), %rsp\n"
    "	mov 0*8(%rdi), %rax\n	mov 2*8(%rdi), %rdx\n	mov 3*8(%rdi), %rbx\n"
    "	mov 5*8(%rdi), %rbp\n	mov 6*8(%rdi), %rsi\n	mov 8*8(%rdi), %r8\n"
    "	mov 9*8(%rdi), %r9\n	mov 10*8(%rdi), %r10\n	mov 12*8(%rdi), %r12\n"
    "	mov 13*8(%rdi), %r13\n	mov 14*8(%rdi), %r14\n	mov 15*8(%rdi), %r15\n"
    "	mov 7*8(%rdi), %rdi\n"
    "	syscall\n"
    /* rcx and r11 are the instruction's own. */
    "	mov (%rsp), %rcx\n"
    "	mov %rax, 0*8(%rcx)\n	mov %rdx, 2*8(%rcx)\n	mov %rbx, 3*8(%rcx)\n"
    "	mov %rbp, 5*8(%rcx)\n	mov %rsi, 6*8(%rcx)\n"
    "	mov %rdi, 7*8(%rcx)\n	mov %r8, 8*8(%rcx)\n	mov %r9, 9*8(%rcx)\n"
    "	mov %r10, 10*8(%rcx)\n	mov %r12, 12*8(%rcx)\n	mov %r13, 13*8(%rcx)\n"
    "	mov %r14, 14*8(%rcx)\n	mov %r15, 15*8(%rcx)\n"
    "	lea -128(%rsp), %rsp\n"
    "	pushf\n"
    "	pop 16*8(%rcx)\n"
    "	lea 128(%rsp), %rsp\n"
    "	cld\n"
    "	mov 17*8(%rcx), %eax\n"
    "	xor %edx, %edx\n"
    "	xsave64 192(%rcx)\n"
    /* What should lie below the stack pointer: how many words do is left in word 1. */
    "	xor %edx, %edx\n"
    "	lea -128(%rsp), %rsi\n"
    "2:	cmpq $0x5a5a5a5a, (%rsi)\n"
    "	jne 3f\n"
    "	inc %edx\n"
    "3:	add $8, %rsi\n"
    "	cmp %rsp, %rsi\n"
    "	jne 2b\n"
    "	mov %rdx, 1*8(%rcx)\n"
    "	pop %rsi\n"
    "	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
    "	ret\n"
    ".popsection\n");
#else
#define FLAGS_PATTERN	0xcd5UL
asm(".pushsection .text\n"
    ".globl call_with\n"
    "call_with:\n"
    "	push %ebx\n	push %ebp\n	push %esi\n	push %edi\n"
    "	mov 20(%esp), %edi\n"
    "	mov 17*4(%edi), %eax\n"
    "	xor %edx, %edx\n"
    "	xrstor 128(%edi)\n"
    "	push 16*4(%edi)\n"
    "	popf\n"
    "	mov 0*4(%edi), %eax\n	mov 1*4(%edi), %ecx\n	mov 2*4(%edi), %edx\n"
    "	mov 3*4(%edi), %ebx\n	mov 5*4(%edi), %ebp\n	mov 6*4(%edi), %esi\n"
    "	mov 7*4(%edi), %edi\n"
    "	int $0x80\n"
    "	push %ecx\n"
    "	mov 28(%esp), %ecx\n"
    "	mov %eax, 0*4(%ecx)\n	mov %edx, 2*4(%ecx)\n	mov %ebx, 3*4(%ecx)\n"
    "	mov %ebp, 5*4(%ecx)\n	mov %esi, 6*4(%ecx)\n	mov %edi, 7*4(%ecx)\n"
    "	pop 1*4(%ecx)\n"
    "	pushf\n"
    "	pop 16*4(%ecx)\n"
    "	cld\n"
    "	mov 17*4(%ecx), %eax\n"
    "	xor %edx, %edx\n"
    "	xsave 128(%ecx)\n"
    "	pop %edi\n	pop %esi\n	pop %ebp\n	pop %ebx\n"
    "	ret\n"
    ".popsection\n");
#endif

static bool have_xsave(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & bit_OSXSAVE;
}

static unsigned long enabled_components(void)
{
	unsigned int low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low & COMPONENTS;
}

/* Where a component is, as far as the caller's mode can reach it. */
static void component(int nr, unsigned int *offset, unsigned int *size)
{
	unsigned int c, d;

	__cpuid_count(0xd, nr, *size, *offset, c, d);
#ifndef __x86_64__
	if (nr == 7)	/* registers 16 to 31 */
		*size = 0;
	else if (nr != 5)
		*size /= 2;
#endif
}

/* Bytes that tell thread, round and place apart. */
static void fill(unsigned char *at, size_t len, unsigned int seed)
{
	unsigned int state = seed * 2654435761U + 1;
	size_t i;

	for (i = 0; i < len; i++) {
		state = state * 1664525U + 1013904223U;
		at[i] = state >> 24;
	}
}

static void put16(unsigned char *at, __u16 value)
{
	memcpy(at, &value, sizeof(value));
}

static void put32(unsigned char *at, __u32 value)
{
	memcpy(at, &value, sizeof(value));
}

static void make_pattern(struct registers *in, unsigned int seed)
{
	static const __u16 control[] = { 0x037f, 0x0e7f, 0x0c7f, 0x077f };
	static const __u32 mxcsr[] = { 0x1f80, 0xffc0, 0x3f80, 0xdf80 };
	unsigned int offset, size;
	__u64 bv;
	int i;

	memset(in, 0, sizeof(*in));
	fill((void *)in->word, sizeof(in->word), seed);
	in->word[FLAGS] = FLAGS_PATTERN & (seed | 0x202);
	in->word[FLAGS] |= 0x202;
	in->mask = bv = enabled_components();
	put16(in->xsave, control[seed % 4]);
	in->xsave[4] = 0xff;	/* every x87 register in use */
	put32(in->xsave + 24, mxcsr[seed / 4 % 4]);
	for (i = 0; i < 8; i++)
		fill(in->xsave + FXSAVE_ST + 16 * i, 10, seed + i);
	fill(in->xsave + FXSAVE_XMM, FXSAVE_END - FXSAVE_XMM, seed);
	memcpy(in->xsave + XSTATE_BV, &bv, sizeof(bv));
	for (i = 2; i < 8; i++) {
		if (!(in->mask & (1UL << i)))
			continue;
		component(i, &offset, &size);
		fill(in->xsave + offset, size, seed + i);
	}
}

/* Puts the EXEC of @exec in the place of the pattern where the call wants it. */
static void make_call(struct registers *in, int fd, struct syslet_exec *exec)
{
#ifdef __x86_64__
	in->word[DI] = fd;
	in->word[SI] = SYSLET_IOC_EXEC;
	in->word[DX] = PTR(exec);
#else
	in->word[BX] = fd;
	in->word[CX] = SYSLET_IOC_EXEC;
	in->word[DX] = PTR(exec);
#endif
	in->word[AX] = __NR_ioctl;
}

static bool same_state(const struct registers *in, const struct registers *out)
{
	unsigned int offset, size, i;

	if (memcmp(in->xsave, out->xsave, 5))	/* control, status and tag words */
		return false;
	if (memcmp(in->xsave + 24, out->xsave + 24, 4))
		return false;
	for (i = 0; i < 8; i++) {
		offset = FXSAVE_ST + 16 * i;
		if (memcmp(in->xsave + offset, out->xsave + offset, 10))
			return false;
	}
	if (memcmp(in->xsave + FXSAVE_XMM, out->xsave + FXSAVE_XMM, FXSAVE_END - FXSAVE_XMM))
		return false;
	for (i = 2; i < 8; i++) {
		if (!(in->mask & (1UL << i)))
			continue;
		component(i, &offset, &size);
		if (memcmp(in->xsave + offset, out->xsave + offset, size))
			return false;
	}
	return true;
}

/* What the compiler's own code has in the registers that the routine fills. */
static void save_own(struct registers *own)
{
	memset(own->xsave, 0, sizeof(own->xsave));
	asm volatile("xsave %0" : "+m"(own->xsave) : "a"(COMPONENTS), "d"(0));
}

static void restore_own(const struct registers *own)
{
	asm volatile("xrstor %0" : : "m"(own->xsave), "a"(COMPONENTS), "d"(0));
}

/* The first register that changed, or 0. */
static int changed_word(const struct registers *in, const struct registers *out)
{
	static const int kept[] = {
#ifdef __x86_64__
		DX, BX, BP, SI, DI, R8, R9, R10, R12, R13, R14, R15, FLAGS
#else
		CX, DX, BX, BP, SI, DI, FLAGS
#endif
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kept); i++)
		if (in->word[kept[i]] != out->word[kept[i]])
			return kept[i];
	return 0;
}

/* One handoff with @seed's pattern in all registers; 0 or what is wrong. */
static long hop_with_pattern(struct head *head, struct block *block, unsigned int seed)
{
	struct registers own, in, out;
	struct syslet_exec exec = {
		.size = sizeof(exec),
		.programs = PTR(&block->program),
		.nr_programs = 1,
	};
	int word;

	make_pattern(&in, seed);
	make_call(&in, head->fd, &exec);
	out.mask = in.mask;
	block->program.status = POISON32;
	save_own(&own);
	call_with(&in, &out);
	restore_own(&own);
	if ((long)out.word[AX] == -EINTR)
		return -EINTR;
	if (out.word[AX] != 1 || block->program.status != SYSLET_PENDING)
		return -EINPROGRESS;
	word = changed_word(&in, &out);
	if (word)
		return word;
#ifdef RED_ZONE
	if (out.word[CX] != RED_ZONE / 8)
		return 100;
#endif
	if (!same_state(&in, &out))
		return 200;
	return block_release(block);
}

FIXTURE(registers) {
	struct head head;
	struct block block;
};

FIXTURE_SETUP(registers)
{
	NEED_ASYNC();
	if (!have_xsave())
		SKIP(return, "no XSAVE");
	ASSERT_EQ(0, head_open(&self->head, 64));
	ASSERT_EQ(0, block_init(&self->block, SYSLET_NO_COMPLETE));
}

FIXTURE_TEARDOWN(registers)
{
	head_close(&self->head);
}

/* The routine itself is sound: a call that does nothing keeps everything. */
TEST_F(registers, a_plain_call_keeps_them)
{
	struct registers own, in, out;

	make_pattern(&in, 77);
	in.word[AX] = __NR_getppid;
	out.mask = in.mask;
	save_own(&own);
	call_with(&in, &out);
	restore_own(&own);
	EXPECT_EQ(getppid(), (pid_t)out.word[AX]);
	EXPECT_EQ(0, changed_word(&in, &out));
	EXPECT_TRUE(same_state(&in, &out));
	out.xsave[FXSAVE_XMM + 40] ^= 1;
	EXPECT_FALSE(same_state(&in, &out));
}

TEST_F(registers, a_handoff_keeps_them)
{
	unsigned int i, nr = 2000 * stress();

	for (i = 0; i < nr; i++)
		ASSERT_EQ(0, hop_with_pattern(&self->head, &self->block, i));
}

struct hopper {
	pthread_t thread;
	struct head *head;
	unsigned int seed;
	long result;
};

static void *hopper_main(void *arg)
{
	struct hopper *hopper = arg;
	struct block block;
	unsigned int i, nr = 500 * stress();

	hopper->result = block_init(&block, SYSLET_NO_COMPLETE);
	for (i = 0; i < nr && !hopper->result; i++)
		hopper->result = hop_with_pattern(hopper->head, &block, hopper->seed + i);
	return NULL;
}

TEST_F(registers, handoffs_of_three_threads_do_not_mix_them_up)
{
	struct hopper hoppers[3];
	int i;

	for (i = 0; i < 3; i++) {
		hoppers[i] = (struct hopper) { .head = &self->head, .seed = 1000 * i };
		ASSERT_EQ(0, pthread_create(&hoppers[i].thread, NULL, hopper_main, &hoppers[i]));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_join(hoppers[i].thread, NULL));
		EXPECT_EQ(0, hoppers[i].result);
	}
}

static void on_alarm(int sig)
{
	static struct registers in, out;

	(void)sig;
	/* Nothing of this may show in what was interrupted. */
	make_pattern(&in, 4711);
	in.word[AX] = __NR_getppid;
	out.mask = in.mask;
	call_with(&in, &out);
}

TEST_F(registers, signals_in_between_keep_them)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval timer = { { 0, 3000 }, { 0, 3000 } };
	unsigned int i, nr = 100 * stress();
	long ret;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	for (i = 0; i < nr; i++) {
		do
			ret = hop_with_pattern(&self->head, &self->block, i);
		while (ret == -EINTR);
		ASSERT_EQ(0, ret);
	}
}

/* Nor do the worker's atoms see the caller's registers change. */
TEST_F(registers, a_program_does_not_change_with_them)
{
	struct registers own, in, out;
	struct syslet_cqe cqe;

	self->block.program.flags = 0;
	ASSERT_EQ(SYSLET_PENDING, block_submit(&self->head, &self->block));
	make_pattern(&in, 5);
	in.word[AX] = __NR_getppid;
	out.mask = in.mask;
	save_own(&own);
	call_with(&in, &out);
	restore_own(&own);
	EXPECT_EQ(0, changed_word(&in, &out));
	ASSERT_EQ(0, block_release(&self->block));
	ASSERT_EQ(0, take_wait(&self->head, &cqe));
	EXPECT_CQE(cqe, PTR(&self->block), 1, 2, SYSLET_CQE_ASYNC);
}

TEST_HARNESS_MAIN
