// SPDX-License-Identifier: GPL-2.0

//! Short sequences of system calls, submitted at once to `/dev/syslet`.
//!
//! A [`Program`] is a list of *atoms*, one system call each. The kernel runs them one after the
//! other; an atom can take the result of an earlier one as an argument, and a condition on its
//! own result can end the program or jump forward. One entry into the kernel runs any number of
//! programs.
//!
//! ```no_run
//! use nix::fcntl::OFlag;
//! use nix::sys::stat::Mode;
//! use syslet::{Head, Program, CWD};
//!
//! let head = Head::open()?;
//! let mut buf = [0; 4096];
//!
//! let mut p = Program::new();
//! let fd = p.openat(CWD, c"/etc/hostname", OFlag::O_RDONLY, Mode::empty())?;
//! let read = p.read(&fd, &mut buf)?;
//! p.close(fd)?;
//!
//! let outcome = head.run(&mut p)?;
//! let len = outcome.get(&read)?;
//! println!("{}", String::from_utf8_lossy(&buf[..len]));
//! # Ok::<(), syslet::Error>(())
//! ```
//!
//! # Two ways to run
//!
//! [`Head::run`] and [`Head::run_all`] never leave the caller: when they return the kernel is
//! done with every buffer. Programs may therefore borrow: `Program<'a>` holds `&'a mut [u8]`,
//! `BorrowedFd<'a>`, `&'a CStr`, and the compiler keeps them alive and unaliased.
//!
//! [`Head::submit`] takes the program away, because one that would block goes on in the
//! background after the call has returned. It takes `Program<'static>` only: one that owns what
//! it touches (`Vec<u8>`, `CString`, `Arc<OwnedFd>`, [`Alloc`]) or refers to it for ever. The
//! [`Head`] keeps a program in flight, buffers and all, until its completion hands it back; a
//! head that is dropped before leaks it. There is no way to have the kernel write to memory that
//! was freed.
//!
//! # Results and errors
//!
//! An atom that fails is not an error of the call that ran it. Typed calls return *handles*;
//! [`Outcome::get`] turns a handle into the call's value, or into an [`AtomError`] that names the
//! atom: `atom 2 (read): EIO: I/O error`. By default a program ends at the first atom that fails,
//! as a Rust function would at a `?`; [`Program::stop_if`], [`Program::skip_if`] and
//! [`Program::carry_on`] change that atom by atom.
//!
//! Descriptors that a program opens belong to it: those that it has not closed itself are closed
//! when it is dropped or run again, or taken out with [`Outcome::take_fd`].
//!
//! # Layers
//!
//! [`uapi`] is the kernel's own description of the interface, [`raw`] are its commands as unsafe
//! functions, and everything else is built on those two.

#![deny(missing_docs)]
#![warn(clippy::undocumented_unsafe_blocks)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("atoms are encoded for 64-bit Linux");

mod buffer;
mod device;
mod error;
mod flight;
mod head;
mod outcome;
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::doc_markdown,
    reason = "shared with the module, which has lints of its own"
)]
#[path = "../../../rust/policy.rs"]
#[rustfmt::skip]
pub mod policy;
mod program;
pub mod raw;
mod submit;
#[allow(
    clippy::cast_possible_truncation,
    clippy::precedence,
    reason = "shared with the module, which has lints of its own"
)]
#[path = "../../../rust/uapi.rs"]
#[rustfmt::skip]
pub mod uapi;
mod wait;

pub use buffer::{Alloc, OutBuf, OutRef, Plain};
pub use device::{Device, Features, Info, Verdict, DEFAULT_PATH};
pub use error::{AtomError, AtomFailure, BuildError, Error};
pub use flight::Ticket;
pub use head::{Head, HeadBuilder};
pub use outcome::Outcome;
pub use program::{
    Adopted, Bytes, Close, Count, Counter, Data, Fd, FdArg, FdClose, FdMut, Handle, Holds, Num,
    Number, PathArg, Pipe, Program, RawArg, Size, Stop, Unit, Word, CWD,
};
pub use submit::{Completion, CompletionFlags, Completions, SubmitError, SubmitFlags, Submitted};
pub use wait::WaitFor;
