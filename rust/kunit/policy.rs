// SPDX-License-Identifier: GPL-2.0

//! The policy, against the system calls and constants of the running kernel.

use kernel::prelude::*;

#[kunit_tests(syslet_policy)]
mod tests {
    use super::*;
    use crate::kunit::facts;
    use crate::kunit::facts::fact;
    use crate::policy;
    use crate::policy::Abi;
    use crate::policy::Rule;
    use crate::policy::Verdict;

    #[test]
    fn it_knows_the_calls_of_this_kernel_and_no_others() -> Result {
        let mut wrong = 0;
        let mut known = 0;
        for nr in 0..2 * policy::TABLE_LEN as u32 {
            let ours = policy::verdict(Abi::X86_64, nr) != Verdict::Unknown;
            if ours != facts::kernel_has(nr)? {
                pr_err!("system call {nr}: known to the policy: {ours}\n");
                wrong += 1;
            }
            known += u32::from(ours);
        }
        assert!(wrong == 0);
        assert!(known > 300);
        Ok(())
    }

    #[test]
    fn it_covers_both_tables_and_ends_with_them() -> Result {
        let limits = [
            (Abi::X86_64, fact(c"NR_syscalls")?),
            (Abi::I386, fact(c"IA32_NR_syscalls")?),
        ];
        for (abi, limit) in limits {
            assert!(limit <= policy::TABLE_LEN as u64);
            for nr in limit as u32..2 * policy::TABLE_LEN as u32 {
                assert!(policy::verdict(abi, nr) == Verdict::Unknown);
            }
            let x32 = fact(c"__X32_SYSCALL_BIT")? as u32;
            for nr in 0..limit as u32 {
                assert!(policy::verdict(abi, nr | x32) == Verdict::Unknown);
            }
        }
        Ok(())
    }

    /// Whether `rule` refuses a call whose argument `index` is `value`, the others 0.
    fn refuses(rule: Rule, index: usize, value: u64) -> bool {
        let mut args = [0; 6];
        args[index] = value;
        rule.check(&args).is_err()
    }

    /// Whether exactly `refused`, of all values below `end`, are refused.
    fn refuses_just(rule: Rule, index: usize, end: u64, refused: &[u64]) -> bool {
        (0..end).all(|value| refuses(rule, index, value) == refused.contains(&value))
    }

    #[test]
    fn futexes_with_an_owner_are_refused() -> Result {
        let refused = [
            fact(c"FUTEX_LOCK_PI")?,
            fact(c"FUTEX_LOCK_PI2")?,
            fact(c"FUTEX_TRYLOCK_PI")?,
            fact(c"FUTEX_UNLOCK_PI")?,
            fact(c"FUTEX_WAIT_REQUEUE_PI")?,
        ];
        assert!(refuses_just(Rule::Futex, 1, 128, &refused));
        // The kernel takes flags away in just this way.
        let flags = !fact(c"FUTEX_CMD_MASK")? & 0xffff_ffff;
        for command in refused {
            assert!(refuses(Rule::Futex, 1, command | flags));
        }
        Ok(())
    }

    #[test]
    fn file_commands_that_mean_the_task_are_refused() -> Result {
        let refused = [
            fact(c"F_SETLEASE")?,
            fact(c"F_NOTIFY")?,
            fact(c"F_SETDELEG")?,
        ];
        assert!(refuses_just(Rule::Fcntl, 1, 4096, &refused));
        let unshare = fact(c"CLOSE_RANGE_UNSHARE")?;
        for flags in 0..64 {
            assert!(refuses(Rule::CloseRange, 2, flags) == (flags & unshare != 0));
        }
        let run = fact(c"KVM_RUN")?;
        assert!(refuses(Rule::Ioctl, 1, run));
        assert!(!refuses(Rule::Ioctl, 1, run + 1) && !refuses(Rule::Ioctl, 1, run - 1));
        Ok(())
    }

    #[test]
    fn waits_that_mean_the_task_are_refused() -> Result {
        let nothread = fact(c"__WNOTHREAD")? & 0xffff_ffff;
        for bit in 0..32 {
            let refused = 1 << bit == nothread;
            assert!(refuses(Rule::WaitOptions, 2, 1 << bit) == refused);
            assert!(refuses(Rule::WaitidOptions, 3, 1 << bit) == refused);
        }
        Ok(())
    }

    #[test]
    fn ids_of_the_task_itself_are_refused() -> Result {
        let cgroup = fact(c"PERF_FLAG_PID_CGROUP")?;
        for bit in 0..8 {
            assert!(refuses(Rule::PerfEvent, 4, 1 << bit) == (1 << bit != cgroup));
        }
        let thread = fact(c"PIDFD_SELF_THREAD")? & 0xffff_ffff;
        assert!(refuses(Rule::PidfdSignal, 0, thread));
        assert!(!refuses(Rule::PidfdSignal, 0, thread - 1));
        assert!(!refuses(Rule::PidfdSignal, 0, thread + 1));

        let own = fact(c"CLOCK_THREAD_CPUTIME_ID")?;
        assert!(refuses_just(Rule::TimerClock, 0, 64, &[own]));
        for which in 0..3 {
            let clock = facts::thread_clock(which);
            assert!(refuses(Rule::TimerClock, 0, clock.into()));
        }
        Ok(())
    }

    #[test]
    fn calls_with_a_mask_have_it_where_the_kernel_says() -> Result {
        macro_rules! nr {
            ($abi:ident $name:literal $argument:literal) => {
                (Abi::$abi, fact($name)? as u32, $argument)
            };
        }
        let calls = [
            nr!(X86_64 c"__NR_ppoll" 3),
            nr!(X86_64 c"__NR_epoll_pwait" 4),
            nr!(X86_64 c"__NR_epoll_pwait2" 4),
            nr!(X86_64 c"__NR_pselect6" 5),
            nr!(X86_64 c"__NR_io_pgetevents" 5),
            nr!(I386 c"__NR_ia32_ppoll" 3),
            nr!(I386 c"__NR_ia32_ppoll_time64" 3),
            nr!(I386 c"__NR_ia32_epoll_pwait" 4),
            nr!(I386 c"__NR_ia32_epoll_pwait2" 4),
            nr!(I386 c"__NR_ia32_pselect6" 5),
            nr!(I386 c"__NR_ia32_pselect6_time64" 5),
            nr!(I386 c"__NR_ia32_io_pgetevents" 5),
            nr!(I386 c"__NR_ia32_io_pgetevents_time64" 5),
        ];
        for abi in [Abi::X86_64, Abi::I386] {
            for nr in 0..policy::TABLE_LEN as u32 {
                let theirs = calls.iter().find(|call| call.0 == abi && call.1 == nr);
                assert!(policy::mask_argument(abi, nr) == theirs.map(|call| call.2));
            }
        }
        Ok(())
    }
}
