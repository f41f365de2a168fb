// SPDX-License-Identifier: GPL-2.0

//! The ring's indices.

#![cfg_attr(fuzzing, no_main)]

syslet_fuzz::target!(syslet_fuzz::indices::Case);
