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

#include <linux/cgroup.h>
#include <linux/hash.h>
#include <linux/percpu-rwsem.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>

#include "glue.h"

/*
 * The sections under way, by process; processes that share a slot only wait for
 * each other at times. Whoever has a slot's lock changes the leader, or says
 * that a section begins:
 *
 *	thread in fork, exec, rlimit		taking over from the leader
 *	============================		===========================
 *	lock; sections++; unlock		lock; sections == 0?
 *	leader = L				  no: unlock, try again later
 *	task_lock(leader)			  yes: all threads' leader = B
 *	task_unlock(leader)			unlock
 *	lock; sections--; unlock
 *
 * The lock is taken before tasklist_lock, and never with interrupts coming that
 * could want it.
 */
struct syslet_sections {
	raw_spinlock_t lock;
	unsigned int under_way;
} ____cacheline_aligned_in_smp;

#define SECTION_BITS	6

static struct syslet_sections syslet_sections[1 << SECTION_BITS] = {
	[0 ... (1 << SECTION_BITS) - 1] = {
		.lock = __RAW_SPIN_LOCK_UNLOCKED(syslet_sections.lock),
	},
};

static struct syslet_sections *sections_of(const struct signal_struct *signal)
{
	return &syslet_sections[hash_ptr(signal, SECTION_BITS)];
}

/* The current task enters, or leaves, code that relies on its leader. */
void syslet_leader_section(bool enter)
{
	struct syslet_sections *sections = sections_of(current->signal);

	raw_spin_lock(&sections->lock);
	if (enter)
		sections->under_way++;
	else
		sections->under_way--;
	raw_spin_unlock(&sections->lock);
}

/**
 * syslet_leader_begin - keeps the current process from relying on its leader
 *
 * Cgroup migration walks the threads from the leader on; it is kept out, too.
 * May sleep. Preemption is off until syslet_leader_end() if this succeeds.
 *
 * Return: false if there is a section under way, which may be asleep.
 */
bool syslet_leader_begin(void)
{
	struct syslet_sections *sections = sections_of(current->signal);

	syslet_threadgroup_begin();
	raw_spin_lock(&sections->lock);
	if (!sections->under_way)
		return true;
	raw_spin_unlock(&sections->lock);
	syslet_threadgroup_end();
	return false;
}

void syslet_leader_end(void)
{
	raw_spin_unlock(&sections_of(current->signal)->lock);
	syslet_threadgroup_end();
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
 * without the other. Who walks under RCU alone and stands on @to meanwhile sees
 * some threads twice, but none never.
 *
 * The caller holds tasklist_lock, between syslet_leader_begin() and its end.
 */
void syslet_move_leadership(struct task_struct *from, struct task_struct *to)
{
	enum pid_type type;
	struct task_struct *thread;

	for (type = PIDTYPE_TGID; type < PIDTYPE_MAX; type++)
		hlist_replace_rcu(&from->pid_links[type], &to->pid_links[type]);
	list_replace_rcu(&from->tasks, &to->tasks);
	list_replace_init(&from->sibling, &to->sibling);

	spin_lock(&to->sighand->siglock);
	for_each_thread(from, thread)
		WRITE_ONCE(thread->group_leader, to);
	list_del_rcu(&to->thread_node);
	list_add_rcu(&to->thread_node, &to->signal->thread_head);
	swap(from->exit_signal, to->exit_signal);
	syslet_arch_lead(from, to);
	spin_unlock(&to->sighand->siglock);
}
