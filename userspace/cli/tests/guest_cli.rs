// SPDX-License-Identifier: GPL-2.0

//! The `syslet` command. Needs the device.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use syslet::{Head, Program, SubmitFlags, Submitted, WaitFor};

fn syslet(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syslet"));
    command.args(args).stdin(Stdio::null());
    command.output().expect("the command runs")
}

/// What it prints, if it succeeds without a complaint.
fn printed(args: &[&str]) -> String {
    let output = syslet(args);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {complaint}");
    assert_eq!(complaint, "", "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it complains about, if it fails.
fn complaint(args: &[&str]) -> String {
    let output = syslet(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Bytes that are not all alike.
fn noise(len: usize) -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    };
    let seed = u32::try_from(len).unwrap();
    std::iter::successors(Some(seed), |state| Some(state.wrapping_add(1)))
        .scan(seed, |state, _| next(state))
        .take(len)
        .collect()
}

/// A tree with files of every length at which reading changes its ways.
fn tree(root: &Path) -> Vec<String> {
    const CHUNK: usize = 64 << 10;
    let lens = [
        0,
        1,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK,
        2 * CHUNK + 1,
        10 * CHUNK,
        3 << 20,
    ];
    fs::create_dir_all(root.join("deep/er")).unwrap();
    symlink("deep", root.join("link")).unwrap();
    lens.into_iter()
        .enumerate()
        .map(|(number, len)| {
            let directory = if number % 2 == 0 { "" } else { "deep/er/" };
            let path = root.join(format!("{directory}{len}"));
            fs::write(&path, noise(len)).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn cat_copies_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let files = tree(dir.path());
    let mut args = vec!["cat"];
    args.extend(files.iter().map(String::as_str));
    let output = syslet(&args);
    let expected: Vec<u8> = files
        .iter()
        .flat_map(|path| fs::read(path).unwrap())
        .collect();
    assert!(output.status.success());
    assert!(output.stdout == expected, "{} bytes", output.stdout.len());
}

#[test]
fn cat_goes_on_after_what_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    fs::write(&good, "good\n").unwrap();
    let bad = dir.path().join("bad");
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    let output = syslet(&["cat", bad, dir.path().to_str().unwrap(), good]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"good\n");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("bad: atom 0 (openat): ENOENT"));
    assert!(complaint.contains("atom 2 (read): EISDIR"));
}

#[test]
fn stat_shows_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "12345").unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    symlink("file", dir.path().join("link")).unwrap();
    let link = dir.path().join("link");
    let (file, link) = (file.to_str().unwrap(), link.to_str().unwrap());

    let shown = printed(&["stat", file, link]);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("-rw-r-----      1         0:0             5  20"));
    assert!(lines[1].ends_with(file));
    assert!(lines[2].starts_with("lrwxrwxrwx "));
    let followed = printed(&["stat", "-L", link]);
    assert!(followed.lines().nth(1).unwrap().starts_with("-rw-r-----"));
    assert!(complaint(&["stat", "/no/such/file"]).contains("atom 0 (statx): ENOENT"));
}

#[test]
fn info_tells_what_there_is() {
    let shown = printed(&["info"]);
    assert!(shown.contains("64 atoms in a program"));
    assert!(shown.contains("execve                   refused"));
    assert!(!shown.contains("openat"));
    assert!(printed(&["info", "--all"]).contains("257 openat                   allowed"));

    let json: Value = serde_json::from_str(&printed(&["info", "--json"])).unwrap();
    assert_eq!(json["max_atoms"], 64);
    assert!(json["features"]["async"].is_boolean());
    let calls = json["calls"].as_array().unwrap();
    let read = calls.iter().find(|call| call["name"] == "read").unwrap();
    assert_eq!(
        (&read["nr"], &read["verdict"]),
        (&0.into(), &"allowed".into())
    );
}

#[test]
fn run_runs_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "some text\n").unwrap();
    let file = file.to_str().unwrap();
    let program =
        format!("fd = openat(AT_FDCWD, \"{file}\", O_RDONLY); read($fd, buf[64], 64); close($fd)");

    let json: Value =
        serde_json::from_str(&printed(&["run", "--json", "--text", &program])).unwrap();
    let ran = &json["programs"][0];
    assert_eq!(ran["atoms"][1]["result"], 10);
    assert_eq!(ran["buffers"][0]["text"], "some text\n");
    assert_eq!((&ran["last"], &ran["result"]), (&2.into(), &0.into()));

    let shown = printed(&["run", "--text", "--hex", &program]);
    assert!(shown.contains("   1  read                           10\n"));
    assert!(shown.contains("buf (atom 1), 10 bytes:\nsome text\n00000000  73 6f 6d 65"));
}

#[test]
fn run_tells_what_went_wrong() {
    let output = syslet(&[
        "run",
        "openat(AT_FDCWD, \"/no/such\", O_RDONLY); close($0)",
        "getpid()",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("-2  ENOENT: No such file or directory\n"));
    assert!(shown.contains("   1  close                     not run\n"));
    assert!(
        shown.contains("program 1\n"),
        "the second one ran all the same"
    );

    let mistake = complaint(&["run", "getpid(); opan()"]);
    assert!(mistake.contains("line 1, column 11: no system call is named `opan`"));
    let refused = complaint(&["run", "getpid()", "getpid(); fork()"]);
    assert!(refused.contains("program 1, atom 1 (fork): EPERM"));
}

#[test]
fn run_reads_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("programs");
    fs::write(&file, "# two\ngetpid()\n\ngetppid(); kill($0, 0)\n").unwrap();
    let shown = printed(&["run", "--json", "--file", file.to_str().unwrap()]);
    let json: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(json["programs"].as_array().unwrap().len(), 2);
    fs::write(&file, "\n").unwrap();
    assert!(complaint(&["run", "-f", file.to_str().unwrap()]).contains("no program"));
}

#[test]
fn demo_reads_a_tree() {
    let dir = tempfile::tempdir().unwrap();
    let files = tree(dir.path());
    let total: u64 = files
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    let root = dir.path().to_str().unwrap();
    for batch in ["1", "4", "32"] {
        let shown = printed(&["demo", "--path", root, "--rounds", "3", "--batch", batch]);
        assert!(shown.contains(": 9 regular files, "), "{shown}");
        assert!(
            shown.replace(',', "").contains(&format!(" {total} bytes")),
            "{shown}"
        );
        assert!(shown.contains("lengths and checksums: all as by std::fs::read\n"));
        assert!(shown.contains("time, programs / plain: "));
        assert!(shown.contains("cold files: 9 programs in "), "{shown}");
        assert!(
            shown.contains("pipes: 64 of 64 programs blocked"),
            "{shown}"
        );
    }
}

#[test]
fn top_sees_a_program_that_is_blocked() {
    let head = Head::open().unwrap();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut program = Program::new();
    program.read(reader, vec![0; 8]).unwrap();
    let submitted = head.submit(program, SubmitFlags::empty()).unwrap();
    assert!(matches!(submitted, Submitted::InFlight(_)));

    let me = std::process::id().to_string();
    let found: Value = serde_json::from_str(&printed(&["top", "--json", "--pid", &me])).unwrap();
    let heads = found["heads"].as_array().unwrap();
    let busy = |head: &&Value| head["values"]["in_flight"] == 1;
    // The tests run side by side, in one process.
    let ours = heads.iter().find(busy).expect("one is in flight");
    assert_eq!(ours["values"]["threads_blocked"], 1);
    assert_eq!(ours["values"]["handoffs"], 1);
    assert_eq!(ours["pid"].to_string(), me);
    assert!(printed(&["top"])
        .lines()
        .any(|line| line.trim_start().starts_with(&me)));
    assert!(printed(&["top", "--once", "--pid", &me]).contains("limit"));
    drop(writer);
    head.wait(WaitFor::completions(1)).unwrap();
    assert!(complaint(&["top", "--pid", "4194304"]).contains("process 4194304: No such file"));
}

#[test]
fn demo_wants_something_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    assert!(complaint(&["demo", "--path", root]).contains("there are no regular files"));
    assert!(complaint(&["demo", "--path", "/no/such"]).contains("/no/such: No such file"));
}

#[test]
fn other_devices_are_not_taken_for_it() {
    let absent = complaint(&["--device", "/dev/no-such", "info"]);
    assert!(absent.contains("cannot open /dev/no-such: ENOENT"));
    assert!(absent.contains("(is the module loaded?)"));
    assert!(complaint(&["--device", "/dev/null", "info"]).contains("ENOTTY"));
    assert!(complaint(&["cat", "--device", "/dev/null", "/"]).contains("not a syslet device"));
}
