/* SPDX-License-Identifier: GPL-2.0 */
/* What the threads of a worker do with their heads: submit, wait, cancel, and look at the results. */
#ifndef TORTURE_SUBMIT_H
#define TORTURE_SUBMIT_H

#include "torture_heads.h"

/* Some thread's TID, maybe one that is gone. */
static pid_t some_tid(void)
{
	pid_t tid = threads[below(&me->random, THREADS + EXTRAS)].tid;

	return tid ? tid : me->tid;
}

static void free_slot(struct slot *s)
{
	if (s->has_results)
		close_what_is_left(s);
	s->used = false;
}

static void check_slot(struct slot *s, const struct end *end)
{
	/* It says so only if someone has canceled it, or closed the number that it came by. */
	if (end->flags & SYSLET_CQE_CANCELED) {
		count(N_CANCELED);
		if (!__atomic_load_n(&s->may_cancel, __ATOMIC_ACQUIRE) && !s->excused)
			bad_program(s, "canceled by nobody");
	}
	if (end->flags & ~(SYSLET_CQE_ASYNC | SYSLET_CQE_STOPPED | SYSLET_CQE_CANCELED))
		bad_program(s, "a flag that cannot be");
	if (s->has_results)
		check_results(s, end);
	else
		check_end(s, end);
}

/* One without a completion: CANCEL says whether it is still there. */
static void end_quiet(struct slot *s)
{
	struct end end = { 0 };
	int fd = fd_of(s->head);
	long ret;

	if (now_ns() < s->quiet_until)
		return;
	if (fd < 0)
		fail("no descriptor is left");
	__atomic_store_n(&s->may_cancel, true, __ATOMIC_RELEASE);
	ret = dev_cancel(fd, s->data, 0);
	/* Closed in between: the other descriptor is tried next time. */
	if (ret == 1 || ret == -ENOTTY || ret == -EBADF)
		return;
	if (ret != -ENOENT)
		fail("CANCEL: %ld", ret);
	check_slot(s, &end);
	add(&s->head->quiet, -1);
	add(&s->head->left, -1);
	free_slot(s);
}

/* Looks at those of the thread's programs that have ended. Returns how many have not. */
static unsigned int harvest(void)
{
	unsigned int i, nr = 0;
	struct slot *s;
	struct end end;

	for (i = 0; i < SLOTS; i++) {
		s = &me->slots[i];
		if (!s->used)
			continue;
		nr++;
		if (s->flags & SYSLET_NO_COMPLETE) {
			end_quiet(s);
			continue;
		}
		if (!__atomic_load_n(&s->taken, __ATOMIC_ACQUIRE))
			continue;
		end = (struct end) { true, s->cqe.result, s->cqe.last, s->cqe.flags };
		if (s->program.status == SYSLET_DONE) {
			if (end.flags & SYSLET_CQE_ASYNC || end.result != s->program.result ||
			    end.last != s->program.last)
				bad_program(s, "the completion is not what EXEC said");
		} else if (!(end.flags & SYSLET_CQE_ASYNC)) {
			bad_program(s, "pending, and never asynchronous");
		}
		check_slot(s, &end);
		free_slot(s);
	}
	return nr;
}

static struct slot *new_slot(struct thread_head *h)
{
	struct slot *s;
	unsigned int i;

	for (i = 0; i < SLOTS && me->slots[i].used; i++)
		;
	if (i == SLOTS)
		return NULL;
	s = &me->slots[i];
	s->head = h;
	s->tid = me->tid;
	s->cancels = get(&h->cancels);
	__atomic_store_n(&s->data, (__u64)me->index << 56 | (__u64)i << 48 |
			 (++me->next & 0xffffffffffffULL), __ATOMIC_RELEASE);
	make_program(s, &me->random, some_tid());
	s->used = true;
	return s;
}

/* One that was not handled has not begun. */
static void check_not_run(const struct slot *s)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		if (s->results[i] != SYSLET_NOT_RUN && s->results[i] != POISON64)
			bad_program(s, "not handled, but it has run");
	if (s->umem != s->umem_was)
		bad_program(s, "not handled, but it has added");
}

/* After EXEC: what came of one program at once. */
static void judge_at_once(struct slot *s, bool handled, __u32 flags)
{
	struct end end = { true, s->program.result, s->program.last, 0 };
	struct thread_head *h = s->head;
	bool quiet = s->flags & SYSLET_NO_COMPLETE;

	if (handled && s->program.status == SYSLET_PENDING) {
		count(N_PENDING);
		if (s->flags & SYSLET_SYNC)
			bad_program(s, "SYNC, and left its caller");
		if (s->program.result || s->program.last)
			bad_program(s, "pending with a result");
		s->quiet_until = now_ns() + below(&me->random, 20) * NSEC_PER_MSEC;
		return;
	}
	if (handled) {
		if (s->program.status != SYSLET_DONE)
			bad_program(s, "handled without a status");
		if (flags & SYSLET_EXEC_RING_ALL && !quiet)
			return;
		if (s->taken)
			bad_program(s, "a completion of what was done at once");
		check_slot(s, &end);
	} else {
		if (s->program.status && s->program.status != POISON32)
			bad_program(s, "not handled, but it has a status");
		if (s->taken)
			bad_program(s, "a completion of what was not handled");
		check_not_run(s);
	}
	if (quiet)
		add(&h->quiet, -1);
	add(&h->left, -1);
	free_slot(s);
}

static void submit(void)
{
	struct syslet_program programs[BATCH];
	struct slot *slots[BATCH];
	struct thread_head *h = get_head();
	unsigned int i, nr = 0, most = one_in(&me->random, 3) ? BATCH : 2;
	__u32 flags = 0;
	long ret;

	if (!h) {
		open_head();
		return;
	}
	if (one_in(&me->random, 4))
		flags |= SYSLET_EXEC_RING_ALL;
	if (one_in(&me->random, 8))
		flags |= SYSLET_EXEC_NOWAIT;
	most = 1 + below(&me->random, most);
	while (nr < most && (slots[nr] = new_slot(h))) {
		add(&h->left, 1);
		if (slots[nr]->flags & SYSLET_NO_COMPLETE)
			add(&h->quiet, 1);
		programs[nr] = slots[nr]->program;
		nr++;
	}
	if (!nr)
		goto out;
	doing('x');
	ret = dev_exec(h->head.fd, programs, nr, flags);
	doing('.');
	check_self();
	count(N_CALLS);
	if (ret == -EINTR)
		count(N_EINTR);
	else if (ret == -EBUSY)
		count(N_EBUSY);
	else if (ret == -EAGAIN && flags & SYSLET_EXEC_NOWAIT)
		count(N_EAGAIN);
	else if ((ret == -ENOTTY || ret == -EBADF) && get(&h->overtaken))
		;
	else if (ret <= 0 || ret > (long)nr)
		fail("EXEC of %u programs, flags %x: %ld", nr, flags, ret);
	else if (ret < (long)nr)
		count(N_SHORT);
	for (i = 0; i < nr; i++) {
		slots[i]->program = programs[i];
		if ((long)i < ret)
			count(N_PROGRAMS);
		judge_at_once(slots[i], (long)i < ret, flags);
	}
out:
	put_head(h);
}

static void wait_some(void)
{
	struct thread_head *h = get_head();
	__u64 mask = below(&me->random, 2) ? 0 : SIGBIT(SIGUSR1) | SIGBIT(SIGUSR2);
	struct syslet_wait wait = {
		.size = sizeof(wait),
		.timeout_ns = below(&me->random, 4000000),
	};
	long ret;

	if (!h)
		return;
	wait.min_complete = below(&me->random, 4) % (h->head.setup.cq_entries + 1);
	if (one_in(&me->random, 2)) {
		wait.sigmask = PTR(&mask);
		wait.sigset_size = KERNEL_SIGSET;
	}
	if (one_in(&me->random, 4)) {
		wait.flags = SYSLET_WAIT_ABS;
		wait.timeout_ns += now_ns();
	}
	doing('w');
	ret = dev_ioctl(h->head.fd, SYSLET_IOC_WAIT, &wait);
	doing('.');
	check_self();
	count(N_WAITS);
	if (ret < (long)wait.min_complete && ret != -ETIME && ret != -EINTR &&
	    !((ret == -ENOTTY || ret == -EBADF) && get(&h->overtaken)))
		fail("WAIT for %u: %ld", wait.min_complete, ret);
	put_head(h);
}

static void cancel_some(bool all)
{
	unsigned int i = below(&me->random, SLOTS), tries = SLOTS;
	struct slot *s = &me->slots[i];
	struct thread_head *h;
	long ret;

	while (!s->used && --tries)
		s = &me->slots[++i % SLOTS];
	if (all) {
		h = get_any(below(&me->random, HEADS));
		if (!h)
			return;
		add(&h->canceling, 1);
		ret = fd_of(h) < 0 ? -ENOENT : dev_cancel(fd_of(h), 0, SYSLET_CANCEL_ALL);
		add(&h->cancels, 1);
		add(&h->canceling, -1);
	} else {
		if (!s->used)
			return;
		/* A head that has a program left stays. */
		h = get_any(s->head - heads);
		if (!h)
			return;
		__atomic_store_n(&s->may_cancel, true, __ATOMIC_RELEASE);
		ret = fd_of(h) < 0 ? -ENOENT : dev_cancel(fd_of(h), s->data, 0);
		if (ret > 1)
			fail("CANCEL of one program: %ld", ret);
	}
	if (ret <= 0 && ret != -ENOENT &&
	    !((ret == -ENOTTY || ret == -EBADF) && get(&h->overtaken)))
		fail("CANCEL: %ld", ret);
	put_head(h);
}

#endif /* TORTURE_SUBMIT_H */
