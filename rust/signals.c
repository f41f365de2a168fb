// SPDX-License-Identifier: GPL-2.0
/*
 * Whose a signal is when a user's context goes from one task to another.
 *
 * This is C because sighand's lock and signal sets are macros and inlines.
 */

#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>

#include "glue.h"

/* What can't be blocked. */
#define NEVER	(sigmask(SIGKILL) | sigmask(SIGSTOP))

/* Whether a call has raised it for the thread that makes it. */
static bool syslet_was_raised(const kernel_siginfo_t *info)
{
	switch (info->si_signo) {
	case SIGPIPE:
	case SIGXFSZ:
		return info->si_code == SI_USER;
	case SIGSYS:
		return info->si_code == SYS_SECCOMP;
	default:
		return false;
	}
}

/* Whether @task would not have got it. */
static bool syslet_ignores(struct task_struct *task, int sig)
{
	__sighandler_t handler = task->sighand->action[sig - 1].sa.sa_handler;

	return !sigismember(&task->blocked, sig) &&
	       (handler == SIG_IGN ||
		(handler == SIG_DFL && sig_kernel_ignore(sig)));
}

/*
 * Gives @to, a thread of the same process, the private signals of @from, but for those
 * that its calls have raised if they are not in @users. Returns whether there were any.
 * The caller holds siglock.
 */
static bool syslet_move_pending(struct task_struct *from, struct task_struct *to,
				unsigned long users)
{
	unsigned long stay = sigmask(SIGKILL), moved;
	struct sigqueue *entry, *next;

	if (likely(!from->pending.signal.sig[0]))
		return false;
	list_for_each_entry_safe(entry, next, &from->pending.list, list) {
		int sig = entry->info.si_signo;

		if ((syslet_was_raised(&entry->info) && !(users & sigmask(sig))) ||
		    syslet_ignores(to, sig))
			stay |= sigmask(sig);
		else
			list_move_tail(&entry->list, &to->pending.list);
	}
	moved = from->pending.signal.sig[0] & ~stay;
	from->pending.signal.sig[0] &= stay;
	to->pending.signal.sig[0] |= moved;
	return moved;
}

/**
 * syslet_move_signals - takes over the user's signal state
 * @from: the task that the user's context leaves
 * @to: the current task
 * @mask: the user's signal mask
 * @users: the private signals that its calls may have raised for it
 *
 * @from is left with everything blocked, also as the mask that a call it is in
 * (ppoll() and its like) will restore. @to has not blocked yet what such a call has
 * let in for a while: sigprocmask() does that, and finds another thread for what has
 * come meanwhile.
 *
 * The caller holds tasklist_lock and siglock.
 */
void syslet_move_signals(struct task_struct *from, struct task_struct *to,
			 unsigned long mask, unsigned long users)
{
	to->blocked.sig[0] = mask & from->blocked.sig[0];
	from->blocked.sig[0] = ~NEVER;
	from->saved_sigmask = from->blocked;
	to->sas_ss_sp = from->sas_ss_sp;
	to->sas_ss_size = from->sas_ss_size;
	to->sas_ss_flags = from->sas_ss_flags;
	syslet_move_pending(from, to, users);
	recalc_sigpending();
}

/**
 * syslet_late_signals - takes over what came to @from when its TID was gone
 * @from: the task that the user's context leaves, and which waits for the current one
 *
 * Who sends a signal to a thread looks its task up first, and takes siglock then:
 *
 *	sender				takeover
 *	======				========
 *	finds @from by the TID
 *	  |				siglock: TID and signals move
 *	  v				...
 *	siglock: leaves it with @from	siglock: moves that, too
 *
 * One that waited for the lock when this let it go has had it before this comes
 * here. For those that are slower see syslet_forward_signals().
 */
void syslet_late_signals(struct task_struct *from)
{
	spin_lock_irq(&current->sighand->siglock);
	if (syslet_move_pending(from, current, 0))
		recalc_sigpending();
	spin_unlock_irq(&current->sighand->siglock);
}

/* As signal_wake_up(), which modules can't reach. The caller holds siglock. */
static void syslet_notify(struct task_struct *task)
{
	set_tsk_thread_flag(task, TIF_SIGPENDING);
	/* Who is about to sleep looks at the flag behind its state. */
	smp_mb__after_atomic();
	if (READ_ONCE(task->__state) & TASK_INTERRUPTIBLE)
		wake_up_process(task);
	else
		kick_process(task);
}

/**
 * syslet_forward_signals - lets go of the current task's private signals
 * @tid: the TID of the user's thread that it was, in the first PID namespace, or 0
 *
 * What somebody has sent to the thread that it was becomes that one's. A cachemiss
 * thread has nobody to tell what a call has raised (SIGPIPE, SIGXFSZ), and must not
 * keep it for its next user.
 */
void syslet_forward_signals(pid_t tid)
{
	struct task_struct *me = current, *user;
	kernel_siginfo_t info;
	enum pid_type type;
	sigset_t keep;

	/* One that is sent just now may stay: it finds all signals blocked. */
	if (likely(!(READ_ONCE(me->pending.signal.sig[0]) & ~NEVER)))
		return;
	rcu_read_lock();
	spin_lock_irq(&me->sighand->siglock);
	user = pid_task(find_pid_ns(tid, &init_pid_ns), PIDTYPE_PID);
	/* None has a sighand that nobody waits for any more. */
	if (user && user != me && same_thread_group(user, me) && user->sighand &&
	    syslet_move_pending(me, user, 0))
		syslet_notify(user);
	spin_unlock_irq(&me->sighand->siglock);
	rcu_read_unlock();

	while (READ_ONCE(me->pending.signal.sig[0]) & ~NEVER &&
	       !fatal_signal_pending(me)) {
		spin_lock_irq(&me->sighand->siglock);
		/* Private signals come first, so no shared one is taken. */
		keep.sig[0] = ~me->pending.signal.sig[0] | NEVER;
		dequeue_signal(&keep, &info, &type);
		spin_unlock_irq(&me->sighand->siglock);
	}
}

/**
 * syslet_block_spare - blocks all signals in a thread that has not run yet
 * @task: a spare, just forked by the current task
 *
 * It runs no handler of the user's. Its parent does not block them while it forks:
 * one that is ignored would be kept then, and interrupt it afterwards.
 */
void syslet_block_spare(struct task_struct *task)
{
	unsigned long flags;

	spin_lock_irqsave(&task->sighand->siglock, flags);
	task->blocked.sig[0] = ~NEVER;
	/* What was given to the spare meanwhile is for its parent. */
	recalc_sigpending();
	spin_unlock_irqrestore(&task->sighand->siglock, flags);
}

/* Has the current task see what is pending and not blocked, and only that. */
void syslet_recalc_signals(void)
{
	spin_lock_irq(&current->sighand->siglock);
	recalc_sigpending();
	spin_unlock_irq(&current->sighand->siglock);
}
