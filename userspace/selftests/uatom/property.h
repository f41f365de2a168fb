/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What random chains act on: an arena of memory, a few descriptors, and what
 * is to be seen of both when one has run.
 *
 * The arena is always at the same address and in front of a hole, descriptors
 * are counted from 0, and there are no more than FDS of them: a chain that is
 * run again finds all of it as it was.
 */
#ifndef PROPERTY_H
#define PROPERTY_H

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "../async/async_test.h"
#include "uatom_test.h"

#define ARENA_AT	0x10000000UL
#define ARENA_BYTES	(4 * 4096)

#define VARS		7	/* what results are stored in, and arguments taken from */
#define POINTERS	4	/* the same for addresses */
#define SUMS		8	/* what is added to */
#define BUFS		8
#define BUF_BYTES	64

struct arena {
	struct syslet_uatom uatoms[SYSLET_MAX_ATOMS + 1];
	long vars[VARS];
	long pointers[POINTERS];
	long sums[SUMS];
	long addresses[SYSLET_MAX_ATOMS];	/* each is added to once, so that it stays one */
	unsigned long consts[6 * SYSLET_MAX_ATOMS];
};

/* The buffers end at the hole. */
union memory {
	struct arena arena;
	struct {
		char before[ARENA_BYTES - BUFS * BUF_BYTES];
		char bufs[BUFS][BUF_BYTES];
	};
};

_Static_assert(sizeof(struct arena) <= ARENA_BYTES - BUFS * BUF_BYTES, "no overlap");

#define HERE ((union memory *)ARENA_AT)

/* What no chain may touch is out of its reach, by RLIMIT_NOFILE. */
#define FDS		64
#define HEAD_FD		970
#define LOG_FD		971
#define FILE_FD(i)	(972 + (i))
#define FILES		2
#define OUR_FD(fd)	((fd) >= HEAD_FD && (fd) < FILE_FD(FILES))

/* A random chain: the arena that it is in, with all that it begins with. */
struct program {
	union memory image;
	unsigned int nr;
	unsigned char place_of[SYSLET_MAX_ATOMS];	/* in the arena; by its order */
	unsigned char order_of[SYSLET_MAX_ATOMS + 1];
	unsigned int in_file, in_pipe;			/* bytes to begin with */
};

/* All that is left of one run. */
struct world {
	short events[FDS];	/* POLLNVAL: not open */
	short fd_flags[FDS];
	__s64 position[FDS], size[FDS], mode[FDS];
	__u64 in_pipe[FDS];	/* a hash of what was read from it */
	__s64 file_size[FILES];
	__u64 in_file[FILES];
	long umask;
};

/* A chain that has ended. */
struct outcome {
	__s64 result;
	unsigned int last;		/* by its place in the arena */
	bool stopped, failed;		/* by a condition; by a store */
	bool left;			/* it was not done in the caller */
	bool missed;			/* it came to what is not to be touched */
	__s64 results[SYSLET_MAX_ATOMS];
	union memory memory;
	struct world world;
};

static inline void *in_image(struct program *program, const void *at)
{
	return (char *)&program->image + ((unsigned long)at - ARENA_AT);
}

static inline struct syslet_uatom *uatom_of(struct program *program, unsigned int order)
{
	return &program->image.arena.uatoms[program->place_of[order]];
}

static inline bool conditions(unsigned long flags)
{
	return flags & (SYSLET_STOP_ON_NONZERO | SYSLET_STOP_ON_ZERO | SYSLET_STOP_ON_NEGATIVE |
			SYSLET_STOP_ON_NON_POSITIVE);
}

static inline bool jumps(const struct syslet_uatom *uatom)
{
	return uatom->flags & SYSLET_SKIP_ON_STOP && conditions(uatom->flags);
}

static inline __u64 hash(__u64 from, const void *data, size_t len)
{
	const unsigned char *byte = data;

	while (len--)
		from = (from ^ *byte++) * 0x100000001b3ULL;
	return from;
}

/* What chains read before anything was written. */
static const char start[] = "\x91\x92\x93 what the file and the pipe begin with \x94\x95\x96";

/* Makes @head, too. */
static inline bool make_world(struct head *head)
{
	char *map = mmap((void *)ARENA_AT, ARENA_BYTES + 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct rlimit limit = { FDS, FDS };
	int fd, i;

	if (map != (void *)ARENA_AT || mprotect(map + ARENA_BYTES, 4096, PROT_NONE))
		return false;
	fd = dev_open();
	if (fd < 0 || dup2(fd, HEAD_FD) != HEAD_FD || dup2(STDERR_FILENO, LOG_FD) != LOG_FD)
		return false;
	for (i = 0; i < FILES; i++) {
		fd = memfd_create("property", 0);
		if (fd < 0 || dup2(fd, FILE_FD(i)) != FILE_FD(i))
			return false;
	}
	head->fd = HEAD_FD;
	if (fcntl(FILE_FD(1), F_SETFL, O_APPEND) || dev_setup(HEAD_FD, 8, &head->setup) ||
	    head_map(head))
		return false;
	signal(SIGPIPE, SIG_IGN);
	return !close_range(0, FDS - 1, 0) && !setrlimit(RLIMIT_NOFILE, &limit);
}

/* Descriptors: both ends of a pipe, a file twice, and another that is appended to. */
static inline void reset_world(const struct program *program)
{
	int pipes[2], i;
	bool good;

	close_range(0, FDS - 1, 0);
	good = !pipe2(pipes, O_NONBLOCK) && pipes[0] == 0 && pipes[1] == 1;
	for (i = 0; i < FILES; i++)
		good = good && !ftruncate(FILE_FD(i), 0) && !lseek(FILE_FD(i), 0, SEEK_SET) &&
		       pwrite(FILE_FD(i), start, program->in_file, 0) == (ssize_t)program->in_file;
	good = good && dup2(FILE_FD(0), 2) == 2 && dup2(FILE_FD(1), 3) == 3 &&
	       dup2(FILE_FD(0), 4) == 4 &&
	       write(1, start, program->in_pipe) == (ssize_t)program->in_pipe;
	if (!good)
		abort();
	umask(022);
	memcpy(HERE, &program->image, sizeof(*HERE));
}

static inline __u64 hash_of_pipe(int fd)
{
	char buf[4096];
	__u64 sum = 1;
	ssize_t len;

	while ((len = read(fd, buf, sizeof(buf))) > 0)
		sum = hash(sum, buf, len);
	return hash(sum, &len, sizeof(len));
}

static inline __u64 hash_of_file(int fd)
{
	static char buf[4 * ARENA_BYTES];
	ssize_t len = pread(fd, buf, sizeof(buf), 0);

	return hash(1, buf, len > 0 ? len : 0);
}

static inline void see_world(struct world *world)
{
	struct pollfd fds[FDS];
	struct stat stat;
	int fd;

	memset(world, 0, sizeof(*world));
	for (fd = 0; fd < FDS; fd++)
		fds[fd] = (struct pollfd) { .fd = fd, .events = POLLIN | POLLOUT };
	if (poll(fds, FDS, 0) < 0)
		abort();
	for (fd = 0; fd < FDS; fd++) {
		world->events[fd] = fds[fd].revents;
		if (fds[fd].revents & POLLNVAL)
			continue;
		if (fstat(fd, &stat))
			abort();
		world->mode[fd] = stat.st_mode;
		world->size[fd] = stat.st_size;
		world->fd_flags[fd] = fcntl(fd, F_GETFD);
		world->position[fd] = lseek(fd, 0, SEEK_CUR);
	}
	for (fd = 0; fd < FDS; fd++)
		if (S_ISFIFO(world->mode[fd]))
			world->in_pipe[fd] = hash_of_pipe(fd);
	for (fd = 0; fd < FILES; fd++) {
		if (fstat(FILE_FD(fd), &stat))
			abort();
		world->file_size[fd] = stat.st_size;
		world->in_file[fd] = hash_of_file(FILE_FD(fd));
	}
	world->umask = umask(022);
}

static inline void see(struct outcome *outcome)
{
	memcpy(&outcome->memory, HERE, sizeof(*HERE));
	see_world(&outcome->world);
}

#endif /* PROPERTY_H */
