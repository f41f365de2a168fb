// SPDX-License-Identifier: GPL-2.0
/*
 * How the module reaches what the kernel does not export.
 *
 * register_kprobe() looks a symbol up before it judges whether the address can
 * be probed, so that a failed registration still tells the address; this holds
 * for data, too. Functions are then called through static calls: those are
 * patched into direct calls, which neither IBT's sealed entry points, nor kCFI,
 * nor retpolines get in the way of. Tracepoints that are not exported are found
 * by walking all of them. An fprobe says where a process relies on its leader.
 *
 * This is C because static calls, tracepoints, task_pt_regs() and put_user() are
 * macros.
 */

#include <linux/cgroup.h>
#include <linux/fprobe.h>
#include <linux/kprobes.h>
#include <linux/percpu-rwsem.h>
#include <linux/ptrace.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/static_call.h>
#include <linux/string.h>
#include <linux/task_work.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <asm/unistd.h>

#include "glue.h"

static long syslet_no_call(const struct pt_regs *regs, unsigned int nr)
{
	return -ENOSYS;
}

static void syslet_no_work(void)
{
}

DEFINE_STATIC_CALL(syslet_x64, syslet_no_call);
DEFINE_STATIC_CALL(syslet_ia32, syslet_no_call);
DEFINE_STATIC_CALL(syslet_work, syslet_no_work);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#define SECCOMP_SYMBOL "__seccomp_permit_syscall"
static bool syslet_no_permit(void)
{
	return false;
}
#define PERMITTED(ret) (ret)
#else
#define SECCOMP_SYMBOL "__secure_computing"
static int syslet_no_permit(void)
{
	return -1;
}
#define PERMITTED(ret) ((ret) == 0)
#endif
DEFINE_STATIC_CALL(syslet_seccomp, syslet_no_permit);

static struct tracepoint *syslet_exit_tracepoint;
static struct tracepoint *syslet_fork_tracepoint;
static rwlock_t *syslet_tasklist;
#ifdef CONFIG_CGROUPS
static struct percpu_rw_semaphore *syslet_cgroup_rwsem;
static bool *syslet_cgroup_per_threadgroup;
#endif

static void *syslet_lookup(const char *name)
{
	struct kprobe probe = { .symbol_name = name };

	if (register_kprobe(&probe) == 0)
		unregister_kprobe(&probe);
	return probe.addr;
}

static void syslet_match_tracepoint(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "sched_process_exit"))
		syslet_exit_tracepoint = tp;
	if (!strcmp(tp->name, "sched_process_fork"))
		syslet_fork_tracepoint = tp;
}

static void syslet_probe_exit(void *unused, struct task_struct *task,
			      bool group_dead)
{
	syslet_task_exit(task);
}

static void syslet_probe_fork(void *unused, struct task_struct *parent,
			      struct task_struct *child)
{
	syslet_task_fork(child);
}

/* The functions that rely on the leader of the current process; see leader.c. */
static const char *syslet_leader_users[] = {
	"copy_process",
	"__x64_sys_execve", "__x64_sys_execveat",
	"__x64_sys_getrlimit", "__x64_sys_setrlimit", "__x64_sys_prlimit64",
	"__x64_sys_setpgid", "__x64_sys_setsid",
#ifdef CONFIG_SECURITY_LANDLOCK
	/* Walks all threads until it finds none that is new. */
	"__x64_sys_landlock_restrict_self", "__ia32_sys_landlock_restrict_self",
#endif
#ifdef CONFIG_SECURITY_YAMA
	/* Keeps the leader's address, unless that has exited before. */
	"__x64_sys_prctl", "__ia32_sys_prctl",
#endif
#ifdef CONFIG_X86_X32_ABI
	"__x64_compat_sys_execve", "__x64_compat_sys_execveat",
#endif
	"__ia32_compat_sys_execve", "__ia32_compat_sys_execveat",
	"__ia32_compat_sys_getrlimit", "__ia32_compat_sys_setrlimit",
	"__ia32_compat_sys_old_getrlimit", "__ia32_sys_prlimit64",
	"__ia32_sys_setpgid", "__ia32_sys_setsid",
};

static int syslet_enter_section(struct fprobe *probe, unsigned long ip,
				unsigned long ret_ip, struct ftrace_regs *regs,
				void *data)
{
	syslet_section_enter(data);
	return 0;
}

static void syslet_leave_section(struct fprobe *probe, unsigned long ip,
				 unsigned long ret_ip, struct ftrace_regs *regs,
				 void *data)
{
	syslet_section_leave(data);
}

static struct fprobe syslet_leader_probe = {
	.entry_handler = syslet_enter_section,
	.exit_handler = syslet_leave_section,
	.entry_data_size = sizeof(struct syslet_section),
};

#ifdef CONFIG_TASKS_RCU
static int syslet_begin_walk(struct fprobe *probe, unsigned long ip, unsigned long ret_ip,
			     struct ftrace_regs *regs, void *data)
{
	syslet_walk_begins();
	return 0;
}

static int syslet_end_walk(struct fprobe *probe, unsigned long ip, unsigned long ret_ip,
			   struct ftrace_regs *regs, void *data)
{
	syslet_walk_ends();
	return 0;
}

static struct fprobe syslet_walk_probes[] = {
	{ .entry_handler = syslet_begin_walk },
	{ .entry_handler = syslet_end_walk },
};

static const char *syslet_walk_symbols[] = {
	"rcu_tasks_pregp_step",
	"rcu_tasks_postscan",
};

static void syslet_ignore_walks(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(syslet_walk_probes); i++)
		unregister_fprobe(&syslet_walk_probes[i]);
}

static int syslet_watch_walks(const char **missing)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(syslet_walk_probes); i++) {
		ret = register_fprobe_syms(&syslet_walk_probes[i], &syslet_walk_symbols[i], 1);
		if (ret) {
			*missing = syslet_walk_symbols[i];
			while (i--)
				unregister_fprobe(&syslet_walk_probes[i]);
			return ret;
		}
	}
	return 0;
}
#else
static void syslet_ignore_walks(void) {}
static int syslet_watch_walks(const char **missing) { return 0; }
#endif

/* Whether a thread may be in such a function unnoticed. */
bool syslet_missed_section(void)
{
	return READ_ONCE(syslet_leader_probe.nmissed);
}

static int syslet_watch_leader_users(const char **missing)
{
	const int nr = ARRAY_SIZE(syslet_leader_users);
	int i;

	for (i = 0; i < nr; i++) {
		if (!syslet_lookup(syslet_leader_users[i])) {
			*missing = syslet_leader_users[i];
			return -ENOENT;
		}
	}
	return register_fprobe_syms(&syslet_leader_probe, syslet_leader_users, nr);
}

/**
 * syslet_glue_init - finds everything, before anything else may be called
 * @missing: set to the name of what was not found, on -ENOENT
 *
 * Return: 0, or a negative errno with nothing left behind.
 */
int syslet_glue_init(const char **missing)
{
	void *x64, *ia32, *seccomp, *work;
	int ret;

#define FIND(var, name)				\
	do {					\
		var = syslet_lookup(name);	\
		if (!var) {			\
			*missing = name;	\
			return -ENOENT;		\
		}				\
	} while (0)

	FIND(x64, "x64_sys_call");
	FIND(ia32, "ia32_sys_call");
	FIND(seccomp, SECCOMP_SYMBOL);
	FIND(work, "task_work_run");
	FIND(syslet_tasklist, "tasklist_lock");
#ifdef CONFIG_CGROUPS
	FIND(syslet_cgroup_rwsem, "cgroup_threadgroup_rwsem");
	FIND(syslet_cgroup_per_threadgroup, "cgroup_enable_per_threadgroup_rwsem");
#endif
#undef FIND

	for_each_kernel_tracepoint(syslet_match_tracepoint, NULL);
	if (!syslet_exit_tracepoint || !syslet_fork_tracepoint) {
		*missing = "tracepoint sched_process_exit or sched_process_fork";
		return -ENOENT;
	}

	static_call_update(syslet_x64, x64);
	static_call_update(syslet_ia32, ia32);
	static_call_update(syslet_seccomp, seccomp);
	static_call_update(syslet_work, work);
	syslet_arch_init();

	ret = syslet_watch_leader_users(missing);
	if (ret)
		return ret;
	ret = syslet_watch_walks(missing);
	if (ret)
		goto unwatch_users;
	ret = tracepoint_probe_register(syslet_exit_tracepoint,
					syslet_probe_exit, NULL);
	if (ret)
		goto unwatch_walks;
	ret = tracepoint_probe_register(syslet_fork_tracepoint,
					syslet_probe_fork, NULL);
	if (!ret)
		return 0;

	tracepoint_probe_unregister(syslet_exit_tracepoint, syslet_probe_exit,
				    NULL);
	tracepoint_synchronize_unregister();
unwatch_walks:
	syslet_ignore_walks();
unwatch_users:
	unregister_fprobe(&syslet_leader_probe);
	return ret;
}

/**
 * syslet_glue_exit - lets go of the kernel
 *
 * No probe runs any more once this has returned.
 */
void syslet_glue_exit(void)
{
	tracepoint_probe_unregister(syslet_fork_tracepoint, syslet_probe_fork,
				    NULL);
	tracepoint_probe_unregister(syslet_exit_tracepoint, syslet_probe_exit,
				    NULL);
	tracepoint_synchronize_unregister();
	syslet_ignore_walks();
	unregister_fprobe(&syslet_leader_probe);
	/* No handoffs come any more, and behind the last one a callback comes twice. */
	rcu_barrier();
	rcu_barrier();
}

/*
 * The kernel's own switch over the 64-bit system calls. It is compiled for what
 * its one caller lets through: a number beyond the table is any call of it. The
 * policy may list calls that are newer than the kernel.
 */
long syslet_call_x64(const struct pt_regs *regs, unsigned int nr)
{
	if (unlikely(nr >= NR_syscalls))
		return -ENOSYS;
	return static_call(syslet_x64)(regs, nr);
}

/* The same for the 32-bit ones. */
long syslet_call_ia32(const struct pt_regs *regs, unsigned int nr)
{
	if (unlikely(nr >= IA32_NR_syscalls))
		return -ENOSYS;
	return static_call(syslet_ia32)(regs, nr);
}

/*
 * Runs the caller's seccomp filters over the call that its frame holds. False:
 * the call is not to be made, and what it returns stands in the frame. May not
 * return at all, if a filter ends the thread.
 */
bool syslet_seccomp_permit(void)
{
	return PERMITTED(static_call(syslet_seccomp)());
}

/*
 * Does what the way back to user space would have done between two calls: the
 * work queued for it, among it the last fput() of a file that was closed.
 */
void syslet_task_work_run(void)
{
	clear_notify_signal();
	if (task_work_pending(current))
		static_call(syslet_work)();
}

struct pt_regs *syslet_task_pt_regs(struct task_struct *task)
{
	return task_pt_regs(task);
}

/*
 * What a call reads and writes is a few words: to copy them one by one, inline,
 * costs a third of what a copy of any length does. All of these return whether
 * it was possible.
 */
#define SYSLET_GET_WORDS(count)						\
bool syslet_get_##count##_words(u64 *to, const u64 __user *from)	\
{									\
	scoped_user_read_access_size(from, sizeof(*from) * count, fault) { \
		_Pragma("GCC unroll 8")					\
		for (int i = 0; i < count; i++)				\
			unsafe_get_user(to[i], from + i, fault);	\
	}								\
	return true;							\
fault:									\
	return false;							\
}

SYSLET_GET_WORDS(3)
SYSLET_GET_WORDS(4)
SYSLET_GET_WORDS(6)

bool syslet_put_2_words(u64 __user *to, u64 first, u64 second)
{
	scoped_user_write_access_size(to, 2 * sizeof(*to), fault) {
		unsafe_put_user(first, to, fault);
		unsafe_put_user(second, to + 1, fault);
	}
	return true;
fault:
	return false;
}

/* Words that other threads use, too, in one access; a copy may make several. */
bool syslet_get_u64(const u64 __user *from, u64 *value)
{
	return get_user(*value, from) == 0;
}

bool syslet_get_u32(const u32 __user *from, u32 *value)
{
	return get_user(*value, from) == 0;
}

bool syslet_put_u64(u64 __user *to, u64 value)
{
	/* Inline: each atom with a result slot comes by here. */
	scoped_user_write_access(to, fault) {
		unsafe_put_user(value, to, fault);
	}
	return true;
fault:
	return false;
}

bool syslet_put_u32(u32 __user *to, u32 value)
{
	return put_user(value, to) == 0;
}

/* Nobody is forked, exits, or changes its identity until the unlock. */
void syslet_tasklist_lock(void)
{
	write_lock_irq(syslet_tasklist);
}

void syslet_tasklist_unlock(void)
{
	write_unlock_irq(syslet_tasklist);
}

/*
 * cgroup_threadgroup_change_begin() and its end for the current process, whose
 * semaphore is not exported.
 */
void syslet_threadgroup_begin(void)
{
#ifdef CONFIG_CGROUPS
	percpu_down_read(syslet_cgroup_rwsem);
	if (*syslet_cgroup_per_threadgroup)
		down_read(&current->signal->cgroup_threadgroup_rwsem);
#endif
}

void syslet_threadgroup_end(void)
{
#ifdef CONFIG_CGROUPS
	if (*syslet_cgroup_per_threadgroup)
		up_read(&current->signal->cgroup_threadgroup_rwsem);
	percpu_up_read(syslet_cgroup_rwsem);
#endif
}

/* What set_child_tid of a task points to that has come by the exit probe. */
static int syslet_gone;

void syslet_mark_exit(struct task_struct *task)
{
	WRITE_ONCE(task->set_child_tid, (int __user __force *)&syslet_gone);
}

/**
 * syslet_exits_last - whether all other threads have come by the exit probe
 * @task: the current task, which is in that probe
 *
 * When a process has no live thread left, some of its threads may still be
 * between the one and the other. They are in the thread group's list until they
 * are reaped, as are those that wait for that: hence the mark, in a field that
 * nobody reads of a task that exits.
 *
 *	task A				task B
 *	======				======
 *	live--				live--
 *	lock; mark; is live 0, and	lock; mark; is live 0, and
 *	    all marked?			    all marked?
 *	unlock				unlock
 *
 * Whoever is the second to lock finds both true. Who is before live-- keeps it
 * from being 0, and no thread is made when it is.
 *
 * The caller has the processes' lock, which is the same for all of them.
 *
 * Return: true for one task of a process.
 */
bool syslet_exits_last(struct task_struct *task)
{
	struct task_struct *thread;
	bool last = true;

	syslet_mark_exit(task);
	if (atomic_read(&task->signal->live))
		return false;
	rcu_read_lock();
	for_each_thread(task, thread) {
		/* Without an address space: it came by before the module was loaded. */
		if (READ_ONCE(thread->mm) &&
		    READ_ONCE(thread->set_child_tid) != (int __user __force *)&syslet_gone) {
			last = false;
			break;
		}
	}
	rcu_read_unlock();
	return last;
}

/**
 * syslet_count_threads - how many threads of the current process do not exit
 * @most: how far to count
 *
 * Those that the kernel has made for io_uring or vhost do not count: they have no user
 * context, and go when nobody is left who could use them.
 */
int syslet_count_threads(int most)
{
	struct task_struct *thread;
	unsigned long flags;
	int count = 0;

	/* No thread comes or begins to exit meanwhile, and none changes its place. */
	spin_lock_irqsave(&current->sighand->siglock, flags);
	for_each_thread(current, thread) {
		if (count == most)
			break;
		count += !(READ_ONCE(thread->flags) & (PF_EXITING | PF_USER_WORKER));
	}
	spin_unlock_irqrestore(&current->sighand->siglock, flags);
	return count;
}
