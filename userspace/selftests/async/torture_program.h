/* SPDX-License-Identifier: GPL-2.0 */
/* Random programs, and whether what came of one can be. */
#ifndef TORTURE_PROGRAM_H
#define TORTURE_PROGRAM_H

#include "torture.h"

enum kind {
	READ, WRITE, READ_DUP, WRITE_DUP, SLEEP, FUTEX_SLEEP, FUTEX_RING, GETPID, GETPPID, GETTID,
	POLL, PPOLL, EVENT_READ, EVENT_WRITE, SEND, RECV, UMEM, YIELD, SIGNAL, BAD_FD, BAD_BUFFER,
	OPEN, KINDS,
	/* Only after OPEN: */
	FSTAT = KINDS, READ_FILE, CLOSE,
};

/* A program, from its making until all is known of it. Its thread's, but for the end. */
struct slot {
	bool used;
	__u64 data;		/* user_data, never the same again */
	struct thread_head *head;
	unsigned int nr, flags;
	pid_t tid;		/* of who submitted it */
	enum kind kinds[ATOMS];
	struct syslet_atom atoms[ATOMS];
	__s64 results[ATOMS];
	bool has_results;
	__u64 umem, umem_was;
	struct syslet_program program;
	__u64 quiet_until;	/* one without a completion is canceled then */
	unsigned int cancels;	/* the head's, when it was submitted */

	bool may_cancel;	/* someone has called CANCEL for it, */
	bool excused;		/* or has done what may have canceled it; */
	struct syslet_cqe cqe;	/* both written by who takes it, */
	bool taken;		/* before this */

	/* What its atoms point to. */
	char buffer[ATOMS][512];
	struct __kernel_timespec ts[ATOMS];
	struct pollfd pollfds[ATOMS][2];
	__u64 mask, event;
};

static const char * const torture_files[] = {
	"/etc/passwd", "/usr/share/common-licenses/GPL-2", "/usr/share/debconf/confmodule.sh",
	"/usr/share/perl5/Debconf/Db.pm", "/proc/self/maps", "/nowhere/at/all",
};

#define FIRST_DUP	300	/* above all that is opened otherwise */
#define DUPS		6

/* A descriptor of which nobody knows whether it is open when it is used. */
static inline int some_dup(__u64 *random)
{
	return FIRST_DUP + below(random, DUPS);
}

static inline void make_poll(struct slot *s, unsigned int i, __u64 *random)
{
	s->pollfds[i][0] = (struct pollfd) {
		.fd = place->pipes[below(random, PIPES)][0],
		.events = POLLIN,
	};
	s->pollfds[i][1] = (struct pollfd) {
		.fd = place->eventfd,
		.events = one_in(random, 4) ? POLLIN | POLLOUT : POLLIN,
	};
}

/* Atom @i, of kind @kind; and the next three, if it is OPEN. Returns how many. */
static inline unsigned int make_atom(struct slot *s, unsigned int i, enum kind kind, __u64 *random,
				     pid_t victim)
{
	struct syslet_atom *a = &s->atoms[i];
	unsigned int len = 1 + below(random, sizeof(s->buffer[i]));
	unsigned int which = below(random, PIPES), side = below(random, 2);

	*a = (struct syslet_atom) { 0 };
	s->kinds[i] = kind;
	s->ts[i] = (struct __kernel_timespec) { .tv_nsec = below(random, 3000000) };
	switch (kind) {
	case READ:
		*a = read_atom(place->pipes[which][0], s->buffer[i], len);
		break;
	case WRITE:
		*a = write_atom(place->pipes[which][1], s->buffer[i], len);
		break;
	case READ_DUP:
		*a = read_atom(some_dup(random), s->buffer[i], len);
		break;
	case WRITE_DUP:
		*a = write_atom(some_dup(random), s->buffer[i], len);
		break;
	case SLEEP:
		*a = (struct syslet_atom) { .nr = NR_CLOCK_NANOSLEEP,
			.args = { CLOCK_MONOTONIC, 0, PTR(&s->ts[i]), 0 } };
		break;
	case FUTEX_SLEEP:
		*a = (struct syslet_atom) { .nr = NR_FUTEX,
			.args = { PTR(&place->futex[which % FUTEXES]), 0, side, PTR(&s->ts[i]) } };
		break;
	case FUTEX_RING:
		*a = (struct syslet_atom) { .nr = NR_FUTEX,
			.args = { PTR(&place->futex[which % FUTEXES]), 1, 1 + side } };
		break;
	case GETPID:
		a->nr = __NR_getpid;
		break;
	case GETPPID:
		a->nr = __NR_getppid;
		break;
	case GETTID:
		a->nr = __NR_gettid;
		break;
	case POLL:
		make_poll(s, i, random);
		*a = (struct syslet_atom) { .nr = __NR_poll,
			.args = { PTR(s->pollfds[i]), 2, below(random, 4) } };
		break;
	case PPOLL:
		make_poll(s, i, random);
		s->mask = one_in(random, 2) ? 0 : SIGBIT(SIGUSR1) | SIGBIT(SIGALRM);
		*a = (struct syslet_atom) { .nr = NR_PPOLL,
			.args = { PTR(s->pollfds[i]), 2, PTR(&s->ts[i]), PTR(&s->mask),
				  KERNEL_SIGSET } };
		break;
	case EVENT_READ:
		*a = read_atom(place->eventfd, s->buffer[i], 8);
		break;
	case EVENT_WRITE:
		s->event = 1 + below(random, 3);
		*a = write_atom(place->eventfd, &s->event, 8);
		break;
	case SEND:
		*a = (struct syslet_atom) { .nr = __NR_sendto,
			.args = { place->pairs[which % 2][side], PTR(s->buffer[i]), len,
				  MSG_NOSIGNAL } };
		break;
	case RECV:
		*a = (struct syslet_atom) { .nr = __NR_recvfrom,
			.args = { place->pairs[which % 2][side], PTR(s->buffer[i]), len } };
		break;
	case UMEM:
		*a = (struct syslet_atom) { .nr = SYSLET_NR_UMEM_ADD,
			.args = { PTR(&s->umem), below(random, 1000) } };
		break;
	case YIELD:
		a->nr = __NR_sched_yield;
		break;
	case SIGNAL:
		*a = (struct syslet_atom) { .nr = __NR_tgkill,
			.args = { getpid(), victim, side ? SIGUSR1 : SIGUSR2 } };
		break;
	case BAD_FD:
		*a = read_atom(-1, s->buffer[i], len);
		break;
	case BAD_BUFFER:
		*a = read_atom(place->pipes[which][0], BAD_LOW, len);
		break;
	case OPEN:
		*a = (struct syslet_atom) { .nr = __NR_openat,
			.args = { AT_FDCWD,
				  PTR(torture_files[below(random, ARRAY_SIZE(torture_files))]),
				  O_RDONLY | O_CLOEXEC } };
		a[1] = (struct syslet_atom) { .nr = __NR_fstat,
			.args = { 0, PTR(s->buffer[i + 1]) }, .arg_from = { i + 1 } };
		a[2] = read_atom(0, s->buffer[i + 2], len);
		a[2].arg_from[0] = i + 1;
		a[3] = (struct syslet_atom) { .nr = __NR_close, .arg_from = { i + 1 } };
		s->kinds[i + 1] = FSTAT;
		s->kinds[i + 2] = READ_FILE;
		s->kinds[i + 3] = CLOSE;
		return 4;
	default:
		fail("no such kind: %d", kind);
	}
	return 1;
}

/* A program of random shape; @victim: the TID that its signals go to. */
static inline void make_program(struct slot *s, __u64 *random, pid_t victim)
{
	unsigned int i, len = 1 + below(random, ATOMS);
	enum kind kind;

	s->flags = 0;
	if (one_in(random, 5))
		s->flags |= SYSLET_ASYNC;
	else if (one_in(random, 8))
		s->flags |= SYSLET_SYNC;
	if (one_in(random, 8))
		s->flags |= SYSLET_NO_COMPLETE;
	s->has_results = !one_in(random, 8);
	s->umem_was = s->umem = below(random, 1000);
	memset(s->results, POISON_BYTE, sizeof(s->results));
	for (i = 0; i < len;) {
		kind = below(random, KINDS);
		/* Signals only now and then: each cuts a batch short. */
		if (kind == SIGNAL && !one_in(random, 4))
			kind = GETPID;
		/* Who opens must be able to say what is left open. */
		if (kind == OPEN && (i + 4 > ATOMS || !s->has_results))
			kind = GETTID;
		i += make_atom(s, i, kind, random, victim);
	}
	s->nr = i;
	for (i = 0; i < s->nr; i++) {
		if (!one_in(random, 4))
			continue;
		s->atoms[i].flags = SYSLET_STOP_ON_NONZERO << below(random, 4);
		if (one_in(random, 4))
			s->atoms[i].flags |= SYSLET_STOP_ON_NONZERO << below(random, 4);
		if (i + 1 < s->nr && !one_in(random, 3)) {
			s->atoms[i].flags |= SYSLET_SKIP_ON_STOP;
			s->atoms[i].skip = 1 + below(random, s->nr - 1 - i);
		}
	}
	s->program = (struct syslet_program) {
		.atoms = PTR(s->atoms),
		.nr_atoms = s->nr,
		.flags = s->flags,
		.user_data = s->data,
		.results = s->has_results ? PTR(s->results) : 0,
		.result = POISON64,
		.last = POISON32,
		.status = POISON32,
	};
	s->may_cancel = false;
	s->taken = false;
}

static inline bool stops(const struct syslet_atom *atom, __s64 result)
{
	return (atom->flags & SYSLET_STOP_ON_NONZERO && result) ||
	       (atom->flags & SYSLET_STOP_ON_ZERO && !result) ||
	       (atom->flags & SYSLET_STOP_ON_NEGATIVE && result < 0) ||
	       (atom->flags & SYSLET_STOP_ON_NON_POSITIVE && result <= 0);
}

/* Whether atom @i may have returned that. What depends on others is looked at elsewhere. */
static inline bool can_return(const struct slot *s, unsigned int i, __s64 result)
{
	__s64 len = s->atoms[i].args[2];

	switch (s->kinds[i]) {
	case READ:
	case WRITE:
	case SEND:
	case RECV:
		return (result > 0 && result <= len) || result == -EINTR;
	case READ_DUP:
	case WRITE_DUP:
		return (result > 0 && result <= len) || result == -EINTR || result == -EBADF;
	case SLEEP:
		return result == 0 || result == -EINTR;
	case FUTEX_SLEEP:
		return result == 0 || result == -EINTR || result == -EAGAIN || result == -ETIMEDOUT;
	case FUTEX_RING:
		return result >= 0 && result <= (__s64)s->atoms[i].args[2];
	case GETPID:
		return result == getpid();
	case GETPPID:
		return result == shared->test;
	case GETTID:
		return result > 0;
	case POLL:
	case PPOLL:
		return (result >= 0 && result <= 2) || result == -EINTR;
	case EVENT_READ:
		return result == 8 || result == -EINTR;
	case EVENT_WRITE:
		return result == 8;
	case UMEM:
		return result > 0 || (result == 0 && !s->atoms[i].args[1]);
	case YIELD:
		return result == 0;
	case SIGNAL:
		return result == 0 || result == -ESRCH;
	case BAD_FD:
		return result == -EBADF;
	case BAD_BUFFER:
		return result == -EFAULT || result == -EINTR;
	case OPEN:
		return result > 2 || result == -ENOENT || result == -EINTR;
	case FSTAT:
		return result == 0 || result == -EBADF || result == -EINTR;
	case READ_FILE:
		return (result >= 0 && result <= len) || result == -EBADF || result == -EINTR;
	case CLOSE:
		return result == 0 || result == -EBADF;
	default:
		return false;
	}
}

static inline __attribute__((noreturn)) void bad_program(const struct slot *s, const char *what)
{
	char text[384];
	unsigned int i, at = 0;

	for (i = 0; i < s->nr; i++)
		at += snprintf(text + at, sizeof(text) - at, " [kind %d flags %x skip %u: %llx]",
			       s->kinds[i], s->atoms[i].flags, s->atoms[i].skip,
			       (unsigned long long)s->results[i]);
	fail("%s: flags %x status %d result %lld last %u; cqe %lld %u %x;%s", what, s->flags,
	     (int)s->program.status, (long long)s->program.result, s->program.last,
	     (long long)s->cqe.result, s->cqe.last, s->cqe.flags, text);
}

/* An end as both a program's outputs and its completion tell it. */
struct end {
	bool known;
	__s64 result;
	__u32 last, flags;
};

static inline void check_atom(const struct slot *s, unsigned int i, __s64 result, bool canceled,
			      bool missing)
{
	if (missing) {
		if (result != -EINVAL)
			bad_program(s, "an atom that took the result of one that had not run");
		return;
	}
	if (!can_return(s, i, result) && !(canceled && result == -ECANCELED))
		bad_program(s, "an atom returned what it cannot");
}

/* Whether a thread ran all of it, or where it was left: by what gettid said. */
static inline void check_tids(const struct slot *s)
{
	bool pending = s->program.status == SYSLET_PENDING;
	bool left = pending && s->flags & SYSLET_ASYNC;
	pid_t other = 0, tid;
	unsigned int i;

	for (i = 0; i < s->nr; i++) {
		if (s->kinds[i] != GETTID || s->results[i] == SYSLET_NOT_RUN)
			continue;
		tid = s->results[i];
		if (tid == s->tid && left)
			bad_program(s, "an atom ran in the caller after the handoff");
		if (tid == s->tid)
			continue;
		if (!pending)
			bad_program(s, "an atom ran elsewhere, but the program was done");
		if (other && tid != other)
			bad_program(s, "two cachemiss threads ran one program");
		other = tid;
		left = true;
	}
}

/* The results of a program that has ended; see Documentation/userspace-api/syslet.rst. */
static inline void check_results(const struct slot *s, const struct end *end)
{
	bool canceled = end->flags & SYSLET_CQE_CANCELED || !end->known, missing, stopped = false;
	__u64 umem = s->umem_was;
	unsigned int i, last = 0;
	__s64 result = 0;
	bool ran = false;

	for (i = 0; i < s->nr;) {
		result = s->results[i];
		if (result == SYSLET_NOT_RUN) {
			/* Canceled before it ran, or its thread ended. */
			if (!canceled)
				bad_program(s, "an atom has not run");
			break;
		}
		ran = true;
		last = i;
		missing = s->atoms[i].arg_from[0] &&
			s->results[s->atoms[i].arg_from[0] - 1] == SYSLET_NOT_RUN;
		check_atom(s, i, result, canceled, missing);
		if (s->kinds[i] == UMEM) {
			umem += s->atoms[i].args[1];
			if ((__u64)result != umem)
				bad_program(s, "a sum is wrong");
		}
		i++;
		if (result == -ECANCELED)
			break;
		if (stops(&s->atoms[last], result)) {
			if (!s->atoms[last].skip) {
				stopped = true;
				break;
			}
			for (; i <= last + s->atoms[last].skip; i++)
				if (s->results[i] != SYSLET_NOT_RUN)
					bad_program(s, "an atom that was jumped over has run");
		}
	}
	for (; i < s->nr; i++)
		if (s->results[i] != SYSLET_NOT_RUN)
			bad_program(s, "an atom behind the end has run");
	for (i = s->nr; i < ATOMS; i++)
		if (s->results[i] != POISON64)
			bad_program(s, "a result behind the program was written");
	if (s->umem != umem)
		bad_program(s, "the user variable is wrong");
	check_tids(s);
	if (!end->known)
		return;
	if (end->flags & SYSLET_CQE_CANCELED) {
		if (end->result != -ECANCELED)
			bad_program(s, "canceled with another result");
		if (ran && end->last < last)
			bad_program(s, "canceled before its last atom ran");
		return;
	}
	if (end->result != result || end->last != last)
		bad_program(s, "the last result is another");
	if (s->program.status == SYSLET_PENDING || s->taken)
		if (stopped != !!(end->flags & SYSLET_CQE_STOPPED))
			bad_program(s, "STOPPED is wrong");
}

/* Without results: the end alone. */
static inline void check_end(const struct slot *s, const struct end *end)
{
	if (!end->known)
		return;
	if (end->last >= s->nr)
		bad_program(s, "ended behind its end");
	if (end->flags & SYSLET_CQE_CANCELED ? end->result != -ECANCELED :
	    !can_return(s, end->last, end->result))
		bad_program(s, "ended with what cannot be");
}

/* What a program has opened and not closed. */
static inline void close_what_is_left(const struct slot *s)
{
	unsigned int i;

	for (i = 0; i + 3 < s->nr; i++)
		if (s->kinds[i] == OPEN && s->results[i] >= 0 && s->results[i + 3] != 0)
			close(s->results[i]);
}

#endif /* TORTURE_PROGRAM_H */
