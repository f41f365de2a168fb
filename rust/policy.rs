// SPDX-License-Identifier: GPL-2.0

//! Which system calls may be in an atom, and why the others may not.
//!
//! A program that blocks goes on in a cachemiss thread: another task than the one in which its
//! caller goes on. So a call is refused
//!
//! - if it changes the calling *task*: the change would hit the worker, or hit the caller's thread
//!   only when the program happened not to block, or leave a worker behind that differs from its
//!   callers in credentials, filters or scheduling;
//! - if it answers about state that moves away with the caller, such as its signal mask: the answer
//!   would be the worker's;
//! - if it touches the user registers, or never returns.
//!
//! All else is allowed: what acts on things that the tasks of a process share (memory, files,
//! working directory, signal handlers, limits, children), what names its target explicitly, and
//! what reads state in which a worker equals its caller. `gettid` and the clocks and counters of
//! the thread answer for the task that runs the atom, which may be of interest as such.
//!
//! No number tells what a call does to the task through a file (`/proc/thread-self/attr`,
//! `cgroup.threads`): a handoff compares the tasks for that.
//!
//! Where an argument decides, the table names a [`Rule`]. It is applied when the atom runs, because
//! an argument can be the result of an earlier atom.
//!
//! The table follows the kernel's (`arch/x86/entry/syscalls`) number by number; a test compares
//! them. A number that is not here is refused, so a new system call stays out until someone has
//! thought about it. So do the calls of x32, whose numbers lie beyond the table's end.

use core::hint::black_box;

use crate::uapi;

/// How many numbers the tables cover; a power of two.
pub const TABLE_LEN: usize = 512;

/// A calling convention, with its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// 64-bit callers.
    X86_64,
    /// 32-bit callers.
    I386,
}

/// Whether a system call may be in an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No such call: it is refused with `-ENOSYS`.
    Unknown,
    /// It may, subject to its [`Rule`] if it has one.
    Allow,
    /// It is refused with `-EPERM`.
    Deny(Reason),
}

impl Verdict {
    /// The verdict as `QUERY` reports it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Unknown => uapi::POLICY_UNKNOWN,
            Self::Allow => uapi::POLICY_ALLOW,
            Self::Deny(_) => uapi::POLICY_DENY,
        }
    }
}

/// Defines an enum whose documentation can also be had as text.
macro_rules! described {
    ($(#[$meta:meta])* $name:ident { $($variant:ident: $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $text] $variant,)*
        }

        impl $name {
            /// All of them.
            #[allow(dead_code, reason = "the module needs no text")]
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// One sentence for people.
            #[allow(dead_code, reason = "the module needs no text")]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

described! {
    /// Why a system call may not be in an atom.
    Reason {
        ForksTask: "It copies the calling task, and the copy would return into the program.",
        ReplacesImage: "It replaces the image that the program was submitted from.",
        EndsTask: "It ends the calling task, so that the program would never complete.",
        RegisterFrame: "It acts on the calling task's user registers, which are the caller's.",
        RestartBlock: "It resumes a call that a signal interrupted in the calling task.",
        SignalState: "It acts on the signal mask, pending signals or signal stack of a thread.",
        SignalOwner: "It makes the calling task's TID the receiver of signals about a file.",
        ThreadIdentity: "It means the calling task, and takes it for the caller's thread.",
        GroupLeader: "It goes by the TID of the task that leads the process, and that TID moves.",
        Tls: "It acts on the segments or descriptors of the calling task.",
        KeyRights: "It sets the protection key rights of the calling task.",
        IoPorts: "It gives the calling task access to I/O ports.",
        RobustList: "It acts on the robust futex list of a thread.",
        PiFutex: "It makes the calling task the owner of a futex, or relies on its being that.",
        Rseq: "It acts on the restartable sequences area of a thread.",
        Tracing: "It makes the calling task a tracer or a tracee.",
        Seccomp: "It changes the seccomp filter of the calling task.",
        TaskOptions: "It sets or gets options of the calling task.",
        Credentials: "It changes the credentials of the calling task.",
        Keyrings: "It may put keyrings into the credentials of the calling task.",
        Personality: "It changes the execution domain of the calling task.",
        Namespaces: "It changes what the calling task shares with others.",
        FileTable: "It gives the calling task a file table of its own.",
        Scheduling: "It changes how a task is scheduled.",
        MemPolicy: "It changes the memory policy of the calling task.",
        IoUring: "It ties the calling task to an io_uring.",
        GuestCode: "It runs a guest on the calling task's FPU and signal mask.",
    }
}

described! {
    /// A check of the arguments of a call that is allowed otherwise.
    Rule {
        Futex: "No operation on priority-inheriting futexes but requeueing others to one.",
        CloseRange: "Not with CLOSE_RANGE_UNSHARE.",
        Fcntl: "Not F_SETLEASE, F_SETDELEG or F_NOTIFY.",
        Ioctl: "Not KVM_RUN; nor any on a syslet device, which the module sees to.",
        WaitOptions: "Not with __WNOTHREAD.",
        WaitidOptions: "Not with __WNOTHREAD.",
        PerfEvent: "Not on the calling task (PID 0).",
        PidfdSignal: "Not to PIDFD_SELF_THREAD.",
        TimerClock: "Not on the CPU time of the calling task.",
    }
}

impl Rule {
    /// Applies the rule to the arguments that the call is about to be made with.
    pub fn check(self, args: &[u64; 6]) -> Result<(), Reason> {
        // All arguments in question are ints or flags in the lower half.
        // CAST: That is how the kernel narrows them.
        let low = |index: usize| args[index] as u32;
        let (broken, reason) = match self {
            Self::Futex => {
                // The commands lie below FUTEX_PRIVATE_FLAG (128), from where on there are flags:
                // _LOCK_PI, _UNLOCK_PI, _TRYLOCK_PI, _WAIT_REQUEUE_PI, _LOCK_PI2.
                let pi = matches!(low(1) & 127, 6 | 7 | 8 | 11 | 13);
                (pi, Reason::PiFutex)
            }
            // CLOSE_RANGE_UNSHARE
            Self::CloseRange => (low(2) & 2 != 0, Reason::FileTable),
            // F_SETLEASE, F_NOTIFY, F_SETDELEG
            Self::Fcntl => (matches!(low(1), 1024 | 1026 | 1040), Reason::SignalOwner),
            // KVM_RUN
            Self::Ioctl => (low(1) == 0xae80, Reason::GuestCode),
            // __WNOTHREAD
            Self::WaitOptions => (low(2) & 0x2000_0000 != 0, Reason::ThreadIdentity),
            Self::WaitidOptions => (low(3) & 0x2000_0000 != 0, Reason::ThreadIdentity),
            // With PERF_FLAG_PID_CGROUP (4) it is not a PID but a file descriptor.
            Self::PerfEvent => (low(1) == 0 && low(4) & 4 == 0, Reason::ThreadIdentity),
            // PIDFD_SELF_THREAD
            Self::PidfdSignal => (low(0) == -10000_i32 as u32, Reason::ThreadIdentity),
            Self::TimerClock => {
                // CLOCK_THREAD_CPUTIME_ID, and what MAKE_THREAD_CPUCLOCK(0, ...) makes of each CPU
                // clock: ~0 << 3 | CPUCLOCK_PERTHREAD_MASK (4) | 0..=2.
                let own = matches!(low(0), 3 | 0xffff_fffc..=0xffff_fffe);
                (own, Reason::ThreadIdentity)
            }
        };
        if broken {
            Err(reason)
        } else {
            Ok(())
        }
    }
}

/// What the table says about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The kernel has the name, but no call.
    Absent,
    /// It may be in an atom.
    Allow,
    /// It may be in an atom, unless its arguments break the rule.
    Check(Rule),
    /// It may not be in an atom.
    Deny(Reason),
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The number.
    pub nr: u16,
    /// The kernel's name for it.
    pub name: &'static str,
    /// What becomes of it.
    pub policy: Policy,
}

/// The table as the hot path wants it.
struct Table {
    verdicts: [Verdict; TABLE_LEN],
    rules: [Option<Rule>; TABLE_LEN],
    free: [bool; TABLE_LEN],
    codes: [u8; TABLE_LEN],
}

impl Table {
    const fn new(parts: [&[Entry]; 2]) -> Self {
        let mut table = Self {
            verdicts: [Verdict::Unknown; TABLE_LEN],
            rules: [None; TABLE_LEN],
            free: [false; TABLE_LEN],
            codes: [uapi::POLICY_UNKNOWN; TABLE_LEN],
        };
        let mut free = 0;
        let mut part = 0;
        while part < parts.len() {
            let mut i = 0;
            while i < parts[part].len() {
                let entry = parts[part][i];
                let nr = entry.nr as usize;
                assert!(free <= nr && nr < TABLE_LEN, "numbers must ascend");
                free = nr + 1;
                table.verdicts[nr] = match entry.policy {
                    Policy::Absent => Verdict::Unknown,
                    Policy::Allow | Policy::Check(_) => Verdict::Allow,
                    Policy::Deny(reason) => Verdict::Deny(reason),
                };
                if let Policy::Check(rule) = entry.policy {
                    table.rules[nr] = Some(rule);
                }
                table.free[nr] = matches!(entry.policy, Policy::Allow);
                table.codes[nr] = table.verdicts[nr].code();
                i += 1;
            }
            part += 1;
        }
        table
    }

    #[inline]
    fn of(abi: Abi) -> &'static Self {
        static X86_64: Table = Table::new(parts(Abi::X86_64));
        static I386: Table = Table::new(parts(Abi::I386));

        match abi {
            Abi::X86_64 => &X86_64,
            Abi::I386 => &I386,
        }
    }
}

#[inline]
fn lookup<T: Copy>(column: &[T; TABLE_LEN], nr: u32, beyond: T) -> T {
    // A caller chooses `nr`, so a mispredicted comparison must not read beyond the table: hence the
    // mask. And hence the black box: the compiler would see that the comparison makes the mask
    // superfluous, and drop it.
    // CAST: `u32` to `usize` widens.
    let index = black_box(nr) as usize & (TABLE_LEN - 1);
    if (nr as usize) < TABLE_LEN {
        column[index]
    } else {
        beyond
    }
}

/// The verdict on system call `nr` of `abi`.
///
/// [`uapi::NR_UMEM_ADD`] is no system call, so it is unknown here.
#[inline]
pub fn verdict(abi: Abi, nr: u32) -> Verdict {
    lookup(&Table::of(abi).verdicts, nr, Verdict::Unknown)
}

/// The rule for the arguments of system call `nr` of `abi`, if it has one.
#[inline]
pub fn rule(abi: Abi, nr: u32) -> Option<Rule> {
    lookup(&Table::of(abi).rules, nr, None)
}

/// Whether system call `nr` of `abi` is allowed whatever its arguments are.
#[inline]
pub fn is_free(abi: Abi, nr: u32) -> bool {
    lookup(&Table::of(abi).free, nr, false)
}

/// Checks the arguments with which an allowed system call is about to be made.
#[inline]
pub fn check_args(abi: Abi, nr: u32, args: &[u64; 6]) -> Result<(), Reason> {
    match rule(abi, nr) {
        None => Ok(()),
        Some(rule) => rule.check(args),
    }
}

/// Which argument of a call, if it has one, is a signal mask to put in force while it waits.
///
/// A cachemiss thread has it ignored: the signals that it would let in are not the worker's.
pub fn mask_argument(abi: Abi, nr: u32) -> Option<usize> {
    match (abi, nr) {
        // ppoll, on i386 also ppoll_time64
        (Abi::X86_64, 271) | (Abi::I386, 309 | 414) => Some(3),
        // epoll_pwait, epoll_pwait2
        (Abi::X86_64, 281) | (Abi::I386, 319) | (_, 441) => Some(4),
        // pselect6, io_pgetevents, on i386 also those with _time64
        (Abi::X86_64, 270 | 333) | (Abi::I386, 308 | 385 | 413 | 416) => Some(5),
        _ => None,
    }
}

/// The verdicts on the numbers from 0 on, as `QUERY` reports them; later ones are unknown.
pub fn codes(abi: Abi) -> &'static [u8; TABLE_LEN] {
    &Table::of(abi).codes
}

/// The lines of the table for `abi`, by ascending number: its own, and those that all ABIs share.
pub const fn parts(abi: Abi) -> [&'static [Entry]; 2] {
    match abi {
        Abi::X86_64 => [X86_64, UNIFIED],
        Abi::I386 => [I386, UNIFIED],
    }
}

/// The line of the table about system call `nr` of `abi`.
#[allow(dead_code, reason = "the module needs no text")]
pub fn entry(abi: Abi, nr: u32) -> Option<&'static Entry> {
    parts(abi).into_iter().find_map(|part| {
        let index = part
            .binary_search_by_key(&nr, |entry| entry.nr.into())
            .ok()?;
        part.get(index)
    })
}

/// The kernel's name for system call `nr` of `abi`.
#[allow(dead_code, reason = "the module needs no text")]
pub fn name(abi: Abi, nr: u32) -> Option<&'static str> {
    entry(abi, nr).map(|entry| entry.name)
}

/// Makes the lines of a table.
macro_rules! calls {
    ($($nr:literal $name:ident: $policy:expr;)*) => {{
        use Policy::*;
        use Reason::*;
        use Rule::*;

        &[$(Entry { nr: $nr, name: stringify!($name), policy: $policy },)*]
    }};
}

/// 64-bit callers, up to where the ABIs part ways no longer.
const X86_64: &[Entry] = calls! {
    0 read: Allow;
    1 write: Allow;
    2 open: Allow;
    3 close: Allow;
    4 stat: Allow;
    5 fstat: Allow;
    6 lstat: Allow;
    7 poll: Allow;
    8 lseek: Allow;
    9 mmap: Allow;
    10 mprotect: Allow; // execute-only: the worker's PKRU is set, the default denies as much
    11 munmap: Allow;
    12 brk: Allow;
    13 rt_sigaction: Allow; // handlers are the process's
    14 rt_sigprocmask: Deny(SignalState);
    15 rt_sigreturn: Deny(RegisterFrame);
    16 ioctl: Check(Ioctl); // the module refuses those on a syslet device
    17 pread64: Allow;
    18 pwrite64: Allow;
    19 readv: Allow;
    20 writev: Allow;
    21 access: Allow;
    22 pipe: Allow;
    23 select: Allow;
    24 sched_yield: Allow;
    25 mremap: Allow;
    26 msync: Allow;
    27 mincore: Allow;
    28 madvise: Allow;
    29 shmget: Allow; // the creator counts only under kernel.shm_rmid_forced
    30 shmat: Allow;
    31 shmctl: Allow;
    32 dup: Allow;
    33 dup2: Allow;
    34 pause: Deny(SignalState);
    35 nanosleep: Allow; // its restart block stays with the blocked task
    36 getitimer: Allow;
    37 alarm: Allow; // a timer of the process
    38 setitimer: Allow; // timers of the process
    39 getpid: Allow;
    40 sendfile: Allow;
    41 socket: Allow;
    42 connect: Allow;
    43 accept: Allow;
    44 sendto: Allow;
    45 recvfrom: Allow;
    46 sendmsg: Allow;
    47 recvmsg: Allow;
    48 shutdown: Allow;
    49 bind: Allow;
    50 listen: Allow;
    51 getsockname: Allow;
    52 getpeername: Allow;
    53 socketpair: Allow;
    54 setsockopt: Allow;
    55 getsockopt: Allow;
    56 clone: Deny(ForksTask);
    57 fork: Deny(ForksTask);
    58 vfork: Deny(ForksTask);
    59 execve: Deny(ReplacesImage);
    60 exit: Deny(EndsTask);
    61 wait4: Check(WaitOptions); // children are the process's, but for __WNOTHREAD
    62 kill: Allow;
    63 uname: Allow;
    64 semget: Allow;
    65 semop: Allow; // undo lists are shared (CLONE_SYSVSEM)
    66 semctl: Allow;
    67 shmdt: Allow;
    68 msgget: Allow;
    69 msgsnd: Allow;
    70 msgrcv: Allow;
    71 msgctl: Allow;
    72 fcntl: Check(Fcntl);
    73 flock: Allow;
    74 fsync: Allow;
    75 fdatasync: Allow;
    76 truncate: Allow;
    77 ftruncate: Allow;
    78 getdents: Allow;
    79 getcwd: Allow;
    80 chdir: Allow; // fs_struct is shared (CLONE_FS)
    81 fchdir: Allow;
    82 rename: Allow;
    83 mkdir: Allow;
    84 rmdir: Allow;
    85 creat: Allow;
    86 link: Allow;
    87 unlink: Allow;
    88 symlink: Allow;
    89 readlink: Allow;
    90 chmod: Allow;
    91 fchmod: Allow;
    92 chown: Allow;
    93 fchown: Allow;
    94 lchown: Allow;
    95 umask: Allow;
    96 gettimeofday: Allow;
    97 getrlimit: Allow;
    98 getrusage: Allow; // RUSAGE_THREAD: of the task that runs the atom
    99 sysinfo: Allow;
    100 times: Allow;
    101 ptrace: Deny(Tracing);
    102 getuid: Allow; // a worker's credentials equal its caller's
    103 syslog: Allow;
    104 getgid: Allow;
    105 setuid: Deny(Credentials);
    106 setgid: Deny(Credentials);
    107 geteuid: Allow;
    108 getegid: Allow;
    109 setpgid: Deny(GroupLeader); // looks the process up by the leading task's TID
    110 getppid: Allow;
    111 getpgrp: Allow;
    112 setsid: Deny(GroupLeader); // the session is named after the leading task's TID
    113 setreuid: Deny(Credentials);
    114 setregid: Deny(Credentials);
    115 getgroups: Allow;
    116 setgroups: Deny(Credentials);
    117 setresuid: Deny(Credentials);
    118 getresuid: Allow;
    119 setresgid: Deny(Credentials);
    120 getresgid: Allow;
    121 getpgid: Allow;
    122 setfsuid: Deny(Credentials);
    123 setfsgid: Deny(Credentials);
    124 getsid: Allow;
    125 capget: Allow; // a worker's credentials equal its caller's
    126 capset: Deny(Credentials);
    127 rt_sigpending: Deny(SignalState); // of the worker, where everything is blocked
    128 rt_sigtimedwait: Deny(SignalState);
    129 rt_sigqueueinfo: Allow;
    130 rt_sigsuspend: Deny(SignalState);
    131 sigaltstack: Deny(SignalState);
    132 utime: Allow;
    133 mknod: Allow;
    134 uselib: Absent;
    135 personality: Deny(Personality);
    136 ustat: Allow;
    137 statfs: Allow;
    138 fstatfs: Allow;
    139 sysfs: Allow;
    140 getpriority: Allow; // a worker's priority equals its caller's, as all of its scheduling
    141 setpriority: Deny(Scheduling);
    142 sched_setparam: Deny(Scheduling);
    143 sched_getparam: Allow;
    144 sched_setscheduler: Deny(Scheduling);
    145 sched_getscheduler: Allow;
    146 sched_get_priority_max: Allow;
    147 sched_get_priority_min: Allow;
    148 sched_rr_get_interval: Allow;
    149 mlock: Allow;
    150 munlock: Allow;
    151 mlockall: Allow; // per mm
    152 munlockall: Allow;
    153 vhangup: Allow;
    154 modify_ldt: Deny(Tls); // per mm, but the calling task's segments are reloaded
    155 pivot_root: Allow;
    156 _sysctl: Absent;
    157 prctl: Deny(TaskOptions);
    158 arch_prctl: Deny(Tls);
    159 adjtimex: Allow;
    160 setrlimit: Allow; // limits are the process's
    161 chroot: Allow;
    162 sync: Allow;
    163 acct: Allow;
    164 settimeofday: Allow;
    165 mount: Allow;
    166 umount2: Allow;
    167 swapon: Allow;
    168 swapoff: Allow;
    169 reboot: Deny(EndsTask); // do_exit() in the call: on halting, and always in a PID namespace
    170 sethostname: Allow;
    171 setdomainname: Allow;
    172 iopl: Deny(IoPorts);
    173 ioperm: Deny(IoPorts);
    174 create_module: Absent;
    175 init_module: Allow;
    176 delete_module: Allow;
    177 get_kernel_syms: Absent;
    178 query_module: Absent;
    179 quotactl: Allow;
    180 nfsservctl: Absent;
    181 getpmsg: Absent;
    182 putpmsg: Absent;
    183 afs_syscall: Absent;
    184 tuxcall: Absent;
    185 security: Absent;
    186 gettid: Allow; // of the task that runs the atom: a worker's, once the program has moved
    187 readahead: Allow;
    188 setxattr: Allow;
    189 lsetxattr: Allow;
    190 fsetxattr: Allow;
    191 getxattr: Allow;
    192 lgetxattr: Allow;
    193 fgetxattr: Allow;
    194 listxattr: Allow;
    195 llistxattr: Allow;
    196 flistxattr: Allow;
    197 removexattr: Allow;
    198 lremovexattr: Allow;
    199 fremovexattr: Allow;
    200 tkill: Allow;
    201 time: Allow;
    202 futex: Check(Futex);
    203 sched_setaffinity: Deny(Scheduling);
    204 sched_getaffinity: Allow;
    205 set_thread_area: Absent;
    206 io_setup: Allow; // Linux AIO belongs to the mm
    207 io_destroy: Allow;
    208 io_getevents: Allow;
    209 io_submit: Allow;
    210 io_cancel: Allow;
    211 get_thread_area: Absent;
    212 lookup_dcookie: Absent;
    213 epoll_create: Allow;
    214 epoll_ctl_old: Absent;
    215 epoll_wait_old: Absent;
    216 remap_file_pages: Allow;
    217 getdents64: Allow;
    218 set_tid_address: Deny(ThreadIdentity);
    219 restart_syscall: Deny(RestartBlock);
    220 semtimedop: Allow;
    221 fadvise64: Allow;
    222 timer_create: Check(TimerClock);
    223 timer_settime: Allow;
    224 timer_gettime: Allow;
    225 timer_getoverrun: Allow;
    226 timer_delete: Allow;
    227 clock_settime: Allow;
    228 clock_gettime: Allow; // CLOCK_THREAD_CPUTIME_ID: of the task that runs the atom
    229 clock_getres: Allow;
    230 clock_nanosleep: Allow;
    231 exit_group: Deny(EndsTask);
    232 epoll_wait: Allow;
    233 epoll_ctl: Allow;
    234 tgkill: Allow;
    235 utimes: Allow;
    236 vserver: Absent;
    237 mbind: Allow; // policy of a range of the mm
    238 set_mempolicy: Deny(MemPolicy);
    239 get_mempolicy: Allow; // a worker's policy equals its caller's
    240 mq_open: Allow;
    241 mq_unlink: Allow;
    242 mq_timedsend: Allow;
    243 mq_timedreceive: Allow;
    244 mq_notify: Allow;
    245 mq_getsetattr: Allow;
    246 kexec_load: Allow;
    247 waitid: Check(WaitidOptions); // as wait4
    248 add_key: Deny(Keyrings); // naming a special keyring makes one and commits credentials
    249 request_key: Deny(Keyrings); // as add_key
    250 keyctl: Deny(Keyrings);
    251 ioprio_set: Deny(Scheduling);
    252 ioprio_get: Allow;
    253 inotify_init: Allow;
    254 inotify_add_watch: Allow;
    255 inotify_rm_watch: Allow;
    256 migrate_pages: Allow; // moves pages, sets no policy
    257 openat: Allow;
    258 mkdirat: Allow;
    259 mknodat: Allow;
    260 fchownat: Allow;
    261 futimesat: Allow;
    262 newfstatat: Allow;
    263 unlinkat: Allow;
    264 renameat: Allow;
    265 linkat: Allow;
    266 symlinkat: Allow;
    267 readlinkat: Allow;
    268 fchmodat: Allow;
    269 faccessat: Allow;
    270 pselect6: Allow; // its temporary signal mask is the blocked task's
    271 ppoll: Allow; // as pselect6
    272 unshare: Deny(Namespaces);
    273 set_robust_list: Deny(RobustList);
    274 get_robust_list: Deny(RobustList); // of the worker, for PID 0
    275 splice: Allow;
    276 tee: Allow;
    277 sync_file_range: Allow;
    278 vmsplice: Allow;
    279 move_pages: Allow;
    280 utimensat: Allow;
    281 epoll_pwait: Allow; // as pselect6
    282 signalfd: Allow; // a read takes signals to the process, not those to the caller's thread
    283 timerfd_create: Allow;
    284 eventfd: Allow;
    285 fallocate: Allow;
    286 timerfd_settime: Allow;
    287 timerfd_gettime: Allow;
    288 accept4: Allow;
    289 signalfd4: Allow; // as signalfd
    290 eventfd2: Allow;
    291 epoll_create1: Allow;
    292 dup3: Allow;
    293 pipe2: Allow;
    294 inotify_init1: Allow;
    295 preadv: Allow;
    296 pwritev: Allow;
    297 rt_tgsigqueueinfo: Allow;
    298 perf_event_open: Check(PerfEvent);
    299 recvmmsg: Allow;
    300 fanotify_init: Allow;
    301 fanotify_mark: Allow;
    302 prlimit64: Allow; // limits are the process's
    303 name_to_handle_at: Allow;
    304 open_by_handle_at: Allow;
    305 clock_adjtime: Allow;
    306 syncfs: Allow;
    307 sendmmsg: Allow;
    308 setns: Deny(Namespaces);
    309 getcpu: Allow; // of the task that runs the atom
    310 process_vm_readv: Allow;
    311 process_vm_writev: Allow;
    312 kcmp: Allow;
    313 finit_module: Allow;
    314 sched_setattr: Deny(Scheduling);
    315 sched_getattr: Allow;
    316 renameat2: Allow;
    317 seccomp: Deny(Seccomp);
    318 getrandom: Allow;
    319 memfd_create: Allow;
    320 kexec_file_load: Allow;
    321 bpf: Allow; // by file descriptor
    322 execveat: Deny(ReplacesImage);
    323 userfaultfd: Allow; // per mm
    324 membarrier: Allow; // registers the mm
    325 mlock2: Allow;
    326 copy_file_range: Allow;
    327 preadv2: Allow;
    328 pwritev2: Allow;
    329 pkey_mprotect: Allow; // as mprotect
    330 pkey_alloc: Deny(KeyRights); // sets the calling task's PKRU
    331 pkey_free: Allow; // per mm
    332 statx: Allow;
    333 io_pgetevents: Allow; // as pselect6
    334 rseq: Deny(Rseq);
    335 uretprobe: Deny(RegisterFrame); // entered only from a trampoline on the user's stack
    336 uprobe: Deny(RegisterFrame); // as uretprobe
};

/// 32-bit callers, up to the same point.
const I386: &[Entry] = calls! {
    0 restart_syscall: Deny(RestartBlock);
    1 exit: Deny(EndsTask);
    2 fork: Deny(ForksTask);
    3 read: Allow;
    4 write: Allow;
    5 open: Allow;
    6 close: Allow;
    7 waitpid: Check(WaitOptions);
    8 creat: Allow;
    9 link: Allow;
    10 unlink: Allow;
    11 execve: Deny(ReplacesImage);
    12 chdir: Allow; // fs_struct is shared (CLONE_FS)
    13 time: Allow;
    14 mknod: Allow;
    15 chmod: Allow;
    16 lchown: Allow;
    17 break: Absent;
    18 oldstat: Allow;
    19 lseek: Allow;
    20 getpid: Allow;
    21 mount: Allow;
    22 umount: Allow;
    23 setuid: Deny(Credentials);
    24 getuid: Allow; // a worker's credentials equal its caller's
    25 stime: Allow;
    26 ptrace: Deny(Tracing);
    27 alarm: Allow; // a timer of the process
    28 oldfstat: Allow;
    29 pause: Deny(SignalState);
    30 utime: Allow;
    31 stty: Absent;
    32 gtty: Absent;
    33 access: Allow;
    34 nice: Deny(Scheduling);
    35 ftime: Absent;
    36 sync: Allow;
    37 kill: Allow;
    38 rename: Allow;
    39 mkdir: Allow;
    40 rmdir: Allow;
    41 dup: Allow;
    42 pipe: Allow;
    43 times: Allow;
    44 prof: Absent;
    45 brk: Allow;
    46 setgid: Deny(Credentials);
    47 getgid: Allow;
    48 signal: Allow; // handlers are the process's
    49 geteuid: Allow;
    50 getegid: Allow;
    51 acct: Allow;
    52 umount2: Allow;
    53 lock: Absent;
    54 ioctl: Check(Ioctl); // the module refuses those on a syslet device
    55 fcntl: Check(Fcntl);
    56 mpx: Absent;
    57 setpgid: Deny(GroupLeader); // looks the process up by the leading task's TID
    58 ulimit: Absent;
    59 oldolduname: Allow;
    60 umask: Allow;
    61 chroot: Allow;
    62 ustat: Allow;
    63 dup2: Allow;
    64 getppid: Allow;
    65 getpgrp: Allow;
    66 setsid: Deny(GroupLeader); // the session is named after the leading task's TID
    67 sigaction: Allow; // handlers are the process's
    68 sgetmask: Deny(SignalState); // as rt_sigpending
    69 ssetmask: Deny(SignalState);
    70 setreuid: Deny(Credentials);
    71 setregid: Deny(Credentials);
    72 sigsuspend: Deny(SignalState);
    73 sigpending: Deny(SignalState); // as rt_sigpending
    74 sethostname: Allow;
    75 setrlimit: Allow; // limits are the process's
    76 getrlimit: Allow;
    77 getrusage: Allow; // RUSAGE_THREAD: of the task that runs the atom
    78 gettimeofday: Allow;
    79 settimeofday: Allow;
    80 getgroups: Allow;
    81 setgroups: Deny(Credentials);
    82 select: Allow;
    83 symlink: Allow;
    84 oldlstat: Allow;
    85 readlink: Allow;
    86 uselib: Allow;
    87 swapon: Allow;
    88 reboot: Deny(EndsTask); // do_exit() in the call: on halting, and always in a PID namespace
    89 readdir: Allow;
    90 mmap: Allow;
    91 munmap: Allow;
    92 truncate: Allow;
    93 ftruncate: Allow;
    94 fchmod: Allow;
    95 fchown: Allow;
    96 getpriority: Allow; // a worker's priority equals its caller's, as all of its scheduling
    97 setpriority: Deny(Scheduling);
    98 profil: Absent;
    99 statfs: Allow;
    100 fstatfs: Allow;
    101 ioperm: Deny(IoPorts);
    102 socketcall: Allow; // a multiplexer; everything behind it is allowed
    103 syslog: Allow;
    104 setitimer: Allow; // timers of the process
    105 getitimer: Allow;
    106 stat: Allow;
    107 lstat: Allow;
    108 fstat: Allow;
    109 olduname: Allow;
    110 iopl: Deny(IoPorts);
    111 vhangup: Allow;
    112 idle: Absent;
    113 vm86old: Deny(RegisterFrame); // native 32-bit kernels only
    114 wait4: Check(WaitOptions); // children are the process's, but for __WNOTHREAD
    115 swapoff: Allow;
    116 sysinfo: Allow;
    117 ipc: Allow; // a multiplexer; everything behind it is allowed
    118 fsync: Allow;
    119 sigreturn: Deny(RegisterFrame);
    120 clone: Deny(ForksTask);
    121 setdomainname: Allow;
    122 uname: Allow;
    123 modify_ldt: Deny(Tls); // per mm, but the calling task's segments are reloaded
    124 adjtimex: Allow;
    125 mprotect: Allow; // execute-only: the worker's PKRU is set, the default denies as much
    126 sigprocmask: Deny(SignalState);
    127 create_module: Absent;
    128 init_module: Allow;
    129 delete_module: Allow;
    130 get_kernel_syms: Absent;
    131 quotactl: Allow;
    132 getpgid: Allow;
    133 fchdir: Allow;
    134 bdflush: Absent;
    135 sysfs: Allow;
    136 personality: Deny(Personality);
    137 afs_syscall: Absent;
    138 setfsuid: Deny(Credentials);
    139 setfsgid: Deny(Credentials);
    140 _llseek: Allow;
    141 getdents: Allow;
    142 _newselect: Allow;
    143 flock: Allow;
    144 msync: Allow;
    145 readv: Allow;
    146 writev: Allow;
    147 getsid: Allow;
    148 fdatasync: Allow;
    149 _sysctl: Absent;
    150 mlock: Allow;
    151 munlock: Allow;
    152 mlockall: Allow; // per mm
    153 munlockall: Allow;
    154 sched_setparam: Deny(Scheduling);
    155 sched_getparam: Allow;
    156 sched_setscheduler: Deny(Scheduling);
    157 sched_getscheduler: Allow;
    158 sched_yield: Allow;
    159 sched_get_priority_max: Allow;
    160 sched_get_priority_min: Allow;
    161 sched_rr_get_interval: Allow;
    162 nanosleep: Allow; // its restart block stays with the blocked task
    163 mremap: Allow;
    164 setresuid: Deny(Credentials);
    165 getresuid: Allow;
    166 vm86: Deny(RegisterFrame); // native 32-bit kernels only
    167 query_module: Absent;
    168 poll: Allow;
    169 nfsservctl: Absent;
    170 setresgid: Deny(Credentials);
    171 getresgid: Allow;
    172 prctl: Deny(TaskOptions);
    173 rt_sigreturn: Deny(RegisterFrame);
    174 rt_sigaction: Allow; // handlers are the process's
    175 rt_sigprocmask: Deny(SignalState);
    176 rt_sigpending: Deny(SignalState); // of the worker, where everything is blocked
    177 rt_sigtimedwait: Deny(SignalState);
    178 rt_sigqueueinfo: Allow;
    179 rt_sigsuspend: Deny(SignalState);
    180 pread64: Allow;
    181 pwrite64: Allow;
    182 chown: Allow;
    183 getcwd: Allow;
    184 capget: Allow; // a worker's credentials equal its caller's
    185 capset: Deny(Credentials);
    186 sigaltstack: Deny(SignalState);
    187 sendfile: Allow;
    188 getpmsg: Absent;
    189 putpmsg: Absent;
    190 vfork: Deny(ForksTask);
    191 ugetrlimit: Allow;
    192 mmap2: Allow;
    193 truncate64: Allow;
    194 ftruncate64: Allow;
    195 stat64: Allow;
    196 lstat64: Allow;
    197 fstat64: Allow;
    198 lchown32: Allow;
    199 getuid32: Allow;
    200 getgid32: Allow;
    201 geteuid32: Allow;
    202 getegid32: Allow;
    203 setreuid32: Deny(Credentials);
    204 setregid32: Deny(Credentials);
    205 getgroups32: Allow;
    206 setgroups32: Deny(Credentials);
    207 fchown32: Allow;
    208 setresuid32: Deny(Credentials);
    209 getresuid32: Allow;
    210 setresgid32: Deny(Credentials);
    211 getresgid32: Allow;
    212 chown32: Allow;
    213 setuid32: Deny(Credentials);
    214 setgid32: Deny(Credentials);
    215 setfsuid32: Deny(Credentials);
    216 setfsgid32: Deny(Credentials);
    217 pivot_root: Allow;
    218 mincore: Allow;
    219 madvise: Allow;
    220 getdents64: Allow;
    221 fcntl64: Check(Fcntl);
    224 gettid: Allow; // of the task that runs the atom: a worker's, once the program has moved
    225 readahead: Allow;
    226 setxattr: Allow;
    227 lsetxattr: Allow;
    228 fsetxattr: Allow;
    229 getxattr: Allow;
    230 lgetxattr: Allow;
    231 fgetxattr: Allow;
    232 listxattr: Allow;
    233 llistxattr: Allow;
    234 flistxattr: Allow;
    235 removexattr: Allow;
    236 lremovexattr: Allow;
    237 fremovexattr: Allow;
    238 tkill: Allow;
    239 sendfile64: Allow;
    240 futex: Check(Futex);
    241 sched_setaffinity: Deny(Scheduling);
    242 sched_getaffinity: Allow;
    243 set_thread_area: Deny(Tls);
    244 get_thread_area: Deny(Tls); // of the worker
    245 io_setup: Allow; // Linux AIO belongs to the mm
    246 io_destroy: Allow;
    247 io_getevents: Allow;
    248 io_submit: Allow;
    249 io_cancel: Allow;
    250 fadvise64: Allow;
    252 exit_group: Deny(EndsTask);
    253 lookup_dcookie: Absent;
    254 epoll_create: Allow;
    255 epoll_ctl: Allow;
    256 epoll_wait: Allow;
    257 remap_file_pages: Allow;
    258 set_tid_address: Deny(ThreadIdentity);
    259 timer_create: Check(TimerClock);
    260 timer_settime: Allow;
    261 timer_gettime: Allow;
    262 timer_getoverrun: Allow;
    263 timer_delete: Allow;
    264 clock_settime: Allow;
    265 clock_gettime: Allow; // CLOCK_THREAD_CPUTIME_ID: of the task that runs the atom
    266 clock_getres: Allow;
    267 clock_nanosleep: Allow;
    268 statfs64: Allow;
    269 fstatfs64: Allow;
    270 tgkill: Allow;
    271 utimes: Allow;
    272 fadvise64_64: Allow;
    273 vserver: Absent;
    274 mbind: Allow; // policy of a range of the mm
    275 get_mempolicy: Allow; // a worker's policy equals its caller's
    276 set_mempolicy: Deny(MemPolicy);
    277 mq_open: Allow;
    278 mq_unlink: Allow;
    279 mq_timedsend: Allow;
    280 mq_timedreceive: Allow;
    281 mq_notify: Allow;
    282 mq_getsetattr: Allow;
    283 kexec_load: Allow;
    284 waitid: Check(WaitidOptions); // as wait4
    286 add_key: Deny(Keyrings); // naming a special keyring makes one and commits credentials
    287 request_key: Deny(Keyrings); // as add_key
    288 keyctl: Deny(Keyrings);
    289 ioprio_set: Deny(Scheduling);
    290 ioprio_get: Allow;
    291 inotify_init: Allow;
    292 inotify_add_watch: Allow;
    293 inotify_rm_watch: Allow;
    294 migrate_pages: Allow; // moves pages, sets no policy
    295 openat: Allow;
    296 mkdirat: Allow;
    297 mknodat: Allow;
    298 fchownat: Allow;
    299 futimesat: Allow;
    300 fstatat64: Allow;
    301 unlinkat: Allow;
    302 renameat: Allow;
    303 linkat: Allow;
    304 symlinkat: Allow;
    305 readlinkat: Allow;
    306 fchmodat: Allow;
    307 faccessat: Allow;
    308 pselect6: Allow; // its temporary signal mask is the blocked task's
    309 ppoll: Allow; // as pselect6
    310 unshare: Deny(Namespaces);
    311 set_robust_list: Deny(RobustList);
    312 get_robust_list: Deny(RobustList); // of the worker, for PID 0
    313 splice: Allow;
    314 sync_file_range: Allow;
    315 tee: Allow;
    316 vmsplice: Allow;
    317 move_pages: Allow;
    318 getcpu: Allow; // of the task that runs the atom
    319 epoll_pwait: Allow; // as pselect6
    320 utimensat: Allow;
    321 signalfd: Allow; // a read takes signals to the process, not those to the caller's thread
    322 timerfd_create: Allow;
    323 eventfd: Allow;
    324 fallocate: Allow;
    325 timerfd_settime: Allow;
    326 timerfd_gettime: Allow;
    327 signalfd4: Allow; // as signalfd
    328 eventfd2: Allow;
    329 epoll_create1: Allow;
    330 dup3: Allow;
    331 pipe2: Allow;
    332 inotify_init1: Allow;
    333 preadv: Allow;
    334 pwritev: Allow;
    335 rt_tgsigqueueinfo: Allow;
    336 perf_event_open: Check(PerfEvent);
    337 recvmmsg: Allow;
    338 fanotify_init: Allow;
    339 fanotify_mark: Allow;
    340 prlimit64: Allow; // limits are the process's
    341 name_to_handle_at: Allow;
    342 open_by_handle_at: Allow;
    343 clock_adjtime: Allow;
    344 syncfs: Allow;
    345 sendmmsg: Allow;
    346 setns: Deny(Namespaces);
    347 process_vm_readv: Allow;
    348 process_vm_writev: Allow;
    349 kcmp: Allow;
    350 finit_module: Allow;
    351 sched_setattr: Deny(Scheduling);
    352 sched_getattr: Allow;
    353 renameat2: Allow;
    354 seccomp: Deny(Seccomp);
    355 getrandom: Allow;
    356 memfd_create: Allow;
    357 bpf: Allow; // by file descriptor
    358 execveat: Deny(ReplacesImage);
    359 socket: Allow;
    360 socketpair: Allow;
    361 bind: Allow;
    362 connect: Allow;
    363 listen: Allow;
    364 accept4: Allow;
    365 getsockopt: Allow;
    366 setsockopt: Allow;
    367 getsockname: Allow;
    368 getpeername: Allow;
    369 sendto: Allow;
    370 sendmsg: Allow;
    371 recvfrom: Allow;
    372 recvmsg: Allow;
    373 shutdown: Allow;
    374 userfaultfd: Allow; // per mm
    375 membarrier: Allow; // registers the mm
    376 mlock2: Allow;
    377 copy_file_range: Allow;
    378 preadv2: Allow;
    379 pwritev2: Allow;
    380 pkey_mprotect: Allow; // as mprotect
    381 pkey_alloc: Deny(KeyRights); // sets the calling task's PKRU
    382 pkey_free: Allow; // per mm
    383 statx: Allow;
    384 arch_prctl: Deny(Tls);
    385 io_pgetevents: Allow; // as pselect6
    386 rseq: Deny(Rseq);
    393 semget: Allow;
    394 semctl: Allow;
    395 shmget: Allow; // the creator counts only under kernel.shm_rmid_forced
    396 shmctl: Allow;
    397 shmat: Allow;
    398 shmdt: Allow;
    399 msgget: Allow;
    400 msgsnd: Allow;
    401 msgrcv: Allow;
    402 msgctl: Allow;
    403 clock_gettime64: Allow;
    404 clock_settime64: Allow;
    405 clock_adjtime64: Allow;
    406 clock_getres_time64: Allow;
    407 clock_nanosleep_time64: Allow;
    408 timer_gettime64: Allow;
    409 timer_settime64: Allow;
    410 timerfd_gettime64: Allow;
    411 timerfd_settime64: Allow;
    412 utimensat_time64: Allow;
    413 pselect6_time64: Allow; // as pselect6
    414 ppoll_time64: Allow; // as pselect6
    416 io_pgetevents_time64: Allow; // as pselect6
    417 recvmmsg_time64: Allow;
    418 mq_timedsend_time64: Allow;
    419 mq_timedreceive_time64: Allow;
    420 semtimedop_time64: Allow;
    421 rt_sigtimedwait_time64: Deny(SignalState);
    422 futex_time64: Check(Futex);
    423 sched_rr_get_interval_time64: Allow;
};

/// The numbers that all ABIs share.
const UNIFIED: &[Entry] = calls! {
    424 pidfd_send_signal: Check(PidfdSignal);
    425 io_uring_setup: Deny(IoUring);
    426 io_uring_enter: Deny(IoUring);
    427 io_uring_register: Deny(IoUring);
    428 open_tree: Allow;
    429 move_mount: Allow;
    430 fsopen: Allow;
    431 fsconfig: Allow;
    432 fsmount: Allow;
    433 fspick: Allow;
    434 pidfd_open: Allow;
    435 clone3: Deny(ForksTask);
    436 close_range: Check(CloseRange);
    437 openat2: Allow;
    438 pidfd_getfd: Allow;
    439 faccessat2: Allow;
    440 process_madvise: Allow; // PIDFD_SELF_THREAD means the mm
    441 epoll_pwait2: Allow; // as pselect6
    442 mount_setattr: Allow;
    443 quotactl_fd: Allow;
    444 landlock_create_ruleset: Allow; // a file; only restrict_self acts on the task
    445 landlock_add_rule: Allow;
    446 landlock_restrict_self: Deny(Credentials);
    447 memfd_secret: Allow;
    448 process_mrelease: Allow;
    449 futex_waitv: Allow;
    450 set_mempolicy_home_node: Allow; // policy of a range of the mm
    451 cachestat: Allow;
    452 fchmodat2: Allow;
    453 map_shadow_stack: Allow; // only maps
    454 futex_wake: Allow;
    455 futex_wait: Allow;
    456 futex_requeue: Allow;
    457 statmount: Allow;
    458 listmount: Allow;
    459 lsm_get_self_attr: Allow; // a worker's credentials equal its caller's
    460 lsm_set_self_attr: Deny(Credentials);
    461 lsm_list_modules: Allow;
    462 mseal: Allow;
    463 setxattrat: Allow;
    464 getxattrat: Allow;
    465 listxattrat: Allow;
    466 removexattrat: Allow;
    467 open_tree_attr: Allow;
    468 file_getattr: Allow;
    469 file_setattr: Allow;
    470 listns: Allow;
    471 rseq_slice_yield: Deny(Rseq);
    472 fchroot: Allow; // fs_struct is shared, as for chroot
};
