// SPDX-License-Identifier: GPL-2.0

//! Chains of uatoms.

#![cfg_attr(fuzzing, no_main)]

syslet_fuzz::target!(syslet_fuzz::uatom::Case);
