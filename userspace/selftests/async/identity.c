// SPDX-License-Identifier: GPL-2.0
/* By which numbers and names a process whose main thread has moved is known. */
#include <sys/pidfd.h>
#include <sys/resource.h>
#include "async_test.h"

/* As for an ordinary process, so whatever happens here happens in a child of the test. */
FIXTURE_MOVE(identity);

TEST_F(identity, getpid_and_getppid)
{
	pid_t pid = getpid(), parent = getppid();

	MOVE_AWAY();
	EXPECT_EQ(pid, getpid());
	EXPECT_EQ(parent, getppid());
	EXPECT_EQ(pid, my_tid());
}

TEST_F(identity, group_and_session)
{
	pid_t group = getpgid(0), session = getsid(0);

	MOVE_AWAY();
	EXPECT_EQ(group, getpgid(0));
	EXPECT_EQ(group, getpgid(getpid()));
	EXPECT_EQ(session, getsid(0));
	EXPECT_EQ(session, getsid(getpid()));
}

TEST_F(identity, setpgid)
{
	MOVE_AWAY();
	ASSERT_NE(getpid(), getpgid(0));
	ASSERT_EQ(0, setpgid(0, 0));
	EXPECT_EQ(getpid(), getpgid(0));
	EXPECT_EQ(getpid(), getpgid(getpid()));
	EXPECT_EQ(0, kill(-getpid(), 0));
}

TEST_F(identity, setpgid_by_pid)
{
	MOVE_AWAY();
	ASSERT_EQ(0, setpgid(getpid(), getpid()));
	EXPECT_EQ(getpid(), getpgid(0));
}

TEST_F(identity, setsid)
{
	MOVE_AWAY();
	EXPECT_EQ(getpid(), setsid());
	EXPECT_EQ(getpid(), getsid(0));
	EXPECT_EQ(getpid(), getpgid(0));
}

TEST_F(identity, kill)
{
	MOVE_AWAY();
	EXPECT_EQ(0, kill(getpid(), 0));
	EXPECT_EQ(0, syscall(__NR_tgkill, getpid(), getpid(), 0));
	EXPECT_EQ(0, syscall(__NR_tkill, getpid(), 0));
}

TEST_F(identity, pidfd)
{
	struct pollfd pollfd = { .events = POLLIN };
	char path[64], line[64];
	FILE *file;

	MOVE_AWAY();
	pollfd.fd = syscall(__NR_pidfd_open, getpid(), 0);
	ASSERT_LE(0, pollfd.fd);
	EXPECT_EQ(0, poll(&pollfd, 1, 0));
	EXPECT_EQ(0, syscall(__NR_pidfd_send_signal, pollfd.fd, 0, NULL, 0));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pollfd.fd);
	file = fopen(path, "re");
	ASSERT_NE(NULL, file);
	snprintf(path, sizeof(path), "Pid:\t%d\n", getpid());
	while (fgets(line, sizeof(line), file) && strncmp(line, "Pid:", 4))
		;
	EXPECT_STREQ(path, line);
	fclose(file);
}

/* A field of a stat file; the first behind the name is 3, the state. */
static long stat_field(const char *path, int field)
{
	char text[1024], *at;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -EIO;
	text[len] = '\0';
	if (field == 1)
		return strtol(text, NULL, 10);
	at = strrchr(text, ')') + 1;
	while (field-- > 3)
		at = strchr(at + 1, ' ');
	return strtol(at, NULL, 10);
}

TEST_F(identity, proc_stat)
{
	char path[64];

	MOVE_AWAY();
	EXPECT_EQ(getpid(), stat_field("/proc/self/stat", 1));
	EXPECT_EQ(getppid(), stat_field("/proc/self/stat", 4));
	EXPECT_EQ(getpgid(0), stat_field("/proc/self/stat", 5));
	snprintf(path, sizeof(path), "/proc/%d/stat", getpid());
	EXPECT_EQ(getpid(), stat_field(path, 1));
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", my_tid());
	EXPECT_EQ(my_tid(), stat_field(path, 1));
	EXPECT_EQ(my_tid(), stat_field("/proc/thread-self/stat", 1));
}

TEST_F(identity, proc_status)
{
	char value[64], pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	MOVE_AWAY();
	status_line("self", "Tgid", value, sizeof(value));
	EXPECT_STREQ(pid, value);
	status_line("self", "Pid", value, sizeof(value));
	EXPECT_STREQ(pid, value);
	status_line("thread-self", "Pid", value, sizeof(value));
	EXPECT_STREQ(pid, value);
	status_line(pid, "Pid", value, sizeof(value));
	EXPECT_STREQ(pid, value);
}

TEST_F(identity, proc_links)
{
	char text[64] = "", expected[64];

	MOVE_AWAY();
	snprintf(expected, sizeof(expected), "%d", getpid());
	EXPECT_LT(0, readlink("/proc/self", text, sizeof(text) - 1));
	EXPECT_STREQ(expected, text);
	snprintf(expected, sizeof(expected), "%d/task/%d", getpid(), my_tid());
	memset(text, 0, sizeof(text));
	EXPECT_LT(0, readlink("/proc/thread-self", text, sizeof(text) - 1));
	EXPECT_STREQ(expected, text);
}

TEST_F(identity, proc_task_lists_every_task_once)
{
	char path[300];
	struct dirent *entry;
	int found = 0, count = 0;
	DIR *dir;

	MOVE_AWAY();
	dir = opendir("/proc/self/task");
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		count++;
		found += strtol(entry->d_name, NULL, 10) == my_tid();
		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
		EXPECT_EQ(strtol(entry->d_name, NULL, 10), stat_field(path, 1));
	}
	closedir(dir);
	EXPECT_EQ(1, found);
	EXPECT_LE(2, count);
}

TEST_F(identity, proc_lists_the_process_once)
{
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	MOVE_AWAY();
	dir = opendir("/proc");
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir)))
		found += strtol(entry->d_name, NULL, 10) == getpid();
	closedir(dir);
	EXPECT_EQ(1, found);
}

TEST_F(identity, comm_of_the_process)
{
	char name[64];

	ASSERT_EQ(0, prctl(PR_SET_NAME, "main-thread"));
	MOVE_AWAY();
	status_line("self", "Name", name, sizeof(name));
	EXPECT_STREQ("main-thread", name);
	EXPECT_LE(0, stat_field("/proc/self/stat", 4));
}

TEST_F(identity, limits_priority_and_affinity_by_pid)
{
	struct rlimit limit;
	cpu_set_t set;

	MOVE_AWAY();
	EXPECT_EQ(0, prlimit(getpid(), RLIMIT_NOFILE, NULL, &limit));
	EXPECT_EQ(0, setpriority(PRIO_PROCESS, getpid(), 3));
	EXPECT_EQ(3, getpriority(PRIO_PROCESS, 0));
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(set), &set));
	EXPECT_EQ(0, sched_setaffinity(getpid(), sizeof(set), &set));
}

/* The same process as its parent sees it. */
static int tell[2], ask[2];

static pid_t moved_child(struct __test_metadata *_metadata, bool blocked)
{
	pid_t pid;

	ASSERT_EQ(0, pipe2(tell, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(ask, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct block block;
		struct head head;
		char byte;

		child_move(&head, &block);
		if (!blocked && block_release(&block))
			_exit(61);
		if (write(tell[1], "m", 1) != 1 || read(ask[0], &byte, 1) != 1)
			_exit(62);
		if (blocked && block_release(&block))
			_exit(63);
		_exit(getpgid(0) == getpid() ? 1 : 42);
	}
	ASSERT_EQ('m', read_byte(tell[0]));
	return pid;
}

TEST_F(identity, setpgid_by_the_parent)
{
	pid_t pid = moved_child(_metadata, variant->blocked);

	EXPECT_EQ(0, setpgid(pid, pid));
	EXPECT_EQ(pid, getpgid(pid));
	ASSERT_EQ(1, write(ask[1], "x", 1));
	EXPECT_EQ(1, child_status(pid));
}

TEST_F(identity, signals_from_the_parent)
{
	pid_t pid = moved_child(_metadata, variant->blocked);
	int fd = syscall(__NR_pidfd_open, pid, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, kill(pid, 0));
	EXPECT_EQ(0, syscall(__NR_tgkill, pid, pid, 0));
	EXPECT_EQ(0, syscall(__NR_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	EXPECT_EQ(-SIGTERM, child_status(pid));
}

static volatile sig_atomic_t stop_pid, stop_code;

static void on_sigchld(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	stop_pid = info->si_pid;
	stop_code = info->si_code;
}

/* Job control: what a shell does with a job whose main thread has moved. */
TEST_F(identity, a_stop_is_told_under_its_pid)
{
	struct sigaction action = {
		.sa_sigaction = on_sigchld,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	pid_t pid = moved_child(_metadata, variant->blocked);
	siginfo_t info = { .si_pid = -1 };
	int status;

	ASSERT_EQ(0, sigaction(SIGCHLD, &action, NULL));
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	EXPECT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(SIGSTOP, WSTOPSIG(status));
	EXPECT_EQ(pid, stop_pid);
	EXPECT_EQ(CLD_STOPPED, stop_code);
	ASSERT_EQ(0, kill(pid, SIGCONT));
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WCONTINUED));
	EXPECT_EQ(pid, info.si_pid);
	EXPECT_EQ(CLD_CONTINUED, info.si_code);
	EXPECT_EQ(pid, stop_pid);
	ASSERT_EQ(1, write(ask[1], "x", 1));
	EXPECT_EQ(42, child_status(pid));
}

TEST_F(identity, a_stop_is_told_to_who_waits_for_any_child)
{
	pid_t pid = moved_child(_metadata, variant->blocked);
	int status;

	ASSERT_EQ(0, kill(pid, SIGSTOP));
	EXPECT_EQ(pid, waitpid(-1, &status, WUNTRACED));
	EXPECT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	EXPECT_EQ(pid, waitpid(-1, &status, WCONTINUED));
	EXPECT_TRUE(WIFCONTINUED(status));
	ASSERT_EQ(1, write(ask[1], "x", 1));
	EXPECT_EQ(42, child_status(pid));
}

TEST_F(identity, a_running_child_is_found_by_pid)
{
	pid_t pid = moved_child(_metadata, variant->blocked);
	siginfo_t info = { .si_pid = -1 };

	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG | WUNTRACED));
	EXPECT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOHANG));
	EXPECT_EQ(0, info.si_pid);
	ASSERT_EQ(1, write(ask[1], "x", 1));
	EXPECT_EQ(42, child_status(pid));
}

/* The thread was not born anew. */
TEST_F(identity, start_time)
{
	long born = stat_field("/proc/self/stat", 22), own;

	/* A task that is forked from now on would be seen to be younger. */
	usleep(30000);
	head_close(&self->head);
	ASSERT_EQ(0, head_open(&self->head, 64));
	own = stat_field("/proc/thread-self/stat", 22);
	ASSERT_EQ(born, own);
	MOVE_AWAY();
	EXPECT_EQ(born, stat_field("/proc/self/stat", 22));
	EXPECT_EQ(born, stat_field("/proc/thread-self/stat", 22));
}

TEST_HARNESS_MAIN
