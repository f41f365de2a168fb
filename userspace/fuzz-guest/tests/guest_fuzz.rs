// SPDX-License-Identifier: GPL-2.0

//! The corpus, run again, and what comes of it in some seconds.

use std::process::Command;

#[test]
fn cases_leave_nothing_behind() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    // In one go: others that use the module meanwhile would be taken for what a case has left.
    let done = Command::new(env!("CARGO_BIN_EXE_syslet-fuzz"))
        .args(["--seed", "20070213", "--seconds", "30", "--limit", "1000"])
        .args(["--corpus", corpus])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let complained = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{complained}");
}
