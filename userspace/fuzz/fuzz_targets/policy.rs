// SPDX-License-Identifier: GPL-2.0

//! The system call policy.

#![cfg_attr(fuzzing, no_main)]

syslet_fuzz::target!(syslet_fuzz::policy::Case);
