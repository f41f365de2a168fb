// SPDX-License-Identifier: GPL-2.0
/* The device node and the module behind it. */
#include <grp.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "syslet_test.h"

TEST(node_is_a_misc_device)
{
	struct stat st;

	ASSERT_EQ(0, stat(SYSLET_DEV, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(10, major(st.st_rdev));
}

TEST(node_is_not_for_everyone)
{
	struct stat st;

	ASSERT_EQ(0, stat(SYSLET_DEV, &st));
	EXPECT_EQ(0660, st.st_mode & 07777);
}

TEST(nobody_cannot_open_it)
{
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(1);
		_exit(dev_open() == -EACCES ? 0 : 2);
	}
	EXPECT_EQ(0, child_status(pid));
}

TEST(nobody_can_use_an_open_one)
{
	struct head head;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	head.fd = dev_open();
	ASSERT_LE(0, head.fd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct syslet_atom atoms[] = { { .nr = __NR_getuid } };
		struct syslet_program program = PROGRAM(atoms);
		struct syslet_setup setup;

		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(1);
		if (dev_setup(head.fd, 0, &setup))
			_exit(2);
		_exit(dev_exec(head.fd, &program, 1, 0) == 1 && program.result == 65534 ? 0 : 3);
	}
	EXPECT_EQ(0, child_status(pid));
}

TEST(heads_hold_the_module)
{
	long before = module_references();
	struct head heads[3];
	int i;

	if (before == -ENOENT)
		SKIP(return, "not a module");
	ASSERT_LE(0, before);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, head_open(&heads[i], 8));
	EXPECT_LE(before + 3, module_references());
	for (i = 0; i < 3; i++)
		head_close(&heads[i]);
	EXPECT_EQ(before, module_references_come_to(before));
}

TEST(a_mapping_alone_holds_it)
{
	long before = module_references();
	struct head head;

	if (before == -ENOENT)
		SKIP(return, "not a module");
	ASSERT_EQ(0, head_open(&head, 8));
	ASSERT_EQ(0, close(head.fd));
	EXPECT_LE(before + 1, module_references());
	EXPECT_EQ(8, head.ring->entries);
	munmap(head.ring, head.setup.ring_bytes);
	EXPECT_EQ(before, module_references_come_to(before));
}

TEST(many_heads_come_and_go)
{
	long before = module_references();
	struct head head;
	unsigned int i;

	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, head_open(&head, 1 << (i % 10)));
		ASSERT_EQ(0, ring_fill(&head, i, 3));
		head_close(&head);
	}
	EXPECT_EQ(before, module_references_come_to(before));
}

TEST(many_heads_at_once)
{
	struct head heads[100];
	struct syslet_cqe cqe;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(heads); i++)
		ASSERT_EQ(0, head_open(&heads[i], 4));
	for (i = 0; i < ARRAY_SIZE(heads); i++)
		ASSERT_EQ(0, ring_fill(&heads[i], i, 1));
	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		ASSERT_TRUE(ring_take(&heads[i], &cqe));
		EXPECT_EQ(i, cqe.user_data);
	}
}

TEST_HARNESS_MAIN
