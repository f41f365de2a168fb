// SPDX-License-Identifier: GPL-2.0
/* What /proc/PID/fdinfo tells of a head. */
#include "fdinfo.h"

#define ENTRIES 4

FIXTURE_HEAD(fdinfo, ENTRIES);

TEST_F(fdinfo, every_line_is_a_name_and_a_number)
{
	char text[4096], *line, *rest = text;
	unsigned int lines = 0, number;
	int found;

	ASSERT_LT(0, read_info(self->head.fd, text, sizeof(text)));
	while ((line = strsep(&rest, "\n"))) {
		char name[64], end;

		if (strncmp(line, "syslet-", 7))
			continue;
		lines++;
		found = sscanf(line, "syslet-%63[a-z-]:\t%u%c", name, &number, &end);
		EXPECT_EQ(2, found)
			TH_LOG("line '%s'", line);
	}
	EXPECT_LE(4, lines);
}

TEST_F(fdinfo, size_of_the_ring)
{
	EXPECT_EQ(ENTRIES, value(self->head.fd, "cq-entries"));
}

TEST_F(fdinfo, counts_programs)
{
	EXPECT_EQ(0, value(self->head.fd, "programs"));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 3));
	EXPECT_EQ(3, value(self->head.fd, "programs"));
}

TEST_F(fdinfo, counts_programs_without_an_entry)
{
	struct syslet_atom atoms[] = { { .nr = __NR_getppid } };
	struct syslet_program programs[] = { PROGRAM(atoms), PROGRAM(atoms) };

	ASSERT_EQ(2, dev_exec(self->head.fd, programs, 2, 0));
	EXPECT_EQ(2, value(self->head.fd, "programs"));
	EXPECT_EQ(0, value(self->head.fd, "completions"));
}

TEST_F(fdinfo, counts_completions)
{
	EXPECT_EQ(0, value(self->head.fd, "completions"));
	ASSERT_EQ(0, ring_fill(&self->head, 0, 3));
	EXPECT_EQ(3, value(self->head.fd, "completions"));
}

TEST_F(fdinfo, shows_what_is_kept)
{
	EXPECT_EQ(0, value(self->head.fd, "cq-kept"));
	ASSERT_EQ(0, ring_fill(&self->head, 0, ENTRIES + 2));
	EXPECT_EQ(2, value(self->head.fd, "cq-kept"));
}

TEST_F(fdinfo, does_not_count_what_was_refused)
{
	struct syslet_atom atoms[] = { { .nr = __NR_exit } };
	struct syslet_program program = PROGRAM(atoms);

	ASSERT_EQ(-EPERM, dev_exec(self->head.fd, &program, 1, 0));
	EXPECT_EQ(0, value(self->head.fd, "programs"));
}

TEST(before_setup)
{
	char text[4096];
	int fd = dev_open();

	ASSERT_LE(0, fd);
	EXPECT_LT(0, read_info(fd, text, sizeof(text)));
}

TEST_HARNESS_MAIN
