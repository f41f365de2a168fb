// SPDX-License-Identifier: GPL-2.0

//! Submission, the completion ring and waiting for it. Needs the device.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::signal::SigSet;
use syslet::policy::Abi;
use syslet::{
    policy, Alloc, Completion, Device, Error, Features, Head, Program, SubmitFlags, Submitted,
    Verdict, WaitFor, CWD,
};

const QUEUE: SubmitFlags = SubmitFlags::ALWAYS_QUEUE;

fn head() -> Head {
    Head::open().expect("these tests need the device")
}

/// A program that only tells the process's number.
fn getpid() -> Program<'static> {
    let mut p = Program::new();
    p.getpid().unwrap();
    p
}

fn getpids(count: usize) -> Vec<Program<'static>> {
    (0..count).map(|_| getpid()).collect()
}

fn errno<T>(result: Result<T, Error>) -> Option<Errno> {
    result.err().and_then(|error| error.errno())
}

fn readable(head: &Head) -> bool {
    let mut fds = [PollFd::new(head.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
}

fn pid_of(completion: &mut Completion) -> i64 {
    completion.outcome().result()
}

#[test]
fn the_kernel_tells_its_limits() {
    let info = Device::open().unwrap().query().unwrap();
    assert!((1..=64).contains(&info.max_atoms));
    assert!((1..=1024).contains(&info.max_programs));
    assert!((1..=65536).contains(&info.max_cq_entries));
    assert!(info.max_threads <= 4096);
    assert_eq!(info, head().info());
}

#[test]
fn the_kernels_policy_is_the_one_compiled_in() {
    let device = Device::open().unwrap();
    let verdicts = device.policies(1000).unwrap();
    assert_eq!(verdicts.len(), 1000);
    for (nr, verdict) in (0..).zip(verdicts) {
        let expected = match policy::verdict(Abi::X86_64, nr) {
            policy::Verdict::Allow => Verdict::Allow,
            policy::Verdict::Deny(_) => Verdict::Deny,
            policy::Verdict::Unknown => Verdict::Unknown,
        };
        assert_eq!(verdict, expected, "system call {nr}");
    }
    assert_eq!(errno(device.policies(65537)), Some(Errno::EINVAL));
}

#[test]
fn what_finishes_at_once_comes_back_at_once() {
    let head = head();
    let look = || {
        let mut p = Program::new();
        // The kernel's own: one that is another machine's would have to be asked for.
        let stat = p.statx(CWD, c"/proc", nix::fcntl::AtFlags::empty(), 0x7ff, Alloc);
        p.set_tag(99);
        (stat.unwrap(), head.submit(p, SubmitFlags::empty()).unwrap())
    };
    // What it reads or writes may be in a page that has to be brought in; the other tests map some.
    let (stat, mut completion) = (0..20)
        .find_map(|_| match look() {
            (stat, Submitted::Done(completion)) => Some((stat, completion)),
            (_, Submitted::InFlight(_)) => {
                head.wait(WaitFor::completions(1)).unwrap();
                head.completions().for_each(drop);
                None
            }
        })
        .expect("looking at /proc does not block again and again");
    assert_eq!((completion.tag(), completion.flags()), (99, None));
    let statx = completion.outcome().take(&stat).unwrap();
    assert_eq!(statx.stx_mode & 0o170_000, 0o040_000);
    assert_eq!(head.in_flight(), 0);
    assert!(head.completions().next().is_none());
}

#[test]
fn queued_completions_come_in_order() {
    let head = head();
    let submitted = head.submit_all(getpids(10), QUEUE).unwrap();
    let tickets: Vec<_> = submitted
        .into_iter()
        .map(|submitted| match submitted {
            Submitted::InFlight(ticket) => ticket,
            Submitted::Done(_) => panic!("queued"),
        })
        .collect();
    assert_eq!(tickets.iter().collect::<HashSet<_>>().len(), 10);
    assert_eq!(head.in_flight(), 10);
    assert!(readable(&head));
    assert_eq!(head.wait(WaitFor::completions(10)).unwrap(), 10);

    let mut done: Vec<_> = head.completions().collect();
    let order: Vec<_> = done.iter().map(Completion::ticket).collect();
    assert_eq!(order, tickets);
    let pid = i64::from(std::process::id());
    assert!(done.iter_mut().all(|done| pid_of(done) == pid));
    assert!(done.iter().all(|done| done.flags().is_some()));
    assert_eq!(head.in_flight(), 0);
    assert!(!readable(&head));
}

#[test]
fn a_full_ring_loses_nothing() {
    let head = Head::builder().cq_entries(4).open().unwrap();
    assert_eq!(head.cq_entries(), 4);
    let mut programs = getpids(11);
    for (tag, program) in (0..).zip(&mut programs) {
        program.set_tag(tag);
    }
    head.submit_all(programs, QUEUE).unwrap();
    assert_eq!(head.in_flight(), 11);
    let tags: Vec<_> = head.completions().map(|done| done.tag()).collect();
    assert!(tags.into_iter().eq(0..11));
    assert_eq!(head.in_flight(), 0);
}

#[test]
fn too_many_kept_completions_refuse_more() {
    let head = Head::builder().cq_entries(1).open().unwrap();
    let mut accepted = 0;
    let refused = loop {
        match head.submit(getpid(), QUEUE) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "no end of room");
    };
    assert_eq!(refused.error.errno(), Some(Errno::EBUSY));
    assert_eq!(refused.rest.len(), 1);
    assert!(refused.submitted.is_empty());
    assert_eq!(head.completions().count(), accepted);
    head.submit(getpid(), QUEUE).unwrap();
}

#[test]
fn rings_turn_many_times() {
    let head = Head::builder().cq_entries(8).open().unwrap();
    for round in 0..50 {
        let count = round % 8 + 1;
        head.submit_all(getpids(count), QUEUE).unwrap();
        assert_eq!(head.completions().count(), count);
    }
}

#[test]
fn waiting_ends_in_time() {
    let head = head();
    let short = Duration::from_millis(20);
    let start = Instant::now();
    let timed = WaitFor::completions(1).timeout(short);
    assert_eq!(errno(head.wait(timed)), Some(Errno::ETIME));
    assert!(start.elapsed() >= short);

    let mask = SigSet::all();
    let masked = timed.sigmask(&mask);
    assert_eq!(errno(head.wait(masked)), Some(Errno::ETIME));

    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    let start = Instant::now();
    let deadline = now + short.into();
    let until = WaitFor::completions(1).deadline(deadline);
    assert_eq!(errno(head.wait(until)), Some(Errno::ETIME));
    assert!(start.elapsed() + Duration::from_millis(1) >= short);
    assert_eq!(errno(head.wait(until)), Some(Errno::ETIME));

    assert_eq!(head.wait(WaitFor::completions(0)).unwrap(), 0);
    let beyond = WaitFor::completions(head.cq_entries() + 1);
    assert_eq!(errno(head.wait(beyond)), Some(Errno::EINVAL));
}

#[test]
fn another_thread_ends_the_wait() {
    let head = head();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| head.wait(WaitFor::completions(2)).unwrap());
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(5));
            head.submit(getpid(), QUEUE).unwrap();
        }
        assert_eq!(waiter.join().unwrap(), 2);
    });
}

#[test]
fn eventfds_count_completions() {
    let head = head();
    let eventfd = EventFd::from_flags(nix::sys::eventfd::EfdFlags::EFD_NONBLOCK).unwrap();
    head.set_eventfd(Some(eventfd.as_fd())).unwrap();
    head.submit_all(getpids(3), QUEUE).unwrap();
    assert_eq!(eventfd.read().unwrap(), 3);
    head.set_eventfd(None).unwrap();
    head.submit_all(getpids(1), QUEUE).unwrap();
    assert_eq!(eventfd.read(), Err(Errno::EAGAIN));

    let no_eventfd: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let refused = head.set_eventfd(Some(no_eventfd.as_fd()));
    assert_eq!(errno(refused), Some(Errno::EINVAL));
}

#[test]
fn refused_programs_come_back() {
    let head = head();
    let mut programs = getpids(3);
    let exit = u32::try_from(libc::SYS_exit).unwrap();
    // SAFETY: It is refused.
    unsafe { programs[1].raw(exit, &[]) }.unwrap();
    let refused = head.submit_all(programs, SubmitFlags::empty()).unwrap_err();
    assert_eq!(refused.error.errno(), Some(Errno::EPERM));
    assert!(refused
        .to_string()
        .starts_with("program 1, atom 1 (exit): EPERM"));
    assert_eq!((refused.submitted.len(), refused.rest.len()), (0, 3));
    assert_eq!(refused.rest[1].len(), 2);
    assert_eq!(head.in_flight(), 0);

    let refused = head.submit_all(vec![getpid(), Program::new()], SubmitFlags::empty());
    assert_eq!(refused.unwrap_err().rest.len(), 2);
}

#[test]
fn the_background_needs_its_feature() {
    let head = head();
    if head.info().features.contains(Features::ASYNC) {
        let submitted = head.submit(getpid(), SubmitFlags::BACKGROUND).unwrap();
        assert!(matches!(submitted, Submitted::InFlight(_)));
        head.wait(WaitFor::completions(1)).unwrap();
        let mut done = head.completions().next().unwrap();
        assert_eq!(pid_of(&mut done), i64::from(std::process::id()));
    } else {
        let refused = head.submit(getpid(), SubmitFlags::BACKGROUND).unwrap_err();
        assert_eq!(refused.error.errno(), Some(Errno::EOPNOTSUPP));
        assert_eq!(refused.rest.len(), 1);
    }
}

#[test]
fn nothing_in_flight_is_nothing_to_cancel() {
    let head = head();
    let expected = if head.info().features.contains(Features::CANCEL) {
        Errno::ENOENT
    } else {
        Errno::EOPNOTSUPP
    };
    assert_eq!(errno(head.cancel_all()), Some(expected));
}

#[test]
fn draining_hands_everything_over() {
    let head = head();
    head.submit_all(getpids(5), QUEUE).unwrap();
    let mut done = 0;
    head.drain(Some(Duration::from_secs(5)), |_| done += 1)
        .unwrap();
    assert_eq!(done, 5);
}

#[test]
fn threads_submit_and_complete_together() {
    let head = Head::builder().cq_entries(64).open().unwrap();
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    head.submit(getpid(), QUEUE).unwrap();
                    let mine = head.completions().count();
                    done.fetch_add(mine, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner() + head.completions().count(), 300);
    assert_eq!(head.in_flight(), 0);
}

#[test]
fn setups_that_are_no_rings_are_refused() {
    let refused = Head::builder().cq_entries(3).open();
    assert_eq!(errno(refused.map(drop)), Some(Errno::EINVAL));
    let elsewhere = Head::builder().path("/dev/null").open();
    assert_eq!(errno(elsewhere.map(drop)), Some(Errno::ENOTTY));
    let nowhere = Head::builder().path("/dev/no-such-device").open();
    let error = nowhere.map(drop).unwrap_err().to_string();
    assert!(error.starts_with("cannot open /dev/no-such-device: ENOENT"));
}

#[test]
fn another_process_may_not() {
    let head = head();
    // SAFETY: The child makes system calls on what it has, and leaves.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let refused = errno(head.run(&mut getpid()).map(drop));
            let ok = refused == Some(Errno::EACCES);
            // SAFETY: Ends this process, without its parent's handlers.
            unsafe { libc::_exit(i32::from(!ok)) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
        }
    }
}
