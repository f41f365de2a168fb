/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls of 2007 on top of /dev/syslet: async_exec(), async_wait(),
 * umem_add(), and the helper that everyone had, init_atom().
 *
 * What is different from then: a chain may not loop (ELOOP), so loops are
 * unrolled, and has at most SYSLET_MAX_ATOMS uatoms; arguments are read when
 * the chain is submitted, and only what uatoms store through ret_ptr is seen
 * by those that follow; and the completion ring is filled by async_exec() and
 * async_wait(), not while nobody calls. Uatoms must be left as they are until
 * their completion, as ever. A head is for one thread at a time.
 */
#ifndef SYSLET_CLASSIC_H
#define SYSLET_CLASSIC_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/syslet.h>

#define SYSLET_STOP_MASK						\
	(SYSLET_STOP_ON_NONZERO | SYSLET_STOP_ON_ZERO |			\
	 SYSLET_STOP_ON_NEGATIVE | SYSLET_STOP_ON_NON_POSITIVE)
#define SYSLET_SKIP_TO_NEXT_ON_STOP	SYSLET_SKIP_ON_STOP

/* The helper had a system call number then. */
#define __NR_umem_add			SYSLET_NR_UMEM_ADD

struct syslet_uatom {
	unsigned long flags;
	unsigned long nr;
	long *ret_ptr;
	struct syslet_uatom *next;
	unsigned long *arg_ptr[6];
	void *private;
};

struct async_head_user {
	unsigned long kernel_ring_idx;
	unsigned long user_ring_idx;
	/* Where the last uatoms of what went on asynchronously are put. */
	struct syslet_uatom **completion_ring;
	unsigned long ring_size_bytes;
	/* Stacks are the kernel's business by now. */
	unsigned long head_stack;
	unsigned long head_eip;
	unsigned long new_thread_stack;
	unsigned long new_thread_eip;
	/* Zero before the first call; the rest is this header's. */
	int classic_fd;
	struct syslet_ring *classic_ring;
	struct syslet_cqe *classic_cqes;
};

static inline void
init_atom(void *req, struct syslet_uatom *atom, int nr,
	  void *arg_ptr0, void *arg_ptr1, void *arg_ptr2,
	  void *arg_ptr3, void *arg_ptr4, void *arg_ptr5,
	  void *ret_ptr, unsigned long flags, struct syslet_uatom *next)
{
	atom->flags = flags;
	atom->nr = (unsigned int)nr;
	atom->ret_ptr = ret_ptr;
	atom->next = next;
	atom->arg_ptr[0] = arg_ptr0;
	atom->arg_ptr[1] = arg_ptr1;
	atom->arg_ptr[2] = arg_ptr2;
	atom->arg_ptr[3] = arg_ptr3;
	atom->arg_ptr[4] = arg_ptr4;
	atom->arg_ptr[5] = arg_ptr5;
	atom->private = req;
}

/* Adds to a variable; in a chain it is the call __NR_umem_add. */
static inline long umem_add(unsigned long *uptr, unsigned long inc)
{
	return *uptr += inc;
}

/* Appends the uatoms from @atom on, up to one that is there already. */
static inline unsigned int
classic_follow(struct syslet_uatom **walk, unsigned int nr, struct syslet_uatom *atom)
{
	unsigned int i;

	for (; atom && nr < SYSLET_MAX_ATOMS; atom = atom->next) {
		for (i = 0; i < nr && walk[i] != atom; i++)
			;
		if (i < nr)
			break;
		walk[nr++] = atom;
	}
	return nr;
}

/* The uatom that the kernel, which walks a chain in the same way, calls @last. */
static inline struct syslet_uatom *classic_uatom(struct syslet_uatom *first, unsigned int last)
{
	struct syslet_uatom *walk[SYSLET_MAX_ATOMS];
	unsigned int nr = classic_follow(walk, 0, first);
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (walk[i]->flags & SYSLET_SKIP_TO_NEXT_ON_STOP &&
		    walk[i]->flags & SYSLET_STOP_MASK)
			nr = classic_follow(walk, nr, walk[i] + 1);
	}
	return last < nr ? walk[last] : first;
}

static inline unsigned long classic_slots(const struct async_head_user *ahu)
{
	return ahu->ring_size_bytes / sizeof(*ahu->completion_ring);
}

static inline int classic_setup(struct async_head_user *ahu)
{
	struct syslet_setup setup = { .size = sizeof(setup), .cq_entries = 1 };
	void *map;
	int saved;

	if (ahu->classic_ring)
		return 0;
	if (!classic_slots(ahu)) {
		errno = EINVAL;
		return -1;
	}
	while (setup.cq_entries < classic_slots(ahu))
		setup.cq_entries *= 2;
	ahu->classic_fd = open("/dev/syslet", O_RDWR | O_CLOEXEC);
	if (ahu->classic_fd < 0)
		return -1;
	if (!ioctl(ahu->classic_fd, SYSLET_IOC_SETUP, &setup)) {
		map = mmap(NULL, setup.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			   ahu->classic_fd, 0);
		if (map != MAP_FAILED) {
			ahu->classic_ring = map;
			ahu->classic_cqes = (void *)((char *)map + setup.cqes_offset);
			return 0;
		}
	}
	saved = errno;
	close(ahu->classic_fd);
	errno = saved;
	return -1;
}

/* Moves what is complete into the user's ring, as far as that has free slots. */
static inline void classic_collect(struct async_head_user *ahu)
{
	struct syslet_ring *ring = ahu->classic_ring;
	__u32 head = ring->head;
	struct syslet_cqe *cqe;

	while (head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) {
		if (ahu->completion_ring[ahu->kernel_ring_idx])
			break;
		cqe = &ahu->classic_cqes[head & ring->mask];
		ahu->completion_ring[ahu->kernel_ring_idx] =
			classic_uatom((void *)(uintptr_t)cqe->user_data, cqe->last);
		ahu->kernel_ring_idx = (ahu->kernel_ring_idx + 1) % classic_slots(ahu);
		__atomic_store_n(&ring->head, ++head, __ATOMIC_RELEASE);
	}
}

/*
 * Runs the chain that begins at @atom. Returns the uatom that ran last, or
 * NULL if the chain went on asynchronously: that uatom comes to the completion
 * ring then. On failure (struct syslet_uatom *)-1, with errno set.
 */
static inline struct syslet_uatom *
async_exec(struct syslet_uatom *atom, struct async_head_user *ahu)
{
	struct syslet_uatom_exec exec = {
		.size = sizeof(exec),
		.uatom = (uintptr_t)atom,
		.user_data = (uintptr_t)atom,
	};

	if (classic_setup(ahu) || ioctl(ahu->classic_fd, SYSLET_IOC_EXEC_UATOM, &exec) != 1)
		return (struct syslet_uatom *)-1;
	classic_collect(ahu);
	return exec.status == SYSLET_PENDING ? NULL : classic_uatom(atom, exec.last);
}

/*
 * Waits until there are @min_wait_events completions in the ring from slot
 * @user_ring_idx on. Whoever takes one sets its slot to NULL.
 */
static inline long async_wait(unsigned long min_wait_events, unsigned long user_ring_idx,
			      struct async_head_user *ahu)
{
	struct syslet_wait wait = {
		.size = sizeof(wait),
		.min_complete = 1,
		.timeout_ns = ~0ULL,
	};
	unsigned long slots, ready;

	if (classic_setup(ahu))
		return -1;
	slots = classic_slots(ahu);
	if (min_wait_events > slots)
		min_wait_events = slots;
	for (;;) {
		classic_collect(ahu);
		ready = 0;
		while (ready < slots && ahu->completion_ring[(user_ring_idx + ready) % slots])
			ready++;
		if (ready >= min_wait_events)
			return 0;
		if (ioctl(ahu->classic_fd, SYSLET_IOC_WAIT, &wait) < 0)
			return -1;
	}
}

#endif /* SYSLET_CLASSIC_H */
