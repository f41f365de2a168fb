// SPDX-License-Identifier: GPL-2.0
/*
 * Registers beyond pt_regs: FPU, segment bases, protection keys.
 *
 * This is C because all of it is inline assembly or macros in the headers.
 */

#include <linux/sched.h>
#include <asm/cpufeature.h>
#include <asm/cpuid/api.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xstate.h>
#include <asm/msr.h>
#include <asm/pkru.h>
#include <asm/segment.h>

#include "../glue.h"

/* x86_task_fpu(), which is a function of its own in some configurations. */
static struct fpu *syslet_task_fpu(struct task_struct *task)
{
	return (void *)task + sizeof(*task);
}

/**
 * syslet_arch_plain - whether a task has no registers but those that move
 * @task: the current task, or one that is not in user mode
 *
 * Not moved: dynamic (AMX) FPU state, shadow stacks, I/O port rights, debug
 * registers and single-stepping.
 */
bool syslet_arch_plain(struct task_struct *task)
{
	const unsigned long flags = _TIF_SINGLESTEP | _TIF_BLOCKSTEP |
				    _TIF_FORCED_TF | _TIF_IO_BITMAP |
				    _TIF_ADDR32 | _TIF_UPROBE;
	struct thread_struct *thread = &task->thread;
	struct fpu *fpu = syslet_task_fpu(task);

#ifdef CONFIG_X86_USER_SHADOW_STACK
	if (thread->features)
		return false;
#endif
	return !(read_task_thread_flags(task) & flags) && !thread->iopl_emul &&
	       !thread->ptrace_dr7 && fpu->fpstate == &fpu->__fpstate;
}

/**
 * syslet_arch_movable - whether the current user context is one that moves
 *
 * Beyond syslet_arch_plain(), what 32-bit or exotic programs keep in segment
 * selectors forbids it.
 */
bool syslet_arch_movable(void)
{
	unsigned short ds, es, fs, gs;

	if (!syslet_arch_plain(current))
		return false;
	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	return !(ds | es | fs | gs);
}

/* Whether @a has what the kernel keeps for @b and does not move. */
bool syslet_arch_alike(const struct task_struct *a, const struct task_struct *b)
{
#ifdef CONFIG_X86_USER_SHADOW_STACK
	if (a->thread.features_locked != b->thread.features_locked)
		return false;
#endif
#ifdef CONFIG_X86_CPU_RESCTRL
	if (a->closid != b->closid || a->rmid != b->rmid)
		return false;
#endif
	return !memcmp(a->thread.tls_array, b->thread.tls_array,
		       sizeof(a->thread.tls_array));
}

/* Where the last of the components ends that come first: AVX, and MPX behind it. */
static size_t syslet_fpstate_front __ro_after_init;

/* syslet_arch_init - asks the CPU how it lays out what a handoff copies */
void syslet_arch_init(void)
{
	size_t compacted = XSAVE_YMM_OFFSET, standard = XSAVE_YMM_OFFSET;
	unsigned int i, size, offset, ecx, edx;

	if (!cpu_feature_enabled(X86_FEATURE_XSAVE))
		return;
	for (i = XFEATURE_YMM; i <= XFEATURE_BNDCSR; i++) {
		cpuid_count(CPUID_LEAF_XSTATE, i, &size, &offset, &ecx, &edx);
		compacted += ALIGN(size, 64);
		standard = max_t(size_t, standard, offset + size);
	}
	syslet_fpstate_front = max(compacted, standard);
}

/*
 * How much of a saved FPU state has to be copied. What is in its initial state need
 * not be, and mostly that is all but what comes first. PKRU is switched by itself.
 */
static size_t syslet_fpstate_used(const struct fpstate *state)
{
	const u64 first = XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM |
			  XFEATURE_MASK_BNDREGS | XFEATURE_MASK_BNDCSR |
			  XFEATURE_MASK_PKRU;

	if (!syslet_fpstate_front || state->regs.xsave.header.xfeatures & ~first)
		return state->size;
	return min_t(size_t, state->size, syslet_fpstate_front);
}

/**
 * syslet_arch_take - makes the user registers of @from those of the current task
 * @from: a task that was switched out since it last ran user code
 *
 * The switch saved everything that is read here, and nothing changes it until
 * @from returns to user mode, which it does not before this is over.
 */
void syslet_arch_take(struct task_struct *from)
{
	struct thread_struct *thread = &current->thread;
	/* KVM may have put a guest's in its place for a moment, not in this one. */
	struct fpstate *theirs = &syslet_task_fpu(from)->__fpstate;
	struct fpu *ours = syslet_task_fpu(current);

	/*
	 * What the FPU holds now is of no use. With the flag set it is not
	 * saved over the copy, and with no CPU remembered the copy is loaded
	 * on the way to user mode.
	 */
	local_bh_disable();
	preempt_disable();
	memcpy(&ours->fpstate->regs, &theirs->regs,
	       min_t(size_t, syslet_fpstate_used(theirs), ours->fpstate->size));
	ours->last_cpu = -1;
	set_thread_flag(TIF_NEED_FPU_LOAD);
	preempt_enable();
	local_bh_enable();

	preempt_disable();
#ifdef CONFIG_ARCH_HAS_CPU_PASID
	/* Whether the PASID in that state counts. */
	current->pasid_activated = from->pasid_activated;
#endif
	thread->fsbase = from->thread.fsbase;
	thread->gsbase = from->thread.gsbase;
	wrmsrq(MSR_FS_BASE, thread->fsbase);
	/* The user's GS base is the inactive one while in the kernel. */
	wrmsrq(MSR_KERNEL_GS_BASE, thread->gsbase);
	if (cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		thread->pkru = from->thread.pkru;
		wrpkru(thread->pkru);
	}
	preempt_enable();
}

/*
 * Hands on what the architecture keeps in the leader of a process: the
 * permissions to use dynamic FPU features. The caller holds the siglock.
 */
void syslet_arch_lead(struct task_struct *from, struct task_struct *to)
{
	struct fpu *theirs = syslet_task_fpu(from);
	struct fpu *ours = syslet_task_fpu(to);

	ours->perm = theirs->perm;
	ours->guest_perm = theirs->guest_perm;
}
