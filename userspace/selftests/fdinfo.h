/* SPDX-License-Identifier: GPL-2.0 */
/* Reading what /proc/PID/fdinfo tells of a head. */
#ifndef FDINFO_H
#define FDINFO_H

#include "syslet_test.h"

static inline ssize_t read_info(int fd, char *text, size_t size)
{
	char path[64];
	ssize_t len;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	len = sysret(read(info, text, size - 1));
	close(info);
	text[len > 0 ? len : 0] = '\0';
	return len;
}

/* The value of "syslet-@name:", or a negative errno. */
static inline long long value(int fd, const char *name)
{
	char text[4096], key[64], *line;
	long long number;
	ssize_t len = read_info(fd, text, sizeof(text));

	if (len < 0)
		return len;
	snprintf(key, sizeof(key), "\nsyslet-%s:", name);
	line = strstr(text, key);
	if (!line)
		return -ENOENT;
	return sscanf(line + strlen(key), " %lld\n", &number) == 1 ? number : -EPROTO;
}

#endif /* FDINFO_H */
