// SPDX-License-Identifier: GPL-2.0

//! The process of a case, from its fork to its end.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::kcov::Kcov;
use crate::place;
use crate::shared::Shared;
use crate::sys;
use crate::thread::{Thread, HANDLED};

/// Times between two signals of the timer, in microseconds. The long ones just see to it that not
/// many cases wait for ever; the others interrupt nearly all that is slow, forks of workers among it.
const PERIODS: [i64; 8] = [150_000, 150_000, 150_000, 150_000, 150_000, 30_000, 5000, 0];

/// How long threads may go on when the first one is through.
const PATIENCE: Duration = Duration::from_millis(30);

/// Does what `case` says, in a process that was just forked, and ends it.
pub fn run(case: &Case, shared: &'static Shared, kcov: Option<&'static Kcov>) -> ! {
    sys::call(libc::SYS_setpgid, [0; 6]);
    sys::call3(
        libc::SYS_prctl,
        libc::PR_SET_PDEATHSIG as usize,
        libc::SIGKILL as usize,
        0,
    );
    if !place::map_memory() {
        shared.fail(format_args!("the memory of the case cannot be mapped"));
    }
    place::open_files();
    handle_signals();
    set_timer(PERIODS[usize::from(case.header[1] & 7)]);

    let case: &'static Case = Box::leak(Box::new(case.clone()));
    for index in 1..case.threads() {
        thread::spawn(move || work(case, shared, kcov, index));
    }
    work(case, shared, kcov, 0);
    // Those that are blocked are not waited for.
    let begun = Instant::now();
    while shared.working.load(Ordering::Relaxed) > 0 && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
    loop {
        sys::call3(libc::SYS_exit_group, 0, 0, 0);
    }
}

fn work(case: &Case, shared: &'static Shared, kcov: Option<&'static Kcov>, index: u8) {
    let mut thread = Thread::new(shared, kcov, index);
    let all = usize::from(case.threads());
    shared.working.fetch_add(1, Ordering::Relaxed);
    shared.begun.fetch_add(1, Ordering::Relaxed);
    while shared.begun.load(Ordering::Relaxed) < all {
        thread::yield_now();
    }
    thread.work(case);
    if thread.is_forked() {
        sys::call3(libc::SYS_exit_group, 0, 0, 0);
    }
    if index == 0 && case.header[2] & 8 != 0 {
        thread.end(case.header[2]);
    }
    shared.working.fetch_sub(1, Ordering::Relaxed);
}

extern "C" fn handler(_: c_int) {}

fn handle_signals() {
    for signal in HANDLED {
        // SAFETY: All 0 is an action.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = if signal == libc::SIGUSR2 {
            libc::SA_RESTART
        } else {
            0
        };
        // SAFETY: The handler does nothing.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}

fn set_timer(microseconds: i64) {
    let period = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: period,
        it_value: period,
    };
    sys::call3(libc::SYS_setitimer, 0, ptr::from_ref(&timer) as usize, 0);
}
