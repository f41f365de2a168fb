// SPDX-License-Identifier: GPL-2.0

//! Takes the module's files for the tests, as they are and with one mistake each.
//!
//! A test crate gets its variants as `mod`s from a generated file: `real`, and one for each of its
//! mistakes. In each the modules are siblings, and `scenarios` is the tests' own file.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

include!("mistakes.rs");

/// What is run by a test crate, and the mistakes that it has to find.
struct Suite {
    name: &'static str,
    files: &'static [&'static str],
    mistakes: &'static [Mistake],
}

/// `name` is one that a file of the module has if `from`, which is in it once, is replaced by `to`.
struct Mistake {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// What loom has to be told of, and paths, which begin one level deeper.
const ADAPTATIONS: &[(&str, &str, &str)] = &[
    (
        "flight",
        "use core::cell::UnsafeCell;",
        "use kernel::model::UnsafeCell;",
    ),
    (
        "ring",
        "        unsafe {
            self.base
                .as_ptr()
                .add(CQES_OFFSET + index * size_of::<Cqe>())
                .cast::<Cqe>()
                .write_volatile(*cqe)
        };",
        "        unsafe {
            kernel::model::write_shared(
                self.base
                    .as_ptr()
                    .add(CQES_OFFSET + index * size_of::<Cqe>())
                    .cast::<Cqe>(),
                *cqe,
            )
        };",
    ),
    (
        "ring",
        "    /// Length of the mapping.
    pub fn bytes(",
        "    pub fn model_base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub fn bytes(",
    ),
    (
        "process",
        "static REGISTERED: Atomic<i32> = Atomic::new(0);",
        "kernel::loom::lazy_static! { static ref REGISTERED: Atomic<i32> = Atomic::new(0); }
        pub fn registered() -> i32 { REGISTERED.load(Relaxed) }",
    ),
    (
        "notify",
        "    /// Adds one to its count.",
        "    pub fn model_ctx(&self) -> *const bindings::eventfd_ctx {
        self.0.as_ptr()
    }
",
    ),
];

fn replace_once(text: &str, from: &str, to: &str, what: &str) -> String {
    assert_eq!(
        text.matches(from).count(),
        1,
        "{what}: is this still so in the module?\n{from}"
    );
    text.replace(from, to)
}

/// A file of the module, as a test crate can have it.
fn adapted(rust: &Path, name: &str) -> String {
    let path = rust.join(name).with_extension("rs");
    println!("cargo::rerun-if-changed={}", path.display());
    let mut text = fs::read_to_string(&path).expect("a file of the module");
    for (_, from, to) in ADAPTATIONS.iter().filter(|(file, ..)| *file == name) {
        text = replace_once(&text, from, to, name);
    }
    text.replace("#[no_mangle]\nextern \"C\" fn", "pub fn")
        .replace("#[pin_data]\n", "")
        .replace("    #[pin]\n", "")
        // A panic has to come through.
        .replace("extern \"C\" ", "")
        .replace("crate::", "super::")
}

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let rust = here.join("../../rust");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=mistakes.rs");

    for suite in SUITES {
        let dir = out.join(suite.name);
        fs::create_dir_all(&dir).expect("a directory");
        let mut variants = String::new();
        let real = Mistake {
            name: "real",
            file: "",
            from: "",
            to: "",
        };
        for mistake in std::iter::once(&real).chain(suite.mistakes) {
            variants += &format!(
                "pub mod {} {{\n    #[allow(unused_imports)]\n    use crate::rest::*;\n",
                mistake.name
            );
            for name in suite.files {
                let mut file = dir.join(format!("{name}.rs"));
                let mut text = adapted(&rust, name);
                if *name == mistake.file {
                    text = replace_once(&text, mistake.from, mistake.to, mistake.name);
                    file = dir.join(format!("{}.rs", mistake.name));
                }
                fs::write(&file, text).expect("a file");
                // The module's lints are those of its own build.
                variants += &format!(
                    "    #[allow(clippy::all, clippy::pedantic, warnings)]\n    #[path = {file:?}]\n    pub mod {name};\n"
                );
            }
            let scenarios = here.join("tests").join(suite.name).join("scenarios.rs");
            variants += &format!("    #[path = {scenarios:?}]\n    pub mod scenarios;\n}}\n");
        }
        fs::write(out.join(format!("{}.rs", suite.name)), variants).expect("a file");
    }
}
