// SPDX-License-Identifier: GPL-2.0

//! A call in a frame, and the frame behind it.

use super::*;

#[kunit_tests(syslet_frame)]
mod tests {
    use super::*;
    use crate::kunit::facts;
    use crate::kunit::facts::fact;

    const ARGS: [u64; 6] = [
        0x1111_1111_0000_0001,
        0x2222_2222_0000_0002,
        0x3333_3333_0000_0003,
        0x4444_4444_0000_0004,
        0x5555_5555_0000_0005,
        0x6666_6666_0000_0006,
    ];

    /// A frame that is not the task's: a thread of KUnit's has come from nowhere.
    ///
    /// # Safety
    ///
    /// `regs` must outlive it.
    unsafe fn frame(regs: &mut bindings::pt_regs) -> Frame {
        Frame {
            task: Task::current_raw(),
            regs,
            _not_send: NotThreadSafe,
        }
    }

    /// Registers that each hold something of their own.
    fn registers() -> bindings::pt_regs {
        let mut value = 0;
        let mut next = || {
            value += 0x0101_0101_0101;
            value
        };
        bindings::pt_regs {
            r15: next(),
            r14: next(),
            r13: next(),
            r12: next(),
            bp: next(),
            bx: next(),
            r11: next(),
            r10: next(),
            r9: next(),
            r8: next(),
            ax: next(),
            cx: next(),
            dx: next(),
            si: next(),
            di: next(),
            orig_ax: next(),
            ip: next(),
            flags: next(),
            sp: next(),
            ..Default::default()
        }
    }

    fn words(regs: &bindings::pt_regs) -> [usize; size_of::<bindings::pt_regs>() / 8] {
        // SAFETY: They are so many words, each of which is a valid number.
        unsafe { (&raw const *regs).cast::<[usize; _]>().read() }
    }

    #[test]
    fn a_call_is_where_the_kernel_looks_for_it() {
        for (abi, mask) in [(Abi::X86_64, u64::MAX), (Abi::I386, u32::MAX.into())] {
            let mut regs = registers();
            // SAFETY: The registers live on.
            let frame = unsafe { frame(&mut regs) };
            frame.load(abi, 123, &ARGS);
            let ours = frame.arguments(abi);
            let theirs = facts::frame_arguments(&mut regs, abi == Abi::I386);
            for ((given, ours), theirs) in ARGS.into_iter().zip(ours).zip(theirs) {
                assert!(given & mask == ours && ours == theirs as u64);
            }
            assert!(facts::frame_nr(&mut regs) == 123);
            assert!(regs.ax as isize == ENOSYS.to_errno() as isize);
        }
    }

    #[test]
    fn what_a_call_changes_is_put_back() {
        for abi in [Abi::X86_64, Abi::I386] {
            let mut regs = registers();
            let before = words(&regs);
            let mut saved = bindings::pt_regs::default();
            // SAFETY: The registers live on.
            let frame = unsafe { frame(&mut regs) };
            frame.keep(&mut saved);
            frame.load(abi, 123, &ARGS);
            frame.with_registers(|regs| regs.ax = 9);
            assert!(words(&frame.save()) != before);
            frame.put_back(&saved);
            assert!(words(&regs) == before);
        }
    }

    #[test]
    fn a_frame_is_restored_whole() {
        let mut regs = registers();
        let before = words(&regs);
        // SAFETY: The registers live on.
        let frame = unsafe { frame(&mut regs) };
        let saved = frame.save();
        frame.restore(&bindings::pt_regs::default());
        assert!(words(&frame.save()).iter().all(|&word| word == 0));
        frame.restore(&saved);
        assert!(words(&regs) == before);
    }

    #[test]
    fn x32_callers_are_told_by_the_kernels_bit() -> Result {
        let x32 = fact(c"__X32_SYSCALL_BIT")? as usize;
        for bit in 0..32 {
            let mut regs = bindings::pt_regs {
                orig_ax: 1 << bit,
                ..Default::default()
            };
            // SAFETY: The registers live on.
            assert!(unsafe { frame(&mut regs) }.is_x32() == (1 << bit == x32));
        }
        Ok(())
    }

    #[test]
    fn calls_get_to_the_kernel() -> Result {
        let calls = [
            (Abi::X86_64, fact(c"__NR_close")?, EBADF),
            (Abi::I386, fact(c"__NR_ia32_close")?, EBADF),
            // The kernel's switch makes a call of any number, if its caller does not see to that.
            (Abi::X86_64, fact(c"NR_syscalls")?, ENOSYS),
            (Abi::I386, fact(c"IA32_NR_syscalls")?, ENOSYS),
        ];
        for (abi, nr, error) in calls {
            let mut regs = registers();
            // SAFETY: The registers live on.
            let frame = unsafe { frame(&mut regs) };
            // A thread of the kernel's has no such descriptor.
            let args = [u32::MAX.into(), 0, 0, 0, 0, 0];
            let result = frame.call_unfiltered(abi, nr as u32, &args);
            assert!(result == error.to_errno().into());
        }
        Ok(())
    }
}
