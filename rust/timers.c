// SPDX-License-Identifier: GPL-2.0
/*
 * CPU timers of a thread, which a handoff does not move.
 *
 * A task with such a timer is not handed over. But who arms one looks the task up by
 * its TID first, and takes siglock then:
 *
 *	who arms			takeover
 *	========			========
 *	rcu_read_lock
 *	finds @from by the TID
 *	  |				siglock: has @from a timer?
 *	  v				    no: TIDs are swapped
 *	siglock: queues it with @from
 *	rcu_read_unlock			siglock: takes it home
 *					a grace period later: once more
 *
 * Whoever deletes it finds the task that has the TID now, under the same siglock, and
 * takes it off whichever queue it is in. Only when the TID is gone it is freed where
 * it is: so a task that exits waits for that grace period (see late.rs).
 *
 * This is C because sighand's lock, thread iteration and timer queues are macros and
 * inlines.
 */

#include <linux/pid.h>
#include <linux/posix-timers.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/tick.h>

#include "glue.h"

#ifdef CONFIG_POSIX_TIMERS

/* What @task's clock shows; may lag a tick behind. */
static u64 syslet_cpu_clock(const struct task_struct *task, int clock)
{
	switch (clock) {
	case CPUCLOCK_PROF:
		return READ_ONCE(task->utime) + READ_ONCE(task->stime);
	case CPUCLOCK_VIRT:
		return READ_ONCE(task->utime);
	default:
		return READ_ONCE(task->se.sum_exec_runtime);
	}
}

/*
 * Moves @timer from @task's queue to that of the task with its TID, where as much is
 * left of it. The caller holds siglock, and is in an RCU read-side section.
 */
static void syslet_move_timer(struct cpu_timer *timer, struct task_struct *task,
			      int clock)
{
	struct task_struct *owner = pid_task(timer->pid, PIDTYPE_PID);
	struct posix_cputimer_base *base;
	u64 passed, expires;

	cpu_timer_dequeue(timer);
	/* One that has been reaped has no queue any more, nor has its timer any use. */
	if (!owner || owner->sighand != task->sighand)
		return;
	base = owner->posix_cputimers.bases + clock;
	passed = syslet_cpu_clock(task, clock);
	expires = cpu_timer_getexpires(timer) + syslet_cpu_clock(owner, clock);
	/* 0 is one that is not armed. */
	expires = expires > passed ? expires - passed : 1;
	cpu_timer_setexpires(timer, expires);
	cpu_timer_enqueue(&base->tqhead, timer);
	base->nextevt = min(base->nextevt, expires);
	tick_dep_set_task(owner, TICK_DEP_BIT_POSIX_TIMER);
}

/**
 * syslet_send_timers_home - moves CPU timers that are not for @task's TID
 * @task: a task that had another one a moment ago
 *
 * The caller holds siglock.
 */
void syslet_send_timers_home(struct task_struct *task)
{
	struct posix_cputimer_base *base = task->posix_cputimers.bases;
	struct timerqueue_node *node, *next;
	struct cpu_timer *timer;
	int clock;

	guard(rcu)();
	for (clock = 0; clock < CPUCLOCK_MAX; clock++, base++) {
		for (node = timerqueue_getnext(&base->tqhead); node; node = next) {
			next = timerqueue_iterate_next(node);
			timer = container_of(node, struct cpu_timer, node);
			if (timer->pid != task->thread_pid)
				syslet_move_timer(timer, task, clock);
		}
		if (!timerqueue_getnext(&base->tqhead))
			base->nextevt = U64_MAX;
	}
	if (!syslet_has_cpu_timer(task))
		tick_dep_clear_task(task, TICK_DEP_BIT_POSIX_TIMER);
}

/* Waits until no thread of the process handles timers that it has taken off its queue. */
static void syslet_await_expiry(void)
{
#ifdef CONFIG_POSIX_CPU_TIMERS_TASK_WORK
	struct task_struct *thread, *busy;

	do {
		busy = NULL;
		rcu_read_lock();
		for_each_thread(current, thread) {
			if (mutex_is_locked(&thread->posix_cputimers_work.mutex)) {
				busy = thread;
				get_task_struct(busy);
				break;
			}
		}
		rcu_read_unlock();
		if (busy) {
			mutex_lock(&busy->posix_cputimers_work.mutex);
			mutex_unlock(&busy->posix_cputimers_work.mutex);
			put_task_struct(busy);
		}
	} while (busy);
#endif
}

/**
 * syslet_settle_timers - leaves no thread with a CPU timer that is for another's TID
 *
 * The caller exits, and nobody who has looked a task up before the process's last
 * handoff is still about to arm one. May sleep.
 */
void syslet_settle_timers(void)
{
	struct task_struct *thread;

	spin_lock_irq(&current->sighand->siglock);
	for_each_thread(current, thread)
		if (syslet_has_cpu_timer(thread))
			syslet_send_timers_home(thread);
	spin_unlock_irq(&current->sighand->siglock);
	syslet_await_expiry();
}

#else

void syslet_send_timers_home(struct task_struct *task) {}
void syslet_settle_timers(void) {}

#endif
