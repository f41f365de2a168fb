// SPDX-License-Identifier: GPL-2.0

//! Programs that run to their end in the caller. Needs the device.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags};
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollOp, EpollTimeout};
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr};
use nix::sys::stat::Mode;
use nix::time::ClockId;
use nix::unistd::UnlinkatFlags;
use syslet::{Alloc, AtomFailure, BuildError, Error, Head, Program, RawArg, Stop, CWD};

const READ_ONLY: OFlag = OFlag::O_RDONLY;
const MODE: Mode = Mode::empty();

fn head() -> Head {
    Head::open().expect("these tests need the device")
}

/// A file with `content`, its position at the start.
fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn opens_measures_reads_closes() {
    let head = head();
    let expected = std::fs::read("/etc/passwd").unwrap();
    let mut buf = vec![0; expected.len() + 1];
    let mut p = Program::new();
    let fd = p.openat(CWD, "/etc/passwd", READ_ONLY, MODE).unwrap();
    let stat = p.fstat(&fd, Alloc).unwrap();
    let read = p.read(&fd, &mut buf).unwrap();
    let close = p.close(fd).unwrap();

    let mut outcome = head.run(&mut p).unwrap();
    let len = outcome.get(&read).unwrap();
    outcome.get(&close).unwrap();
    outcome.check().unwrap();
    assert_eq!((outcome.ran(), outcome.last(), outcome.result()), (4, 3, 0));
    let size = outcome.take(&stat).unwrap().st_size;
    assert_eq!(usize::try_from(size).unwrap(), expected.len());
    assert_eq!(buf[..len], expected);
    assert_eq!(head.entered(), 1);
}

#[test]
fn a_failure_ends_the_program_and_names_the_atom() {
    let mut p = Program::new();
    let fd = p.openat(CWD, c"/no/such/file", READ_ONLY, MODE).unwrap();
    let read = p.read(&fd, vec![0; 4]).unwrap();
    let outcome = head().run(&mut p).map(|outcome| outcome.get(&fd));
    let error = outcome.unwrap().unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    assert!(error.to_string().starts_with("atom 0 (openat): ENOENT"));
    let outcome = p.outcome().unwrap();
    assert_eq!(outcome.get(&read).unwrap_err().failure, AtomFailure::NotRun);
    assert_eq!(outcome.last(), 0);
}

#[test]
fn what_is_left_open_is_closed_or_taken() {
    let head = head();
    let mut p = Program::new();
    let fd = p.openat(CWD, c"/etc/passwd", READ_ONLY, MODE).unwrap();
    let number = head.run(&mut p).unwrap().get(&fd).unwrap();
    let link = format!("/proc/self/fd/{number}");
    let target = || std::fs::read_link(&link).ok();
    assert_eq!(target().as_deref(), Some("/etc/passwd".as_ref()));

    let mut taken = File::from(p.outcome().unwrap().take_fd(&fd).unwrap());
    drop(p);
    assert!(taken.read(&mut [0; 4]).unwrap() == 4);
    assert_eq!(taken.as_raw_fd(), number);
}

#[test]
fn a_program_runs_again() {
    let head = head();
    let file = file(b"abcdef");
    let mut buf = [0; 2];
    let mut p = Program::new();
    let read = p.read(&file, &mut buf).unwrap();
    for expected in [2, 2, 2, 0] {
        let outcome = head.run(&mut p).unwrap();
        assert_eq!(outcome.get(&read), Ok(expected));
    }
    assert_eq!(&buf, b"ef");
}

#[test]
fn conditions_stop_and_skip() {
    let head = head();
    let empty = file(b"");
    let mut p = Program::new();
    let read = p.read(&empty, vec![0; 4]).unwrap();
    p.skip_if(&read, Stop::ZERO, 1).unwrap();
    let skipped = p.getpid().unwrap();
    let reached = p.getpid().unwrap();
    p.stop_if(&reached, Stop::NONZERO).unwrap();
    let behind = p.getpid().unwrap();
    let outcome = head.run(&mut p).unwrap();
    assert_eq!(outcome.get(&read), Ok(0));
    assert_eq!(outcome.get(&reached), Ok(std::process::id().into()));
    for atom in [&skipped, &behind] {
        let failure = outcome.get(atom).unwrap_err().failure;
        assert_eq!(failure, AtomFailure::NotRun);
    }
    assert_eq!(outcome.last(), 2);
}

#[test]
fn what_takes_a_skipped_result_is_not_called() {
    let mut p = Program::new();
    let pid = p.getpid().unwrap();
    p.skip_if(&pid, Stop::NONZERO, 1).unwrap();
    let fd = p.openat(CWD, c"/", READ_ONLY, MODE).unwrap();
    let stat = p.fstat(&fd, Alloc).unwrap();
    let mut outcome = head().run(&mut p).unwrap();
    assert_eq!(
        outcome.take(&stat).unwrap_err().errno(),
        Some(Errno::EINVAL)
    );
}

#[test]
fn reads_are_written_elsewhere() {
    let from = file(b"from here to there");
    let mut to = file(b"");
    let mut buf = [0; 64];
    let mut p = Program::new();
    let read = p.pread(&from, &mut buf, 5).unwrap();
    let written = p.write(&to, &read).unwrap();
    let outcome = head().run(&mut p).unwrap();
    assert_eq!(outcome.get(&written), Ok(13));
    let mut text = String::new();
    to.rewind().unwrap();
    to.read_to_string(&mut text).unwrap();
    assert_eq!(text, "here to there");
}

#[test]
fn positions_are_results_too() {
    let file = file(b"0123456789");
    let mut p = Program::new();
    let at = p.lseek(&file, SeekFrom::End(-3)).unwrap();
    let read = p.pread(&file, vec![0; 9], &at).unwrap();
    let cut = p.ftruncate(&file, &at).unwrap();
    let sync = p.fdatasync(&file).unwrap();
    let written = p.pwrite(&file, "xyz", &at).unwrap();
    let stat = p.fstat(&file, Alloc).unwrap();
    let mut outcome = head().run(&mut p).unwrap();
    outcome.check().unwrap();
    assert_eq!(outcome.get(&at), Ok(7));
    assert_eq!(outcome.take(&read).unwrap(), b"789");
    assert_eq!(outcome.get(&cut), Ok(()));
    assert_eq!(outcome.get(&sync), Ok(()));
    assert_eq!(outcome.get(&written), Ok(3));
    assert_eq!(outcome.take(&stat).unwrap().st_size, 10);
}

#[test]
fn directories_and_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = Program::new();
    let root = p.openat(CWD, dir.path(), OFlag::O_DIRECTORY, MODE).unwrap();
    p.mkdirat(&root, c"sub", Mode::S_IRWXU).unwrap();
    let flags = OFlag::O_CREAT | OFlag::O_WRONLY;
    let made = p.openat(&root, c"a", flags, Mode::S_IRWXU).unwrap();
    p.write(&made, b"text").unwrap();
    p.close(made).unwrap();
    let to = RenameFlags::RENAME_NOREPLACE;
    p.renameat2(&root, c"a", &root, c"sub/b", to).unwrap();
    let statx = p
        .statx(&root, c"sub/b", AtFlags::empty(), libc::STATX_SIZE, Alloc)
        .unwrap();
    let entries = p.getdents64(&root, vec![0; 512]).unwrap();
    let file = UnlinkatFlags::NoRemoveDir;
    p.unlinkat(&root, c"sub/b", file).unwrap();
    p.unlinkat(&root, c"sub", UnlinkatFlags::RemoveDir).unwrap();
    p.close(root).unwrap();

    let mut outcome = head().run(&mut p).unwrap();
    outcome.check().unwrap();
    assert_eq!(outcome.take(&statx).unwrap().stx_size, 4);
    let entries = outcome.take(&entries).unwrap();
    assert!(entries.windows(4).any(|name| name == b"sub\0"));
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn sockets() {
    let dir = tempfile::tempdir().unwrap();
    let address = UnixAddr::new(&dir.path().join("socket")).unwrap();
    let (family, kind) = (AddressFamily::Unix, SockType::Stream);
    let cloexec = SockFlag::SOCK_CLOEXEC;
    let none = MsgFlags::empty();
    let mut p = Program::new();
    let listener = p.socket(family, kind, cloexec, None).unwrap();
    p.bind(&listener, &address).unwrap();
    p.listen(&listener, 1).unwrap();
    let client = p.socket(family, kind, cloexec, None).unwrap();
    p.connect(&client, &address).unwrap();
    let server = p.accept4(&listener, cloexec).unwrap();
    let sent = p.send(&client, "ping", none).unwrap();
    let heard = p.recv(&server, vec![0; 16], none).unwrap();
    p.send(&server, &heard, none).unwrap();
    p.shutdown(&server, Shutdown::Write).unwrap();
    let echoed = p.recv(&client, vec![0; 16], none).unwrap();
    let end = p.recv(&client, vec![0; 16], none).unwrap();
    for fd in [listener, client, server] {
        p.close(fd).unwrap();
    }
    let mut outcome = head().run(&mut p).unwrap();
    outcome.check().unwrap();
    assert_eq!(outcome.get(&sent), Ok(4));
    assert_eq!(outcome.take(&echoed).unwrap(), b"ping");
    assert_eq!(outcome.get(&end), Ok(0));
}

#[test]
fn pipes_and_descriptors() {
    let head = head();
    let mut p = Program::new();
    let pipe = p.pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    let (reader, mut writer) = head.run(&mut p).unwrap().take_pipe(&pipe).unwrap();

    let mut p = Program::new();
    let copy = p.fcntl_dupfd(&writer, 100).unwrap();
    p.write(&copy, "one").unwrap();
    let read = p.read(&reader, vec![0; 8]).unwrap();
    let flags = p.fcntl_getfl(&reader).unwrap();
    p.fcntl_setfl(&reader, OFlag::empty()).unwrap();
    let blocking = p.fcntl_getfl(&reader).unwrap();
    let mut outcome = head.run(&mut p).unwrap();
    outcome.check().unwrap();
    assert!(outcome.get(&copy).unwrap() >= 100);
    assert_eq!(outcome.take(&read).unwrap(), b"one");
    let nonblock = i64::from(OFlag::O_NONBLOCK.bits());
    assert_eq!(outcome.get(&flags).unwrap() & nonblock, nonblock);
    assert_eq!(outcome.get(&blocking).unwrap() & nonblock, 0);
    drop(p);

    // The write end becomes something else, so the reader sees the end.
    let null = File::open("/dev/null").unwrap();
    let mut p = Program::new();
    p.dup3(&null, &mut writer, OFlag::O_CLOEXEC).unwrap();
    let end = p.read(&reader, vec![0; 8]).unwrap();
    let outcome = head.run(&mut p).unwrap();
    assert_eq!(outcome.get(&end), Ok(0));
}

#[test]
fn closing_the_write_end_shows_in_the_same_program() {
    let head = head();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    nix::unistd::write(&writer, b"x").unwrap();
    let mut p = Program::new();
    let writer = p.adopt(writer).unwrap();
    p.close(writer).unwrap();
    let rest = p.read(&reader, vec![0; 8]).unwrap();
    let end = p.read(&reader, vec![0; 8]).unwrap();
    let outcome = head.run(&mut p).unwrap();
    outcome.check().unwrap();
    assert_eq!(outcome.get(&rest), Ok(1));
    assert_eq!(outcome.get(&end), Ok(0));
    let spent = head.run(&mut p).unwrap_err();
    assert!(matches!(spent, Error::Build(BuildError::Spent)));
}

#[test]
fn events_and_polls() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let event = EpollEvent::new(EpollFlags::EPOLLIN, 42);
    let asked = libc::pollfd {
        fd: reader.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polled = [asked];
    let mut p = Program::new();
    let add = EpollOp::EpollCtlAdd;
    p.epoll_ctl(&epoll.0, add, &reader, event).unwrap();
    let space = vec![libc::epoll_event { events: 0, u64: 0 }; 4];
    let early = p
        .epoll_wait(&epoll.0, space.clone(), EpollTimeout::ZERO)
        .unwrap();
    p.write(&writer, "x").unwrap();
    let late = p.epoll_wait(&epoll.0, space, EpollTimeout::NONE).unwrap();
    let ready = p.poll(&mut polled, Some(Duration::ZERO)).unwrap();
    let mut outcome = head().run(&mut p).unwrap();
    outcome.check().unwrap();
    assert_eq!(outcome.get(&early), Ok(0));
    assert_eq!(outcome.get(&ready), Ok(1));
    let events = outcome.take(&late).unwrap();
    let [event] = events[..] else {
        panic!("one event");
    };
    assert_eq!({ event.u64 }, 42);
    assert_eq!(polled[0].revents, libc::POLLIN);
}

#[test]
fn sleeps_take_their_time() {
    let mut p = Program::new();
    let short = Duration::from_millis(20);
    p.nanosleep(short).unwrap();
    p.clock_nanosleep(ClockId::CLOCK_MONOTONIC, short).unwrap();
    let start = Instant::now();
    head().run(&mut p).unwrap().check().unwrap();
    assert!(start.elapsed() >= 2 * short);
}

#[test]
fn words_are_shared() {
    let word = std::sync::atomic::AtomicU32::new(1);
    let counter = AtomicUsize::new(40);
    let mut p = Program::new();
    let other = p.futex_wait(&word, 2, None).unwrap();
    p.carry_on(&other).unwrap();
    let woken = p.futex_wake(&word, 9).unwrap();
    let timeout = Some(Duration::from_millis(1));
    let late = p.futex_wait(&word, 1, timeout).unwrap();
    p.carry_on(&late).unwrap();
    let sum = p.umem_add(&counter, 2).unwrap();
    let outcome = head().run(&mut p).unwrap();
    let errno = |atom| outcome.get(atom).unwrap_err().errno();
    assert_eq!(errno(&other), Some(Errno::EAGAIN));
    assert_eq!(errno(&late), Some(Errno::ETIMEDOUT));
    assert_eq!(outcome.get(&woken), Ok(0));
    assert_eq!(outcome.get(&sum), Ok(42));
    assert_eq!(counter.load(Ordering::Relaxed), 42);
}

#[test]
fn batches_enter_once() {
    let head = head();
    let numbers: Vec<_> = (0..100_u64).map(|n| file(&n.to_le_bytes())).collect();
    let mut bufs = vec![[0; 8]; 100];
    let reading = |(file, buf)| {
        let mut p = Program::new();
        p.read::<&mut [u8; 8]>(file, buf).unwrap();
        p
    };
    let mut programs: Vec<_> = numbers.iter().zip(&mut bufs).map(reading).collect();
    head.run_all(&mut programs).unwrap();
    assert_eq!(head.entered(), 1);
    for p in &mut programs {
        assert_eq!(p.outcome().unwrap().result(), 8);
    }
    drop(programs);
    let read: Vec<_> = bufs.into_iter().map(u64::from_le_bytes).collect();
    assert!(read.into_iter().eq(0..100));
}

#[test]
fn batches_beyond_the_limit_are_split() {
    let head = head();
    let limit = head.info().max_programs as usize;
    let mut programs: Vec<_> = (0..=limit).map(|_| Program::new()).collect();
    for p in &mut programs {
        p.getpid().unwrap();
    }
    head.run_all(&mut programs).unwrap();
    assert_eq!(head.entered(), 2);
    assert!(programs.iter_mut().all(|p| p.outcome().is_some()));
}

#[test]
fn sixty_four_atoms_run() {
    let mut p = Program::new();
    for _ in 0..64 {
        p.getppid().unwrap();
    }
    assert_eq!(head().run(&mut p).unwrap().ran(), 64);
}

#[test]
fn untyped_calls_run_or_are_refused() {
    let head = head();
    let nr = |nr| u32::try_from(nr).unwrap();
    let mut p = Program::new();
    let pid = p.getpid().unwrap();
    // SAFETY: Asks whether the process exists.
    let alive = unsafe { p.raw(nr(libc::SYS_kill), &[RawArg::result(&pid), 0.into()]) }.unwrap();
    // SAFETY: Makes a descriptor.
    let fd = unsafe {
        p.raw_fd(
            nr(libc::SYS_memfd_create),
            &[RawArg::pointer(c"x".as_ptr())],
        )
    };
    let fd = fd.unwrap();
    p.ftruncate(&fd, 9).unwrap();
    let mut outcome = head.run(&mut p).unwrap();
    assert_eq!(outcome.get(&alive), Ok(0));
    let file = File::from(outcome.take_fd(&fd).unwrap());
    assert_eq!(file.metadata().unwrap().len(), 9);

    for (call, errno) in [(nr(libc::SYS_exit), Errno::EPERM), (4000, Errno::ENOSYS)] {
        let mut p = Program::new();
        p.openat(CWD, c"/", READ_ONLY, MODE).unwrap();
        // SAFETY: It is refused.
        unsafe { p.raw(call, &[]) }.unwrap();
        let error = head.run(&mut p).unwrap_err();
        assert_eq!(error.errno(), Some(errno));
        assert!(matches!(error, Error::Refused { index: 1, .. }));
        assert!(p.outcome().is_none(), "nothing ran");
    }
}

#[test]
fn a_refusal_names_program_and_atom() {
    let mut programs = [Program::new(), Program::new()];
    programs[0].getpid().unwrap();
    // SAFETY: It is refused.
    unsafe { programs[1].raw(u32::try_from(libc::SYS_fork).unwrap(), &[]) }.unwrap();
    let error = head().run_all(&mut programs).unwrap_err().to_string();
    let expected = "program 1, atom 0 (fork): EPERM: Operation not permitted: It copies";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_signal_between_programs_does_not_lose_any() {
    use std::sync::mpsc::RecvTimeoutError;

    use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

    extern "C" fn nothing(_: libc::c_int) {}
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: The handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();

    let head = head();
    // SAFETY: It always succeeds.
    let here = unsafe { libc::pthread_self() };
    let mut programs: Vec<_> = (0..50).map(|_| Program::new()).collect();
    let sleeping = |p: &mut Program<'_>| p.nanosleep(Duration::from_millis(2)).unwrap();
    let sleeps: Vec<_> = programs.iter_mut().map(sleeping).collect();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let pause = Duration::from_millis(5);
            // Until the sender is gone, whatever the reason.
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                // SAFETY: The thread waits for this one.
                unsafe { libc::pthread_kill(here, libc::SIGUSR1) };
            }
        });
        // Dropped here even if an assertion fails.
        let stop = stop;
        let mut from = 0;
        while let Err(error) = head.run_all(&mut programs[from..]) {
            // The first of them was interrupted before it had done anything.
            assert_eq!(error.errno(), Some(Errno::EINTR));
            while programs[from].outcome().is_some() {
                from += 1;
            }
        }
        drop(stop);
    });
    for (program, sleep) in programs.iter_mut().zip(&sleeps) {
        match program.outcome().expect("it ran").get(sleep) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.errno(), Some(Errno::EINTR)),
        }
    }
}

#[test]
fn threads_share_a_head() {
    let head = head();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut p = Program::new();
                    let pid = p.getpid().unwrap();
                    let outcome = head.run(&mut p).unwrap();
                    assert_eq!(outcome.get(&pid), Ok(std::process::id().into()));
                }
            });
        }
    });
    assert_eq!(head.entered(), 800);
}
