// SPDX-License-Identifier: GPL-2.0
/*
 * Who leads a thread group, and changing that while its threads run.
 *
 * The kernel changes the leader in one place, de_thread(), when all other
 * threads are dead. Hence some of its code relies on the leader's being the
 * same from one line to the next:
 *
 *   task_lock(current->group_leader)	in rlimit calls, fork and exec
 *   ...
 *   task_unlock(current->group_leader)
 *
 * and copy_process() looks at it long before it links the new thread. These are
 * the sections of this file: a process has none under way while its leader
 * changes.
 *
 * This is C because RCU lists, sighand's lock and thread iteration are macros
 * and inlines.
 */

#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>

#include "glue.h"

/*
 * The sections under way, hashed by process. Whoever has a slot's lock changes
 * the leader, or says that a section begins:
 *
 *	thread in fork, exec, rlimit		taking over from the leader
 *	============================		===========================
 *	lock; enlist; unlock			lock; is one enlisted?
 *	leader = L				  yes: unlock, try again later
 *	task_lock(leader)			  no: all threads' leader = B
 *	task_unlock(leader)			unlock
 *	lock; strike off; unlock
 *
 * The lock is taken before tasklist_lock, and by no interrupt.
 */
struct syslet_slot {
	spinlock_t lock;
	struct hlist_head sections;
} ____cacheline_aligned_in_smp;

#define SLOT_BITS	6

static struct syslet_slot syslet_slots[1 << SLOT_BITS] = {
	[0 ... (1 << SLOT_BITS) - 1] = {
		.lock = __SPIN_LOCK_UNLOCKED(syslet_slots.lock),
	},
};

static struct syslet_slot *slot_of(const struct signal_struct *signal)
{
	return &syslet_slots[hash_ptr(signal, SLOT_BITS)];
}

/* The current task enters code that relies on its leader; @section lasts as long. */
void syslet_section_enter(struct syslet_section *section)
{
	struct syslet_slot *slot = slot_of(current->signal);

	section->signal = current->signal;
	spin_lock(&slot->lock);
	hlist_add_head(&section->link, &slot->sections);
	spin_unlock(&slot->lock);
}

void syslet_section_leave(struct syslet_section *section)
{
	struct syslet_slot *slot = slot_of(section->signal);

	spin_lock(&slot->lock);
	hlist_del(&section->link);
	spin_unlock(&slot->lock);
}

/*
 * RCU Tasks walks all threads under RCU alone, and puts those that run on a list: one
 * that it came by twice would be there twice, and one that it missed not at all. So no
 * leader changes meanwhile:
 *
 *	RCU Tasks			taking over from the leader
 *	=========			===========================
 *	rcu_tasks_pregp_step:		lock: no grace period ends
 *	    until = later		is there an until to come?
 *	    synchronize_rcu()		  yes: unlock, try again later
 *	walks				  no: all threads' leader = B
 *	rcu_tasks_postscan:		unlock
 *	    until = 0
 *
 * Should the second probe be missed nobody waits for longer than that.
 */
static unsigned long syslet_walk_until;

void syslet_walk_begins(void)
{
	WRITE_ONCE(syslet_walk_until, (jiffies + 10 * HZ) | 1);
}

void syslet_walk_ends(void)
{
	WRITE_ONCE(syslet_walk_until, 0);
}

static bool syslet_is_walked(void)
{
	unsigned long until = READ_ONCE(syslet_walk_until);

	return until && time_before(jiffies, until);
}

/**
 * syslet_leader_begin - keeps the current process from relying on its leader
 *
 * Cgroup migration walks the threads from the leader on; the caller keeps it out.
 * Preemption is off until syslet_leader_end() if this succeeds.
 *
 * Return: 0; -EBUSY if there is a section under way, which may be asleep; -EAGAIN if
 * RCU Tasks walks all threads, which is over soon; or -EPERM if a section may be under
 * way unseen.
 */
int syslet_leader_begin(void)
{
	const struct signal_struct *signal = current->signal;
	struct syslet_slot *slot = slot_of(signal);
	struct syslet_section *section;
	int ret = 0;

	spin_lock(&slot->lock);
	if (syslet_missed_section())
		ret = -EPERM;
	else if (syslet_is_walked())
		ret = -EAGAIN;
	else
		hlist_for_each_entry(section, &slot->sections, link)
			if (section->signal == signal)
				ret = -EBUSY;
	if (ret)
		spin_unlock(&slot->lock);
	return ret;
}

void syslet_leader_end(void)
{
	spin_unlock(&slot_of(current->signal)->lock);
}

/**
 * syslet_move_leadership - makes @to the leader of the thread group
 * @from: its leader
 * @to: the current task, a thread of the group
 *
 * With the steps that de_thread() takes for an exec from a thread. There the
 * other threads are dead; here they live and learn of their new leader.
 *
 * next_thread() goes on with the leader where the list ends, so the leader has
 * to be the first in it, and who walks under siglock must not see the one
 * without the other. Who walks under RCU alone may see some threads twice, or
 * not @to: what adds up the times of all threads looks at stats_lock for that.
 *
 * The caller holds tasklist_lock and siglock, between syslet_leader_begin() and its
 * end.
 */
void syslet_move_leadership(struct task_struct *from, struct task_struct *to)
{
	enum pid_type type;
	struct task_struct *thread;

	for (type = PIDTYPE_TGID; type < PIDTYPE_MAX; type++)
		hlist_replace_rcu(&from->pid_links[type], &to->pid_links[type]);
	list_replace_rcu(&from->tasks, &to->tasks);
	list_replace_init(&from->sibling, &to->sibling);

	for_each_thread(from, thread)
		WRITE_ONCE(thread->group_leader, to);
	write_seqlock(&to->signal->stats_lock);
	list_del_rcu(&to->thread_node);
	list_add_rcu(&to->thread_node, &to->signal->thread_head);
	write_sequnlock(&to->signal->stats_lock);
	swap(from->exit_signal, to->exit_signal);
	syslet_arch_lead(from, to);
}

/**
 * syslet_lead_back - leads walks of all processes from former leaders to the present one
 * @task: a thread of the process
 *
 * Who walks all processes and is at one that has led goes on from there, and may let
 * go of RCU in between as long as that task lives (khungtaskd): its way on has to
 * lead to what does not end before it. Who does not let go must not be led back, or
 * one that is slow would be led in circles: so this comes a grace period after a
 * handoff.
 *
 * The caller is in an RCU read-side section that has found @task alive.
 */
void syslet_lead_back(struct task_struct *task)
{
	struct sighand_struct *sighand = rcu_dereference(task->sighand);
	struct task_struct *thread;
	unsigned long flags;

	if (!sighand)
		return;
	spin_lock_irqsave(&sighand->siglock, flags);
	if (task->sighand == sighand)
		for_each_thread(task, thread)
			if (thread != thread->group_leader)
				WRITE_ONCE(thread->tasks.next, &thread->group_leader->tasks);
	spin_unlock_irqrestore(&sighand->siglock, flags);
}
