// SPDX-License-Identifier: GPL-2.0

//! The module's pure code, compiled for the host.
//!
//! These are the module's own files, not copies: what the tests of this crate find holds in the
//! kernel. They need only `core`, and stay so because this crate has nothing else to offer them.

#![no_std]
// They keep to the kernel's lints, which the module's build applies.
#![allow(clippy::pedantic, clippy::new_without_default)]

#[path = "../../../rust/indices.rs"]
pub mod indices;
#[path = "../../../rust/policy.rs"]
pub mod policy;
#[path = "../../../rust/program.rs"]
pub mod program;
#[path = "../../../rust/uapi.rs"]
pub mod uapi;
#[path = "../../../rust/uatom.rs"]
pub mod uatom;
