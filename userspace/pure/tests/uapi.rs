// SPDX-License-Identifier: GPL-2.0

//! `rust/uapi.rs` against `include/uapi/linux/syslet.h`, as the C compiler sees it in 64 and in
//! 32 bits.
//!
//! Both texts are read as well, so that neither side can have a name that the other lacks, and
//! neither can have one that these tests do not look at.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use syslet_pure::uapi;

/// A field: its name and its type, written as Rust does.
type Field = (String, String);

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the header defines.
#[derive(Debug, Default)]
struct Header {
    macros: BTreeSet<String>,
    structs: BTreeMap<String, Vec<Field>>,
}

impl Header {
    /// Reads the header, and refuses any line that it cannot account for.
    fn parse() -> Self {
        let text = without_comments(&read("include/uapi/linux/syslet.h"));
        let mut header = Self::default();
        let mut open: Option<(String, Vec<Field>)> = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some((_, fields)) = &mut open {
                if line == "};" {
                    let (name, fields) = open.take().expect("just matched");
                    assert!(
                        header.structs.insert(name, fields).is_none(),
                        "twice: {line}"
                    );
                } else {
                    fields.push(c_field(line));
                }
            } else if let Some(rest) = line.strip_prefix("struct ") {
                let name = rest.strip_suffix(" {").expect(line);
                open = Some((name.to_owned(), Vec::new()));
            } else if let Some(rest) = line.strip_prefix("#define ") {
                let name = rest.split_whitespace().next().expect(line);
                if name == "_UAPI_LINUX_SYSLET_H" {
                    continue;
                }
                assert!(
                    name.starts_with("SYSLET_") && !name.contains('(') && !line.ends_with('\\'),
                    "teach this test about: {line}"
                );
                assert!(header.macros.insert(name.to_owned()), "twice: {line}");
            } else {
                let known = ["#ifndef _UAPI_LINUX_SYSLET_H", "#include ", "#endif"];
                assert!(
                    known.iter().any(|start| line.starts_with(start)),
                    "teach this test about: {line}"
                );
            }
        }
        header
    }
}

fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut code = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("an open comment").1;
    }
    code + rest
}

/// Reads `__u32 name;` or `__u32 name[2];`.
fn c_field(line: &str) -> Field {
    let (ty, name) = line
        .strip_suffix(';')
        .and_then(|line| line.split_once(char::is_whitespace))
        .unwrap_or_else(|| panic!("teach this test about: {line}"));
    let ty = match ty {
        "__u8" => "u8",
        "__u32" => "u32",
        "__s64" => "i64",
        "__u64" => "u64",
        _ => panic!("not a fixed-width type of this interface: {line}"),
    };
    match name.trim().split_once('[') {
        None => (name.trim().to_owned(), ty.to_owned()),
        Some((name, len)) => {
            let len = len.strip_suffix(']').expect(line);
            (name.to_owned(), format!("[{ty}; {len}]"))
        }
    }
}

/// What the mirror's text defines.
#[derive(Debug, Default)]
struct Mirror {
    constants: BTreeSet<String>,
    structs: BTreeMap<String, Vec<Field>>,
}

impl Mirror {
    fn parse() -> Self {
        let text = read("rust/uapi.rs");
        let mut mirror = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("pub const ") {
                if !rest.starts_with("fn ") {
                    let name = rest.split_once(": ").expect(line).0;
                    mirror.constants.insert(name.to_owned());
                }
            } else if line == "abi_struct! {" {
                let mut name = None;
                let mut fields = Vec::new();
                for line in lines
                    .by_ref()
                    .map(str::trim)
                    .take_while(|&line| line != "}")
                {
                    if line.starts_with("///") {
                    } else if let Some(line) = line.strip_suffix(" {") {
                        name = line.split_once(',').map(|(name, _)| name.to_owned());
                    } else {
                        let (field, rest) = line.split_once(" @ ").expect(line);
                        let ty = rest.split_once(": ").expect(line).1;
                        let ty = ty.strip_suffix(',').expect(line);
                        fields.push((field.to_owned(), ty.to_owned()));
                    }
                }
                mirror.structs.insert(name.expect("a name"), fields);
            } else {
                assert!(
                    ![
                        "pub struct",
                        "pub enum",
                        "pub union",
                        "pub static",
                        "pub type"
                    ]
                    .iter()
                    .any(|start| line.starts_with(start)),
                    "teach this test about: {line}"
                );
            }
        }
        mirror
    }
}

/// The mirror's constants and their values.
fn constants() -> BTreeMap<&'static str, i128> {
    macro_rules! constants {
        ($($name:ident)*) => {
            [$((stringify!($name), i128::try_from(uapi::$name).expect("it fits"))),*].into()
        };
    }
    constants! {
        MAX_ATOMS MAX_PROGRAMS MAX_CQ_ENTRIES MAX_THREADS NOT_RUN
        STOP_ON_NONZERO STOP_ON_ZERO STOP_ON_NEGATIVE STOP_ON_NON_POSITIVE SKIP_ON_STOP
        NR_UMEM_ADD ASYNC SYNC NO_COMPLETE DONE PENDING
        FEAT_ASYNC FEAT_CANCEL FEAT_COMPAT FEAT_UATOM FEAT_STABLE_TID FEAT_COMPAT_ASYNC
        POLICY_UNKNOWN POLICY_ALLOW POLICY_DENY
        EXEC_RING_ALL EXEC_NOWAIT WAIT_ABS CANCEL_ALL
        CQE_ASYNC CQE_STOPPED CQE_CANCELED CQE_FAULT
        IOC_MAGIC IOC_QUERY IOC_SETUP IOC_EXEC IOC_WAIT IOC_CANCEL IOC_EVENTFD IOC_EXEC_UATOM
        IOC_PARK
    }
}

/// A struct of the mirror: its name there and in C, its size, and its fields' offsets.
type Layout = (
    &'static str,
    &'static str,
    usize,
    &'static [(&'static str, usize)],
);

fn layouts() -> Vec<Layout> {
    macro_rules! layouts {
        ($($name:ident $c_name:literal)*) => {
            vec![$((stringify!($name), $c_name, uapi::$name::SIZE, uapi::$name::LAYOUT)),*]
        };
    }
    layouts! {
        Atom "syslet_atom"
        Program "syslet_program"
        Query "syslet_query"
        Setup "syslet_setup"
        Exec "syslet_exec"
        Wait "syslet_wait"
        Cancel "syslet_cancel"
        UatomExec "syslet_uatom_exec"
        RingHeader "syslet_ring"
        Cqe "syslet_cqe"
    }
}

/// What the C compiler makes of the header, by a name of the value.
fn compile(header: &Header, width: &str) -> BTreeMap<String, i128> {
    let mut code = String::from(
        "#include <linux/syslet.h>\n\
         #define EMIT(name, value) __asm__ volatile(\
         \"\\n.ascii \\\"->\" name \" %c0\\\"\" : : \"i\"(value))\n\
         #define EMIT_ALL(name, value) do {\
         EMIT(name \" low\", (unsigned int)(value));\
         EMIT(name \" high\", (unsigned int)((unsigned long long)(value) >> 32));\
         EMIT(name \" negative\", (value) < 0); } while (0)\n\
         void probe(void);\n\
         void probe(void)\n{\n",
    );
    for name in &header.macros {
        writeln!(code, "EMIT_ALL(\"{name}\", {name});").expect("a string");
    }
    for (name, fields) in &header.structs {
        writeln!(code, "EMIT_ALL(\"{name}\", sizeof(struct {name}));").expect("a string");
        for (field, _) in fields {
            writeln!(
                code,
                "EMIT_ALL(\"{name}.{field}\", __builtin_offsetof(struct {name}, {field}));"
            )
            .expect("a string");
        }
    }
    code.push_str("}\n");

    // Only assembly is asked for, so 32 bits need no 32-bit C library; but where the headers of
    // one architecture have a directory of their own, both must be shown it.
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = dir.join(format!("uapi{width}.c"));
    fs::write(&source, code).expect("the target directory can be written to");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(&compiler)
        .args(["-S", "-O2", "-std=gnu11", width, "-o", "-"])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-type-limits"])
        .arg("-I")
        .arg(root().join("include/uapi"))
        .args(["-idirafter", "/usr/include/x86_64-linux-gnu"])
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("no C compiler {compiler:?}: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let mut parts: BTreeMap<String, BTreeMap<String, i128>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let Some((_, rest)) = line.split_once("->") else {
            continue;
        };
        let words: Vec<_> = rest.trim_end_matches('"').split(' ').collect();
        let [name, part, value] = words[..] else {
            panic!("cannot read: {line}");
        };
        let value = value.parse().expect(line);
        parts
            .entry(name.to_owned())
            .or_default()
            .insert(part.to_owned(), value);
    }
    parts
        .into_iter()
        .map(|(name, parts)| {
            // An operand may be printed as a signed number of its width.
            let half = |part: &str| parts[part] & 0xffff_ffff;
            let sign = if parts["negative"] == 0 { 0 } else { 1 << 64 };
            (name, ((half("high") << 32) | half("low")) - sign)
        })
        .collect()
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_unstable();
    names
}

#[test]
fn constants_are_all_mirrored_and_all_compared() {
    let (header, mirror, compared) = (Header::parse(), Mirror::parse(), constants());
    assert!(
        header.macros.len() > 40,
        "the header was not read: {header:?}"
    );
    assert_eq!(
        sorted(header.macros.iter().map(|name| &name["SYSLET_".len()..])),
        sorted(mirror.constants.iter().map(String::as_str)),
    );
    assert_eq!(
        sorted(mirror.constants.iter().map(String::as_str)),
        sorted(compared.into_keys()),
    );
}

#[test]
fn structs_are_all_mirrored_and_all_compared() {
    let (header, mirror) = (Header::parse(), Mirror::parse());
    let compared = layouts();
    assert_eq!(
        sorted(header.structs.keys().map(String::as_str)),
        sorted(compared.iter().map(|layout| layout.1)),
    );
    assert_eq!(
        sorted(mirror.structs.keys().map(String::as_str)),
        sorted(compared.iter().map(|layout| layout.0)),
    );
}

#[test]
fn fields_have_the_same_names_and_types_in_the_same_order() {
    let (header, mirror) = (Header::parse(), Mirror::parse());
    for (name, c_name, _, layout) in layouts() {
        assert_eq!(header.structs[c_name], mirror.structs[name], "{name}");
        let names: Vec<_> = mirror.structs[name].iter().map(|field| &field.0).collect();
        let laid_out: Vec<_> = layout.iter().map(|field| field.0).collect();
        assert_eq!(names, laid_out, "{name}");
    }
}

#[test]
fn structs_are_free_of_padding_and_of_a_size_divisible_by_8() {
    for (name, c_name, size, layout) in layouts() {
        assert_eq!(size % 8, 0, "{name}");
        let mut offset = 0;
        for (field, (_, ty)) in layout.iter().zip(&Header::parse().structs[c_name]) {
            assert_eq!(field.1, offset, "{name}.{}", field.0);
            offset += size_of_type(ty);
        }
        assert_eq!(size, offset, "{name}");
    }
}

fn size_of_type(ty: &str) -> usize {
    match ty {
        "u8" => 1,
        "u32" => 4,
        "i64" | "u64" => 8,
        _ => {
            let inner = ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']'));
            let (ty, len) = inner.and_then(|ty| ty.split_once("; ")).expect(ty);
            size_of_type(ty) * len.parse::<usize>().expect("a length")
        }
    }
}

fn values_are_what_the_compiler_sees(width: &str) {
    let seen = compile(&Header::parse(), width);
    let offset = |value: usize| i128::try_from(value).expect("it fits");
    let mut mirrored = BTreeMap::new();
    for (name, value) in constants() {
        mirrored.insert(format!("SYSLET_{name}"), value);
    }
    for (_, c_name, size, layout) in layouts() {
        mirrored.insert(c_name.to_owned(), offset(size));
        for &(field, at) in layout {
            mirrored.insert(format!("{c_name}.{field}"), offset(at));
        }
    }
    assert_eq!(mirrored, seen);
}

#[test]
fn values_are_what_a_64_bit_compiler_sees() {
    values_are_what_the_compiler_sees("-m64");
}

#[test]
fn values_are_what_a_32_bit_compiler_sees() {
    values_are_what_the_compiler_sees("-m32");
}

#[test]
fn commands_differ_without_their_sizes() {
    let commands: Vec<_> = constants()
        .into_iter()
        .filter(|(name, _)| name.starts_with("IOC_") && *name != "IOC_MAGIC")
        .map(|(_, value)| uapi::ioc_unsized(u32::try_from(value).expect("32 bits")))
        .collect();
    let distinct: BTreeSet<_> = commands.iter().collect();
    assert_eq!(commands.len(), distinct.len());
    for command in commands {
        // Direction, type and number are left.
        assert_eq!(command & 0x3fff_0000, 0);
        assert_eq!((command >> 8) & 0xff, uapi::IOC_MAGIC);
        assert_eq!(uapi::ioc_unsized(command | 0x1234_0000), command);
    }
}
