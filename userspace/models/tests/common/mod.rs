// SPDX-License-Identifier: GPL-2.0

//! How the suites' tests are made.

use std::env;
use std::process::Command;

/// Set where a mistake is let loose.
const LOOSE: &str = "SYSLET_MODELS_LOOSE";

/// `scenario` has to fail, and to say `shows`. In a process of its own: what a deadlock leaves
/// behind cannot be cleaned up.
pub fn fails(test: &str, shows: &str, scenario: fn()) {
    if env::var_os(LOOSE).is_some() {
        return scenario();
    }
    let output = Command::new(env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture"])
        .env(LOOSE, "1")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{test} was not noticed");
    assert!(said.contains(shows), "{test} was noticed otherwise: {said}");
}

/// Tests of the module as it is.
#[allow(unused_macros)]
macro_rules! real {
    ($($scenario:ident)*) => {$(
        #[test]
        fn $scenario() {
            real::scenarios::$scenario();
        }
    )*};
}

/// Tests of its mistakes, each with the scenario that it shows in, and how.
#[allow(unused_macros)]
macro_rules! mistaken {
    ($($mistake:ident: $scenario:ident, $shows:literal;)*) => {$(
        #[test]
        fn $mistake() {
            common::fails(
                stringify!($mistake),
                $shows,
                $mistake::scenarios::$scenario,
            );
        }
    )*};
}
