// SPDX-License-Identifier: GPL-2.0

//! The system call policy: against the kernel's own tables, against the list of what must never
//! be in an atom, and the rules for arguments.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use syslet_oracles::policy as oracle;
use syslet_pure::policy;
use syslet_pure::policy::Abi;
use syslet_pure::policy::Entry;
use syslet_pure::policy::Policy;
use syslet_pure::policy::Reason;
use syslet_pure::policy::Rule;
use syslet_pure::policy::Verdict;
use syslet_pure::uapi;

const ABIS: [Abi; 2] = [Abi::X86_64, Abi::I386];

/// x32 calls carry this bit.
const X32_SYSCALL_BIT: u32 = 0x4000_0000;

fn entries(abi: Abi) -> impl Iterator<Item = &'static Entry> {
    policy::parts(abi).into_iter().flatten()
}

/// The number of a call that must be listed.
fn nr(abi: Abi, name: &str) -> u32 {
    entries(abi)
        .find(|entry| entry.name == name)
        .unwrap_or_else(|| panic!("{abi:?} has no {name}"))
        .nr
        .into()
}

/// A line of one of the kernel's tables.
#[derive(Debug)]
struct Line {
    nr: u32,
    name: String,
    /// Whether any kernel of this architecture has the call.
    listed: bool,
    /// Whether an x86-64 kernel has it for callers of this ABI.
    callable: bool,
}

/// The kernel's source, or as much of it as its headers are packaged with.
fn kernel_source() -> PathBuf {
    let given = ["SYSLET_KERNEL_SOURCE", "SYSLET_KDIR"]
        .into_iter()
        .find_map(|name| env::var_os(name).filter(|path| !path.is_empty()));
    if let Some(path) = given {
        return path.into();
    }
    let lab = env::var_os("SYSLET_LAB").map(PathBuf::from).or_else(|| {
        let home = PathBuf::from(env::var_os("HOME")?);
        Some(home.join(".cache/syslet-lab"))
    });
    lab.unwrap_or_default().join("kdir")
}

/// Reads one of the kernel's tables: of each line those whose ABI is in `abis`.
fn kernel_table(file: &str, abis: &[&str]) -> Vec<Line> {
    let path = kernel_source().join("arch/x86/entry/syscalls").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; SYSLET_KERNEL_SOURCE must name the source of the kernel, as \
             scripts/lab setup fetches it",
            path.display()
        )
    });
    let mut lines = Vec::new();
    for text in text.lines() {
        let words: Vec<_> = text
            .split('#')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let &[nr, abi, name, ref entries @ ..] = words.as_slice() else {
            assert!(words.is_empty(), "{}: cannot read: {text}", path.display());
            continue;
        };
        if !abis.contains(&abi) {
            continue;
        }
        // A 32-bit caller of a 64-bit kernel gets the second entry point where there are two.
        let compat = entries.get(1).filter(|&&entry| entry != "-");
        let real = |entry: Option<&&str>| entry.is_some_and(|&entry| entry != "sys_ni_syscall");
        lines.push(Line {
            nr: nr.parse().expect(text),
            name: name.to_owned(),
            listed: real(entries.first()),
            callable: real(compat.or(entries.first())),
        });
    }
    assert!(lines.len() > 30, "{} is no such table", path.display());
    lines
}

fn native_table(abi: Abi) -> Vec<Line> {
    match abi {
        Abi::X86_64 => kernel_table("syscall_64.tbl", &["common", "64"]),
        Abi::I386 => kernel_table("syscall_32.tbl", &["i386"]),
    }
}

#[test]
fn every_call_of_the_kernel_is_listed_by_its_name() {
    for abi in ABIS {
        for line in native_table(abi) {
            assert_eq!(
                policy::name(abi, line.nr),
                Some(line.name.as_str()),
                "{abi:?} {line:?}"
            );
        }
    }
}

#[test]
fn nothing_is_listed_that_the_kernel_does_not_have() {
    for abi in ABIS {
        let table: BTreeMap<_, _> = native_table(abi)
            .into_iter()
            .map(|line| (line.nr, line.name))
            .collect();
        // An older kernel's table ends earlier.
        let last = *table.keys().last().expect("lines");
        for entry in entries(abi).filter(|entry| u32::from(entry.nr) <= last) {
            assert_eq!(
                table.get(&entry.nr.into()).map(String::as_str),
                Some(entry.name),
                "{abi:?}"
            );
        }
    }
}

#[test]
fn exactly_the_calls_that_the_kernel_implements_are_known() {
    for abi in ABIS {
        for line in native_table(abi) {
            let verdict = policy::verdict(abi, line.nr);
            if !line.callable {
                assert_ne!(verdict, Verdict::Allow, "{abi:?} {line:?}");
            }
            assert_eq!(verdict != Verdict::Unknown, line.listed, "{abi:?} {line:?}");
        }
    }
}

#[test]
fn x32_calls_are_unknown() {
    for line in kernel_table("syscall_64.tbl", &["x32"]) {
        assert!(line.nr >= 512);
        for nr in [line.nr, line.nr | X32_SYSCALL_BIT] {
            assert_eq!(policy::verdict(Abi::X86_64, nr), Verdict::Unknown);
        }
    }
    for line in native_table(Abi::X86_64) {
        let nr = line.nr | X32_SYSCALL_BIT;
        assert_eq!(policy::verdict(Abi::X86_64, nr), Verdict::Unknown);
    }
}

/// What must not be in an atom, whatever its arguments: names, with `*` for any ending.
const NEVER: &str = "
    fork vfork clone clone3
    execve execveat
    exit exit_group reboot
    rt_sigreturn sigreturn uprobe uretprobe vm86 vm86old
    restart_syscall
    sigaltstack rt_sigprocmask sigprocmask rt_sigsuspend sigsuspend pause rt_sigtimedwait*
    rt_sigpending sigpending sgetmask ssetmask
    set_tid_address set_robust_list get_robust_list rseq rseq_slice_yield
    arch_prctl set_thread_area get_thread_area modify_ldt
    iopl ioperm
    ptrace seccomp prctl personality
    landlock_restrict_self lsm_set_self_attr capset
    setuid* setgid* setreuid* setregid* setresuid* setresgid* setfsuid* setfsgid* setgroups*
    keyctl add_key request_key
    unshare setns
    setsid setpgid
    sched_set* setpriority nice ioprio_set
    set_mempolicy
    pkey_alloc
    io_uring_*
";

fn is_meant(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[test]
fn what_acts_on_the_calling_task_is_refused() {
    for pattern in NEVER.split_whitespace() {
        let mut found = false;
        for abi in ABIS {
            for entry in entries(abi).filter(|entry| is_meant(pattern, entry.name)) {
                found = true;
                let verdict = policy::verdict(abi, entry.nr.into());
                assert_ne!(verdict, Verdict::Allow, "{abi:?} {entry:?}");
            }
        }
        assert!(found, "nothing is called {pattern}");
    }
}

#[test]
fn nothing_else_is_refused() {
    for abi in ABIS {
        for entry in entries(abi) {
            if let Policy::Deny(_) = entry.policy {
                let meant = NEVER
                    .split_whitespace()
                    .any(|pattern| is_meant(pattern, entry.name));
                assert!(meant, "{abi:?} {entry:?}");
            }
        }
    }
}

#[test]
fn a_call_has_one_policy_in_all_abis() {
    for entry in entries(Abi::X86_64) {
        let twin = entries(Abi::I386).find(|twin| twin.name == entry.name);
        if let Some(twin) = twin.filter(|twin| twin.policy != Policy::Absent) {
            if entry.policy != Policy::Absent {
                assert_eq!(entry.policy, twin.policy, "{}", entry.name);
            }
        }
    }
}

#[test]
fn lookups_follow_the_lines() {
    for abi in ABIS {
        for nr in 0..1024 {
            oracle::check(abi, nr, &[0; 6]);
        }
    }
}

#[test]
fn every_reason_and_every_rule_is_used_and_explained() {
    let used = |policy| {
        ABIS.into_iter()
            .any(|abi| entries(abi).any(|entry| entry.policy == policy))
    };
    // These come from rules alone.
    let by_rule = [
        Reason::PiFutex,
        Reason::FileTable,
        Reason::SignalOwner,
        Reason::GuestCode,
    ];
    for &reason in Reason::ALL {
        assert!(
            used(Policy::Deny(reason)) || by_rule.contains(&reason),
            "{reason:?}"
        );
        assert!(reason.as_str().ends_with('.'), "{reason:?}");
    }
    for &rule in Rule::ALL {
        assert!(used(Policy::Check(rule)), "{rule:?}");
        assert!(rule.as_str().ends_with('.'), "{rule:?}");
    }
}

proptest! {
    #[test]
    fn any_number_has_a_verdict(nr: u32, near in 0u32..1024, args: [u64; 6]) {
        for abi in ABIS {
            for nr in [nr, near, uapi::NR_UMEM_ADD, u32::MAX] {
                oracle::check(abi, nr, &args);
            }
        }
    }

    /// The kernel looks at the lower halves only, so the upper ones must not get by a rule.
    #[test]
    fn upper_halves_do_not_matter(low: [u32; 6], high: [u32; 6], pick: prop::sample::Index) {
        let rule = *pick.get(Rule::ALL);
        let narrow = low.map(u64::from);
        let mut wide = narrow;
        for (arg, high) in wide.iter_mut().zip(high) {
            *arg |= u64::from(high) << 32;
        }
        prop_assert_eq!(rule.check(&narrow), rule.check(&wide));
    }
}

/// Checks a call with one argument and zeroes.
fn check(abi: Abi, name: &str, index: usize, value: i64) -> Result<(), Reason> {
    let mut args = [0; 6];
    args[index] = u64::from_ne_bytes(value.to_ne_bytes());
    policy::check_args(abi, nr(abi, name), &args)
}

#[test]
fn pi_futexes_are_refused() {
    let calls = [
        (Abi::X86_64, "futex"),
        (Abi::I386, "futex"),
        (Abi::I386, "futex_time64"),
    ];
    for (abi, name) in calls {
        // The flags, among them FUTEX_ROBUST_UNLOCK and _LIST32 and ones to come.
        for flags in (0..32).map(|flags| flags << 7) {
            for op in 0..128 {
                let expected = if oracle::PI_FUTEXES.contains(&op) {
                    Err(Reason::PiFutex)
                } else {
                    Ok(())
                };
                assert_eq!(check(abi, name, 1, i64::from(op | flags)), expected, "{op}");
            }
        }
    }
}

#[test]
fn unsharing_the_file_table_is_refused() {
    for abi in ABIS {
        let check = |flags| check(abi, "close_range", 2, i64::from(flags));
        assert_eq!(check(0), Ok(()));
        assert_eq!(check(libc::CLOSE_RANGE_CLOEXEC), Ok(()));
        for flags in [0, libc::CLOSE_RANGE_CLOEXEC] {
            let flags = libc::CLOSE_RANGE_UNSHARE | flags;
            assert_eq!(check(flags), Err(Reason::FileTable));
        }
    }
}

#[test]
fn fcntl_must_not_make_the_task_an_owner() {
    const F_SETDELEG: i32 = 1024 + 16;

    for (abi, name) in [
        (Abi::X86_64, "fcntl"),
        (Abi::I386, "fcntl"),
        (Abi::I386, "fcntl64"),
    ] {
        let check = |command| check(abi, name, 1, i64::from(command));
        for command in [libc::F_SETLEASE, libc::F_NOTIFY, F_SETDELEG] {
            assert_eq!(check(command), Err(Reason::SignalOwner));
        }
        for command in [
            libc::F_GETFL,
            libc::F_SETFL,
            libc::F_SETLKW,
            libc::F_OFD_SETLKW,
            libc::F_SETOWN,
            libc::F_GETLEASE,
            libc::F_DUPFD_CLOEXEC,
        ] {
            assert_eq!(check(command), Ok(()), "{command}");
        }
    }
}

#[test]
fn running_a_guest_is_refused() {
    // _IO(KVMIO, nr)
    let kvm = |nr: i64| (0xae << 8) | nr;
    for abi in ABIS {
        assert_eq!(check(abi, "ioctl", 1, kvm(0x80)), Err(Reason::GuestCode));
        assert_eq!(check(abi, "ioctl", 1, kvm(0x03)), Ok(()));
        let any = i64::try_from(libc::FIONREAD).expect("it fits");
        assert_eq!(check(abi, "ioctl", 1, any), Ok(()));
    }
}

#[test]
fn waiting_for_the_tasks_own_children_is_refused() {
    for (abi, name, index) in [
        (Abi::X86_64, "wait4", 2),
        (Abi::X86_64, "waitid", 3),
        (Abi::I386, "waitpid", 2),
        (Abi::I386, "wait4", 2),
        (Abi::I386, "waitid", 3),
    ] {
        let check = |options: i32| check(abi, name, index, i64::from(options));
        let ordinary = libc::WNOHANG | libc::WEXITED | libc::WSTOPPED | libc::__WALL;
        assert_eq!(check(ordinary), Ok(()));
        for options in [0, ordinary] {
            assert_eq!(
                check(options | libc::__WNOTHREAD),
                Err(Reason::ThreadIdentity)
            );
        }
    }
}

#[test]
fn counting_the_calling_task_is_refused() {
    const PERF_FLAG_PID_CGROUP: u64 = 1 << 2;
    const PERF_FLAG_FD_CLOEXEC: u64 = 1 << 3;

    for abi in ABIS {
        let check = |pid, flags| {
            let args = [0x1000, pid, 0, u64::MAX, flags, 0];
            policy::check_args(abi, nr(abi, "perf_event_open"), &args)
        };
        assert_eq!(check(0, 0), Err(Reason::ThreadIdentity));
        assert_eq!(check(0, PERF_FLAG_FD_CLOEXEC), Err(Reason::ThreadIdentity));
        assert_eq!(check(1 << 32, 0), Err(Reason::ThreadIdentity));
        assert_eq!(check(0, PERF_FLAG_PID_CGROUP), Ok(()));
        assert_eq!(check(4711, 0), Ok(()));
        assert_eq!(check(u64::from(u32::MAX), 0), Ok(()));
    }
}

#[test]
fn signals_to_the_calling_task_are_refused() {
    const PIDFD_SELF_THREAD: i64 = -10000;
    const PIDFD_SELF_THREAD_GROUP: i64 = -10001;

    for abi in ABIS {
        let check = |pidfd| check(abi, "pidfd_send_signal", 0, pidfd);
        assert_eq!(check(PIDFD_SELF_THREAD), Err(Reason::ThreadIdentity));
        assert_eq!(
            check(PIDFD_SELF_THREAD & 0xffff_ffff),
            Err(Reason::ThreadIdentity)
        );
        assert_eq!(check(PIDFD_SELF_THREAD_GROUP), Ok(()));
        assert_eq!(check(3), Ok(()));
    }
}

#[test]
fn timers_on_the_calling_tasks_cpu_time_are_refused() {
    // MAKE_PROCESS_CPUCLOCK() and MAKE_THREAD_CPUCLOCK()
    let process = |pid: i64, clock| (!pid << 3) | clock;
    let thread = |pid, clock| process(pid, clock) | 4;
    for abi in ABIS {
        let check = |clock| check(abi, "timer_create", 0, clock);
        let own = i64::from(libc::CLOCK_THREAD_CPUTIME_ID);
        assert_eq!(check(own), Err(Reason::ThreadIdentity));
        // CPUCLOCK_PROF, _VIRT and _SCHED.
        for clock in 0..=2 {
            assert_eq!(check(thread(0, clock)), Err(Reason::ThreadIdentity));
            assert_eq!(check(thread(4711, clock)), Ok(()));
            assert_eq!(check(process(0, clock)), Ok(()));
        }
        for clock in [
            libc::CLOCK_REALTIME,
            libc::CLOCK_MONOTONIC,
            libc::CLOCK_PROCESS_CPUTIME_ID,
            libc::CLOCK_TAI,
        ] {
            assert_eq!(check(i64::from(clock)), Ok(()), "{clock}");
        }
    }
}
