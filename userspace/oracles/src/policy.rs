// SPDX-License-Identifier: GPL-2.0

//! The system call policy: by the names of calls, and by what the kernel does with arguments.

use syslet_pure::policy;
use syslet_pure::policy::Abi;
use syslet_pure::policy::Policy;
use syslet_pure::policy::Reason;
use syslet_pure::policy::Verdict;
use syslet_pure::uapi;

/// The commands of futexes that have an owner.
pub const PI_FUTEXES: [i32; 5] = [
    libc::FUTEX_LOCK_PI,
    libc::FUTEX_LOCK_PI2,
    libc::FUTEX_TRYLOCK_PI,
    libc::FUTEX_UNLOCK_PI,
    libc::FUTEX_WAIT_REQUEUE_PI,
];

/// Why a call must not be made with these arguments, if it may be made with others.
pub fn breach(name: &str, args: &[u64; 6]) -> Option<Reason> {
    // Flags are above, also those to come.
    const FUTEX_COMMAND: i32 = 127;
    const CLOSE_RANGE_UNSHARE: i32 = 1 << 1;
    const F_SETDELEG: i32 = 1024 + 16;
    // _IO(KVMIO, 0x80)
    const KVM_RUN: i32 = (0xae << 8) | 0x80;
    const PERF_FLAG_PID_CGROUP: i32 = 1 << 2;
    const PIDFD_SELF_THREAD: i32 = -10000;

    // As the kernel takes them: ints.
    let arg = |index: usize| {
        let [b0, b1, b2, b3, ..] = args[index].to_le_bytes();
        i32::from_le_bytes([b0, b1, b2, b3])
    };
    let (broken, reason) = match name {
        "futex" | "futex_time64" => (
            PI_FUTEXES.contains(&(arg(1) & FUTEX_COMMAND)),
            Reason::PiFutex,
        ),
        "close_range" => (arg(2) & CLOSE_RANGE_UNSHARE != 0, Reason::FileTable),
        "fcntl" | "fcntl64" => (
            [libc::F_SETLEASE, libc::F_NOTIFY, F_SETDELEG].contains(&arg(1)),
            Reason::SignalOwner,
        ),
        "ioctl" => (arg(1) == KVM_RUN, Reason::GuestCode),
        "waitpid" | "wait4" => (arg(2) & libc::__WNOTHREAD != 0, Reason::ThreadIdentity),
        "waitid" => (arg(3) & libc::__WNOTHREAD != 0, Reason::ThreadIdentity),
        "perf_event_open" => (
            arg(1) == 0 && arg(4) & PERF_FLAG_PID_CGROUP == 0,
            Reason::ThreadIdentity,
        ),
        "pidfd_send_signal" => (arg(0) == PIDFD_SELF_THREAD, Reason::ThreadIdentity),
        "timer_create" => (is_own_cpu_clock(arg(0)), Reason::ThreadIdentity),
        _ => return None,
    };
    broken.then_some(reason)
}

/// Whether a clock is the CPU time of the calling task: `CPUCLOCK_PID()` and friends.
fn is_own_cpu_clock(clock: i32) -> bool {
    const PERTHREAD: i32 = 4;
    const CLOCKFD: i32 = 3;

    let of_cpu = clock < 0 && clock & 3 != CLOCKFD;
    let pid = !(clock >> 3);
    clock == libc::CLOCK_THREAD_CPUTIME_ID || of_cpu && clock & PERTHREAD != 0 && pid == 0
}

/// Which argument is a signal mask that is in force while the call waits.
pub fn mask_argument(name: &str) -> Option<usize> {
    match name {
        "ppoll" | "ppoll_time64" => Some(3),
        "epoll_pwait" | "epoll_pwait2" => Some(4),
        "pselect6" | "pselect6_time64" | "io_pgetevents" | "io_pgetevents_time64" => Some(5),
        _ => None,
    }
}

/// Holds all that the policy says about a number against each other.
pub fn check(abi: Abi, nr: u32, args: &[u64; 6]) {
    let entry = policy::parts(abi)
        .into_iter()
        .flatten()
        .find(|entry| u32::from(entry.nr) == nr);
    let name = entry.map(|entry| entry.name);
    let (verdict, rule) = match entry.map(|entry| entry.policy) {
        None | Some(Policy::Absent) => (Verdict::Unknown, None),
        Some(Policy::Allow) => (Verdict::Allow, None),
        Some(Policy::Check(rule)) => (Verdict::Allow, Some(rule)),
        Some(Policy::Deny(reason)) => (Verdict::Deny(reason), None),
    };
    assert_eq!(policy::name(abi, nr), name);
    assert_eq!(policy::verdict(abi, nr), verdict);
    assert_eq!(policy::rule(abi, nr), rule);
    let free = verdict == Verdict::Allow && rule.is_none();
    assert_eq!(policy::is_free(abi, nr), free);
    let code = policy::codes(abi).get(nr as usize).copied();
    assert_eq!(verdict.code(), code.unwrap_or(uapi::POLICY_UNKNOWN));

    // What is refused anyway needs no rule.
    let breach = name
        .filter(|_| verdict == Verdict::Allow)
        .and_then(|name| breach(name, args));
    assert_eq!(policy::check_args(abi, nr, args).err(), breach, "{name:?}");
    assert_eq!(
        policy::mask_argument(abi, nr),
        name.and_then(mask_argument),
        "{name:?}"
    );
}
