// SPDX-License-Identifier: GPL-2.0
/*
 * A program as they were written in 2007: requests of uatoms, whose arguments
 * and results are variables of the request.
 *
 * cc -I ../../include/uapi demo.c -o demo && ./demo /etc/passwd
 * With -m32 it does the same, but what blocks has its caller wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "syslet_classic.h"

#define RING_SLOTS	16
#define NR_READS	16
#define CHUNK		512
#define NR_SLEEPS	4
#define SLEEP_MS	100

#ifdef __NR_stat64
#define NR_STAT		__NR_stat64
#define stat_struct	stat64
#else
#define NR_STAT		__NR_stat
#define stat_struct	stat
#endif

static struct syslet_uatom *completion_ring[RING_SLOTS];
static struct async_head_user ahu = {
	.completion_ring = completion_ring,
	.ring_size_bytes = sizeof(completion_ring),
};

static unsigned long O_RDONLY_var = O_RDONLY;
static unsigned long chunk_var = CHUNK;
static unsigned long one_var = 1;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void check(int good, const char *what)
{
	if (!good) {
		fprintf(stderr, "demo: %s\n", what);
		exit(1);
	}
}

/* Waits for a completion and takes it. */
static struct syslet_uatom *complete_one(void)
{
	struct syslet_uatom *done;

	while (async_wait(1, ahu.user_ring_idx, &ahu))
		if (errno != EINTR)
			die("async_wait");
	done = completion_ring[ahu.user_ring_idx];
	completion_ring[ahu.user_ring_idx] = NULL;
	ahu.user_ring_idx = (ahu.user_ring_idx + 1) % RING_SLOTS;
	return done;
}

static struct syslet_uatom *submit(struct syslet_uatom *first)
{
	struct syslet_uatom *done = async_exec(first, &ahu);

	if (done == (struct syslet_uatom *)-1)
		die("async_exec");
	return done;
}

/* Runs a chain; returns its last uatom, waiting for it if need be. */
static struct syslet_uatom *exec_and_wait(struct syslet_uatom *first)
{
	struct syslet_uatom *done = submit(first);

	return done ? done : complete_one();
}

/*
 * open(), read() until there is no more, close(): the loop, unrolled. A read()
 * that is the last one jumps to the uatom behind it in memory.
 */
struct file_req {
	const char *name;
	unsigned long total, total_ptr;
	unsigned long buf_ptr[NR_READS];
	long fd, nread, closed;
	struct syslet_uatom open_file;
	struct {
		struct syslet_uatom read_file, close_file, add_file;
	} step[NR_READS];
	char buf[NR_READS * CHUNK];
};

static void file_demo(const char *name)
{
	static struct file_req file_req, *req = &file_req;
	struct syslet_uatom *done;
	static char plain[NR_READS * CHUNK];
	size_t len;
	FILE *file;
	int i;

	req->name = name;
	req->total_ptr = (unsigned long)&req->total;
	init_atom(req, &req->open_file, __NR_open, &req->name, &O_RDONLY_var, NULL,
		  NULL, NULL, NULL, &req->fd, SYSLET_STOP_ON_NEGATIVE, &req->step[0].read_file);
	for (i = 0; i < NR_READS; i++) {
		req->buf_ptr[i] = (unsigned long)&req->buf[i * CHUNK];
		init_atom(req, &req->step[i].read_file, __NR_read, &req->fd, &req->buf_ptr[i],
			  &chunk_var, NULL, NULL, NULL, &req->nread,
			  SYSLET_STOP_ON_NON_POSITIVE | SYSLET_SKIP_TO_NEXT_ON_STOP,
			  &req->step[i].add_file);
		init_atom(req, &req->step[i].close_file, __NR_close, &req->fd, NULL, NULL,
			  NULL, NULL, NULL, &req->closed, 0, NULL);
		init_atom(req, &req->step[i].add_file, __NR_umem_add, &req->total_ptr, &req->nread,
			  NULL, NULL, NULL, NULL, NULL, 0,
			  i + 1 < NR_READS ? &req->step[i + 1].read_file :
					     &req->step[i].close_file);
	}
	req->closed = -1;

	done = exec_and_wait(&req->open_file);
	if (done == &req->open_file) {
		errno = -req->fd;
		die(name);
	}
	check(done->private == req && done->nr == __NR_close, "the last uatom is not a close()");
	check(req->closed == 0, "close() failed");

	file = fopen(name, "re");
	if (!file)
		die(name);
	len = fread(plain, 1, sizeof(plain), file);
	fclose(file);
	check(req->total == len, "the count of bytes is wrong");
	check(!memcmp(plain, req->buf, len), "the bytes are wrong");
	printf("read: %s, %lu bytes, the last read() returned %ld\n", name, req->total,
	       req->nread);
}

static void stat_demo(const char *name)
{
	static const char *name_var;
	static struct stat_struct st, plain;
	static unsigned long st_ptr = (unsigned long)&st;
	static struct syslet_uatom atom;
	static long ret = -1;

	name_var = name;
	init_atom(NULL, &atom, NR_STAT, &name_var, &st_ptr, NULL, NULL, NULL, NULL, &ret, 0, NULL);
	check(exec_and_wait(&atom) == &atom, "not the only uatom");
	check(ret == 0, "stat() failed");
#ifdef __NR_stat64
	check(!stat64(name, &plain), "stat64() failed");
#else
	check(!stat(name, &plain), "stat() by a plain call failed");
#endif
	check(st.st_ino == plain.st_ino && st.st_size == plain.st_size, "stat() told something else");
	printf("stat: %s has %lld bytes\n", name, (long long)st.st_size);
}

/* Several that sleep: together, where they need not sleep in their caller. */
struct sleep_req {
	struct { long sec, nsec; } time;
	unsigned long time_ptr, count_ptr;
	long ret;
	struct syslet_uatom sleep, count;
};

static void sleep_demo(void)
{
	static struct sleep_req reqs[NR_SLEEPS];
	static unsigned long count;
	int i, pending = 0;
	struct timespec begun, ended;
	long ms;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (i = 0; i < NR_SLEEPS; i++) {
		struct sleep_req *req = &reqs[i];

		req->time.nsec = SLEEP_MS * 1000000L;
		req->time_ptr = (unsigned long)&req->time;
		req->count_ptr = (unsigned long)&count;
		req->ret = -1;
		init_atom(req, &req->sleep, __NR_nanosleep, &req->time_ptr, NULL, NULL, NULL,
			  NULL, NULL, &req->ret, SYSLET_STOP_ON_NONZERO, &req->count);
		init_atom(req, &req->count, __NR_umem_add, &req->count_ptr, &one_var, NULL,
			  NULL, NULL, NULL, NULL, 0, NULL);
		pending += !submit(&req->sleep);
	}
	for (i = 0; i < pending; i++) {
		struct syslet_uatom *done = complete_one();
		struct sleep_req *req = done->private;

		check(done == &req->count && req->ret == 0, "nanosleep() failed");
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ms = (ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000;
	check(ms >= SLEEP_MS, "that was too short");
	for (i = 0; i < NR_SLEEPS; i++)
		check(reqs[i].ret == 0, "one did not sleep");
	/* Adding is not atomic, so the count may be short if they went on at once. */
	check(count >= 1 && count <= NR_SLEEPS, "the count is wrong");
	printf("sleep: %d of %d asynchronously, %d ms each, %ld ms in all\n", pending, NR_SLEEPS,
	       SLEEP_MS, ms);
}

/* What is read from one pipe is written to another, as much as it was. */
static void pipe_demo(void)
{
	static unsigned long from, to, buf_ptr;
	static char buf[CHUNK], text[16];
	static long nread, nwritten;
	static struct syslet_uatom atoms[2], *done;
	int in[2], out[2], status;
	pid_t child;

	if (pipe(in) || pipe(out))
		die("pipe");
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		usleep(SLEEP_MS * 1000);
		_exit(write(in[1], "syslet", 6) != 6);
	}
	from = in[0];
	to = out[1];
	buf_ptr = (unsigned long)buf;
	init_atom(NULL, &atoms[0], __NR_read, &from, &buf_ptr, &chunk_var, NULL, NULL, NULL,
		  &nread, SYSLET_STOP_ON_NON_POSITIVE, &atoms[1]);
	init_atom(NULL, &atoms[1], __NR_write, &to, &buf_ptr, &nread, NULL, NULL, NULL,
		  &nwritten, 0, NULL);
	done = submit(&atoms[0]);
	printf("pipe: the reader %s\n", done ? "waited" : "need not wait");
	if (!done)
		done = complete_one();
	check(done == &atoms[1], "the last uatom is not the write()");
	check(nread == 6 && nwritten == 6, "the counts are wrong");
	check(read(out[0], text, sizeof(text)) == 6 && !memcmp(text, "syslet", 6),
	      "something else came out");
	check(waitpid(child, &status, 0) == child && !status, "the child failed");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "/etc/passwd";

	setvbuf(stdout, NULL, _IOLBF, 0);
	file_demo(name);
	stat_demo(name);
	sleep_demo();
	pipe_demo();
	return 0;
}
