// SPDX-License-Identifier: GPL-2.0
/*
 * Opens, measures, reads and closes a file in one entry into the kernel.
 *
 * cc -I ../include/uapi hello.c -o hello && ./hello /etc/hostname
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/syslet.h>

#define ADDR(pointer) ((__u64)(uintptr_t)(pointer))

/* arg_from counts from 1: the first argument is the result of atom 0. */
#define FD_OF_ATOM_0 { 1 }

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/etc/hostname";
	static char buf[4096];
	struct stat st;
	__s64 results[4];

	struct syslet_atom atoms[] = {
		{
			.nr = SYS_openat,
			.flags = SYSLET_STOP_ON_NEGATIVE,
			.args = { (__u64)AT_FDCWD, ADDR(path), O_RDONLY },
		},
		{ .nr = SYS_fstat, .args = { 0, ADDR(&st) }, .arg_from = FD_OF_ATOM_0 },
		{ .nr = SYS_read, .args = { 0, ADDR(buf), sizeof(buf) }, .arg_from = FD_OF_ATOM_0 },
		{ .nr = SYS_close, .arg_from = FD_OF_ATOM_0 },
	};
	struct syslet_program program = {
		.atoms = ADDR(atoms),
		.nr_atoms = 4,
		.flags = SYSLET_SYNC,
		.results = ADDR(results),
	};
	struct syslet_setup setup = { .size = sizeof(setup) };
	struct syslet_exec exec = {
		.size = sizeof(exec),
		.programs = ADDR(&program),
		.nr_programs = 1,
	};

	int dev = open("/dev/syslet", O_RDWR | O_CLOEXEC);

	if (dev < 0 || ioctl(dev, SYSLET_IOC_SETUP, &setup) || ioctl(dev, SYSLET_IOC_EXEC, &exec) != 1) {
		perror("/dev/syslet");
		return 1;
	}
	for (int i = 0; i < 4; i++) {
		/* SYSLET_NOT_RUN is negative too, but only behind an atom that stopped. */
		if (results[i] < 0) {
			fprintf(stderr, "%s: atom %d: %s\n", path, i, strerror(-results[i]));
			return 1;
		}
	}
	fprintf(stderr, "%s: %lld of %lld bytes\n", path, (long long)results[2], (long long)st.st_size);
	return fwrite(buf, 1, results[2], stdout) != (size_t)results[2];
}
