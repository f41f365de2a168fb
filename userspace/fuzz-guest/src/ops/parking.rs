// SPDX-License-Identifier: GPL-2.0

//! What must not be done with the parking page.

use std::arch::asm;
use std::fs;

use syslet::uapi;

use crate::case::Tape;
use crate::place;
use crate::sys;
use crate::thread::Thread;

const PAGE: usize = 4096;
/// Where in the page workers enter the kernel from, and the only place that they may.
const CALL: u8 = 16;
/// Where there is room for other code.
const ROOM: u8 = 64;

/// Takes the page away, or has workers run something else.
pub fn unpark(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let how = tape.below(5);
    let Some(page) = parking_page() else { return };
    match how {
        0 => drop(sys::call3(libc::SYS_munmap, page, PAGE, 0)),
        1 => drop(sys::call3(libc::SYS_mprotect, page, PAGE, 0)),
        2 => drop(sys::call3(libc::SYS_madvise, page, PAGE, 4)),
        _ => rewrite(page, tape),
    }
}

/// Has workers run programs, as if they were the user's, before they park.
fn rewrite(page: usize, tape: &mut Tape<'_>) {
    let arg = place::PROGRAMS + 896;
    let exec = uapi::Exec {
        size: uapi::Exec::SIZE as u32,
        flags: u32::from(tape.byte() & 3),
        programs: (place::PROGRAMS + 1024) as u64,
        nr_programs: 1 + tape.below(3) as u32,
        reserved: 0,
    };
    place::put(arg, &exec);

    let ioctl = |command: u32| {
        // mov %r12d, %edi; mov $command, %esi; mov $__NR_ioctl, %eax
        let mut code = vec![0x44, 0x89, 0xe7, 0xbe];
        code.extend(command.to_le_bytes());
        code.extend([0xb8, 16, 0, 0, 0]);
        code
    };
    let mut code = vec![0xeb, ROOM - 2];
    code.resize(CALL.into(), 0x90);
    code.extend([0x0f, 0x05]);
    // As it was: mov %eax, %edi; mov $__NR_exit, %eax; syscall
    code.extend([0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
    code.resize(ROOM.into(), 0x90);
    code.extend(ioctl(uapi::IOC_EXEC));
    // movabs $arg, %rdx; syscall
    code.extend([0x48, 0xba]);
    code.extend((arg as u64).to_le_bytes());
    code.extend([0x0f, 0x05]);
    code.extend(ioctl(uapi::IOC_PARK));
    // mov %r13, %rdx; jmp to the call
    code.extend([0x4c, 0x89, 0xea, 0xeb]);
    code.push(CALL.wrapping_sub(code.len() as u8 + 1));

    // A page of its own in the place of the other one, all at once.
    let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, 0x22);
    let new = sys::call(
        libc::SYS_mmap,
        [0, PAGE, rights as usize, flags, usize::MAX, 0],
    );
    if new > 0 {
        for (index, word) in code.chunks(4).enumerate() {
            let mut bytes = [0x90; 4];
            bytes[..word.len()].copy_from_slice(word);
            place::put(new as usize + index * 4, &u32::from_le_bytes(bytes));
        }
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        sys::call(libc::SYS_mremap, [new as usize, PAGE, PAGE, flags, page, 0]);
    }
}

/// Goes where only workers are, as one of them or as nobody.
pub fn enter(thread: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let (fd, id) = (thread.some_head(tape), tape.below(4));
    let Some(page) = parking_page() else { return };
    thread.leave();
    // SAFETY: Nothing of this thread's is used any more: it does not come back.
    unsafe {
        asm!(
            "jmp {page}",
            page = in(reg) page,
            in("r12") fd as usize,
            in("r13") id,
            options(noreturn),
        );
    }
}

/// The only page of its kind: anonymous, readable and executable.
fn parking_page() -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next()?, fields.next()?);
        let anonymous = fields.nth(2)? == "0" && fields.next().is_none();
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        (rights.contains('x') && anonymous && end - start == PAGE).then_some(start)
    })
}
