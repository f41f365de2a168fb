// SPDX-License-Identifier: GPL-2.0

//! Tracepoints; `trace.h` says what each tells, and when it is hit.
//!
//! `kernel::declare_trace!` is for events that the kernel's own bindings know. These are the
//! module's, so the same is done here with declarations of its own.

use kernel::bindings;

macro_rules! events {
    ($($(#[$attr:meta])* $name:ident($($arg:ident: $ty:ty),*);)*) => { kernel::macros::paste! {
        // The kernel's structs are C's own, whatever rustc thinks of an empty one.
        #[allow(improper_ctypes)]
        extern "C" {
            $(
                static [<__tracepoint_syslet_ $name>]: bindings::tracepoint;
                fn [<rust_do_trace_syslet_ $name>]($($arg: $ty),*);
            )*
        }
        $(
            $(#[$attr])*
            #[inline(always)]
            pub fn $name($($arg: $ty),*) {
                // SAFETY: The key of a tracepoint may be asked in any context.
                if unsafe {
                    kernel::jump_label::static_branch_unlikely!(
                        [<__tracepoint_syslet_ $name>],
                        bindings::tracepoint,
                        key
                    )
                } {
                    // SAFETY: Plain values may be traced in any context.
                    unsafe { [<rust_do_trace_syslet_ $name>]($($arg),*) };
                }
            }
        )*
    }};
}

events! {
    /// A call has been copied and checked.
    submit(nr_programs: u32, flags: u32);
    /// The current task is about to sleep in an atom; `leaves`: its user context goes on elsewhere.
    block(user_data: u64, atom: u32, leaves: bool);
    /// The current task has taken a user context over, as worker `worker` of its head.
    handoff(user_data: u64, worker: u64);
    /// A program is over.
    complete(user_data: u64, result: i64, last: u32, flags: u32);
    /// Programs can only block in their caller.
    fallback(reason: u32);
}
