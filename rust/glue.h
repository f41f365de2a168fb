/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the Rust side needs from C: macros and inlines that have no counterpart
 * in the kernel crate. symbols.rs, identity.rs and arch/x86_64.rs declare these.
 */
#ifndef _SYSLET_GLUE_H
#define _SYSLET_GLUE_H

#include <linux/sched.h>
#include <linux/types.h>

struct pt_regs;
struct signal_struct;

/* glue.c */
int syslet_glue_init(const char **missing);
void syslet_glue_exit(void);
long syslet_call_x64(const struct pt_regs *regs, unsigned int nr);
long syslet_call_ia32(const struct pt_regs *regs, unsigned int nr);
bool syslet_seccomp_permit(void);
void syslet_task_work_run(void);
struct pt_regs *syslet_task_pt_regs(struct task_struct *task);
bool syslet_get_3_words(u64 *to, const u64 __user *from);
bool syslet_get_4_words(u64 *to, const u64 __user *from);
bool syslet_get_6_words(u64 *to, const u64 __user *from);
bool syslet_put_2_words(u64 __user *to, u64 first, u64 second);
bool syslet_get_u64(const u64 __user *from, u64 *value);
bool syslet_get_u32(const u32 __user *from, u32 *value);
bool syslet_put_u64(u64 __user *to, u64 value);
bool syslet_put_u32(u32 __user *to, u32 value);
void syslet_tasklist_lock(void);
void syslet_tasklist_unlock(void);
void syslet_threadgroup_begin(void);
void syslet_threadgroup_end(void);
bool syslet_missed_section(void);
void syslet_mark_exit(struct task_struct *task);
bool syslet_exits_last(struct task_struct *task);
int syslet_count_threads(int most);

/* leader.c */
/* A thread in code that relies on the leader of its process. */
struct syslet_section {
	struct hlist_node link;
	const struct signal_struct *signal;
};

void syslet_section_enter(struct syslet_section *section);
void syslet_section_leave(struct syslet_section *section);
void syslet_walk_begins(void);
void syslet_walk_ends(void);
int syslet_leader_begin(void);
void syslet_leader_end(void);
void syslet_lead_back(struct task_struct *task);
void syslet_move_leadership(struct task_struct *from, struct task_struct *to);

/* identity.c */
int syslet_swap_identity(struct task_struct *from, struct task_struct *to,
			 unsigned long mask, unsigned long users);
struct pid *syslet_hold_tid(void);
void syslet_take_rseq(const struct task_struct *from);
void syslet_drop_rseq(void);
bool syslet_same_origin(struct task_struct *a, struct task_struct *b);

/* signals.c */
void syslet_move_signals(struct task_struct *from, struct task_struct *to,
			 unsigned long mask, unsigned long users);
void syslet_late_signals(struct task_struct *from);
unsigned long syslet_forward_signals(struct task_struct *task, pid_t own, pid_t tid);
void syslet_drop_signals(unsigned long signals);
void syslet_after_senders(struct rcu_head *head, rcu_callback_t func);
void syslet_block_spare(struct task_struct *task);
void syslet_recalc_signals(void);

/* timers.c */
void syslet_send_timers_home(struct task_struct *task);
void syslet_settle_timers(void);

/* The caller holds siglock, as who arms one does. */
static inline bool syslet_has_cpu_timer(const struct task_struct *task)
{
#ifdef CONFIG_POSIX_TIMERS
	const struct posix_cputimer_base *base = task->posix_cputimers.bases;

	/* When one is disarmed nextevt says "now", until the next tick. */
	return !RB_EMPTY_ROOT(&base[CPUCLOCK_PROF].tqhead.rb_root.rb_root) ||
	       !RB_EMPTY_ROOT(&base[CPUCLOCK_VIRT].tqhead.rb_root.rb_root) ||
	       !RB_EMPTY_ROOT(&base[CPUCLOCK_SCHED].tqhead.rb_root.rb_root);
#else
	return false;
#endif
}

/* arch/x86_64.c */
void syslet_arch_init(void);
bool syslet_arch_movable(void);
bool syslet_arch_plain(struct task_struct *task);
bool syslet_arch_alike(const struct task_struct *a, const struct task_struct *b);
void syslet_arch_take(struct task_struct *from);
void syslet_arch_lead(struct task_struct *from, struct task_struct *to);

/* Implemented in Rust: the current task is about to exit, or has forked. */
void syslet_task_exit(struct task_struct *task);
void syslet_task_fork(struct task_struct *child);

#endif /* _SYSLET_GLUE_H */
