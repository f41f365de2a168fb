// SPDX-License-Identifier: GPL-2.0
/*
 * Whose a signal is when a user's context goes from one task to another.
 *
 * This is C because sighand's lock and signal sets are macros and inlines.
 */

#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
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

	if (sigismember(&task->blocked, sig) ||
	    sigismember(&task->real_blocked, sig))
		return false;
	return handler == SIG_IGN ||
	       (handler == SIG_DFL && (sig_kernel_ignore(sig) ||
				       task->signal->flags & SIGNAL_UNKILLABLE));
}

/*
 * Gives @to, a thread of the same process, the private signals of @from, but for those
 * that its calls have raised if they are not in @users. Returns which there were. The
 * caller holds siglock.
 */
static unsigned long syslet_move_pending(struct task_struct *from,
					 struct task_struct *to,
					 unsigned long users)
{
	/* SIGSTOP is how a tracer stops the task that it attaches to. */
	unsigned long stay = NEVER, moved = 0;
	struct sigqueue *entry, *next;

	if (likely(!from->pending.signal.sig[0]))
		return 0;
	list_for_each_entry_safe(entry, next, &from->pending.list, list) {
		int sig = entry->info.si_signo;

		if ((syslet_was_raised(&entry->info) && !(users & sigmask(sig))) ||
		    syslet_ignores(to, sig))
			stay |= sigmask(sig);
		if (stay & sigmask(sig))
			continue;
		moved |= sigmask(sig);
		list_move_tail(&entry->list, &to->pending.list);
	}
	/* Where there was no memory for an entry there is a bit alone. */
	moved |= from->pending.signal.sig[0] & ~stay;
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
 * @from keeps its mask until syslet_late_signals(): who has found it as the user's
 * thread judges by that. @to has not blocked yet what only a call (ppoll() and its
 * like) has let in for a while, and does not look before that what is pending.
 *
 * The caller holds tasklist_lock and siglock.
 */
void syslet_move_signals(struct task_struct *from, struct task_struct *to,
			 unsigned long mask, unsigned long users)
{
	to->blocked.sig[0] = mask & from->blocked.sig[0];
	to->sas_ss_sp = from->sas_ss_sp;
	to->sas_ss_size = from->sas_ss_size;
	to->sas_ss_flags = from->sas_ss_flags;
	to->pdeath_signal = from->pdeath_signal;
	from->pdeath_signal = 0;
	syslet_move_pending(from, to, users);
}

/**
 * syslet_late_signals - takes over what came to @from when its TID was gone
 * @from: the task that the user's context leaves, and which waits for the current one
 *
 * Who sends a signal to a thread looks its task up first, and takes siglock then:
 *
 *	sender				takeover
 *	======				========
 *	rcu_read_lock
 *	finds @from by the TID
 *	  |				siglock: TID and signals move
 *	  v				...
 *	siglock: leaves it with @from	siglock: moves that, too
 *	rcu_read_unlock			...
 *					a grace period later: once more
 *
 * One that waited for the lock when this let it go has mostly had it before this
 * comes here. For those that are slower see syslet_after_senders().
 *
 * @from is left with everything blocked, also as the mask that a call it is in will
 * restore. What was to wake it for the process is seen by the current task.
 */
void syslet_late_signals(struct task_struct *from)
{
	spin_lock_irq(&current->sighand->siglock);
	syslet_move_pending(from, current, 0);
	if (unlikely(syslet_has_cpu_timer(from)))
		syslet_send_timers_home(from);
	if (unlikely(syslet_has_cpu_timer(current)))
		syslet_send_timers_home(current);
	from->blocked.sig[0] = ~NEVER;
	from->saved_sigmask = from->blocked;
	recalc_sigpending();
	spin_unlock_irq(&current->sighand->siglock);
}

/* As signal_wake_up(), which modules can't reach. The caller holds siglock. */
static void syslet_notify(struct task_struct *task, unsigned long signals)
{
	struct wait_queue_entry entry = { .private = task };

	wake_up(&task->sighand->signalfd_wqh);
	if (!(signals & ~task->blocked.sig[0]))
		return;
	set_tsk_thread_flag(task, TIF_SIGPENDING);
	if (!default_wake_function(&entry, TASK_INTERRUPTIBLE, 0, NULL))
		kick_process(task);
}

/**
 * syslet_forward_signals - gives the user's thread what was sent to it
 * @task: a task that a user's context has left
 * @own: its TID since then; with another it is a user's thread again
 * @tid: the TID that it had with that context; both in the first PID namespace
 *
 * The caller is @task, or in an RCU read-side section that has found it alive.
 *
 * Return: what is pending for @task still.
 */
unsigned long syslet_forward_signals(struct task_struct *task, pid_t own, pid_t tid)
{
	unsigned long flags, moved, rest = 0;
	struct sighand_struct *sighand;
	struct task_struct *user, *thread;

	rcu_read_lock();
	sighand = rcu_dereference(task->sighand);
	if (!sighand)
		goto out;
	spin_lock_irqsave(&sighand->siglock, flags);
	user = pid_task(find_pid_ns(tid, &init_pid_ns), PIDTYPE_PID);
	/* Both have it, and so share their signals, until they are reaped. */
	if (task->sighand == sighand && task->pid == own && user &&
	    user != task && user->sighand == sighand &&
	    same_thread_group(user, task) && !(user->flags & PF_EXITING)) {
		moved = syslet_move_pending(task, user, 0);
		if (moved)
			syslet_notify(user, moved);
	}
	/* The last handoffs may have left one with any thread. */
	if (task->sighand == sighand)
		for_each_thread(task, thread)
			if (syslet_has_cpu_timer(thread))
				syslet_send_timers_home(thread);
	rest = task->pending.signal.sig[0];
	spin_unlock_irqrestore(&sighand->siglock, flags);
out:
	rcu_read_unlock();
	return rest;
}

/**
 * syslet_drop_signals - drops some of the current task's private signals
 * @signals: which
 *
 * A cachemiss thread has nobody to tell what a call has raised (SIGPIPE, SIGXFSZ),
 * and must not keep it for its next user.
 */
void syslet_drop_signals(unsigned long signals)
{
	struct task_struct *me = current;
	kernel_siginfo_t info;
	enum pid_type type;
	sigset_t keep;

	signals &= ~NEVER;
	while (READ_ONCE(me->pending.signal.sig[0]) & signals &&
	       !fatal_signal_pending(me)) {
		spin_lock_irq(&me->sighand->siglock);
		/* Private signals come first, so no shared one is taken. */
		keep.sig[0] = ~(me->pending.signal.sig[0] & signals);
		dequeue_signal(&keep, &info, &type);
		spin_unlock_irq(&me->sighand->siglock);
	}
}

/**
 * syslet_after_senders - calls @func once all have sent who are sending a signal
 * @head: to be its argument; not in use
 * @func: to be called in softirq context
 */
void syslet_after_senders(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_hurry(head, func);
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
