// SPDX-License-Identifier: GPL-2.0

//! Checked programs.

#![cfg_attr(fuzzing, no_main)]

syslet_fuzz::target!(syslet_fuzz::program::Case);
