// SPDX-License-Identifier: GPL-2.0

//! As much of the kernel as the module's protocols need, made of [`loom`].
//!
//! The models run the module's own files, which `build.rs` takes from `rust/`. To those this crate is
//! `kernel`; its names are the kernel's, and its locks, atomics, tasks and wake-ups are loom's, so
//! that a test runs them in every order that the memory model allows (up to a bound on preemptions).
//! What is said of a function here is how it differs from the kernel's.

// Names, signatures and contracts are the kernel's.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    clippy::cast_ptr_alignment,
    clippy::missing_safety_doc,
    clippy::not_unsafe_ptr_arg_deref,
    clippy::pub_underscore_fields,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_ret_no_self,
    clippy::undocumented_unsafe_blocks,
    clippy::cast_possible_truncation
)]

pub mod alloc;
pub mod atomic;
pub mod bindings;
pub mod error;
pub mod init;
pub mod model;
pub mod prelude;
pub mod sched;
pub mod sync;

pub use core::ffi;
pub use loom;

pub mod task {
    use crate::bindings::task_struct;

    pub struct Task(());

    impl Task {
        pub fn current_raw() -> *mut task_struct {
            crate::sched::current()
        }
    }
}

pub mod time {
    pub fn msecs_to_jiffies(ms: u32) -> u64 {
        ms.into()
    }
}

pub mod types {
    pub use crate::init::Opaque;
}

/// What only the parts of a file need that no model runs.
pub mod fs {
    pub struct File(());

    impl File {
        pub fn as_ptr(&self) -> *mut crate::bindings::file {
            core::ptr::null_mut()
        }
    }
}

pub mod page {
    pub const PAGE_SIZE: usize = 4096;
}

pub mod mm {
    /// An address space, told by its address.
    pub struct Mm(#[allow(dead_code)] u8);

    impl Mm {
        pub fn any() -> Self {
            Self(0)
        }
        pub fn as_raw(&self) -> *mut Self {
            core::ptr::from_ref(self).cast_mut()
        }
    }

    pub mod virt {
        pub mod flags {
            pub const SHARED: usize = 8;
        }

        pub struct VmaNew(());
        pub struct VmaMixedMap(());

        impl VmaNew {
            pub fn as_ptr(&self) -> *mut crate::bindings::vm_area_struct {
                core::ptr::null_mut()
            }
            pub fn start(&self) -> usize {
                0
            }
            pub fn end(&self) -> usize {
                0
            }
            pub fn flags(&self) -> usize {
                0
            }
            pub fn try_clear_mayexec(&self) -> crate::error::Result {
                Ok(())
            }
            pub fn set_dontcopy(&self) {}
            pub fn set_dontexpand(&self) {}
            pub fn set_mixedmap(&self) -> VmaMixedMap {
                VmaMixedMap(())
            }
        }

        impl VmaMixedMap {
            pub fn vm_insert_page<T>(&self, _at: usize, _page: &T) -> crate::error::Result {
                Ok(())
            }
        }
    }
}

#[macro_export]
macro_rules! container_of {
    ($field:expr, $type:ty, $name:ident) => {
        $field
            .cast::<u8>()
            .sub(core::mem::offset_of!($type, $name))
            .cast::<$type>()
    };
}
