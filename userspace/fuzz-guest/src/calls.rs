// SPDX-License-Identifier: GPL-2.0

//! The system calls of atoms: such that do no harm outside of the case, with whatever arguments they
//! are given here.

use syslet::uapi;

use crate::case::Tape;
use crate::place;
use crate::sys::Way;

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arg {
    /// 0.
    Zero,
    /// This number.
    Is(u64),
    /// One of these.
    Of(&'static [u64]),
    /// A descriptor.
    Fd,
    /// A descriptor that may be closed or replaced.
    Extra,
    /// A head.
    Head,
    /// Memory.
    Data,
    /// A length.
    Len,
    /// A short time.
    Time,
    /// A futex, which holds 0.
    Futex,
    /// Two entries of `poll()`.
    Polls,
    /// A signal set.
    Set,
    /// A path.
    Path,
    /// An epoll event.
    Event,
    /// Pages that may be unmapped.
    Loose,
    /// This process.
    Process,
    /// The thread that makes the atom.
    Thread,
}

use Arg::{
    Data, Event, Extra, Fd, Futex, Head, Is, Len, Loose, Of, Path, Polls, Process, Set, Thread,
    Time, Zero,
};

struct Call {
    x64: u32,
    i386: u32,
    args: &'static [Arg],
}

macro_rules! calls {
    ($($x64:literal $i386:literal [$($arg:expr),*];)*) => {
        &[$(Call { x64: $x64, i386: $i386, args: &[$($arg),*] },)*]
    };
}

const SIGNALS: Arg = Of(&[0, 10, 12, 23, 17]);
const SYSLET: Arg = Of(&[
    0xc030_bb00,
    0xc028_bb01,
    0xc020_bb02,
    0xc020_bb03,
    0xc010_bb04,
    0x4004_bb05,
    0xbb1f,
]);

/// The numbers of both ABIs, and the arguments; others than these are 0.
const CALLS: &[Call] = calls! {
    110 64 []; // getppid
    0 3 [Fd, Data, Len]; // read
    1 4 [Fd, Data, Len]; // write
    35 162 [Time, Data]; // nanosleep
    39 20 []; // getpid
    186 224 []; // gettid
    24 158 []; // sched_yield
    0 3 [Fd, Data, Len];
    0 3 [Is(10), Data, Len];
    1 4 [Is(11), Data, Is(1)];
    1 4 [Is(13), Data, Is(64)];
    0 3 [Is(14), Data, Is(8)];
    1 4 [Is(14), Data, Is(8)];
    230 267 [Of(&[0, 1, 7]), Of(&[0, 1]), Time, Data]; // clock_nanosleep
    7 168 [Polls, Of(&[0, 1, 2]), Of(&[0, 1, 3, 0xffff_ffff])]; // poll
    271 309 [Polls, Of(&[0, 1, 2]), Time, Set, Is(8)]; // ppoll
    202 240 [Futex, Of(&[0, 128]), Zero, Time]; // futex: wait
    202 240 [Futex, Of(&[1, 129]), Of(&[1, 100])]; // wake
    202 240 [Futex, Of(&[3, 4, 5]), Is(1), Is(1), Futex, Zero]; // requeue, wake_op
    202 240 [Futex, Of(&[6, 7, 8, 11, 12, 13]), Zero, Time, Futex]; // PI: refused
    232 256 [Fd, Data, Of(&[1, 4, 0]), Of(&[0, 1, 2])]; // epoll_wait
    281 319 [Fd, Data, Of(&[1, 4]), Of(&[0, 1, 2]), Set, Is(8)]; // epoll_pwait
    233 255 [Is(17), Of(&[1, 2, 3]), Fd, Event]; // epoll_ctl
    257 295 [Is(0xffff_ff9c), Path, Of(&[0, 2, 0o2000, 0o100_102, 0o200_000]), Is(0o600)]; // openat
    3 6 [Extra]; // close
    3 6 [Fd];
    3 6 [Head];
    436 436 [Is(place::EXTRA_RANGE[0]), Is(place::EXTRA_RANGE[1]), Of(&[0, 4, 2])]; // close_range
    33 63 [Fd, Extra]; // dup2
    32 41 [Fd]; // dup
    72 55 [Fd, Of(&[1, 2, 3, 4, 1024, 1026, 1030, 9, 10]), Of(&[0, 1, 0o4000])]; // fcntl
    16 54 [Fd, Of(&[0x541b, 0x5421, 0x5451]), Data]; // ioctl: FIONREAD, FIONBIO, FIOCLEX
    16 54 [Head, SYSLET, Data]; // of the device: refused
    5 108 [Fd, Data]; // fstat
    262 300 [Is(0xffff_ff9c), Path, Data, Of(&[0, 0x100])]; // newfstatat
    8 19 [Fd, Len, Of(&[0, 1, 2, 9])]; // lseek
    17 180 [Fd, Data, Len, Len]; // pread64
    77 93 [Is(19), Len]; // ftruncate
    44 369 [Of(&[15, 16]), Data, Len, Of(&[0x4000, 0x40])]; // sendto
    45 371 [Of(&[15, 16]), Data, Len, Of(&[0, 0x40, 0x100])]; // recvfrom
    48 373 [Of(&[15, 16]), Of(&[0, 1, 2])]; // shutdown
    293 331 [Data, Of(&[0, 0o4000])]; // pipe2
    290 328 [Of(&[0, 5]), Of(&[0, 0o4000, 1])]; // eventfd2
    286 325 [Is(18), Of(&[0, 1]), Time, Data]; // timerfd_settime
    9 192 [Zero, Len, Of(&[0, 1, 3]), Is(0x22), Is(0xffff_ffff), Zero]; // mmap
    11 91 [Loose, Of(&[4096, 8192])]; // munmap
    10 125 [Loose, Of(&[4096, 8192]), Of(&[0, 1, 3])]; // mprotect
    28 219 [Loose, Of(&[4096, 8192]), Of(&[4, 8, 14, 3])]; // madvise
    28 219 [Data, Is(4096), Is(4)];
    234 270 [Process, Thread, SIGNALS]; // tgkill
    424 424 [Fd, SIGNALS, Zero, Zero]; // pidfd_send_signal
    61 114 [Is(0xffff_ffff), Data, Of(&[1, 0x4000_0001, 0x2000_0001]), Data]; // wait4
    247 284 [Is(0), Zero, Data, Of(&[5, 0x100_0005]), Data]; // waitid
    97 76 [Of(&[0, 7, 16]), Data]; // getrlimit
    302 340 [Zero, Of(&[7, 0]), Zero, Data]; // prlimit64
    302 340 [Zero, Is(4), Data, Data]; // prlimit64, of core
    98 77 [Of(&[0, 1, 0xffff_ffff]), Data]; // getrusage
    318 355 [Data, Len, Zero]; // getrandom
    228 265 [Of(&[0, 1, 2, 3]), Data]; // clock_gettime
    222 259 [Of(&[0, 1, 2, 3]), Zero, Data]; // timer_create
    226 263 [Of(&[0, 1])]; // timer_delete
    38 104 [Is(0), Time, Data]; // setitimer
    13 174 [Is(31), Zero, Data, Is(8)]; // rt_sigaction
    282 321 [Is(0xffff_ffff), Set, Is(8)]; // signalfd
    324 375 [Of(&[0, 8, 16])]; // membarrier
    275 313 [Fd, Zero, Fd, Zero, Len, Of(&[0, 2])]; // splice
    276 315 [Fd, Fd, Len, Of(&[0, 2])]; // tee
    310 347 [Process, Data, Is(1), Data, Is(1)]; // process_vm_readv
    95 60 [Is(0o22)]; // umask
    79 183 [Data, Len]; // getcwd
    80 12 [Path]; // chdir
    63 122 [Data]; // uname
    99 116 [Data]; // sysinfo
    326 377 [Is(19), Zero, Is(19), Zero, Len]; // copy_file_range
    323 374 [Of(&[1, 0x8_0001])]; // userfaultfd
};

/// Such that may not be in an atom.
const DENIED: &[Call] = calls! {
    14 175 [Of(&[0, 1, 2]), Set, Data, Is(8)]; // rt_sigprocmask
    131 186 [Data, Data]; // sigaltstack
    56 120 [Is(0x11)]; // clone
    57 2 []; // fork
    59 11 [Path]; // execve
    60 1 [Is(5)]; // exit
    231 252 [Is(5)]; // exit_group
    15 173 []; // rt_sigreturn
    157 172 [Of(&[38, 15, 4])]; // prctl
    272 310 [Is(0x200)]; // unshare
    109 57 [Zero]; // setpgid
    112 66 []; // setsid
    105 23 []; // setuid
    101 26 []; // ptrace
    317 354 []; // seccomp
    425 425 [Is(4), Data]; // io_uring_setup
    219 0 []; // restart_syscall
};

const PATHS: &[&str] = &[
    "/dev/null\0",
    "/tmp\0",
    "/tmp/syslet-fuzz\0",
    "/nowhere/at/all\0",
    "/proc/self/maps\0",
    "/proc/self/status\0",
    "/proc/self/fdinfo/30\0",
    "/proc/thread-self/stat\0",
    "/dev/zero\0",
    "/dev/syslet\0",
    "/proc/self/task\0",
    "/proc/self/limits\0",
];

/// What is known of who makes an atom.
#[derive(Clone, Copy)]
pub struct Maker {
    /// How it will enter the kernel.
    pub way: Way,
    /// Its process.
    pub pid: i32,
    /// Its thread.
    pub tid: i32,
}

impl Maker {
    /// A system call: its number, and its arguments.
    pub fn call(self, tape: &mut Tape<'_>) -> (u64, [u64; 6]) {
        let which = usize::from(tape.byte());
        let call = if tape.is_wrong(12) {
            if which >= 0x80 {
                return (Self::odd(tape), [0; 6]);
            }
            &DENIED[which % DENIED.len()]
        } else {
            &CALLS[which % CALLS.len()]
        };
        let mut args = [0; 6];
        for (to, &arg) in args.iter_mut().zip(call.args) {
            *to = self.argument(tape, arg);
        }
        let nr = if self.way == Way::I386 {
            call.i386
        } else {
            call.x64
        };
        (nr.into(), args)
    }

    /// A number that is not in the table, or not at all.
    fn odd(tape: &mut Tape<'_>) -> u64 {
        match tape.below(6) {
            0 => u64::from(uapi::NR_UMEM_ADD) + 1,
            1 => u64::MAX >> 32,
            2 => 512 + tape.below(64) as u64,
            3 => 0x4000_0000 + tape.below(256) as u64,
            4 => 336 + tape.below(88) as u64,
            _ => 1 << 20,
        }
    }

    fn argument(self, tape: &mut Tape<'_>, arg: Arg) -> u64 {
        match arg {
            Zero => 0,
            Is(value) => value,
            Of(list) => tape.one_of(list),
            Fd => place::some_fd(tape),
            Extra => place::some_extra(tape),
            Head => place::head(tape.below(place::HEADS)) as u64,
            Data => Self::data(tape),
            Len => tape.one_of(&[1, 8, 16, 100, 512, 4096, 5000, 0, 65536, 1 << 31, u64::MAX]),
            Loose => (place::LOOSE + tape.below(16) * 4096) as u64,
            Process => self.pid as u64,
            Thread => self.tid as u64,
            Time => Self::filled(tape, |tape, at| {
                let nanoseconds = tape.one_of(&[0, 1, 50_000, 300_000, 1_000_000, 3_000_000]);
                if self.way == Way::I386 {
                    place::put(at, &[0_u32, nanoseconds, 0, nanoseconds]);
                } else {
                    place::put(at, &[0_u64, nanoseconds.into(), 0, nanoseconds.into()]);
                }
            }),
            Futex => Self::filled(tape, |_, at| place::put(at, &[0_u32; 4])),
            Polls => Self::filled(tape, |tape, at| {
                let mut entry = || [place::some_fd(tape) as u32, tape.byte().into()];
                place::put(at, &[entry(), entry()]);
            }),
            Set => Self::filled(tape, |tape, at| {
                let set = tape.one_of(&[0, 0x200, 0x800, 0x2000, !0, 0xa00]);
                place::put::<u64>(at, &set);
            }),
            Path => Self::filled(tape, |tape, at| {
                let mut text = [0_u8; 32];
                let path = tape.one_of(PATHS);
                text[..path.len()].copy_from_slice(path.as_bytes());
                place::put(at, &text);
            }),
            Event => Self::filled(tape, |tape, at| {
                place::put(at, &[u32::from(tape.byte()) << tape.below(25), 0, 0, 0]);
            }),
        }
    }

    fn data(tape: &mut Tape<'_>) -> u64 {
        if tape.rarely(12) {
            place::some_bad(tape)
        } else {
            place::some_data(tape)
        }
    }

    fn filled(tape: &mut Tape<'_>, fill: impl FnOnce(&mut Tape<'_>, usize)) -> u64 {
        if tape.rarely(24) {
            return place::some_bad(tape);
        }
        let at = place::some_data(tape);
        fill(tape, at as usize);
        at
    }

    /// An atom, number `index` of a program of `len`.
    pub fn atom(self, tape: &mut Tape<'_>, index: usize, len: usize) -> uapi::Atom {
        let mut atom = uapi::Atom::default();
        if tape.rarely(12) {
            atom.nr = uapi::NR_UMEM_ADD;
            atom.args = [
                place::or_bad(tape, place::DATA),
                tape.byte().into(),
                0,
                0,
                0,
                0,
            ];
        } else {
            let (nr, args) = self.call(tape);
            atom.nr = nr as u32;
            atom.args = args;
        }
        Self::flow(tape, &mut atom, index, len);
        atom
    }

    /// Where the program goes on behind an atom, and what the atom takes from others.
    fn flow(tape: &mut Tape<'_>, atom: &mut uapi::Atom, index: usize, len: usize) {
        let how = tape.byte();
        if how & 3 == 3 {
            atom.flags = u32::from(tape.byte()) & 0x78;
            if how & 4 != 0 && index + 1 < len && atom.flags != 0 {
                atom.flags |= uapi::SKIP_ON_STOP;
                atom.skip = 1 + tape.below(len - 1 - index) as u8;
            }
        }
        // Only what reads, writes, waits or closes takes a result, and as its first or third argument:
        // elsewhere it might name a process, or memory of ours.
        let takes = [
            0, 1, 3, 4, 5, 6, 8, 17, 19, 32, 41, 35, 162, 108, 180, 93, 77,
        ];
        if how & 0x18 == 0x18 && index > 0 && takes.contains(&atom.nr) {
            atom.arg_from[0] = 1 + tape.below(index) as u8;
        }
        if how & 0x38 == 0x28 && index > 0 && [0, 1, 3, 4].contains(&atom.nr) {
            atom.arg_from[2] = 1 + tape.below(index) as u8;
        }
        if tape.is_wrong(16) {
            match tape.below(4) {
                0 => atom.flags ^= 1 << tape.below(32),
                1 => atom.skip = tape.byte(),
                2 => atom.reserved = tape.byte(),
                _ => atom.arg_from[5] = tape.byte(),
            }
        }
    }
}
