// SPDX-License-Identifier: GPL-2.0

//! What a process does to itself meanwhile.

use std::ffi::{c_int, c_long};

use crate::case::Tape;
use crate::place;
use crate::sys::{self, Way};
use crate::thread::{Thread, HANDLED};

/// Makes one of the calls of atoms, as it is.
pub fn call(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    // These end, copy or replace the thread, or change what it is taken to be.
    const NOT: [u64; 12] = [56, 57, 59, 60, 231, 15, 157, 131, 14, 101, 317, 219];

    let mut maker = thread.maker();
    maker.way = Way::X64;
    let (nr, args) = maker.call(tape);
    if !NOT.contains(&nr) && nr < 512 {
        sys::call(nr as c_long, args.map(|arg| arg as usize));
    }
}

/// Has others find what they wait for.
pub fn wake(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let data = place::DATA + 60 * 1024;
    for _ in 0..=tape.below(4) {
        match tape.below(8) {
            0 | 1 => sys::call3(libc::SYS_write, 11, data, 1),
            2 => sys::call3(libc::SYS_write, 13, data, 8),
            3 => {
                place::put(data, &1_u64);
                sys::call3(libc::SYS_write, 14, data, 8)
            }
            4 => sys::call3(libc::SYS_write, 15 + tape.below(2), data, 1),
            5 => sys::call3(libc::SYS_futex, place::some_data(tape) as usize, 1, 100),
            6 => {
                let file = tape.one_of(&[10, 12, 14, 15, 16]);
                let args = [file, 0, place::DATA, 0, 0, 0];
                // Whatever is there, without waiting.
                sys::call(
                    libc::SYS_fcntl,
                    [file, libc::F_SETFL as usize, 0o4000, 0, 0, 0],
                );
                sys::call3(libc::SYS_read, args[0], args[2], 64);
                sys::call(libc::SYS_fcntl, [file, libc::F_SETFL as usize, 0, 0, 0, 0])
            }
            _ => sys::call(libc::SYS_sched_yield, [0; 6]),
        };
    }
}

/// Lets the others run.
pub fn sleep(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    nap(tape.one_of(&[100, 500, 1000, 3000, 7000]));
}

fn nap(microseconds: i64) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: microseconds * 1000,
    };
    sys::call3(
        libc::SYS_nanosleep,
        std::ptr::from_ref(&time) as usize,
        0,
        0,
    );
}

/// A signal that is handled, to a thread or the process.
pub fn signal(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let signal = tape.one_of(&HANDLED) as usize;
    let maker = thread.maker();
    if tape.rarely(3) {
        sys::call3(libc::SYS_kill, maker.pid as usize, signal, 0);
    } else {
        let tid = thread.some_tid(tape);
        sys::call3(libc::SYS_tgkill, maker.pid as usize, tid as usize, signal);
    }
}

/// Blocks signals, or lets them come.
pub fn mask(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let set = tape.one_of(&[0, 0x200, 0x800, 0x2a00, 0]);
    thread.set_mask(set);
}

/// Forks; the child goes on with what this thread has left to do.
pub fn fork(thread: &mut Thread<'_>, _: &mut Tape<'_>) {
    if thread.is_forked() {
        return;
    }
    // SAFETY: The C library sees to its own locks; the child only does what is in a case.
    if unsafe { libc::fork() } == 0 {
        thread.become_forked();
    }
}

/// Changes what a spare must have in common with its caller, or what must not be handed over.
pub fn identity(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    match tape.below(12) {
        0 => sys::call3(libc::SYS_setfsuid, tape.below(3), 0, 0),
        1 => sys::call3(libc::SYS_setgroups, tape.below(2), place::DATA, 0),
        2 => {
            place::put(place::DATA, &[tape.one_of(&[1_u64, 2, 3]), 0]);
            sys::call3(libc::SYS_sched_setaffinity, 0, 8, place::DATA)
        }
        3 => sys::call3(libc::SYS_setpriority, 0, 0, tape.below(4)),
        4 => sys::call3(
            libc::SYS_unshare,
            tape.one_of(&[0x200, 0x400, 0x40000, 0x0800_0000]),
            0,
            0,
        ),
        5 => sys::call3(libc::SYS_personality, tape.one_of(&[0, 0x0040_0000]), 0, 0),
        6 => {
            let name = [c"one", c"another"][tape.below(2)].as_ptr() as usize;
            sys::call3(libc::SYS_prctl, libc::PR_SET_NAME as usize, name, 0)
        }
        7 => sys::call3(
            libc::SYS_prctl,
            libc::PR_SET_TIMERSLACK as usize,
            tape.below(3),
            0,
        ),
        8 => sys::call3(
            libc::SYS_sched_setscheduler,
            0,
            tape.one_of(&[0, 3, 5]),
            place::WORDS + 4092,
        ),
        9 => {
            place::put(place::DATA, &[0_u64; 16]);
            let fd = sys::call3(libc::SYS_io_uring_setup, 2, place::DATA, 0);
            sys::call3(libc::SYS_close, fd as usize, 0, 0)
        }
        10 => {
            // A timer on CPU time.
            place::put(place::DATA, &[0_u64, 0, 0, 1000]);
            sys::call3(libc::SYS_setitimer, 1 + tape.below(2), place::DATA, 0)
        }
        _ => sys::call3(libc::SYS_set_mempolicy, tape.below(2), 0, 0),
    };
}

/// Stops the process; the judge has it go on.
pub fn stop(thread: &mut Thread<'_>, _: &mut Tape<'_>) {
    sys::call3(
        libc::SYS_kill,
        thread.maker().pid as usize,
        libc::SIGSTOP as usize,
        0,
    );
}

/// A child that traces a thread of the process for a while.
pub fn trace(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    if thread.is_forked() {
        return;
    }
    let tid = thread.some_tid(tape) as usize;
    let (rounds, kill) = (1 + tape.below(6), tape.rarely(16));
    // SAFETY: As in `fork`.
    if unsafe { libc::fork() } != 0 {
        return;
    }
    let ptrace = |request: c_int, signal: usize| {
        sys::call(libc::SYS_ptrace, [request as usize, tid, 0, signal, 0, 0])
    };
    if ptrace(libc::PTRACE_SEIZE as c_int, 0) == 0 {
        for _ in 0..rounds {
            nap(500);
            ptrace(libc::PTRACE_INTERRUPT as c_int, 0);
            let mut status = 0;
            let at = std::ptr::from_mut(&mut status) as usize;
            let flags = (libc::__WALL | libc::WNOHANG) as usize;
            for _ in 0..10 {
                if sys::call(libc::SYS_wait4, [tid, at, flags, 0, 0, 0]) != 0 {
                    break;
                }
                nap(300);
            }
            let signal = if status >> 16 == 0 {
                (status >> 8) & 0x7f
            } else {
                0
            };
            ptrace(
                libc::PTRACE_CONT as c_int,
                if signal == libc::SIGTRAP {
                    0
                } else {
                    signal as usize
                },
            );
        }
        if kill {
            sys::call3(libc::SYS_tkill, tid, libc::SIGKILL as usize, 0);
        }
    }
    sys::call3(libc::SYS_exit_group, 0, 0, 0);
}

/// Ends the thread or the process.
pub fn end(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    thread.end(tape.byte());
}

/// A filter that refuses a call of atoms, in one of the ways that there are.
pub fn filter(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let action = tape.one_of(&[
        libc::SECCOMP_RET_ALLOW,
        libc::SECCOMP_RET_ERRNO | 1,
        libc::SECCOMP_RET_TRAP,
        libc::SECCOMP_RET_KILL_THREAD,
        libc::SECCOMP_RET_KILL_PROCESS,
        libc::SECCOMP_RET_TRACE,
    ]);
    let nr = tape.one_of(&[110, 0, 35, 16]);
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let give = (libc::BPF_RET | libc::BPF_K) as u16;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // `ioctl()` is only refused where its command is PARK.
    let mut text = [
        line(load, 0, 0, 0),
        line(jump, 0, 3, nr),
        line(load, 0, 0, if nr == 16 { 24 } else { 0 }),
        line(jump, 0, 1, if nr == 16 { 0xbb1f } else { nr }),
        line(give, 0, 0, action),
        line(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: text.len() as u16,
        filter: text.as_mut_ptr(),
    };
    let flags = tape.below(2);
    sys::call(
        libc::SYS_prctl,
        [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0, 0],
    );
    let at = std::ptr::from_ref(&program) as usize;
    sys::call3(
        libc::SYS_seccomp,
        libc::SECCOMP_SET_MODE_FILTER as usize,
        flags,
        at,
    );
}
