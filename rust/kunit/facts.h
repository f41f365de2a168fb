/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel's own headers say, as its compiler understands them, for the
 * KUnit tests to compare with what the Rust side has been told or has assumed.
 */
#ifndef _SYSLET_FACTS_H
#define _SYSLET_FACTS_H

#include <linux/types.h>

struct pt_regs;
struct task_struct;

bool syslet_fact(const char *name, u64 *value);
unsigned int syslet_facts_with(const char *prefix);
int syslet_kernel_has(unsigned int nr);
u32 syslet_thread_clock(unsigned int which);
int syslet_frame_nr(struct pt_regs *regs);
void syslet_frame_arguments(struct pt_regs *regs, bool ia32, unsigned long *args);
unsigned long syslet_user_page(void);
bool syslet_restores_sigmask(const struct task_struct *task);

#endif /* _SYSLET_FACTS_H */
