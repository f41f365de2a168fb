// SPDX-License-Identifier: GPL-2.0

//! The rest of the module, as far as the files that are run know it.

#![allow(
    clippy::missing_safety_doc,
    clippy::new_without_default,
    clippy::unnecessary_wraps,
    clippy::unused_self
)]

pub use syslet_pure::indices;
pub use syslet_pure::program;
pub use syslet_pure::uapi;

pub mod batch {
    use syslet_pure::uapi;

    pub struct Batch {
        programs: [uapi::Program; 1],
    }

    impl Batch {
        pub fn new() -> Self {
            Self {
                programs: [uapi::Program::default()],
            }
        }

        pub fn programs(&self) -> &[uapi::Program] {
            &self.programs
        }

        pub fn write_outcome(&self, _: usize, _: i64, _: u32, _: u32) -> kernel::error::Result {
            Ok(())
        }
    }
}

pub mod dispatch {
    use kernel::bindings::pt_regs;
    use kernel::bindings::task_struct;

    /// The frame of the current task.
    pub struct Frame;

    impl Frame {
        pub fn restore(&self, regs: &pt_regs) {
            regs.read();
        }

        pub unsafe fn exchange(&self, _: *mut task_struct, saved: &mut pt_regs) {
            saved.read();
            *saved = pt_regs::default();
        }
    }
}

pub mod head {
    pub struct Head;
}

pub mod identity {
    use kernel::bindings::task_struct;

    pub unsafe fn same_origin(_: *mut task_struct) -> bool {
        true
    }

    pub unsafe fn take(from: *mut task_struct, _mask: usize, _users: usize) -> bool {
        kernel::model::take_user(from);
        true
    }

    pub fn hold_tid() -> *mut kernel::bindings::pid {
        core::ptr::null_mut()
    }

    pub unsafe fn become_cachemiss_thread() {}
}

/// Nobody sends signals to a thread here.
pub mod late {
    pub struct Late;

    impl Late {
        pub fn new() -> Self {
            Self
        }
    }

    pub fn expect<T>(_: &T) {}
    pub fn hand_over<T>(_: &T) {}
}

/// Nobody arms CPU timers here.
pub mod settle {
    use kernel::sync::Arc;

    pub struct LastHandoff;

    impl LastHandoff {
        pub fn never() -> Self {
            Self
        }

        pub fn note(&self) {}

        pub fn forget(&self) -> Option<bool> {
            None
        }
    }

    pub struct Settling;

    impl Settling {
        pub fn new() -> kernel::error::Result<Arc<Self>> {
            Ok(Arc::pin_new(Self))
        }

        pub fn is_under_way(&self) -> bool {
            false
        }
    }

    pub fn wait_in_exit(_: &Arc<Settling>, _: bool) -> kernel::error::Result {
        Ok(())
    }
}

pub mod process {
    use kernel::atomic::Acquire;
    use kernel::atomic::Atomic;
    use kernel::atomic::Release;

    kernel::loom::lazy_static! {
        static ref ALONE: Atomic<bool> = Atomic::<bool>::new(false);
    }

    pub fn is_single_threaded(_: bool) -> bool {
        ALONE.load(Acquire)
    }

    /// All user threads but one are gone.
    pub fn leave_one() {
        ALONE.store(true, Release);
    }
}

pub mod run {
    use kernel::model::signals;
    use kernel::model::Signal;

    pub fn signal_pending() -> bool {
        signals() != 0
    }

    pub fn fatal_signal_pending() -> bool {
        signals() & Signal::Kill as u32 != 0
    }
}

pub mod symbols {
    pub mod raw {
        pub unsafe fn syslet_task_pt_regs(
            task: *mut kernel::bindings::task_struct,
        ) -> *mut kernel::bindings::pt_regs {
            // SAFETY: The task outlives the model.
            unsafe { &raw mut (*task).regs }
        }

        pub unsafe fn syslet_block_spare(_: *mut kernel::bindings::task_struct) {}

        /// No process of these scenarios has none registered when a task exits.
        pub unsafe fn syslet_mark_exit(_: *mut kernel::bindings::task_struct) {}

        pub unsafe fn syslet_exits_last(task: *mut kernel::bindings::task_struct) -> bool {
            kernel::model::exits_last(task)
        }

        pub unsafe fn syslet_count_threads(most: kernel::ffi::c_int) -> kernel::ffi::c_int {
            kernel::model::count_threads(most)
        }

        pub unsafe fn syslet_task_work_run() {
            kernel::sched::task_work_run();
        }
    }
}

pub mod trace {
    pub fn block(_: u64, _: u32, _: bool) {}
    pub fn handoff(_: u64, _: u64) {}
}
