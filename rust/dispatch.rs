// SPDX-License-Identifier: GPL-2.0

//! One atom as a full system call.
//!
//! While an atom runs, the task's own frame holds its number and arguments, as if user space had
//! made the call: seccomp, tracing and the call itself look there. The rest of the frame stays the
//! user's.

use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;
use kernel::types::NotThreadSafe;

use crate::block;
use crate::identity;
use crate::policy;
use crate::policy::Abi;
use crate::policy::Verdict;
use crate::symbols::raw;

/// The signal of a trapping filter, as it stands in a set.
const SIGSYS: usize = 1 << (bindings::SIGSYS - 1);

/// Set in `orig_ax` by an x32 caller.
const X32_SYSCALL_BIT: u64 = 0x4000_0000;

/// The user registers of the current task, as the entry code saved them.
///
/// # Invariants
///
/// `task` is the current task, `regs` the frame at the top of its kernel stack, and the task is in a
/// system call that came from user mode.
pub struct Frame {
    task: *mut bindings::task_struct,
    regs: *mut bindings::pt_regs,
    _not_send: NotThreadSafe,
}

impl Frame {
    /// The current task's frame.
    ///
    /// # Safety
    ///
    /// The current task must be in a system call that came from user mode, and stay in it as long
    /// as the value lives.
    #[inline]
    pub unsafe fn current() -> Self {
        let task = Task::current_raw();
        // INVARIANT: By the safety requirement.
        Self {
            task,
            // SAFETY: The current task is alive, and so is its stack.
            regs: unsafe { raw::syslet_task_pt_regs(task) },
            _not_send: kernel::types::NotThreadSafe,
        }
    }

    /// The signal mask of the current task.
    #[inline]
    pub fn signal_mask(&self) -> usize {
        // SAFETY: By the type invariant; only this task writes to it.
        unsafe { (*self.task).blocked.sig[0] }
    }

    /// The flags of the current task, in which others set bits at any time.
    #[inline]
    pub fn thread_flags(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (&raw const (*self.task).thread_info.flags).read_volatile() }
    }

    /// A copy of the registers.
    #[inline]
    pub fn save(&self) -> bindings::pt_regs {
        // SAFETY: By the type invariant; only this task writes to its frame.
        unsafe { self.regs.read() }
    }

    /// Puts registers back.
    #[inline]
    pub fn restore(&self, saved: &bindings::pt_regs) {
        // SAFETY: By the type invariant; only this task writes to its frame.
        unsafe { self.regs.write(*saved) };
    }

    /// Keeps in `saved` what calls change in the frame. Nothing else of `saved` is written.
    #[inline]
    pub fn keep(&self, saved: &mut bindings::pt_regs) {
        // SAFETY: By the type invariant; only this task writes to its frame.
        copy_changed(unsafe { &*self.regs }, saved);
    }

    /// Puts back what calls have changed.
    #[inline]
    pub fn put_back(&self, saved: &bindings::pt_regs) {
        // SAFETY: As above.
        copy_changed(saved, unsafe { &mut *self.regs });
    }

    /// Makes the frame that of the user of `task`, which has kept in `saved` what calls change, and
    /// leaves in `saved` what was here.
    ///
    /// # Safety
    ///
    /// `task` must be in a system call from user mode, and stay there.
    pub unsafe fn exchange(&self, task: *mut bindings::task_struct, saved: &mut bindings::pt_regs) {
        let user = *saved;
        *saved = self.save();
        // SAFETY: By the type invariant, only this task writes to its frame; by the safety
        // requirement, but for what calls change, nobody writes to the other's meanwhile.
        unsafe {
            self.regs
                .copy_from_nonoverlapping(raw::syslet_task_pt_regs(task), 1)
        };
        self.put_back(&user);
    }

    /// Whether the call came in by the x32 ABI.
    pub fn is_x32(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.regs).orig_ax as u64 & X32_SYSCALL_BIT != 0 }
    }

    /// Makes a system call as the user would, past the user's seccomp filters.
    ///
    /// The frame holds the call's registers afterwards.
    #[inline]
    pub fn call(&self, abi: Abi, nr: u32, args: &[u64; 6]) -> Outcome {
        if self.is_filtered() {
            self.load(abi, nr, args);
            return self.call_filtered(abi, nr);
        }
        Outcome::Returned(self.call_unfiltered(abi, nr, args))
    }

    /// Whether a tracer or filter has a say in the system calls of the task.
    #[inline]
    pub fn is_filtered(&self) -> bool {
        const SECCOMP: usize = 1 << bindings::syscall_work_bit_SYSCALL_WORK_BIT_SECCOMP;

        // SAFETY: The current task's own flags.
        unsafe { (*self.task).thread_info.syscall_work & SECCOMP != 0 }
    }

    /// [`Self::call`] where [`Self::is_filtered`] is false.
    #[inline]
    pub fn call_unfiltered(&self, abi: Abi, nr: u32, args: &[u64; 6]) -> i64 {
        self.load(abi, nr, args);
        self.enter(abi, nr)
    }

    /// Makes a system call that a tracer or filter has a say in.
    #[cold]
    fn call_filtered(&self, abi: Abi, nr: u32) -> Outcome {
        // A filter may end the thread, or the process, and then the user context must end with it.
        let armed = block::disarm();
        // A trap that finds its signal blocked is fatal. In a cachemiss thread everything is
        // blocked, which is none of the user's doing.
        let blocked = block::in_cachemiss_thread().then(|| {
            let all = identity::block_signals();
            identity::set_signal_mask(all & !SIGSYS);
            all
        });
        // SAFETY: `Symbols` lives as long as the device does; the frame holds the call.
        let permitted = unsafe { raw::syslet_seccomp_permit() };
        let trapped = sigsys_pending();
        if let Some(mask) = blocked {
            identity::set_signal_mask(mask);
        }
        // SAFETY: By the type invariant.
        let (now, ax) = unsafe { ((*self.regs).orig_ax as u32, (*self.regs).ax as i64) };

        if !permitted {
            // A trapping filter rolled the frame back to the call's number, for the handler to
            // see, and queued SIGSYS. Nothing was called.
            // CAST: Numbers are small.
            if (ax == i64::from(nr) && trapped) || is_condemned() {
                return Outcome::Trapped;
            }
            block::rearm(armed);
            return Outcome::Returned(ax);
        }
        block::rearm(armed);
        // A tracer may have put another call in the place of this one, or other arguments.
        if policy::verdict(abi, now) != Verdict::Allow
            || policy::check_args(abi, now, &self.arguments(abi)).is_err()
        {
            return Outcome::Returned(i64::from(ENOSYS.to_errno()));
        }
        Outcome::Returned(self.enter(abi, now))
    }

    #[inline]
    fn load(&self, abi: Abi, nr: u32, args: &[u64; 6]) {
        // SAFETY: By the type invariant; only this task writes to its frame.
        let regs = unsafe { &mut *self.regs };
        let [a, b, c, d, e, f] = *args;
        match abi {
            Abi::X86_64 => {
                regs.di = a as usize;
                regs.si = b as usize;
                regs.dx = c as usize;
                regs.r10 = d as usize;
                regs.r8 = e as usize;
                regs.r9 = f as usize;
            }
            // The entry code of 32-bit calls leaves the upper halves zero.
            Abi::I386 => {
                regs.bx = a as u32 as usize;
                regs.cx = b as u32 as usize;
                regs.dx = c as u32 as usize;
                regs.si = d as u32 as usize;
                regs.di = e as u32 as usize;
                regs.bp = f as u32 as usize;
            }
        }
        regs.orig_ax = nr as usize;
        regs.ax = ENOSYS.to_errno() as isize as usize;
    }

    fn arguments(&self, abi: Abi) -> [u64; 6] {
        // SAFETY: By the type invariant.
        let regs = unsafe { &*self.regs };
        match abi {
            Abi::X86_64 => [regs.di, regs.si, regs.dx, regs.r10, regs.r8, regs.r9],
            Abi::I386 => [regs.bx, regs.cx, regs.dx, regs.si, regs.di, regs.bp],
        }
        .map(|register| register as u64)
    }

    /// Changes the registers that the user would see.
    #[inline]
    pub fn with_registers<R>(&self, change: impl FnOnce(&mut bindings::pt_regs) -> R) -> R {
        // SAFETY: By the type invariant; only this task writes to its frame.
        change(unsafe { &mut *self.regs })
    }

    /// Makes a system call for the module itself, which no filter of the user's sees.
    pub fn call_internally(&self, nr: u32, args: &[u64; 6]) -> i64 {
        self.call_unfiltered(Abi::X86_64, nr, args)
    }

    #[inline]
    fn enter(&self, abi: Abi, nr: u32) -> i64 {
        match abi {
            // SAFETY: `Symbols` lives as long as the device does; the frame holds the arguments,
            // and the caller's number was checked against the policy.
            Abi::X86_64 => unsafe { raw::syslet_call_x64(self.regs, nr) as i64 },
            // SAFETY: As above. 32-bit callers see 32 bits of what a call returns.
            Abi::I386 => i64::from(unsafe { raw::syslet_call_ia32(self.regs, nr) } as i32),
        }
    }
}

/// Copies the registers that [`Frame::load`] changes, for whichever ABI, and the calls themselves.
#[inline]
fn copy_changed(from: &bindings::pt_regs, to: &mut bindings::pt_regs) {
    to.bp = from.bp;
    to.bx = from.bx;
    to.r10 = from.r10;
    to.r9 = from.r9;
    to.r8 = from.r8;
    to.ax = from.ax;
    to.cx = from.cx;
    to.dx = from.dx;
    to.si = from.si;
    to.di = from.di;
    to.orig_ax = from.orig_ax;
}

/// What became of a call.
pub enum Outcome {
    /// It returned this.
    Returned(i64),
    /// A seccomp filter trapped it: SIGSYS waits, nothing was called.
    Trapped,
}

/// Whether a filter has condemned the process, by a signal that waits.
pub fn is_condemned() -> bool {
    /// `SECCOMP_MODE_DEAD`, which the kernel keeps to itself.
    const DEAD: c_int = 3;

    // SAFETY: The current task's own mode.
    unsafe { (*Task::current_raw()).seccomp.mode == DEAD }
}

fn sigsys_pending() -> bool {
    // SAFETY: The current task's own private signals; a stale answer is impossible, as the filter
    // has just queued the signal from this task.
    let set = unsafe { (*Task::current_raw()).pending.signal.sig[0] };
    set & SIGSYS != 0
}

#[cfg(CONFIG_SYSLET_KUNIT_TEST)]
#[path = "kunit/dispatch.rs"]
mod kunit;
