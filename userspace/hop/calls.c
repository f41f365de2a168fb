// SPDX-License-Identifier: GPL-2.0
/*
 * libsyslet_hop: the wrapped calls. Each hops every now and then, and then is
 * what it was.
 *
 * Compilers and headers give some of them other names, which take the same
 * way: the 64-bit ones, and those that check the size of their buffer.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "hop.h"

#define EXPORTED	__attribute__((visibility("default")))

/* A wrapper of @name, which is declared elsewhere, with @params and called with @args. */
#define WRAP(type, name, params, args)					\
static type (*real_##name) params;					\
EXPORTED type name params						\
{									\
	hop_sometimes();						\
	if (!real_##name)						\
		find((void **)&real_##name, #name);			\
	return real_##name args;					\
}

/* Headers make loops of them. */
#undef fread_unlocked
#undef fwrite_unlocked

/* Calls of the C library's own that no header declares. */
ssize_t __read_chk(int fd, void *buf, size_t len, size_t size);
int __poll_chk(struct pollfd *fds, nfds_t nr, int timeout, size_t size);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags);
size_t __fread_chk(void *buf, size_t size, size_t one, size_t nr, FILE *file);
size_t __fread_unlocked_chk(void *buf, size_t size, size_t one, size_t nr, FILE *file);

static void find(void **slot, const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	__atomic_store_n(slot, function, __ATOMIC_RELEASE);
}

WRAP(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
WRAP(ssize_t, __read_chk, (int fd, void *buf, size_t len, size_t size), (fd, buf, len, size))
WRAP(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len))
WRAP(ssize_t, pread, (int fd, void *buf, size_t len, off_t at), (fd, buf, len, at))
WRAP(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t at), (fd, buf, len, at))
WRAP(off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence))
WRAP(int, pipe, (int fds[2]), (fds))
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, dup2, (int from, int to), (from, to))

WRAP(int, __open_2, (const char *path, int flags), (path, flags))
WRAP(int, __open64_2, (const char *path, int flags), (path, flags))
WRAP(int, __openat_2, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(int, __openat64_2, (int dir, const char *path, int flags), (dir, path, flags))

/* The mode is there only if it is used. */
#define OPEN_MODE(flags, mode)						\
	do {								\
		va_list rest;						\
									\
		va_start(rest, flags);					\
		mode = (flags) & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
		va_end(rest);						\
	} while (0)

#define WRAP_OPEN(name, params, args)					\
static int (*real_##name) params;					\
EXPORTED int name params						\
{									\
	mode_t mode;							\
									\
	hop_sometimes();						\
	OPEN_MODE(flags, mode);						\
	if (!real_##name)						\
		find((void **)&real_##name, #name);			\
	return real_##name args;					\
}

WRAP_OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
WRAP_OPEN(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))
WRAP_OPEN(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))

WRAP(int, poll, (struct pollfd *fds, nfds_t nr, int timeout), (fds, nr, timeout))
WRAP(int, __poll_chk, (struct pollfd *fds, nfds_t nr, int timeout, size_t size),
     (fds, nr, timeout, size))
WRAP(int, ppoll, (struct pollfd *fds, nfds_t nr, const struct timespec *timeout,
		  const sigset_t *mask), (fds, nr, timeout, mask))
WRAP(int, select, (int nr, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout),
     (nr, r, w, x, timeout))
WRAP(int, pselect, (int nr, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout,
		    const sigset_t *mask), (nr, r, w, x, timeout, mask))
WRAP(ssize_t, recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags))
WRAP(ssize_t, __recv_chk, (int fd, void *buf, size_t len, size_t size, int flags),
     (fd, buf, len, size, flags))
WRAP(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags))
WRAP(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left))
WRAP(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time,
			    struct timespec *left), (clock, flags, time, left))
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
WRAP(int, kill, (pid_t pid, int sig), (pid, sig))
WRAP(int, pthread_mutex_lock, (pthread_mutex_t *mutex), (mutex))
WRAP(int, pthread_mutex_unlock, (pthread_mutex_t *mutex), (mutex))

WRAP(size_t, fread, (void *buf, size_t one, size_t nr, FILE *file), (buf, one, nr, file))
WRAP(size_t, __fread_chk, (void *buf, size_t size, size_t one, size_t nr, FILE *file),
     (buf, size, one, nr, file))
WRAP(size_t, fread_unlocked, (void *buf, size_t one, size_t nr, FILE *file),
     (buf, one, nr, file))
WRAP(size_t, __fread_unlocked_chk,
     (void *buf, size_t size, size_t one, size_t nr, FILE *file), (buf, size, one, nr, file))
WRAP(size_t, fwrite, (const void *buf, size_t one, size_t nr, FILE *file), (buf, one, nr, file))
WRAP(size_t, fwrite_unlocked, (const void *buf, size_t one, size_t nr, FILE *file),
     (buf, one, nr, file))
WRAP(int, fputs, (const char *text, FILE *file), (text, file))
WRAP(int, fputs_unlocked, (const char *text, FILE *file), (text, file))
WRAP(int, fflush, (FILE *file), (file))
WRAP(int, __overflow, (FILE *file, int c), (file, c))
WRAP(int, __uflow, (FILE *file), (file))

/* The head is none of the program's descriptors. */
static int (*real_close)(int fd);
EXPORTED int close(int fd)
{
	hop_sometimes();
	if (fd >= 0 && fd == hop_fd) {
		errno = EBADF;
		return -1;
	}
	if (!real_close)
		find((void **)&real_close, "close");
	return real_close(fd);
}

/* Ends without destructors. */
#define WRAP_EXIT(name)							\
static void (*real_##name)(int status);					\
EXPORTED void name(int status)						\
{									\
	hop_end();							\
	if (!real_##name)						\
		find((void **)&real_##name, #name);			\
	real_##name(status);						\
	__builtin_unreachable();					\
}

WRAP_EXIT(_exit)
WRAP_EXIT(_Exit)

void hop_find_calls(void)
{
#define FIND(name) find((void **)&real_##name, #name)
	/* Signal handlers may call these, and dlsym() is not for them. */
	FIND(read);
	FIND(write);
	FIND(lseek);
	FIND(pipe);
	FIND(pipe2);
	FIND(dup2);
	FIND(open);
	FIND(open64);
	FIND(openat);
	FIND(openat64);
	FIND(poll);
	FIND(ppoll);
	FIND(select);
	FIND(pselect);
	FIND(recv);
	FIND(send);
	FIND(nanosleep);
	FIND(clock_nanosleep);
	FIND(waitpid);
	FIND(kill);
	FIND(close);
	FIND(_exit);
	FIND(_Exit);
#undef FIND
}
