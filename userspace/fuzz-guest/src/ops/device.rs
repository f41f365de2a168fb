// SPDX-License-Identifier: GPL-2.0

//! The device but for what runs programs.

use syslet::uapi;

use crate::case::Tape;
use crate::place;
use crate::sys;
use crate::thread::Thread;

const PAGE: usize = 4096;

/// Opens a head, and most of the time sets it up and maps its ring.
pub fn open(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let which = tape.below(place::HEADS);
    let how = tape.byte();
    let path = c"/dev/syslet".as_ptr() as usize;
    let flags = libc::O_RDWR | libc::O_CLOEXEC;
    let fd = sys::call3(libc::SYS_open, path, flags as usize, 0);
    if !place::take(fd, place::head(which)) || how & 15 == 15 {
        return;
    }
    let arg = uapi::Setup {
        size: uapi::Setup::SIZE as u32,
        cq_entries: [0, 1, 2, 4, 16, 64, 256, 4096][usize::from((how >> 4) & 7)],
        max_threads: [0, 1, 2, 3, 8, 64, 0, 0][usize::from(tape.byte() & 7)],
        spare_threads: u32::from(tape.byte() & 1),
        idle_ms: [0, 1, 2, 10][usize::from(tape.byte() & 3)],
        ..uapi::Setup::default()
    };
    let at = thread.argument();
    place::put(at, &arg);
    thread.command(place::head(which), uapi::IOC_SETUP, at);
    if how & 0x80 == 0 {
        map_ring(which, place::get(at + 24) as usize, 0);
    }
}

fn map_ring(which: usize, len: usize, offset: usize) {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as usize;
    // Nothing else is mapped behind a ring.
    let len = len.min(0x30_0000);
    let args = [
        place::ring(which),
        len,
        protection,
        flags,
        place::head(which) as usize,
        offset,
    ];
    sys::call(libc::SYS_mmap, args);
}

/// Sets a head up with anything.
pub fn setup(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let numbers = [0, 1, 2, 3, 256, 4096, 4097, 65536, 131_072, u32::MAX];
    let mut arg = uapi::Setup {
        size: uapi::Setup::SIZE as u32,
        cq_entries: tape.one_of(&numbers),
        max_threads: tape.one_of(&numbers),
        spare_threads: tape.one_of(&numbers),
        idle_ms: tape.one_of(&numbers),
        ..uapi::Setup::default()
    };
    let fd = thread.some_head(tape);
    thread.submit(tape, fd, uapi::IOC_SETUP, &mut arg);
}

/// Asks.
pub fn query(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let mut arg = uapi::Query {
        size: uapi::Query::SIZE as u32,
        policies: place::or_bad(tape, place::DATA),
        nr_policies: tape.one_of(&[0, 1, 512, 600, 65536, 65537, u32::MAX]),
        ..uapi::Query::default()
    };
    let fd = thread.some_head(tape);
    thread.submit(tape, fd, uapi::IOC_QUERY, &mut arg);
}

/// Waits.
pub fn wait(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let masked = tape.rarely(4);
    if masked {
        place::put::<u64>(place::DATA, &tape.one_of(&[0, !0, 0x200, 0x2a00]));
    }
    let mut arg = uapi::Wait {
        size: uapi::Wait::SIZE as u32,
        flags: u32::from(tape.rarely(8)),
        min_complete: tape.one_of(&[1, 0, 1, 2, 4, 256, 65536, u32::MAX]),
        sigset_size: if masked {
            tape.one_of(&[8, 8, 8, 4, 0, 128])
        } else {
            0
        },
        timeout_ns: tape.one_of(&[
            0,
            100_000,
            1_000_000,
            5_000_000,
            5_000_000,
            1 << 63,
            u64::MAX,
        ]),
        sigmask: if masked {
            place::or_bad(tape, place::DATA)
        } else {
            0
        },
    };
    let fd = thread.some_head(tape);
    thread.submit(tape, fd, uapi::IOC_WAIT, &mut arg);
}

/// Cancels.
pub fn cancel(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let mut arg = uapi::Cancel {
        size: uapi::Cancel::SIZE as u32,
        flags: if tape.is_wrong(4) {
            2
        } else {
            tape.one_of(&[1, 0])
        },
        user_data: tape.below(4) as u64,
    };
    let fd = thread.some_head(tape);
    thread.submit(tape, fd, uapi::IOC_CANCEL, &mut arg);
}

/// Sets the eventfd, or another file in its place.
pub fn eventfd(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let fd = thread.some_head(tape);
    let signalled = match tape.below(4) {
        0 | 1 => 14,
        2 => u32::MAX,
        _ => place::some_fd(tape) as u32,
    };
    place::put(thread.argument(), &signalled);
    let at = place::or_bad(tape, thread.argument());
    thread.command(fd, uapi::IOC_EVENTFD, at as usize);
}

/// Parks, which only workers may.
pub fn park(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let fd = thread.some_head(tape);
    thread.command(fd, uapi::IOC_PARK, tape.below(4));
}

/// Any command, of any size and direction, with any bytes.
pub fn command(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let nr = tape.below(0x22) as u64;
    let bits = tape.word() & 0xffff_0000;
    let magic = if tape.rarely(8) { 0 } else { 0xbb00 };
    let mut arg = [0_u64; 8];
    for word in arg.iter_mut().take(1 + tape.below(8)) {
        *word = if tape.rarely(3) {
            tape.word()
        } else {
            tape.byte().into()
        };
    }
    // What it says of programs may be anything but a place where other programs are.
    arg[1] &= !0xff_ffff_ffff;
    let fd = thread.some_head(tape);
    thread.submit(tape, fd, (bits | magic | nr) as u32, &mut arg);
}

/// Maps a ring, rightly or wrongly.
pub fn mmap(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let which = tape.below(place::HEADS);
    if tape.rarely(8) {
        sys::call3(libc::SYS_munmap, place::ring(which), 0x30_0000, 0);
    }
    let pages = tape.one_of(&[1, 2, 3, 5, 9, 33, 513]);
    map_ring(which, pages * PAGE, tape.one_of(&[0, 0, 0, PAGE]));
    if tape.rarely(8) {
        let protection = tape.one_of(&[0, 1, 3, 5]);
        sys::call3(libc::SYS_mprotect, place::ring(which), PAGE, protection);
    }
    if tape.rarely(8) {
        let args = [place::ring(which), PAGE, 8 * PAGE, 1, 0, 0];
        sys::call(libc::SYS_mremap, args);
    }
}

/// Takes what is in a ring, or writes anything into it. What is not there is not touched: the kernel
/// does it, and fails.
pub fn ring(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let at = place::ring(tape.below(place::HEADS));
    let (scratch, how) = (place::WORDS + 2048, tape.below(8));
    if how < 5 {
        // head = tail, by a call that may find nothing there.
        copy_word(at + 64, scratch);
        let value = place::get(scratch).wrapping_add(if how == 4 { tape.byte().into() } else { 0 });
        place::put(scratch, &value);
        copy_word(scratch, at);
        return;
    }
    let numbers = [0, 1, 255, 256, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    place::put(scratch, &tape.one_of(&numbers));
    copy_word(scratch, at + tape.below(64) * 4);
}

/// Copies a word of the process, if it is there.
fn copy_word(from: usize, to: usize) {
    let vector = |base| libc::iovec {
        iov_base: base as *mut _,
        iov_len: 4,
    };
    let (local, remote) = (vector(to), vector(from));
    let pid = sys::call(libc::SYS_getpid, [0; 6]) as usize;
    let local = std::ptr::from_ref(&local) as usize;
    let remote = std::ptr::from_ref(&remote) as usize;
    sys::call(libc::SYS_process_vm_readv, [pid, local, 1, remote, 1, 0]);
}

/// Polls a head.
pub fn poll(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let events = i16::from(tape.byte());
    let mut polled = libc::pollfd {
        fd: thread.some_head(tape),
        events: libc::POLLIN | events,
        revents: 0,
    };
    let at = std::ptr::from_mut(&mut polled) as usize;
    sys::call3(libc::SYS_poll, at, 1, tape.one_of(&[0, 1, 5]));
    if tape.rarely(4) {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: 2,
        };
        let add = tape.one_of(&[
            libc::EPOLL_CTL_ADD,
            libc::EPOLL_CTL_DEL,
            libc::EPOLL_CTL_MOD,
        ]);
        let at = std::ptr::from_mut(&mut event) as usize;
        let args = [17, add as usize, polled.fd as usize, at, 0, 0];
        sys::call(libc::SYS_epoll_ctl, args);
    }
}

/// Closes a descriptor of a head, with whoever is in it.
pub fn close(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let fd = thread.some_head(tape);
    sys::call3(libc::SYS_close, fd as usize, 0, 0);
}

/// Another descriptor of a head, in the place of one or of something else.
pub fn dup(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let from = thread.some_head(tape);
    let to = if tape.rarely(2) {
        thread.some_head(tape) as usize
    } else {
        place::some_extra(tape) as usize
    };
    sys::call3(libc::SYS_dup2, from as usize, to, 0);
}

/// Reads what is told of a head.
pub fn fdinfo(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let path = [
        c"/proc/self/fdinfo/30",
        c"/proc/self/fdinfo/31",
        c"/proc/self/fdinfo/32",
    ][tape.below(3)];
    let fd = sys::call3(libc::SYS_open, path.as_ptr() as usize, 0, 0);
    if fd >= 0 {
        sys::call3(libc::SYS_read, fd as usize, place::DATA, 4096);
        sys::call3(libc::SYS_close, fd as usize, 0, 0);
    }
}
