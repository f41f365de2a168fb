// SPDX-License-Identifier: GPL-2.0

//! Where a case takes place: memory at known addresses, within reach of 32-bit callers, and open
//! files at known numbers. Nothing else of the process is ever pointed to.

use std::ffi::c_int;

use crate::case::Tape;
use crate::sys;

const PAGE: usize = 4096;
/// Room for each kind of thing.
const ROOM: usize = 64 * 1024;

/// Buffers of calls.
pub const DATA: usize = 0x1000_0000;
/// One page, and behind it one that cannot be accessed.
const EDGE: usize = 0x1010_0000;
/// Can be read only.
const READ_ONLY: usize = 0x1020_0000;
/// Atoms of programs.
pub const ATOMS: usize = 0x1030_0000;
/// Programs, and arguments of ioctls.
pub const PROGRAMS: usize = 0x1040_0000;
/// Results.
pub const RESULTS: usize = 0x1050_0000;
/// Uatoms.
pub const UATOMS: usize = 0x1060_0000;
/// What uatoms point to.
pub const WORDS: usize = 0x1070_0000;
/// Memory whose faults a thread may have to see to.
pub const LATE: usize = 0x1080_0000;
/// Pages of that.
pub const LATE_PAGES: usize = 4;
/// What is mapped, unmapped and protected by calls.
pub const LOOSE: usize = 0x1090_0000;
/// The mappings of rings, one for each head.
const RINGS: usize = 0x1100_0000;
const RING_ROOM: usize = 0x40_0000;

/// Heads of a case.
pub const HEADS: usize = 3;
const FIRST_HEAD: c_int = 30;
/// What is opened at the beginning, from this number on; see [`open_files`].
const FIRST_FILE: c_int = 10;
const FILES: usize = 10;
/// What is opened later, at known numbers.
const FIRST_EXTRA: c_int = 40;
const EXTRAS: usize = 4;
/// The page faults of [`LATE`].
pub const FAULTS: c_int = 50;

/// The descriptor of a head.
pub fn head(which: usize) -> c_int {
    FIRST_HEAD + (which % HEADS) as c_int
}

/// Where its ring is mapped.
pub fn ring(which: usize) -> usize {
    RINGS + which % HEADS * RING_ROOM
}

/// Makes the memory; says whether that was possible.
pub fn map_memory() -> bool {
    const READ_WRITE: c_int = libc::PROT_READ | libc::PROT_WRITE;
    let maps = [
        (DATA, ROOM, READ_WRITE),
        (EDGE, PAGE, READ_WRITE),
        (EDGE + PAGE, PAGE, libc::PROT_NONE),
        (READ_ONLY, PAGE, libc::PROT_READ),
        (ATOMS, ROOM, READ_WRITE),
        (PROGRAMS, ROOM, READ_WRITE),
        (RESULTS, ROOM, READ_WRITE),
        (UATOMS, PAGE, READ_WRITE),
        (WORDS, PAGE, READ_WRITE),
        (LATE, LATE_PAGES * PAGE, READ_WRITE),
        (LOOSE, ROOM, READ_WRITE),
    ];
    maps.iter().all(|&(at, len, protection)| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let args = [at, len, protection as usize, flags as usize, usize::MAX, 0];
        sys::call(libc::SYS_mmap, args) == at as isize
    })
}

/// Opens the files: two pipes, an eventfd, a pair of sockets, an epoll with the first pipe in it, a
/// timer, a file in memory.
pub fn open_files() {
    let mut pair = [0_i32; 2];
    let both = pair.as_mut_ptr() as usize;
    // A result may be taken for any descriptor; ours are not for what is written then.
    for standard in 0..3 {
        let null = c"/dev/null".as_ptr() as usize;
        take(
            sys::call3(libc::SYS_open, null, libc::O_RDWR as usize, 0),
            standard,
        );
    }
    for at in [10, 12] {
        sys::call3(libc::SYS_pipe2, both, 0, 0);
        take_pair(pair, at);
    }
    take(sys::call3(libc::SYS_eventfd2, 0, 0, 0), 14);
    let (unix, stream) = (libc::AF_UNIX as usize, libc::SOCK_STREAM as usize);
    sys::call(libc::SYS_socketpair, [unix, stream, 0, both, 0, 0]);
    take_pair(pair, 15);
    take(sys::call3(libc::SYS_epoll_create1, 0, 0, 0), 17);
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 1,
    };
    let event = std::ptr::from_mut(&mut event) as usize;
    let add = libc::EPOLL_CTL_ADD as usize;
    sys::call(libc::SYS_epoll_ctl, [17, add, 10, event, 0, 0]);
    let monotonic = libc::CLOCK_MONOTONIC as usize;
    take(sys::call3(libc::SYS_timerfd_create, monotonic, 0, 0), 18);
    let name = c"syslet-fuzz".as_ptr() as usize;
    take(sys::call3(libc::SYS_memfd_create, name, 0, 0), 19);
}

fn take_pair(pair: [i32; 2], at: c_int) {
    take(pair[0] as isize, at);
    take(pair[1] as isize, at + 1);
}

/// Gives a file that was just opened a number of its own.
pub fn take(fd: isize, to: c_int) -> bool {
    if fd < 0 {
        return false;
    }
    sys::call3(libc::SYS_dup3, fd as usize, to as usize, 0);
    sys::call3(libc::SYS_close, fd as usize, 0, 0);
    true
}

/// A descriptor, right or wrong.
pub fn some_fd(tape: &mut Tape<'_>) -> u64 {
    match tape.below(16) {
        0..=10 => (FIRST_FILE + tape.below(FILES) as c_int) as u64,
        11 | 12 => some_extra(tape),
        13 => head(tape.below(HEADS)) as u64,
        14 => 22 + tape.below(8) as u64,
        _ => tape.one_of(&[9999, 0x7fff_ffff, 0x8000_0000]),
    }
}

/// A descriptor that may be replaced and closed at any time.
pub fn some_extra(tape: &mut Tape<'_>) -> u64 {
    (FIRST_EXTRA + tape.below(EXTRAS) as c_int) as u64
}

/// The range of those.
pub const EXTRA_RANGE: [u64; 2] = [FIRST_EXTRA as u64, FIRST_EXTRA as u64 + EXTRAS as u64 - 1];

/// An address in `DATA`.
pub fn some_data(tape: &mut Tape<'_>) -> u64 {
    (DATA + tape.below(128) * 512) as u64
}

/// An address from which not all can be read or written that may be asked for.
pub fn some_bad(tape: &mut Tape<'_>) -> u64 {
    match tape.below(10) {
        0 => 0,
        1 => 8,
        2 => (EDGE + PAGE - tape.below(96)) as u64,
        3 => (EDGE + PAGE) as u64,
        4 => READ_ONLY as u64,
        5 => 0x7fff_ffff_f000 - tape.below(96) as u64,
        6 => 0x8000_0000_0000,
        7 => 0xffff_8880_0000_1000,
        8 => u64::MAX - tape.below(64) as u64,
        _ => (LATE + tape.below(LATE_PAGES) * PAGE + tape.one_of(&[0, PAGE - 8])) as u64,
    }
}

/// `at`, or a bad address where the call may be refused for that.
pub fn or_bad(tape: &mut Tape<'_>, at: usize) -> u64 {
    if tape.is_wrong(8) {
        some_bad(tape)
    } else {
        at as u64
    }
}

/// Writes `value` there, as one word after the other: others may read and write it meanwhile.
pub fn put<T: Copy>(at: usize, value: &T) {
    const WORD: usize = size_of::<u32>();
    let from = std::ptr::from_ref(value).cast::<u32>();
    for index in 0..size_of::<T>() / WORD {
        // SAFETY: Every place has room for what is put there, and nobody has references to it. All
        // that is put is made of words.
        unsafe {
            let word = from.add(index).read();
            (at as *mut u32).add(index).write_volatile(word);
        }
    }
}

/// Reads it in the same way.
pub fn get(at: usize) -> u32 {
    // SAFETY: As in `put`; what is there is any number.
    unsafe { (at as *const u32).read_volatile() }
}
