// SPDX-License-Identifier: GPL-2.0
/*
 * Who a task is: what a handoff swaps under the kernel's own locks.
 *
 * This is C because RCU lists, sighand's lock and thread iteration are macros
 * and inlines.
 */

#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "glue.h"

/* exchange_tids(), which is not exported. The caller holds tasklist_lock. */
static void syslet_exchange_tids(struct task_struct *a, struct task_struct *b)
{
	struct pid *pid_a = a->thread_pid;
	struct pid *pid_b = b->thread_pid;

	hlists_swap_heads_rcu(&pid_a->tasks[PIDTYPE_PID],
			      &pid_b->tasks[PIDTYPE_PID]);
	rcu_assign_pointer(a->thread_pid, pid_b);
	rcu_assign_pointer(b->thread_pid, pid_a);
	WRITE_ONCE(a->pid, pid_nr(pid_b));
	WRITE_ONCE(b->pid, pid_nr(pid_a));
}

/*
 * Makes the children of @from those of @to, as if that had forked them; and, where
 * @from adopts whoever loses a parent in its PID namespace, has @to do that. The
 * signal of a child's end is judged by what its parent task has blocked, a child
 * may ask for one when that task exits, or be traced by it.
 *
 * What forget_original_parent() does when a thread exits, but that none does.
 * @from has no tracees. The caller holds tasklist_lock.
 */
static void syslet_move_children(struct task_struct *from, struct task_struct *to)
{
	struct pid_namespace *ns = task_active_pid_ns(from);
	struct task_struct *child, *thread;

	list_for_each_entry(child, &from->children, sibling) {
		for_each_thread(child, thread) {
			RCU_INIT_POINTER(thread->real_parent, to);
			if (!thread->ptrace)
				RCU_INIT_POINTER(thread->parent, to);
		}
	}
	list_splice_tail_init(&from->children, &to->children);
	if (ns->child_reaper == from)
		WRITE_ONCE(ns->child_reaper, to);
}

/**
 * syslet_swap_identity - makes @to the thread that @from was
 * @from: a task that runs kernel code for a program
 * @to: the current task, of the same thread group
 * @mask: the signal mask of the user's thread
 * @users: the private signals that its calls may have raised for it
 *
 * Its TID, children, leadership and signal state. May sleep.
 *
 * Who sends a SIGCHLD holds tasklist_lock, and others find the task by its TID and
 * take siglock: both find thread, mask and signals as they were, or as they are.
 *
 * Return: 0; with nothing changed -EPERM, if either is traced, traces (a child may
 * have seen to that) or is exiting, if somebody waits for a PI futex that the user
 * holds (tracers and PI waiters know the task, and the TID alike), if somebody has
 * changed @from since it was compared with @to, or if either was given a CPU timer or
 * perf events; or, if @from leads and this is not the moment to change that, -EBUSY or
 * -EAGAIN, as syslet_leader_begin().
 */
int syslet_swap_identity(struct task_struct *from, struct task_struct *to,
			 unsigned long mask, unsigned long users)
{
	/* Only the handoff that is under way here could change that. */
	bool leads = thread_group_leader(from);
	const unsigned int past = PF_FORKNOEXEC | PF_SUPERPRIV;
	int ret = -EPERM, busy;

	/* Who moves a thread to another cgroup looks at many of its fields. */
	syslet_threadgroup_begin();
	busy = leads ? syslet_leader_begin() : 0;
	if (busy) {
		syslet_threadgroup_end();
		return busy;
	}
	syslet_tasklist_lock();
	spin_lock(&to->sighand->siglock);
	if (!from->ptrace && !to->ptrace && !from->exit_state &&
	    !(from->flags & PF_EXITING) && list_empty(&from->ptraced) &&
	    list_empty(&to->ptraced) && list_empty(&from->futex.pi_state_list) &&
	    !syslet_has_cpu_timer(from) && !syslet_has_cpu_timer(to) &&
	    !from->perf_event_ctxp && !to->perf_event_ctxp &&
	    syslet_same_origin(to, from)) {
		syslet_exchange_tids(from, to);
		swap(from->start_time, to->start_time);
		swap(from->start_boottime, to->start_boottime);
		to->flags = (to->flags & ~past) | (READ_ONCE(from->flags) & past);
		syslet_move_children(from, to);
		if (leads)
			syslet_move_leadership(from, to);
		syslet_move_signals(from, to, mask, users);
		ret = 0;
	}
	spin_unlock(&to->sighand->siglock);
	syslet_tasklist_unlock();
	if (leads)
		syslet_leader_end();
	syslet_threadgroup_end();
	return ret;
}

/**
 * syslet_hold_tid - has the current task's TID outlive it
 *
 * The call that the user's context has left may use the TID that its task had, as the
 * kernel takes no reference to a task's own.
 *
 * Return: a reference, for put_pid().
 */
struct pid *syslet_hold_tid(void)
{
	return get_pid(task_pid(current));
}

/**
 * syslet_take_rseq - makes the restartable sequence of @from the current task's
 * @from: the task that the user's context leaves
 *
 * The IDs must stay those that user space was told last; the flags make the way
 * to user mode tell it the new ones. The scheduler writes to the events when it
 * switches the task, so it must not do that halfway.
 */
void syslet_take_rseq(const struct task_struct *from)
{
#ifdef CONFIG_RSEQ
	struct rseq_data *rseq = &current->rseq;

	if (!from->rseq.event.has_rseq)
		return;
	preempt_disable();
	rseq->usrptr = from->rseq.usrptr;
	rseq->len = from->rseq.len;
	rseq->sig = from->rseq.sig;
	rseq->ids = from->rseq.ids;
#ifdef CONFIG_RSEQ_SLICE_EXTENSION
	rseq->slice = from->rseq.slice;
#endif
	rseq->event.has_rseq = from->rseq.event.has_rseq;
	rseq->event.ids_changed = true;
	rseq->event.sched_switch = true;
	set_thread_flag(TIF_RSEQ);
	preempt_enable();
#endif
}

/* The other half, in the task that the user's context has left. */
void syslet_drop_rseq(void)
{
#ifdef CONFIG_RSEQ
	preempt_disable();
	current->rseq.usrptr = NULL;
	current->rseq.len = 0;
	current->rseq.sig = 0;
	current->rseq.event.all = 0;
#ifdef CONFIG_RSEQ_SLICE_EXTENSION
	memset(&current->rseq.slice, 0, sizeof(current->rseq.slice));
#endif
	preempt_enable();
#endif
}

/* Whether both have asked for the same CPUs, whichever they may use of those. */
static bool syslet_same_cpus(struct task_struct *a, struct task_struct *b)
{
	struct task_struct *first = a < b ? a : b, *second = a < b ? b : a;
	unsigned long flags;
	bool same;

	if (a == b || (!READ_ONCE(a->user_cpus_ptr) && !READ_ONCE(b->user_cpus_ptr)))
		return true;
	raw_spin_lock_irqsave(&first->pi_lock, flags);
	raw_spin_lock_nested(&second->pi_lock, SINGLE_DEPTH_NESTING);
	same = a->user_cpus_ptr && b->user_cpus_ptr &&
	       cpumask_equal(a->user_cpus_ptr, b->user_cpus_ptr);
	raw_spin_unlock(&second->pi_lock);
	raw_spin_unlock_irqrestore(&first->pi_lock, flags);
	return same;
}

/**
 * syslet_same_origin - whether @a could have been forked from @b as it is now
 * @a: a spare thread
 * @b: the user's thread
 *
 * Everything that clone() copies or shares, and that a handoff does not move:
 * above all credentials, filters and namespaces. @b may be about to sleep in a
 * call that has overridden its credentials for a while: that stays with it. A
 * spare was in user mode, so it may have got state of its own there.
 */
bool syslet_same_origin(struct task_struct *a, struct task_struct *b)
{
	const unsigned long ti_flags = _TIF_NOTSC | _TIF_NOCPUID | _TIF_SSBD |
				       _TIF_SPEC_IB | _TIF_SPEC_L1D_FLUSH;
	const unsigned int flags = PF_MCE_PROCESS | PF_MCE_EARLY |
				   PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE;

#ifdef CONFIG_UCLAMP_TASK
	if (memcmp(a->uclamp_req, b->uclamp_req, sizeof(a->uclamp_req)))
		return false;
#endif
#ifdef CONFIG_SCHED_CORE
	if (a->core_cookie != b->core_cookie)
		return false;
#endif
#ifdef CONFIG_USER_EVENTS
	if (a->user_event_mm != b->user_event_mm)
		return false;
#endif
#ifdef CONFIG_AUDITSYSCALL
	/* It would not be audited any more. */
	if (b->audit_context && !a->audit_context)
		return false;
#endif
	/* A spare that leaves meanwhile loses all of this: whoever asks learns of that otherwise. */
	return data_race(syslet_arch_plain(a) && syslet_arch_alike(a, b) &&
	       !a->io_uring && !a->io_uring_restrict && !b->io_uring_restrict &&
	       a->signal == b->signal &&
	       a->mm == b->mm &&
	       a->real_cred == b->real_cred && a->cred == a->real_cred &&
	       a->seccomp.mode == b->seccomp.mode &&
	       a->seccomp.filter == b->seccomp.filter &&
	       a->atomic_flags == b->atomic_flags &&
	       a->nsproxy == b->nsproxy &&
	       a->fs == b->fs &&
	       a->files == b->files &&
	       a->sighand == b->sighand &&
	       rcu_access_pointer(a->cgroups) == rcu_access_pointer(b->cgroups) &&
	       a->personality == b->personality &&
	       a->policy == b->policy && a->policy != SCHED_DEADLINE &&
	       a->static_prio == b->static_prio &&
	       a->rt_priority == b->rt_priority &&
	       !a->sched_reset_on_fork && !b->sched_reset_on_fork &&
	       a->se.custom_slice == b->se.custom_slice &&
	       (!a->se.custom_slice || a->se.slice == b->se.slice) &&
	       cpumask_equal(&a->cpus_mask, &b->cpus_mask) &&
	       syslet_same_cpus(a, b) &&
	       !a->mempolicy && !b->mempolicy &&
	       a->timer_slack_ns == b->timer_slack_ns &&
	       a->io_context == b->io_context &&
	       a->sysvsem.undo_list == b->sysvsem.undo_list &&
	       uid_eq(a->loginuid, b->loginuid) &&
	       a->sessionid == b->sessionid &&
	       ((a->flags ^ b->flags) & flags) == 0 &&
	       ((READ_ONCE(a->thread_info.flags) ^
		 READ_ONCE(b->thread_info.flags)) & ti_flags) == 0);
}
