// SPDX-License-Identifier: GPL-2.0
/* QUERY: limits, features and policies, before and without SETUP. */
#include "syslet_test.h"

#define KNOWN_FEATURES (SYSLET_FEAT_ASYNC | SYSLET_FEAT_CANCEL | SYSLET_FEAT_COMPAT | \
	SYSLET_FEAT_UATOM | SYSLET_FEAT_STABLE_TID | SYSLET_FEAT_COMPAT_ASYNC)
#define ABOVE_EVERY_NUMBER 4096

FIXTURE(query) {
	int fd;
	struct syslet_query query;
};

FIXTURE_SETUP(query)
{
	self->fd = dev_open();
	ASSERT_LE(0, self->fd);
	memset(&self->query, POISON_BYTE, sizeof(self->query));
	self->query.size = sizeof(self->query);
	self->query.flags = 0;
	self->query.policies = 0;
	self->query.nr_policies = 0;
	self->query.reserved = 0;
}

FIXTURE_TEARDOWN(query)
{
	close(self->fd);
}

TEST_F(query, limits)
{
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_LE(1, self->query.max_atoms);
	EXPECT_GE(SYSLET_MAX_ATOMS, self->query.max_atoms);
	EXPECT_LE(1, self->query.max_programs);
	EXPECT_GE(SYSLET_MAX_PROGRAMS, self->query.max_programs);
	EXPECT_LE(256, self->query.max_cq_entries);
	EXPECT_GE(SYSLET_MAX_CQ_ENTRIES, self->query.max_cq_entries);
	EXPECT_GE(SYSLET_MAX_THREADS, self->query.max_threads);
}

TEST_F(query, features_are_known_ones)
{
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_EQ(0, self->query.features & ~KNOWN_FEATURES);
}

TEST_F(query, a_stable_tid_is_one_of_async)
{
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_TRUE(self->query.features & SYSLET_FEAT_ASYNC ||
		    !(self->query.features & SYSLET_FEAT_STABLE_TID));
}

TEST_F(query, async_for_32_bit_callers_is_both)
{
	__u64 both = SYSLET_FEAT_ASYNC | SYSLET_FEAT_COMPAT;

	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_TRUE((self->query.features & both) == both ||
		    !(self->query.features & SYSLET_FEAT_COMPAT_ASYNC));
}

TEST_F(query, inputs_are_left_alone)
{
	__u8 table[8];

	self->query.policies = PTR(table);
	self->query.nr_policies = sizeof(table);
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_EQ(sizeof(self->query), self->query.size);
	EXPECT_EQ(0, self->query.flags);
	EXPECT_EQ(PTR(table), self->query.policies);
	EXPECT_EQ(sizeof(table), self->query.nr_policies);
	EXPECT_EQ(0, self->query.reserved);
}

TEST_F(query, policies_of_some_calls)
{
	__u8 table[512];

	memset(table, POISON_BYTE, sizeof(table));
	self->query.policies = PTR(table);
	self->query.nr_policies = sizeof(table);
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_EQ(SYSLET_POLICY_ALLOW, table[__NR_read]);
	EXPECT_EQ(SYSLET_POLICY_ALLOW, table[__NR_getppid]);
	EXPECT_EQ(SYSLET_POLICY_ALLOW, table[__NR_openat]);
	EXPECT_EQ(SYSLET_POLICY_ALLOW, table[__NR_ioctl]);
	EXPECT_EQ(SYSLET_POLICY_DENY, table[__NR_execve]);
	EXPECT_EQ(SYSLET_POLICY_DENY, table[__NR_exit]);
	EXPECT_EQ(SYSLET_POLICY_DENY, table[__NR_rt_sigreturn]);
}

TEST_F(query, policies_stop_at_nr_policies)
{
	__u8 table[16];

	memset(table, POISON_BYTE, sizeof(table));
	self->query.policies = PTR(table);
	self->query.nr_policies = 5;
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_NE(POISON_BYTE, table[4]);
	EXPECT_EQ(POISON_BYTE, table[5]);
}

TEST_F(query, no_policies_wanted_none_written)
{
	__u8 table[4];

	memset(table, POISON_BYTE, sizeof(table));
	self->query.policies = PTR(table);
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_EQ(POISON_BYTE, table[0]);
}

TEST_F(query, policies_beyond_the_table_are_unknown)
{
	static __u8 table[65536];
	unsigned int i, wrong = 0;

	memset(table, POISON_BYTE, sizeof(table));
	self->query.policies = PTR(table);
	self->query.nr_policies = sizeof(table);
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	for (i = 0; i < sizeof(table); i++) {
		if (i < ABOVE_EVERY_NUMBER)
			wrong += table[i] > SYSLET_POLICY_DENY;
		else
			wrong += table[i] != SYSLET_POLICY_UNKNOWN;
	}
	EXPECT_EQ(0, wrong);
}

TEST_F(query, too_many_policies)
{
	self->query.nr_policies = 65537;
	EXPECT_EQ(-EINVAL, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
}

TEST_F(query, bad_policies_pointer)
{
	self->query.policies = PTR(BAD_LOW);
	self->query.nr_policies = 8;
	EXPECT_EQ(-EFAULT, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	self->query.policies = PTR(BAD_HIGH);
	EXPECT_EQ(-EFAULT, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
}

TEST_F(query, policies_running_into_a_hole)
{
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	self->query.policies = PTR(page + sysconf(_SC_PAGESIZE) - 4);
	self->query.nr_policies = 5;
	EXPECT_EQ(-EFAULT, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	self->query.nr_policies = 4;
	EXPECT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
}

TEST_F(query, an_unknown_flag)
{
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		self->query.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	}
}

TEST_F(query, reserved_must_be_zero)
{
	self->query.reserved = 1;
	EXPECT_EQ(-EINVAL, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
}

TEST_F(query, a_short_struct_gets_what_fits)
{
	self->query.size = offsetof(struct syslet_query, max_cq_entries);
	self->query.policies = PTR(BAD_HIGH);	/* beyond size: not even looked at */
	self->query.nr_policies = POISON32;
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_EQ(0, self->query.features & ~KNOWN_FEATURES);
	EXPECT_GE(SYSLET_MAX_ATOMS, self->query.max_atoms);
	EXPECT_GE(SYSLET_MAX_PROGRAMS, self->query.max_programs);
	EXPECT_EQ(POISON32, self->query.max_cq_entries);
	EXPECT_EQ(POISON32, self->query.max_threads);
	EXPECT_EQ(PTR(BAD_HIGH), self->query.policies);
	EXPECT_EQ(POISON32, self->query.nr_policies);
}

TEST_F(query, the_shortest_struct)
{
	self->query.size = 8;
	ASSERT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, &self->query));
	EXPECT_EQ((__u64)POISON64, self->query.features);
}

TEST_F(query, nothing_beyond_the_size_is_touched)
{
	long page_size = sysconf(_SC_PAGESIZE);
	struct syslet_query *query;
	char *page = page_before_hole();

	ASSERT_NE(NULL, page);
	query = (void *)(page + page_size - 16);
	query->size = 16;
	query->flags = 0;
	EXPECT_EQ(0, dev_ioctl(self->fd, SYSLET_IOC_QUERY, query));
	EXPECT_EQ(0, query->features & ~KNOWN_FEATURES);
}

TEST_HARNESS_MAIN
