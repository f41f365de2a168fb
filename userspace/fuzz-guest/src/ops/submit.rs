// SPDX-License-Identifier: GPL-2.0

//! Programs, chains, and changing both under who submits them.

use syslet::uapi;

use crate::case::Tape;
use crate::place;
use crate::sys::Way;
use crate::thread::Thread;

/// Programs that are made one by one; if there are more, these come again.
const MADE: usize = 6;
/// Lists of atoms in memory, which threads share.
const LISTS: usize = 16;

/// Runs programs.
pub fn exec(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let fd = thread.some_head(tape);
    let (nr_programs, flags) = (count(tape), tape.byte());
    let at = place::PROGRAMS + 1024 + tape.below(4) * 4096;
    let made = (nr_programs as usize).min(MADE);
    for index in 0..made {
        let program = program(thread, tape, index);
        place::put(at + index * uapi::Program::SIZE, &program);
    }
    if made == MADE {
        // Behind these there is always room for the most that may be.
        let mut left = tape.word() as usize;
        for index in made..(nr_programs as usize).min(uapi::MAX_PROGRAMS / 2) {
            left = left.rotate_left(7);
            let mut copy = program(thread, &mut Tape::new(&left.to_le_bytes()), index % LISTS);
            copy.flags &= !uapi::ASYNC;
            place::put(at + index * uapi::Program::SIZE, &copy);
        }
    }
    let mut arg = uapi::Exec {
        size: uapi::Exec::SIZE as u32,
        flags: [0, 0, 1, 1, 2, 3, 0, 4][usize::from(flags & 7)],
        programs: place::or_bad(tape, at),
        nr_programs,
        reserved: u32::from(tape.is_wrong(16)),
    };
    thread.submit(tape, fd, uapi::IOC_EXEC, &mut arg);
}

fn count(tape: &mut Tape<'_>) -> u32 {
    if tape.is_wrong(8) {
        return tape.one_of(&[0, 1025, u32::MAX]);
    }
    match tape.below(64) {
        at @ 0..=60 => 1 + at as u32 % 5,
        61 | 62 => 6 + u32::from(tape.byte()) % 40,
        _ => 300,
    }
}

fn program(thread: &Thread<'_>, tape: &mut Tape<'_>, index: usize) -> uapi::Program {
    let len = if tape.is_wrong(12) {
        tape.one_of(&[0, 65])
    } else {
        match tape.below(32) {
            at @ 0..=30 => 1 + at % 5,
            _ => 6 + tape.below(58),
        }
    };
    let list = (tape.below(3) + index) % LISTS;
    let atoms = place::ATOMS + list * 64 * uapi::Atom::SIZE;
    for at in 0..len.min(uapi::MAX_ATOMS) {
        let atom = thread.maker().atom(tape, at, len);
        place::put(atoms + at * uapi::Atom::SIZE, &atom);
    }
    let results = place::RESULTS + list * 64 * 8;
    let how = tape.byte();
    uapi::Program {
        atoms: place::or_bad(tape, atoms),
        nr_atoms: len as u32,
        flags: if tape.is_wrong(8) {
            tape.one_of(&[3, 8, 1 << 31])
        } else {
            [0, 0, 0, 1, 1, 2, 4, 5][usize::from(how & 7)]
        },
        user_data: u64::from((how >> 5) & 3),
        results: if how & 16 == 0 {
            0
        } else {
            place::or_bad(tape, results)
        },
        ..uapi::Program::default()
    }
}

/// Words of a uatom.
const UATOM: usize = 11;
const UATOMS: usize = 24;

/// Runs a chain of uatoms.
pub fn exec_uatom(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let fd = thread.some_head(tape);
    let first = tape.below(4);
    let len = 1 + tape.below(6);
    for at in first..first + len {
        uatom(thread, tape, at, at + 1 == first + len);
    }
    let at = place::UATOMS + first * UATOM * word(thread);
    let mut arg = uapi::UatomExec {
        size: uapi::UatomExec::SIZE as u32,
        flags: if tape.is_wrong(4) {
            tape.one_of(&[3, 8])
        } else {
            tape.one_of(&[0, 0, 1, 2, 4, 5])
        },
        uatom: place::or_bad(tape, at),
        user_data: tape.below(4) as u64,
        ..uapi::UatomExec::default()
    };
    thread.submit(tape, fd, uapi::IOC_EXEC_UATOM, &mut arg);
}

fn word(thread: &Thread<'_>) -> usize {
    if thread.way() == Way::I386 {
        4
    } else {
        8
    }
}

/// The variable of number `index`.
fn variable(thread: &Thread<'_>, index: usize) -> u64 {
    (place::WORDS + index % 128 * word(thread)) as u64
}

/// Writes the uatom of number `at`, and the variables of its arguments.
fn uatom(thread: &Thread<'_>, tape: &mut Tape<'_>, at: usize, last: bool) {
    let (nr, args) = thread.maker().call(tape);
    let how = tape.byte();
    let mut words = [0_u64; UATOM];
    if how & 3 == 3 {
        let known = if tape.is_wrong(4) { 0xff } else { 0xf8 };
        words[0] = u64::from(tape.byte()) & known;
    }
    words[1] = nr;
    if how & 4 != 0 {
        words[2] = variable(thread, at);
    }
    // Anywhere: this may be a loop.
    let anywhere = tape.is_wrong(8);
    let next = if anywhere { tape.below(UATOMS) } else { at + 1 };
    if !last || anywhere {
        words[3] = (place::UATOMS + next * UATOM * word(thread)) as u64;
    }
    let used = args
        .iter()
        .rposition(|&arg| arg != 0)
        .map_or(0, |at| at + 1);
    for (index, &arg) in args.iter().enumerate().take(used) {
        // The result of an earlier one, where that is harmless.
        let takes = how & 0xc0 == 0xc0 && index == 0 && at > 0 && [0, 1, 3, 4, 5].contains(&nr);
        words[4 + index] = if takes {
            variable(thread, tape.below(at))
        } else {
            let variable = variable(thread, 24 + at * 6 + index);
            put_word(thread, variable as usize, arg);
            variable
        };
    }
    if tape.is_wrong(4) {
        words[2 + tape.below(8)] = place::some_bad(tape);
    }
    for (index, &value) in words.iter().enumerate() {
        put_word(
            thread,
            place::UATOMS + (at * UATOM + index) * word(thread),
            value,
        );
    }
}

fn put_word(thread: &Thread<'_>, at: usize, value: u64) {
    if word(thread) == 4 {
        place::put(at, &(value as u32));
    } else {
        place::put(at, &value);
    }
}

/// Writes anything where it does no harm: to programs but for where they are, to what atoms do next,
/// and to buffers.
pub fn scribble(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    for _ in 0..=tape.below(8) {
        let value = tape.word() as u32;
        let list = tape.below(16) * 64;
        match tape.below(3) {
            0 => {
                let program = place::PROGRAMS + 1024 + tape.below(4) * 4096 + tape.below(6) * 48;
                place::put(
                    program + tape.one_of(&[8, 12, 16, 32, 40, 44]),
                    &(value & 0xff),
                );
            }
            1 => place::put(
                place::ATOMS + (list + tape.below(8)) * 64 + 4,
                &(value & 0xff),
            ),
            _ => place::put(place::DATA + tape.below(128) * 512, &value),
        }
    }
}

/// Makes atoms and uatoms anew, for whoever submits them now.
pub fn rewrite(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    for _ in 0..=tape.below(4) {
        if tape.rarely(2) {
            let at = tape.below(8);
            uatom(thread, tape, at, false);
        } else {
            let (list, at) = (tape.below(16), tape.below(4));
            let atom = thread.maker().atom(tape, at, at + 2);
            place::put(place::ATOMS + (list * 64 + at) * uapi::Atom::SIZE, &atom);
        }
    }
}
