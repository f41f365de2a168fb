/* SPDX-License-Identifier: GPL-2.0 */
/* Pages that are not there until a test fills them: whoever touches one sleeps until then. */
#ifndef WATCHED_PAGE_H
#define WATCHED_PAGE_H

#include <linux/userfaultfd.h>
#include <poll.h>
#include "syslet_test.h"

static inline void *fresh_page(void)
{
	void *page = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

/* Returns the userfaultfd that watches a fresh page, or a negative errno. */
static inline int watch_page(void *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = PTR(page), .len = sysconf(_SC_PAGESIZE) },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		return -errno;
	return fd;
}

/* In a test: a fresh page that is watched, where userfaultfd may be used. */
#define WATCHED_PAGE(page, fd)						\
	do {								\
		page = fresh_page();					\
		ASSERT_NE(NULL, page);					\
		fd = watch_page(page);					\
		if (fd == -ENOSYS || fd == -EPERM)			\
			SKIP(return, "no userfaultfd");			\
		ASSERT_LE(0, fd);					\
	} while (0)

/* Waits until somebody sleeps for the page. */
static inline int page_is_wanted(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 10000) == 1 ? 0 : -ETIMEDOUT;
}

/* Fills it with a page of memory. */
static inline int fill_page_with(int fd, void *page, const void *text)
{
	struct uffdio_copy copy = {
		.dst = PTR(page), .src = PTR(text), .len = sysconf(_SC_PAGESIZE),
	};

	return ioctl(fd, UFFDIO_COPY, &copy) ? -errno : 0;
}

/* Fills it with zeros. */
static inline int fill_page(int fd, void *page)
{
	struct uffdio_zeropage zero = {
		.range = { .start = PTR(page), .len = sysconf(_SC_PAGESIZE) },
	};

	return ioctl(fd, UFFDIO_ZEROPAGE, &zero) ? -errno : 0;
}

#endif /* WATCHED_PAGE_H */
