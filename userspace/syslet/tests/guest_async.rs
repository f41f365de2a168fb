// SPDX-License-Identifier: GPL-2.0

//! Programs that block, and go on while their caller does other things. Needs the device, with
//! `Features::ASYNC`.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::unistd::{gettid, pipe};
use syslet::{
    Bytes, Completion, CompletionFlags, Features, Head, Program, SubmitFlags, Submitted, Ticket,
    WaitFor,
};

const PLAIN: SubmitFlags = SubmitFlags::empty();

fn head() -> Head {
    let head = Head::open().expect("these tests need the device");
    let features = head.info().features;
    assert!(features.contains(Features::ASYNC), "{features:?}");
    head
}

/// A program that reads from a pipe, its handle, and the pipe's other end.
fn reading() -> (Program<'static>, Bytes<Vec<u8>>, File) {
    let (reader, writer) = pipe().unwrap();
    let mut p = Program::new();
    let read = p.read(reader, vec![0; 64]).unwrap();
    (p, read, writer.into())
}

fn in_flight(submitted: Submitted) -> Ticket {
    match submitted {
        Submitted::InFlight(ticket) => ticket,
        Submitted::Done(done) => panic!("it did not block: {done:?}"),
    }
}

/// Waits for one completion.
fn one(head: &Head) -> Completion {
    let wait = WaitFor::completions(1).timeout(Duration::from_secs(20));
    head.wait(wait).expect("a completion in time");
    head.completions().next().expect("it is there")
}

#[test]
fn a_program_that_blocks_goes_on_by_itself() {
    let head = head();
    let (mut p, read, mut writer) = reading();
    p.set_tag(5);
    let ticket = in_flight(head.submit(p, PLAIN).unwrap());
    assert_eq!(head.in_flight(), 1);
    assert!(head.completions().next().is_none());

    writer.write_all(b"at last").unwrap();
    let mut done = one(&head);
    assert_eq!((done.ticket(), done.tag()), (ticket, 5));
    assert_eq!(done.flags(), Some(CompletionFlags::ASYNC));
    assert_eq!(done.outcome().take(&read).unwrap(), b"at last");
    assert_eq!(head.in_flight(), 0);
}

#[test]
fn the_next_program_does_not_wait_for_it() {
    let head = head();
    let (p, read, mut writer) = reading();
    let mut quick = Program::new();
    let pid = quick.getpid().unwrap();
    let submitted = head.submit_all(vec![p, quick], PLAIN).unwrap();
    let [Submitted::InFlight(_), Submitted::Done(_)] = &submitted[..] else {
        panic!("one goes on, one is done: {submitted:?}");
    };
    for submitted in submitted {
        if let Submitted::Done(mut done) = submitted {
            let expected = i64::from(std::process::id());
            assert_eq!(done.outcome().get(&pid), Ok(expected));
        }
    }
    writer.write_all(b"x").unwrap();
    assert_eq!(one(&head).outcome().get(&read), Ok(1));
}

#[test]
fn what_follows_the_block_runs_in_the_background() {
    let head = head();
    let (reader, mut writer) = pipe().map(|(r, w)| (r, File::from(w))).unwrap();
    let (back, forth) = pipe().unwrap();
    let forth = Arc::new(forth);
    let mut p = Program::new();
    let reader = p.adopt(reader).unwrap();
    let read = p.read(&reader, vec![0; 16]).unwrap();
    let written = p.write(Arc::clone(&forth), &read).unwrap();
    p.close(reader).unwrap();
    in_flight(head.submit(p, PLAIN).unwrap());
    writer.write_all(b"ping").unwrap();
    let mut buf = [0; 16];
    assert_eq!(nix::unistd::read(&back, &mut buf), Ok(4));
    assert_eq!(&buf[..4], b"ping");
    let mut done = one(&head);
    done.outcome().check().unwrap();
    assert_eq!(done.outcome().get(&written), Ok(4));
    // The program has closed the only reader.
    let error = writer.write_all(b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn the_caller_stays_who_it_is() {
    let head = head();
    let me = (gettid(), std::thread::current().id());
    for _ in 0..20 {
        let (p, read, mut writer) = reading();
        in_flight(head.submit(p, PLAIN).unwrap());
        assert_eq!((gettid(), std::thread::current().id()), me);
        writer.write_all(b"abc").unwrap();
        assert_eq!(one(&head).outcome().get(&read), Ok(3));
    }
}

#[test]
fn many_in_flight_come_back_with_their_own() {
    let head = head();
    let mut programs = Vec::new();
    let mut reads = Vec::new();
    let mut writers = Vec::new();
    for tag in 0..40 {
        let (mut p, read, writer) = reading();
        p.set_tag(tag);
        programs.push(p);
        reads.push(read);
        writers.push(writer);
    }
    let submitted = head.submit_all(programs, PLAIN).unwrap();
    assert_eq!(submitted.into_iter().map(in_flight).count(), 40);
    assert_eq!(head.in_flight(), 40);
    for (number, writer) in writers.iter_mut().enumerate().rev() {
        writer.write_all(&vec![b'x'; number + 1]).unwrap();
    }
    for _ in 0..40 {
        let mut done = one(&head);
        let number = usize::try_from(done.tag()).unwrap();
        let bytes = done.outcome().take(&reads[number]).unwrap();
        assert_eq!(bytes.len(), number + 1);
    }
    assert_eq!(head.in_flight(), 0);
}

#[test]
fn synchronous_programs_block_their_caller() {
    let head = head();
    let (reader, writer) = pipe().unwrap();
    let mut buf = [0; 8];
    let mut p = Program::new();
    let read = p.read(&reader, &mut buf).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            nix::unistd::write(&writer, b"late").unwrap();
        });
        assert_eq!(head.run(&mut p).unwrap().get(&read), Ok(4));
    });
    assert_eq!(&buf[..4], b"late");
}

#[test]
fn canceled_programs_complete() {
    let head = head();
    assert!(head.info().features.contains(Features::CANCEL));
    let (p, read, _writer) = reading();
    let ticket = in_flight(head.submit(p, PLAIN).unwrap());
    head.cancel(ticket).unwrap();
    let mut done = one(&head);
    assert_eq!(done.ticket(), ticket);
    assert!(done.flags().unwrap().contains(CompletionFlags::CANCELED));
    let outcome = done.outcome();
    let error = outcome.get(&read).unwrap_err().errno();
    assert_eq!(error, Some(Errno::ECANCELED));
    assert_eq!(outcome.result(), -i64::from(libc::ECANCELED));

    let gone = head.cancel(ticket).unwrap_err();
    assert_eq!(gone.errno(), Some(Errno::ENOENT));
}

#[test]
fn draining_cancels_and_waits() {
    let head = head();
    let mut writers = Vec::new();
    for _ in 0..5 {
        let (p, _, writer) = reading();
        in_flight(head.submit(p, PLAIN).unwrap());
        writers.push(writer);
    }
    let mut done = 0;
    head.drain(Some(Duration::from_secs(20)), |_| done += 1)
        .unwrap();
    assert_eq!((done, head.in_flight()), (5, 0));
}

#[test]
fn a_dropped_head_leaves_memory_to_its_programs() {
    let head = head();
    let witness: Arc<OwnedFd> = Arc::new(File::open("/dev/null").unwrap().into());
    let (mut p, _, mut writer) = reading();
    p.fsync(Arc::clone(&witness)).unwrap();
    in_flight(head.submit(p, PLAIN).unwrap());
    drop(head);
    assert_eq!(Arc::strong_count(&witness), 2, "it is leaked, not freed");
    // Had the buffer been freed, these would be written over.
    let others: Vec<Vec<u8>> = (0..1000).map(|_| vec![7; 64]).collect();
    writer.write_all(&[0x55; 64]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(others.into_iter().flatten().all(|byte| byte == 7));
}

#[test]
fn the_device_is_readable_when_something_is_done() {
    let head = head();
    let ready = |timeout| {
        let mut fds = [PollFd::new(head.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).unwrap() == 1
    };
    let (p, _, mut writer) = reading();
    in_flight(head.submit(p, PLAIN).unwrap());
    assert!(!ready(PollTimeout::ZERO));
    writer.write_all(b"x").unwrap();
    assert!(ready(PollTimeout::from(20_000_u16)));
    assert_eq!(head.completions().count(), 1);
    assert!(!ready(PollTimeout::ZERO));
}

#[test]
fn straight_to_the_background() {
    let head = head();
    let mut p = Program::new();
    let pid = p.getpid().unwrap();
    in_flight(head.submit(p, SubmitFlags::BACKGROUND).unwrap());
    let expected = i64::from(std::process::id());
    assert_eq!(one(&head).outcome().get(&pid), Ok(expected));
}

#[test]
fn completed_programs_run_again() {
    let head = head();
    let (reader, writer) = pipe().unwrap();
    let mut writer = File::from(writer);
    let mut p = Program::new();
    let read = p.read(reader, vec![0; 8]).unwrap();
    for round in 1..=10 {
        in_flight(head.submit(p, PLAIN).unwrap());
        writer.write_all(&vec![b'y'; round % 8 + 1]).unwrap();
        let mut done = one(&head);
        assert_eq!(done.outcome().get(&read), Ok(round % 8 + 1));
        p = done.into_program();
    }
}

#[test]
fn threads_block_side_by_side() {
    let head = head();
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let (p, _, mut writer) = reading();
                    in_flight(head.submit(p, PLAIN).unwrap());
                    writer.write_all(b"z").unwrap();
                    let found = head.completions().count();
                    done.fetch_add(found, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    let mut done = done.into_inner();
    while done < 40 {
        drop(one(&head));
        done += 1;
    }
    assert_eq!(head.in_flight(), 0);
}
