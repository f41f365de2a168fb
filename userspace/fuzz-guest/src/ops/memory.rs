// SPDX-License-Identifier: GPL-2.0

//! Memory that is not always there.

use crate::case::Tape;
use crate::place;
use crate::sys;
use crate::thread::Thread;

const PAGE: usize = 4096;
const UFFDIO_API: usize = 0xc018_aa3f;
const UFFDIO_REGISTER: usize = 0xc020_aa00;
const UFFDIO_ZEROPAGE: usize = 0xc020_aa04;

/// Has faults in the late pages wait for [`arrive`].
pub fn late(_: &mut Thread<'_>, _: &mut Tape<'_>) {
    let fd = sys::call3(
        libc::SYS_userfaultfd,
        (libc::O_CLOEXEC | libc::O_NONBLOCK) as usize,
        0,
        0,
    );
    if !place::take(fd, place::FAULTS) {
        return;
    }
    let len = place::LATE_PAGES * PAGE;
    let mut api = [0xaa_u64, 0, 0];
    sys::ioctl(place::FAULTS, UFFDIO_API, api.as_mut_ptr() as usize);
    sys::call3(libc::SYS_madvise, place::LATE, len, 4);
    let mut register = [place::LATE as u64, len as u64, 1, 0];
    sys::ioctl(
        place::FAULTS,
        UFFDIO_REGISTER,
        register.as_mut_ptr() as usize,
    );
}

/// Sees to one of them, or takes a page away again.
pub fn arrive(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    let page = place::LATE + tape.below(place::LATE_PAGES) * PAGE;
    if tape.rarely(4) {
        sys::call3(libc::SYS_madvise, page, PAGE, 4);
        return;
    }
    let mut zero = [page as u64, PAGE as u64, 0, 0];
    sys::ioctl(place::FAULTS, UFFDIO_ZEROPAGE, zero.as_mut_ptr() as usize);
}

/// Takes the right to write away from the places of programs and results, or gives it back.
pub fn protect(_: &mut Thread<'_>, tape: &mut Tape<'_>) {
    // Threads of the case write to the others themselves.
    let at = place::RESULTS + tape.below(16) * PAGE;
    sys::call3(libc::SYS_mprotect, at, PAGE, tape.one_of(&[1, 3, 3, 0]));
}
