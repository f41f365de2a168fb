// SPDX-License-Identifier: GPL-2.0
/*
 * See facts.h. This is C because C is what the kernel's headers are in: what
 * bindgen has made of them is half of what is compared.
 */

#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/kprobes.h>
#include <linux/kvm.h>
#include <linux/mman.h>
#include <linux/perf_event.h>
#include <linux/pidfd.h>
#include <linux/posix-timers.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/syslet.h>
#include <linux/wait.h>
#include <asm/syscall.h>
#include <asm/unistd.h>
#include <asm/unistd_32_ia32.h>
#include <uapi/linux/futex.h>
#include <uapi/linux/wait.h>

#include "facts.h"

struct syslet_fact {
	const char *name;
	u64 value;
};

#define VALUE(constant)		{ #constant, (u64)(constant) }
#define SIZE(type)		{ #type, sizeof(struct type) }
#define FIELD(type, field)	{ #type "." #field, offsetof(struct type, field) }

static const struct syslet_fact syslet_facts[] = {
	/* The interface. */
	SIZE(syslet_atom),
	FIELD(syslet_atom, nr),
	FIELD(syslet_atom, flags),
	FIELD(syslet_atom, args),
	FIELD(syslet_atom, arg_from),
	FIELD(syslet_atom, skip),
	FIELD(syslet_atom, reserved),
	SIZE(syslet_program),
	FIELD(syslet_program, atoms),
	FIELD(syslet_program, nr_atoms),
	FIELD(syslet_program, flags),
	FIELD(syslet_program, user_data),
	FIELD(syslet_program, results),
	FIELD(syslet_program, result),
	FIELD(syslet_program, last),
	FIELD(syslet_program, status),
	SIZE(syslet_query),
	FIELD(syslet_query, size),
	FIELD(syslet_query, flags),
	FIELD(syslet_query, features),
	FIELD(syslet_query, max_atoms),
	FIELD(syslet_query, max_programs),
	FIELD(syslet_query, max_cq_entries),
	FIELD(syslet_query, max_threads),
	FIELD(syslet_query, policies),
	FIELD(syslet_query, nr_policies),
	FIELD(syslet_query, reserved),
	SIZE(syslet_setup),
	FIELD(syslet_setup, size),
	FIELD(syslet_setup, flags),
	FIELD(syslet_setup, cq_entries),
	FIELD(syslet_setup, max_threads),
	FIELD(syslet_setup, spare_threads),
	FIELD(syslet_setup, idle_ms),
	FIELD(syslet_setup, ring_bytes),
	FIELD(syslet_setup, cqes_offset),
	SIZE(syslet_exec),
	FIELD(syslet_exec, size),
	FIELD(syslet_exec, flags),
	FIELD(syslet_exec, programs),
	FIELD(syslet_exec, nr_programs),
	FIELD(syslet_exec, reserved),
	SIZE(syslet_wait),
	FIELD(syslet_wait, size),
	FIELD(syslet_wait, flags),
	FIELD(syslet_wait, min_complete),
	FIELD(syslet_wait, sigset_size),
	FIELD(syslet_wait, timeout_ns),
	FIELD(syslet_wait, sigmask),
	SIZE(syslet_cancel),
	FIELD(syslet_cancel, size),
	FIELD(syslet_cancel, flags),
	FIELD(syslet_cancel, user_data),
	SIZE(syslet_uatom_exec),
	FIELD(syslet_uatom_exec, size),
	FIELD(syslet_uatom_exec, flags),
	FIELD(syslet_uatom_exec, uatom),
	FIELD(syslet_uatom_exec, user_data),
	FIELD(syslet_uatom_exec, result),
	FIELD(syslet_uatom_exec, last),
	FIELD(syslet_uatom_exec, status),
	SIZE(syslet_ring),
	FIELD(syslet_ring, head),
	FIELD(syslet_ring, pad0),
	FIELD(syslet_ring, tail),
	FIELD(syslet_ring, overflow),
	FIELD(syslet_ring, entries),
	FIELD(syslet_ring, mask),
	FIELD(syslet_ring, pad1),
	SIZE(syslet_cqe),
	FIELD(syslet_cqe, user_data),
	FIELD(syslet_cqe, result),
	FIELD(syslet_cqe, last),
	FIELD(syslet_cqe, flags),
	FIELD(syslet_cqe, reserved),
	VALUE(SYSLET_IOC_QUERY),
	VALUE(SYSLET_IOC_SETUP),
	VALUE(SYSLET_IOC_EXEC),
	VALUE(SYSLET_IOC_WAIT),
	VALUE(SYSLET_IOC_CANCEL),
	VALUE(SYSLET_IOC_EVENTFD),
	VALUE(SYSLET_IOC_EXEC_UATOM),
	VALUE(SYSLET_IOC_PARK),

	/* What the module touches of the kernel's structures. */
	SIZE(task_struct),
	FIELD(task_struct, thread_info.flags),
	FIELD(task_struct, thread_info.syscall_work),
	FIELD(task_struct, __state),
	FIELD(task_struct, flags),
	FIELD(task_struct, ptrace),
	FIELD(task_struct, on_rq),
	FIELD(task_struct, se.sched_delayed),
	FIELD(task_struct, mm),
	FIELD(task_struct, files),
	FIELD(task_struct, signal),
	FIELD(task_struct, blocked.sig),
	FIELD(task_struct, saved_sigmask.sig),
	FIELD(task_struct, pending.signal.sig),
	FIELD(task_struct, restart_block),
	FIELD(task_struct, pdeath_signal),
	FIELD(task_struct, children),
	FIELD(task_struct, group_leader),
	FIELD(task_struct, ptraced),
	FIELD(task_struct, vfork_done),
	FIELD(task_struct, set_child_tid),
	FIELD(task_struct, clear_child_tid),
	FIELD(task_struct, posix_cputimers.bases),
	FIELD(task_struct, comm),
	FIELD(task_struct, io_uring),
	FIELD(task_struct, seccomp.mode),
	FIELD(task_struct, futex.robust_list),
	FIELD(task_struct, futex.compat_robust_list),
	FIELD(task_struct, futex.pi_state_list),
	FIELD(task_struct, perf_event_ctxp),
	FIELD(task_struct, utask),
	FIELD(signal_struct, live),
	FIELD(signal_struct, flags),
	FIELD(signal_struct, group_exit_code),
	SIZE(pt_regs),
	FIELD(pt_regs, r15),
	FIELD(pt_regs, r14),
	FIELD(pt_regs, r13),
	FIELD(pt_regs, r12),
	FIELD(pt_regs, bp),
	FIELD(pt_regs, bx),
	FIELD(pt_regs, r11),
	FIELD(pt_regs, r10),
	FIELD(pt_regs, r9),
	FIELD(pt_regs, r8),
	FIELD(pt_regs, ax),
	FIELD(pt_regs, cx),
	FIELD(pt_regs, dx),
	FIELD(pt_regs, si),
	FIELD(pt_regs, di),
	FIELD(pt_regs, orig_ax),
	FIELD(pt_regs, ip),
	FIELD(pt_regs, flags),
	FIELD(pt_regs, sp),

	/* What the policy goes by. */
	VALUE(NR_syscalls),
	VALUE(IA32_NR_syscalls),
	VALUE(FUTEX_CMD_MASK),
	VALUE(FUTEX_LOCK_PI),
	VALUE(FUTEX_LOCK_PI2),
	VALUE(FUTEX_TRYLOCK_PI),
	VALUE(FUTEX_UNLOCK_PI),
	VALUE(FUTEX_WAIT_REQUEUE_PI),
	VALUE(CLOSE_RANGE_UNSHARE),
	VALUE(F_SETLEASE),
	VALUE(F_NOTIFY),
	VALUE(F_SETDELEG),
	VALUE(KVM_RUN),
	VALUE(__WNOTHREAD),
	VALUE(PERF_FLAG_PID_CGROUP),
	VALUE(PIDFD_SELF_THREAD),
	VALUE(CLOCK_THREAD_CPUTIME_ID),
	VALUE(__NR_ppoll),
	VALUE(__NR_epoll_pwait),
	VALUE(__NR_epoll_pwait2),
	VALUE(__NR_pselect6),
	VALUE(__NR_io_pgetevents),
	VALUE(__NR_ia32_ppoll),
	VALUE(__NR_ia32_ppoll_time64),
	VALUE(__NR_ia32_epoll_pwait),
	VALUE(__NR_ia32_epoll_pwait2),
	VALUE(__NR_ia32_pselect6),
	VALUE(__NR_ia32_pselect6_time64),
	VALUE(__NR_ia32_io_pgetevents),
	VALUE(__NR_ia32_io_pgetevents_time64),

	/* Registers, and the calls that the module makes for itself. */
	VALUE(__NR_ioctl),
	VALUE(__NR_exit),
	VALUE(__NR_clone),
	VALUE(__NR_close),
	VALUE(__NR_ia32_close),
	VALUE(__X32_SYSCALL_BIT),
	VALUE(X86_EFLAGS_IF | X86_EFLAGS_FIXED),
	VALUE(X86_EFLAGS_TF),
};

bool syslet_fact(const char *name, u64 *value)
{
	for (int i = 0; i < ARRAY_SIZE(syslet_facts); i++) {
		if (!strcmp(syslet_facts[i].name, name)) {
			*value = syslet_facts[i].value;
			return true;
		}
	}
	return false;
}

unsigned int syslet_facts_with(const char *prefix)
{
	unsigned int count = 0;

	for (int i = 0; i < ARRAY_SIZE(syslet_facts); i++)
		count += strstarts(syslet_facts[i].name, prefix);
	return count;
}

static void *syslet_find(const char *name)
{
	struct kprobe probe = { .symbol_name = name };

	if (register_kprobe(&probe) == 0)
		unregister_kprobe(&probe);
	return probe.addr;
}

/**
 * syslet_kernel_has - whether the running kernel has a 64-bit system call
 * @nr: below NR_syscalls
 *
 * Return: 0 or 1, or -ENOENT if it does not tell.
 */
int syslet_kernel_has(unsigned int nr)
{
	static const sys_call_ptr_t *table;

	if (!table)
		table = syslet_find("sys_call_table");
	/* 423 is the last of those that the table keeps free for good. */
	return table ? table[nr] != table[423] : -ENOENT;
}

/* The clock of the calling thread, by CPUCLOCK_* kind. */
u32 syslet_thread_clock(unsigned int which)
{
	return make_thread_cpuclock(0, which);
}

int syslet_frame_nr(struct pt_regs *regs)
{
	return syscall_get_nr(current, regs);
}

/* As tracers and filters find them, in a call of either kind. */
void syslet_frame_arguments(struct pt_regs *regs, bool ia32, unsigned long *args)
{
	const u32 status = current_thread_info()->status;

	if (ia32)
		current_thread_info()->status |= TS_COMPAT;
	syscall_get_arguments(current, regs, args);
	current_thread_info()->status = status;
}

/*
 * A page of user memory for the current test, in an address space that has no
 * other; 0 if there is none.
 */
unsigned long syslet_user_page(void)
{
	unsigned long page = kunit_vm_mmap(kunit_get_current_test(), NULL, 0,
					   PAGE_SIZE, PROT_READ | PROT_WRITE,
					   MAP_ANONYMOUS | MAP_PRIVATE, 0);

	return IS_ERR_VALUE(page) ? 0 : page;
}

bool syslet_restores_sigmask(const struct task_struct *task)
{
	return task->restore_sigmask;
}
