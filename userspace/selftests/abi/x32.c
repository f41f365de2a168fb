// SPDX-License-Identifier: GPL-2.0
/*
 * Callers by the x32 ABI are refused, and so are its numbers in a program.
 *
 * A kernel that lacks that ABI refuses the ioctl itself; one that has it
 * (CONFIG_X86_X32_ABI, syscall.x32=y) leaves that to the device.
 */
#include "../uatom/uatom_test.h"

#define X32_BIT		0x40000000
#define NR_X32_IOCTL	(X32_BIT | 514)

FIXTURE_CHAIN(x32, 3);

static long x32_ioctl(long nr, int fd, unsigned long cmd, void *arg)
{
	return sysret(syscall(nr, fd, cmd, arg));
}

static bool is_refused(long ret)
{
	return ret == -ENOSYS || ret == -EOPNOTSUPP;
}

TEST_F(x32, every_command)
{
	static const unsigned long commands[] = {
		SYSLET_IOC_QUERY, SYSLET_IOC_SETUP, SYSLET_IOC_EXEC, SYSLET_IOC_WAIT,
		SYSLET_IOC_CANCEL, SYSLET_IOC_EVENTFD, SYSLET_IOC_EXEC_UATOM, SYSLET_IOC_PARK,
	};
	unsigned char arg[256], before[256];
	unsigned int i;

	memset(arg, 0, sizeof(arg));
	arg[0] = 64;
	memcpy(before, arg, sizeof(arg));
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_TRUE(is_refused(x32_ioctl(NR_X32_IOCTL, self->head.fd, commands[i], arg)));
		EXPECT_TRUE(is_refused(x32_ioctl(X32_BIT | __NR_ioctl, self->head.fd, commands[i],
						 arg)));
		EXPECT_EQ(0, memcmp(before, arg, sizeof(arg)));
	}
}

TEST_F(x32, a_program_that_others_may_run)
{
	long value = 0;
	struct syslet_atom atoms[] = {
		{ .nr = SYSLET_NR_UMEM_ADD, .args = { PTR(&value), 1 } },
	};
	struct syslet_program program = PROGRAM(atoms);
	struct syslet_exec exec = {
		.size = sizeof(exec), .programs = PTR(&program), .nr_programs = 1,
	};

	EXPECT_TRUE(is_refused(x32_ioctl(NR_X32_IOCTL, self->head.fd, SYSLET_IOC_EXEC, &exec)));
	EXPECT_EQ(0, value);
	EXPECT_EQ(POISON32, program.status);
	EXPECT_EQ(1, dev_ioctl(self->head.fd, SYSLET_IOC_EXEC, &exec));
	EXPECT_EQ(1, value);
}

TEST_F(x32, a_chain_that_others_may_run)
{
	EXPECT_TRUE(is_refused(x32_ioctl(NR_X32_IOCTL, self->head.fd, SYSLET_IOC_EXEC_UATOM,
					 &self->chain.exec)));
	EXPECT_EQ(0, chain_ran(&self->chain));
	EXPECT_EQ(POISON32, self->chain.exec.status);
	EXPECT_DONE(0x7, 2, 3);
}

TEST_F(x32, numbers_in_a_program)
{
	static const __u32 numbers[] = { X32_BIT | __NR_getppid, NR_X32_IOCTL, X32_BIT | 520 };
	struct syslet_atom atom = { 0 };
	struct syslet_program program = {
		.atoms = PTR(&atom), .nr_atoms = 1, .status = POISON32,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		atom.nr = numbers[i];
		EXPECT_EQ(-ENOSYS, dev_exec(self->head.fd, &program, 1, 0));
		self->chain.atoms[1].nr = numbers[i];
		EXPECT_REFUSED(-ENOSYS);
	}
}

TEST_HARNESS_MAIN
