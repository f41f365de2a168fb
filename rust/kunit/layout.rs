// SPDX-License-Identifier: GPL-2.0

//! Structures, as the kernel's C compiler lays them out.

use kernel::prelude::*;

#[kunit_tests(syslet_layout)]
mod tests {
    use core::mem::offset_of;
    use core::mem::size_of;

    use kernel::bindings;

    use super::*;
    use crate::kunit::facts;
    use crate::uapi;

    fn interface(name: &str, size: usize, layout: &[(&str, usize)]) -> Result {
        facts::check(fmt!("{name}"), size as u64)?;
        for &(field, offset) in layout {
            facts::check(fmt!("{name}.{field}"), offset as u64)?;
        }
        if facts::count(fmt!("{name}."))? != layout.len() {
            pr_err!("{name} has other fields in the kernel\n");
            return Err(EINVAL);
        }
        Ok(())
    }

    macro_rules! interface {
        ($($name:literal $mirror:ident,)*) => {{
            $(interface($name, size_of::<uapi::$mirror>(), uapi::$mirror::LAYOUT)?;)*
        }};
    }

    #[test]
    fn the_interface_is_the_headers() -> Result {
        interface! {
            "syslet_atom" Atom,
            "syslet_program" Program,
            "syslet_query" Query,
            "syslet_setup" Setup,
            "syslet_exec" Exec,
            "syslet_wait" Wait,
            "syslet_cancel" Cancel,
            "syslet_uatom_exec" UatomExec,
            "syslet_ring" RingHeader,
            "syslet_cqe" Cqe,
        }
        Ok(())
    }

    #[test]
    fn commands_are_the_headers() -> Result {
        for (name, command) in [
            ("QUERY", uapi::IOC_QUERY),
            ("SETUP", uapi::IOC_SETUP),
            ("EXEC", uapi::IOC_EXEC),
            ("WAIT", uapi::IOC_WAIT),
            ("CANCEL", uapi::IOC_CANCEL),
            ("EVENTFD", uapi::IOC_EVENTFD),
            ("EXEC_UATOM", uapi::IOC_EXEC_UATOM),
            ("PARK", uapi::IOC_PARK),
        ] {
            facts::check(fmt!("SYSLET_IOC_{name}"), command.into())?;
        }
        Ok(())
    }

    /// Checks the size of a struct, and where all that is known about its fields says they are.
    macro_rules! bound {
        ($name:ident { $($($field:ident).+,)* }) => {{
            let mut known = 0;
            $(
                let name = concat!(stringify!($name), $(".", stringify!($field)),+);
                facts::check(fmt!("{name}"), offset_of!(bindings::$name, $($field).+) as u64)?;
                known += 1;
            )*
            if facts::count(fmt!("{}.", stringify!($name)))? != known {
                return Err(EINVAL);
            }
        }};
    }

    #[test]
    fn tasks_are_as_bindgen_has_them() -> Result {
        facts::check(
            fmt!("task_struct"),
            size_of::<bindings::task_struct>() as u64,
        )?;
        bound!(task_struct {
            thread_info.flags,
            thread_info.syscall_work,
            __state,
            flags,
            ptrace,
            on_rq,
            se.sched_delayed,
            mm,
            files,
            signal,
            blocked.sig,
            saved_sigmask.sig,
            pending.signal.sig,
            restart_block,
            pdeath_signal,
            children,
            group_leader,
            ptraced,
            vfork_done,
            set_child_tid,
            clear_child_tid,
            posix_cputimers.bases,
            comm,
            io_uring,
            seccomp.mode,
            futex.robust_list,
            futex.compat_robust_list,
            futex.pi_state_list,
            perf_event_ctxp,
            utask,
        });
        bound!(signal_struct {
            live,
            flags,
            group_exit_code,
        });
        Ok(())
    }

    #[test]
    fn the_bit_for_a_mask_to_restore_is_where_c_has_it() -> Result {
        let size = size_of::<bindings::task_struct>();
        // No task, but as large as one.
        let mut memory = KVVec::<u64>::from_elem(0, size.div_ceil(8), GFP_KERNEL)?;
        let task: *mut bindings::task_struct = memory.as_mut_ptr().cast();
        for value in [1, 0] {
            // SAFETY: There is memory for all of it, and any bytes do for these.
            let theirs = unsafe {
                bindings::task_struct::set_restore_sigmask_raw(task, value);
                facts::restores_sigmask(task)
            };
            assert!(theirs == (value == 1));
        }
        assert!(memory.iter().all(|&word| word == 0));
        Ok(())
    }

    #[test]
    fn registers_are_as_bindgen_has_them() -> Result {
        facts::check(fmt!("pt_regs"), size_of::<bindings::pt_regs>() as u64)?;
        bound!(pt_regs {
            r15,
            r14,
            r13,
            r12,
            bp,
            bx,
            r11,
            r10,
            r9,
            r8,
            ax,
            cx,
            dx,
            si,
            di,
            orig_ax,
            ip,
            flags,
            sp,
        });
        Ok(())
    }
}
