// SPDX-License-Identifier: GPL-2.0
/* What all commands have in common, and those that wait for the asynchronous half. */
#include "syslet_test.h"

#define RESIZED(cmd, size) (((cmd) & ~(unsigned long)IOCSIZE_MASK) | ((size) << IOCSIZE_SHIFT))

FIXTURE(command) {
	int fd;
	char *buffer;	/* two pages */
};

FIXTURE_VARIANT(command) {
	unsigned long cmd;
	__u32 size;
	bool before_setup;
	__u64 feature;	/* without it there is no such command */
};

FIXTURE_VARIANT_ADD(command, query) {
	.cmd = SYSLET_IOC_QUERY,
	.size = sizeof(struct syslet_query),
};

FIXTURE_VARIANT_ADD(command, setup) {
	.cmd = SYSLET_IOC_SETUP,
	.size = sizeof(struct syslet_setup),
	.before_setup = true,
};

FIXTURE_VARIANT_ADD(command, exec) {
	.cmd = SYSLET_IOC_EXEC,
	.size = sizeof(struct syslet_exec),
};

FIXTURE_VARIANT_ADD(command, wait) {
	.cmd = SYSLET_IOC_WAIT,
	.size = sizeof(struct syslet_wait),
};

FIXTURE_VARIANT_ADD(command, cancel) {
	.cmd = SYSLET_IOC_CANCEL,
	.size = sizeof(struct syslet_cancel),
	.feature = SYSLET_FEAT_CANCEL,
};

FIXTURE_VARIANT_ADD(command, exec_uatom) {
	.cmd = SYSLET_IOC_EXEC_UATOM,
	.size = sizeof(struct syslet_uatom_exec),
	.feature = SYSLET_FEAT_UATOM,
};

FIXTURE_SETUP(command)
{
	struct syslet_setup setup;

	if (variant->feature && !(dev_features() & variant->feature))
		SKIP(return, "no such command in this kernel");
	self->buffer = mmap(NULL, 2 * sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buffer);
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	if (!variant->before_setup)
		ASSERT_EQ(0, dev_setup(self->fd, 0, &setup));
}

FIXTURE_TEARDOWN(command)
{
	close(self->fd);
}

static long sized(int fd, unsigned long cmd, char *buffer, __u32 size)
{
	memcpy(buffer, &size, sizeof(size));
	return dev_ioctl(fd, cmd, buffer);
}

TEST_F(command, size_zero)
{
	EXPECT_EQ(-EINVAL, sized(self->fd, variant->cmd, self->buffer, 0));
}

TEST_F(command, size_too_small)
{
	EXPECT_EQ(-EINVAL, sized(self->fd, variant->cmd, self->buffer, 7));
}

TEST_F(command, size_above_a_page)
{
	EXPECT_EQ(-E2BIG, sized(self->fd, variant->cmd, self->buffer, sysconf(_SC_PAGESIZE) + 8));
}

TEST_F(command, size_huge)
{
	EXPECT_EQ(-E2BIG, sized(self->fd, variant->cmd, self->buffer, ~0U));
}

TEST_F(command, tail_not_zero)
{
	self->buffer[variant->size + 7] = 1;
	EXPECT_EQ(-E2BIG, sized(self->fd, variant->cmd, self->buffer, variant->size + 8));
}

TEST_F(command, tail_not_zero_at_its_far_end)
{
	self->buffer[sysconf(_SC_PAGESIZE) - 1] = 1;
	EXPECT_EQ(-E2BIG, sized(self->fd, variant->cmd, self->buffer, sysconf(_SC_PAGESIZE)));
}

TEST_F(command, tail_of_zeroes)
{
	/* The same verdict as on the struct without a tail. */
	long plain = sized(self->fd, variant->cmd, self->buffer, variant->size);

	EXPECT_NE(-E2BIG, plain);
	if (variant->cmd == SYSLET_IOC_SETUP)
		plain = -EBUSY;
	EXPECT_EQ(plain, sized(self->fd, variant->cmd, self->buffer, variant->size + 8));
}

TEST_F(command, argument_is_no_pointer)
{
	EXPECT_EQ(-EFAULT, dev_ioctl(self->fd, variant->cmd, NULL));
	EXPECT_EQ(-EFAULT, dev_ioctl(self->fd, variant->cmd, BAD_LOW));
	EXPECT_EQ(-EFAULT, dev_ioctl(self->fd, variant->cmd, BAD_HIGH));
}

TEST_F(command, argument_runs_into_a_hole)
{
	char *page = page_before_hole();
	char *at = page + sysconf(_SC_PAGESIZE) - (variant->size - 8);

	ASSERT_NE(NULL, page);
	memset(at, 0, variant->size - 8);
	EXPECT_EQ(-EFAULT, sized(self->fd, variant->cmd, at, variant->size));
}

TEST_F(command, size_bits_do_not_matter)
{
	unsigned long other = RESIZED(variant->cmd, 8UL);

	EXPECT_EQ(-EINVAL, sized(self->fd, other, self->buffer, 7));
	other = RESIZED(variant->cmd, (unsigned long)variant->size + 64);
	EXPECT_EQ(-EINVAL, sized(self->fd, other, self->buffer, 7));
}

FIXTURE_HEAD(device, 0);

TEST_F(device, unknown_command_numbers)
{
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		if (nr <= _IOC_NR(SYSLET_IOC_EXEC_UATOM) || nr == _IOC_NR(SYSLET_IOC_PARK))
			continue;
		EXPECT_EQ(-ENOTTY, dev_ioctl(self->head.fd, _IOWR(SYSLET_IOC_MAGIC, nr, __u64),
					     NULL));
	}
}

TEST_F(device, commands_of_another_magic)
{
	struct syslet_query query;

	memset(&query, 0, sizeof(query));
	query.size = sizeof(query);
	EXPECT_EQ(-ENOTTY, dev_ioctl(self->head.fd, _IOWR(0xba, 0x00, struct syslet_query),
				     &query));
}

TEST_F(device, query_with_other_size_bits_answers)
{
	struct syslet_query query;

	memset(&query, 0, sizeof(query));
	query.size = sizeof(query);
	EXPECT_EQ(0, dev_ioctl(self->head.fd, RESIZED(SYSLET_IOC_QUERY, 512UL), &query));
	EXPECT_LE(1, query.max_atoms);
}

TEST_F(device, park_is_not_for_everyone)
{
	EXPECT_EQ(-EPERM, dev_ioctl(self->head.fd, SYSLET_IOC_PARK, NULL));
}

TEST(park_before_setup)
{
	int fd = dev_open();

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, dev_ioctl(fd, SYSLET_IOC_PARK, NULL));
}

TEST_F(device, cancel_needs_its_feature)
{
	struct syslet_cancel cancel = { .size = sizeof(cancel) };

	if (dev_features() & SYSLET_FEAT_CANCEL)
		SKIP(return, "there is CANCEL");
	EXPECT_EQ(-EOPNOTSUPP, dev_ioctl(self->head.fd, SYSLET_IOC_CANCEL, &cancel));
}

TEST_F(device, exec_uatom_needs_its_feature)
{
	struct syslet_uatom_exec exec = { .size = sizeof(exec), .status = POISON32 };

	if (dev_features() & SYSLET_FEAT_UATOM)
		SKIP(return, "there is EXEC_UATOM");
	EXPECT_EQ(-EOPNOTSUPP, dev_ioctl(self->head.fd, SYSLET_IOC_EXEC_UATOM, &exec));
	EXPECT_EQ(POISON32, exec.status);
}

TEST_F(device, async_needs_its_feature)
{
	struct syslet_atom atom = { .nr = __NR_getppid };
	struct syslet_program program = {
		.atoms = PTR(&atom),
		.nr_atoms = 1,
		.flags = SYSLET_ASYNC,
	};

	if (dev_features() & SYSLET_FEAT_ASYNC)
		SKIP(return, "there is ASYNC");
	EXPECT_EQ(-EOPNOTSUPP, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(0, program.status);
}

TEST_F(device, is_not_a_file_of_bytes)
{
	char byte = 0;

	EXPECT_GT(0, sysret(read(self->head.fd, &byte, 1)));
	EXPECT_GT(0, sysret(write(self->head.fd, &byte, 1)));
}

TEST_HARNESS_MAIN
