// SPDX-License-Identifier: GPL-2.0

use proptest::prelude::*;
use syslet::{uapi, Stop};

use super::parse::{Arg, Condition};
use super::*;

fn mistake(source: &str) -> String {
    let mistake = parse(source).unwrap_err();
    let shown = mistake.in_source(source);
    shown.to_string()
}

fn first_line(source: &str) -> String {
    mistake(source).lines().next().unwrap().to_owned()
}

#[test]
fn a_program_on_one_line() {
    let source = r#"openat(AT_FDCWD, "/etc/hostname", O_RDONLY | O_CLOEXEC); read($0, buf[4096], 4096); close($0)"#;
    let programs = parse(source).unwrap();
    let [program] = &programs[..] else {
        panic!("one program");
    };
    let [open, read, close] = &program.atoms[..] else {
        panic!("three atoms");
    };
    assert_eq!((open.nr, read.nr, close.nr), (257, 0, 3));
    let path = Arg::Text(b"/etc/hostname".to_vec());
    assert_eq!(
        open.args,
        [Arg::Value(u64::MAX - 99), path, Arg::Value(0o2_000_000)]
    );
    assert_eq!(
        read.args,
        [Arg::Result(0), Arg::Buffer(0), Arg::Value(4096)]
    );
    assert_eq!(close.args, [Arg::Result(0)]);
    assert_eq!(close.condition, Condition::StopIf(Stop::NEGATIVE));
    assert_eq!(
        (program.buffers[0].name.as_str(), program.buffers[0].len),
        ("buf", 4096)
    );

    let ready = lower(program).unwrap();
    let atoms = ready.program.atoms();
    assert_eq!(atoms[1].arg_from, [1, 0, 0, 0, 0, 0]);
    assert_eq!(
        atoms[1].args[1],
        ready.memory.buffers[0].bytes.as_ptr().addr() as u64
    );
    assert!(ready.program.names().eq(["openat", "read", "close"]));
}

#[test]
fn names_buffers_and_words() {
    let source = "me = getpid(); kill($me, 0); read(0, a[8], 8); write(1, a, $2); \
                  nanosleep({1, 500}, NULL); pread64(0, a[9], 9, -1)";
    let program = parse(source).unwrap().remove(0);
    assert_eq!(program.atoms[1].args, [Arg::Result(0), Arg::Value(0)]);
    assert_eq!(program.atoms[3].args[1..], [Arg::Buffer(0), Arg::Result(2)]);
    assert_eq!(
        program.atoms[4].args,
        [Arg::Words(vec![1, 500]), Arg::Value(0)]
    );
    assert_eq!(program.atoms[5].args[1], Arg::Buffer(1));
    assert_eq!(program.atoms[5].args[3], Arg::Value(u64::MAX));
    assert_eq!(lower(&program).unwrap().memory.buffers[1].bytes.len(), 9);
}

#[test]
fn conditions() {
    let source = "read(0, b[1], 1) stop if <= 0; getpid() skip 1 if == 0; getpid() carry on; \
                  getpid() stop if != 0; umem_add(b, 1)";
    let program = parse(source).unwrap().remove(0);
    let conditions: Vec<_> = program.atoms.iter().map(|atom| atom.condition).collect();
    assert_eq!(
        conditions,
        [
            Condition::StopIf(Stop::NON_POSITIVE),
            Condition::SkipIf(Stop::ZERO, 1),
            Condition::CarryOn,
            Condition::StopIf(Stop::NONZERO),
            Condition::CarryOn,
        ]
    );
    let ready = lower(&program).unwrap();
    let flags: Vec<_> = ready
        .program
        .atoms()
        .iter()
        .map(|a| (a.flags, a.skip))
        .collect();
    let skip = uapi::STOP_ON_ZERO | uapi::SKIP_ON_STOP;
    assert_eq!(flags[..2], [(uapi::STOP_ON_NON_POSITIVE, 0), (skip, 1)]);
    assert_eq!(flags[2..], [(0, 0), (uapi::STOP_ON_NONZERO, 0), (0, 0)]);
}

#[test]
fn programs_stand_on_lines() {
    let source = "# two of them\ngetpid();\n\n39(\n  # by number, over lines\n); getppid() # end";
    let programs = parse(source).unwrap();
    let counts: Vec<_> = programs.iter().map(|program| program.atoms.len()).collect();
    assert_eq!(counts, [1, 2]);
    assert_eq!(programs[1].atoms[0].nr, 39);
    assert_eq!(parse(" \n# nothing\n").unwrap(), []);
    // Names and buffers are the program's own.
    assert!(parse("a = getpid()\nkill($a, 0)").is_err());
    assert!(parse("read(0, b[1], 1)\nwrite(1, b, 1)").is_err());
}

#[test]
fn numbers_and_texts() {
    let source = r#"getrandom(0x1F, 0644, 0o17, 0, "a\n\t\r\0\\\"\x7fä")"#;
    let args = parse(source).unwrap().remove(0).atoms.remove(0).args;
    let numbers = [0x1f, 0o644, 0o17, 0].map(Arg::Value);
    assert_eq!(args[..4], numbers);
    assert_eq!(args[4], Arg::Text("a\n\t\r\0\\\"\x7fä".as_bytes().to_vec()));
}

#[test]
fn mistakes_are_shown_in_their_line() {
    let shown = mistake("getpid()\n\topenat(AT_FDCWD, \"x\", O_RDNLY)");
    let expected = "line 2, column 24: `O_RDNLY` is neither a constant nor a buffer; is it \
                    `O_RDONLY`?\n  \topenat(AT_FDCWD, \"x\", O_RDNLY)\n  \t                      ^";
    assert_eq!(shown, expected);
}

#[test]
fn mistakes_say_what_is_wanted() {
    for (source, expected) in [
        ("opan()", "1: no system call is named `opan`"),
        ("getpid", "7: `(` is wanted, not the end"),
        (
            "getpid() getpid()",
            "10: `;`, a condition or the end of the line is wanted, not `getpid`",
        ),
        ("kill(1 2)", "8: `,` or `)` is wanted, not `2`"),
        ("kill(1,", "8: an argument is wanted, not the end"),
        (
            "kill($0, 1)",
            "6: atoms are counted from 0, and only 0 are before this one",
        ),
        ("kill($me, 1)", "6: no atom before this one is named `me`"),
        (
            "a = kill($a, 1)",
            "10: no atom before this one is named `a`",
        ),
        (
            "a = getpid(); a = getpid()",
            "15: there is an atom named `a` already",
        ),
        (
            "kill($, 1)",
            "6: `$` needs the index or the name of an atom",
        ),
        ("kill(\"x\" | 1)", "6: only numbers can be joined by `|`"),
        (
            "kill(1 | $0)",
            "10: atoms are counted from 0, and only 0 are before this one",
        ),
        (
            "kill(1, 2, 3, 4, 5, 6, 7)",
            "24: a system call has at most 6 arguments",
        ),
        (
            "kill(99999999999999999999)",
            "6: `99999999999999999999` is no number of 64 bits",
        ),
        ("kill(09)", "6: `09` is no number of 64 bits"),
        ("kill(\"x", "6: the text has no end"),
        (
            "kill(\"\\q\")",
            "7: only \\n, \\t, \\r, \\0, \\\\, \\\" and \\xHH are known",
        ),
        ("kill(b[0])", "8: a buffer has 1 to 67108864 bytes"),
        ("kill({1, x})", "10: a number is wanted, not `x`"),
        ("getpid() stop 1", "15: `if` is wanted, not `1`"),
        (
            "getpid() stop if 1",
            "18: `<`, `<=`, `==` or `!=` is wanted, not `1`",
        ),
        ("getpid() stop if < 1", "20: `0` is wanted, not `1`"),
        ("getpid() skip 0 if < 0", "15: 1 to 63 atoms can be skipped"),
        (
            "getpid() skip 1 if < 0",
            "1: skips 1 atoms, but only 0 are behind it",
        ),
        ("getpid() carry", "15: `on` is wanted, not the end"),
        ("getpid() !", "10: `!` needs a `=`"),
        ("getpid() @", "10: `@` means nothing here"),
        ("5000000000()", "1: no system call has this number"),
        (";", "1: a system call is wanted, not `;`"),
    ] {
        assert_eq!(first_line(source), format!("line 1, column {expected}"));
    }
    let long = vec!["getpid()"; 65].join(";");
    assert_eq!(
        first_line(&long),
        "line 1, column 577: a program has at most 64 atoms"
    );
}

proptest! {
    /// No text makes the parser fail in any other way than by a mistake in its source.
    #[test]
    fn any_text_is_read_or_refused(source in "[a-z_$0-9(){}\\[\\],;|\"\\\\<=! \n#-]{0,60}|\\PC{0,40}") {
        match parse(&source) {
            Ok(programs) => {
                for program in programs {
                    prop_assert!((1..=64).contains(&program.atoms.len()));
                    prop_assert!(lower(&program).is_ok());
                }
            }
            Err(mistake) => {
                prop_assert!(mistake.in_source(&source).to_string().starts_with("line "));
            }
        }
    }

    /// Calls made of known things are read as they were written.
    #[test]
    fn calls_are_read_back(
        values in prop::collection::vec(any::<u64>(), 0..=6),
        text in "[a-zA-Z0-9/ .äö]{0,20}",
        skip in 1..10_u8,
    ) {
        let args: Vec<_> = values.iter().map(u64::to_string).collect();
        let skipped = format!("; chdir(\"{text}\")").repeat(skip.into());
        let source = format!("sendto({}) skip {skip} if < 0{skipped}", args.join(", "));
        let program = parse(&source).unwrap().remove(0);
        let read: Vec<_> = values.into_iter().map(Arg::Value).collect();
        prop_assert_eq!(&program.atoms[0].args, &read);
        prop_assert_eq!(program.atoms[0].condition, Condition::SkipIf(Stop::NEGATIVE, skip));
        prop_assert_eq!(&program.atoms[1].args, &[Arg::Text(text.into_bytes())]);
    }
}
