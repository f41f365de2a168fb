// SPDX-License-Identifier: GPL-2.0
/* What flows from uatom to uatom through memory, and what is stored there. */
#include "uatom_test.h"

FIXTURE_CHAIN(memory, 3);

TEST_F(memory, each_result_is_stored)
{
	EXPECT_DONE(0x7, 2, 3);
	EXPECT_EQ(1, self->chain.ret[0]);
	EXPECT_EQ(2, self->chain.ret[1]);
	EXPECT_EQ(3, self->chain.ret[2]);
}

TEST_F(memory, a_store_is_one_long)
{
	long around[3] = { POISON_LONG, POISON_LONG, POISON_LONG };

	self->chain.value[0] = -2;
	self->chain.atoms[0].ret_ptr = &around[1];
	EXPECT_DONE(0x7, 2, 3);
	EXPECT_EQ(POISON_LONG, around[0]);
	EXPECT_EQ(-2, around[1]);
	EXPECT_EQ(POISON_LONG, around[2]);
}

TEST_F(memory, no_ret_ptr)
{
	self->chain.atoms[1].ret_ptr = NULL;
	EXPECT_DONE(0x7, 2, 3);
	EXPECT_EQ(POISON_LONG, self->chain.ret[1]);
}

TEST_F(memory, a_store_that_fails_ends_the_chain)
{
	self->chain.atoms[1].ret_ptr = BAD_LOW;
	EXPECT_DONE(0x3, 1, -EFAULT);
	EXPECT_EQ(1, self->chain.ret[0]);
	EXPECT_EQ(POISON_LONG, self->chain.ret[2]);
	chain_init(&self->chain, 3);
	self->chain.atoms[1].ret_ptr = BAD_HIGH;
	EXPECT_DONE(0x3, 1, -EFAULT);
}

TEST_F(memory, a_store_that_fails_jumps_nowhere)
{
	self->chain.atoms[0].flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_NONZERO;
	self->chain.atoms[0].ret_ptr = BAD_LOW;
	EXPECT_DONE(0x1, 0, -EFAULT);
}

TEST_F(memory, a_store_into_a_hole)
{
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	self->chain.atoms[2].ret_ptr = (void *)(page + sysconf(_SC_PAGESIZE) - sizeof(long) + 1);
	EXPECT_DONE(0x7, 2, -EFAULT);
}

TEST_F(memory, an_argument_is_the_result_of_an_earlier_uatom)
{
	self->chain.value[0] = 40;
	self->chain.atoms[2].arg_ptr[1] = (void *)&self->chain.ret[0];
	EXPECT_DONE(0x7, 2, 40);
}

TEST_F(memory, of_the_last_earlier_one)
{
	self->chain.atoms[0].ret_ptr = &self->chain.ret[5];
	self->chain.atoms[1].ret_ptr = &self->chain.ret[5];
	self->chain.atoms[2].arg_ptr[1] = (void *)&self->chain.ret[5];
	EXPECT_DONE(0x7, 2, 2);
	EXPECT_EQ(2, self->chain.ret[5]);
}

TEST_F(memory, earlier_is_by_the_chain_not_by_memory)
{
	struct chain *chain = &self->chain;

	/* 1, 0, 2 */
	chain->exec.uatom = PTR(&chain->atoms[1]);
	chain->atoms[1].next = &chain->atoms[0];
	chain->atoms[0].next = &chain->atoms[2];
	chain->atoms[0].ret_ptr = &chain->ret[5];
	chain->atoms[1].ret_ptr = &chain->ret[5];
	chain->atoms[2].arg_ptr[1] = (void *)&chain->ret[5];
	EXPECT_DONE(0x7, 2, 1);
}

TEST_F(memory, not_of_a_later_one)
{
	self->chain.ret[2] = 50;
	self->chain.atoms[1].arg_ptr[1] = (void *)&self->chain.ret[2];
	EXPECT_EQ(1, submit());
	EXPECT_EQ(50, self->chain.sum[1]);
	EXPECT_EQ(3, self->chain.ret[2]);
}

TEST_F(memory, not_of_itself)
{
	self->chain.ret[1] = 60;
	self->chain.atoms[1].arg_ptr[1] = (void *)&self->chain.ret[1];
	EXPECT_EQ(1, submit());
	EXPECT_EQ(60, self->chain.sum[1]);
	EXPECT_EQ(60, self->chain.ret[1]);
}

TEST_F(memory, an_address_can_be_a_result)
{
	self->chain.value[0] = (unsigned long)&self->chain.sum[9];
	self->chain.atoms[1].arg_ptr[0] = (void *)&self->chain.ret[0];
	EXPECT_DONE(0x5 | 1 << 9, 2, 3);
	EXPECT_EQ(2, self->chain.sum[9]);
}

TEST_F(memory, a_negative_result_as_an_argument)
{
	self->chain.value[0] = -7;
	self->chain.atoms[1].arg_ptr[1] = (void *)&self->chain.ret[0];
	EXPECT_DONE(0x7, 2, 3);
	EXPECT_EQ(-7, self->chain.sum[1]);
}

TEST_F(memory, uatoms_may_share_arguments)
{
	self->chain.atoms[1].arg_ptr[1] = &self->chain.value[0];
	self->chain.atoms[2].arg_ptr[1] = &self->chain.value[0];
	EXPECT_DONE(0x7, 2, 1);
}

/* Each in turn adds what the one before returned, through one variable. */
TEST_F(memory, an_accumulator)
{
	unsigned int i;

	chain_init(&self->chain, 10);
	for (i = 0; i < 10; i++)
		self->chain.atoms[i].ret_ptr = &self->chain.ret[20];
	for (i = 1; i < 10; i++) {
		self->chain.sum[i] = 1;
		self->chain.atoms[i].arg_ptr[1] = (void *)&self->chain.ret[20];
	}
	EXPECT_DONE(0x3ff, 9, 10);
	EXPECT_EQ(10, self->chain.ret[20]);
}

/* 0 jumps over 1, which would have stored where 0 did; 2 takes what 0 stored. */
TEST_F(memory, a_writer_that_was_jumped_over)
{
	struct chain *chain = &self->chain;

	chain->atoms[0].ret_ptr = &chain->ret[5];
	chain->atoms[1].ret_ptr = &chain->ret[5];
	chain->atoms[2].arg_ptr[1] = (void *)&chain->ret[5];
	chain->value[0] = 70;
	chain->atoms[0].flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_ZERO;
	chain->atoms[0].next = &chain->atoms[2];
	EXPECT_DONE(0x5, 1, 70);
}

/* As above, but it is the only writer: the variable is what it was. */
TEST_F(memory, the_only_writer_was_jumped_over)
{
	struct chain *chain = &self->chain;

	chain->ret[1] = 80;
	chain->atoms[2].arg_ptr[1] = (void *)&chain->ret[1];
	chain->atoms[0].flags = SYSLET_SKIP_TO_NEXT_ON_STOP | SYSLET_STOP_ON_ZERO;
	chain->atoms[0].next = &chain->atoms[2];
	EXPECT_EQ(1, submit());
	EXPECT_EQ(0x5, chain_ran(chain));
	EXPECT_EQ(80, chain->exec.result);
}

TEST_F(memory, what_else_is_written_meanwhile_is_not_seen)
{
	/* 0 adds to the variable that 1 takes; but by its address only. */
	self->chain.at[0] = (unsigned long)&self->chain.value[1];
	EXPECT_EQ(1, submit());
	EXPECT_EQ(3, self->chain.value[1]);
	EXPECT_EQ(2, self->chain.sum[1]);
}

TEST_F(memory, a_counter_that_is_its_own_result_is_seen)
{
	self->chain.at[0] = (unsigned long)&self->chain.value[1];
	self->chain.atoms[0].ret_ptr = (long *)&self->chain.value[1];
	EXPECT_EQ(1, submit());
	EXPECT_EQ(3, self->chain.value[1]);
	EXPECT_EQ(3, self->chain.sum[1]);
}

TEST_F(memory, the_list_of_arguments_ends_with_null)
{
	/* Adds 0. */
	self->chain.sum[1] = 5;
	self->chain.atoms[1].arg_ptr[1] = NULL;
	self->chain.atoms[1].arg_ptr[2] = &self->chain.value[0];
	EXPECT_DONE(0x7, 2, 3);
	EXPECT_EQ(5, self->chain.ret[1]);
}

TEST_F(memory, no_arguments)
{
	self->chain.atoms[1].nr = __NR_getppid;
	self->chain.atoms[1].arg_ptr[0] = NULL;
	EXPECT_DONE(0x5, 2, 3);
	EXPECT_EQ(getppid(), self->chain.ret[1]);
}

TEST_F(memory, six_arguments)
{
	unsigned long args[6] = {
		0, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_PRIVATE, -1,
		MMAP_OFF(sysconf(_SC_PAGESIZE)),
	};
	char path[32], *map;
	unsigned int i;
	int fd = file_with("", path);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 3 * sysconf(_SC_PAGESIZE)));
	ASSERT_EQ(4, pwrite(fd, "here", 4, sysconf(_SC_PAGESIZE)));
	args[4] = fd;
	self->chain.atoms[0].nr = NR_MMAP;
	for (i = 0; i < 6; i++)
		self->chain.atoms[0].arg_ptr[i] = &args[i];
	self->chain.atoms[0].next = NULL;
	ASSERT_EQ(1, submit());
	map = (char *)self->chain.ret[0];
	ASSERT_GT(-4096UL, (unsigned long)map);
	EXPECT_EQ(0, memcmp(map, "here", 4));
	EXPECT_EQ(0, munmap(map, sysconf(_SC_PAGESIZE)));
	close(fd);
}

/* What it was made for: a file is opened, read and closed. */
TEST_F(memory, open_read_close)
{
	struct syslet_uatom *atoms = self->chain.atoms;
	char path[32], buf[16];
	unsigned long path_arg = (unsigned long)path, flags = O_RDONLY;
	unsigned long buf_arg = (unsigned long)buf, len = sizeof(buf);
	long fd_var = POISON_LONG;
	int fd = file_with("hello", path);

	ASSERT_LE(0, fd);
	memset(buf, POISON_BYTE, sizeof(buf));
	atoms[0] = (struct syslet_uatom) {
		.nr = __NR_open, .ret_ptr = &fd_var,
		/* It may block, where the directory is not in the cache. */
		.flags = SYSLET_STOP_ON_NEGATIVE | SYSLET_SYNC,
		.arg_ptr = { &path_arg, &flags }, .next = &atoms[1],
	};
	atoms[1] = (struct syslet_uatom) {
		.nr = __NR_read, .ret_ptr = &self->chain.ret[1],
		.arg_ptr = { (void *)&fd_var, &buf_arg, &len }, .next = &atoms[2],
	};
	atoms[2] = (struct syslet_uatom) {
		.nr = __NR_close, .ret_ptr = &self->chain.ret[2],
		.arg_ptr = { (void *)&fd_var },
	};
	EXPECT_DONE(0, 2, 0);
	EXPECT_LE(0, fd_var);
	EXPECT_EQ(5, self->chain.ret[1]);
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	EXPECT_EQ(-1, fcntl(fd_var, F_GETFD));
	close(fd);
}

TEST_HARNESS_MAIN
