// SPDX-License-Identifier: GPL-2.0

//! System calls as they are, by three ways into the kernel.

use std::arch::asm;
use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// How a thread enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a 64-bit program.
    X64,
    /// As a 32-bit one, by `int 0x80`.
    I386,
    /// By x32's numbers.
    X32,
}

const X32_BIT: c_long = 0x4000_0000;

/// Makes a system call; returns what the kernel does, a negative errno where it failed.
///
/// To be called with pointers into the places that [`crate::place`] makes, or such that are wrong on
/// purpose: what the kernel writes there nothing of Rust's relies on.
pub fn call(nr: c_long, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: By the comment above. The instruction changes rcx and r11, and the result.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr as isize => ret,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

/// The same for up to three arguments.
pub fn call3(nr: c_long, a: usize, b: usize, c: usize) -> isize {
    call(nr, [a, b, c, 0, 0, 0])
}

/// `ioctl()`, by any way.
pub fn ioctl_by(way: Way, fd: c_int, command: usize, arg: usize) -> isize {
    match way {
        Way::X64 => call3(libc::SYS_ioctl, fd as usize, command, arg),
        Way::X32 => call3(X32_BIT | 514, fd as usize, command, arg),
        Way::I386 => ioctl_i386(fd, command, arg),
    }
}

/// `ioctl()`.
pub fn ioctl(fd: c_int, command: usize, arg: usize) -> isize {
    ioctl_by(Way::X64, fd, command, arg)
}

fn ioctl_i386(fd: c_int, command: usize, arg: usize) -> isize {
    const NR_IOCTL: i32 = 54;
    let ret: i32;
    // SAFETY: As for `call`. The compiler keeps rbx for itself, so it is put back; the kernel does
    // not keep r8 to r11.
    unsafe {
        asm!(
            "xchg {fd}, rbx",
            "int 0x80",
            "xchg {fd}, rbx",
            fd = inout(reg) fd as usize => _,
            inlateout("eax") NR_IOCTL => ret,
            in("ecx") command as u32,
            in("edx") arg as u32,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            options(nostack),
        );
    }
    ret as isize
}

/// The TID of the current thread.
pub fn gettid() -> i32 {
    call(libc::SYS_gettid, [0; 6]) as i32
}

/// The signal mask of the current thread.
pub fn signal_mask() -> u64 {
    let mut mask = 0_u64;
    change_mask(libc::SIG_BLOCK, None, Some(&mut mask));
    mask
}

/// Changes it.
pub fn change_mask(how: c_int, set: Option<&u64>, old: Option<&mut u64>) {
    let set = set.map_or(0, |set| std::ptr::from_ref(set) as usize);
    let old = old.map_or(0, |old| std::ptr::from_mut(old) as usize);
    call(
        libc::SYS_rt_sigprocmask,
        [how as usize, set, old, size_of::<u64>(), 0, 0],
    );
}

/// Gives a descriptor another number.
pub fn move_fd(fd: &OwnedFd, to: c_int) -> io::Result<c_int> {
    // SAFETY: Takes numbers only; what was at `to` is closed.
    if unsafe { libc::dup3(fd.as_raw_fd(), to, libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(to)
}
