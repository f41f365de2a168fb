// SPDX-License-Identifier: GPL-2.0

//! The module's pure code against its oracles, on inputs that a fuzzer makes.
//!
//! An input is decoded by hand, a byte or two for a choice and a list up to the end, so that a
//! fuzzer's small changes are small ones here. Every input is a case.

use std::fmt::Debug;

use arbitrary::Arbitrary;
use arbitrary::Unstructured;

pub mod choices;
#[cfg(test)]
mod corpora;
pub mod indices;
pub mod policy;
pub mod program;
pub mod uatom;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// What a fuzzer comes up with.
pub trait Case: for<'a> Arbitrary<'a> + Debug {
    /// Panics if the module does something wrong.
    fn check(&self);
}

/// The case that an input stands for.
pub fn decode<C: Case>(input: &[u8]) -> arbitrary::Result<C> {
    C::arbitrary_take_rest(Unstructured::new(input))
}

/// Replays the inputs in the files that are named on the command line, and shows them.
///
/// # Panics
///
/// On what the module does wrong, and what cannot be read.
pub fn replay<C: Case>() {
    for path in std::env::args_os().skip(1) {
        let path = std::path::PathBuf::from(path);
        let input =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let case: C = decode(&input).expect("every input is a case");
        println!("{}: {case:#x?}", path.display());
        case.check();
    }
}

/// The `main` of a target, or what libFuzzer has instead.
#[macro_export]
macro_rules! target {
    ($case:ty) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|input: &[u8]| {
            if let Ok(case) = $crate::decode::<$case>(input) {
                $crate::Case::check(&case);
            }
        });

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay::<$case>();
        }
    };
}
