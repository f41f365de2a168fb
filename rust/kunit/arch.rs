// SPDX-License-Identifier: GPL-2.0

//! Registers, and the code of the parking page.

use kernel::prelude::*;

#[kunit_tests(syslet_arch)]
mod tests {
    use kernel::bindings;

    use super::*;
    use crate::arch;
    use crate::kunit::facts;
    use crate::kunit::facts::fact;
    use crate::policy::Abi;

    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    const MOV_EAX: u8 = 0xb8;

    /// What `eax` is set to before each `syscall` of the parking page.
    fn numbers() -> impl Iterator<Item = u64> {
        let code = &arch::PARKING;
        code.windows(5)
            .filter(|window| window[0] == MOV_EAX)
            .map(|window| u32::from_le_bytes([window[1], window[2], window[3], window[4]]).into())
    }

    #[test]
    fn the_parking_page_makes_the_calls_of_this_kernel() -> Result {
        let expected = [fact(c"__NR_ioctl")?, fact(c"__NR_exit")?];
        assert!(numbers().eq(expected));
        let command = fact(c"SYSLET_IOC_PARK")? as u32;
        assert!(arch::PARKING
            .windows(4)
            .any(|window| window == command.to_le_bytes()));
        facts::check(fmt!("__NR_clone"), arch::NR_CLONE.into())
    }

    #[test]
    fn a_thread_is_parked_behind_the_first_syscall() {
        let page = 0x7000_0000_1000;
        let first = arch::PARKING
            .windows(2)
            .position(|window| window == SYSCALL);
        let behind = first.map_or(0, |at| page + at + SYSCALL.len());
        for ip in page..page + arch::PARKING.len() {
            let regs = bindings::pt_regs {
                ip,
                ..Default::default()
            };
            assert!(arch::is_parked(&regs, page) == (ip == behind));
        }
    }

    #[test]
    fn a_fork_starts_at_the_page_with_nothing_of_the_users() -> Result {
        const USERS: usize = 0xaaaa_aaaa_aaaa_aaaa;

        // The arguments of clone() are set by others, and stay.
        let mut regs = bindings::pt_regs {
            bp: USERS,
            sp: USERS,
            ip: USERS,
            flags: USERS,
            bx: 3,
            di: 1,
            si: 2,
            ..Default::default()
        };
        arch::prepare_fork(&mut regs, 0x1000, 5, 77);
        assert!(regs.ip == 0x1000 && regs.r12 == 5 && regs.r13 == 77);
        assert!(regs.sp == 0 && regs.bp == 0);
        assert!(regs.di == 1 && regs.si == 2);
        assert!(arch::first_argument(&regs, Abi::X86_64) == 1);
        assert!(arch::first_argument(&regs, Abi::I386) == 3);
        facts::check(fmt!("X86_EFLAGS_IF | X86_EFLAGS_FIXED"), regs.flags as u64)
    }

    #[test]
    fn stepping_is_told_by_the_trap_flag() -> Result {
        let trap = fact(c"X86_EFLAGS_TF")? as usize;
        for bit in 0..22 {
            let regs = bindings::pt_regs {
                flags: 1 << bit,
                ..Default::default()
            };
            assert!(arch::is_stepping(&regs) == (1 << bit == trap));
        }
        Ok(())
    }
}
