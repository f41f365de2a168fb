// SPDX-License-Identifier: GPL-2.0

//! The builder: what it encodes, what it refuses, and who owns what after a run that is made up.

use std::fs::File;
use std::io::SeekFrom;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::socket::{MsgFlags, SockaddrIn};
use nix::sys::stat::Mode;
use proptest::prelude::*;

use super::*;
use crate::{Alloc, AtomFailure};

const MODE: Mode = Mode::empty();
const READ_ONLY: OFlag = OFlag::O_RDONLY;

/// Makes it so that the program has run with these results.
fn pretend(program: &mut Program<'_>, results: &[i64]) {
    let encoded = program.encode(uapi::SYNC).unwrap();
    assert_eq!(encoded.nr_atoms as usize, program.len());
    program.results[..results.len()].copy_from_slice(results);
    let ran = results.iter().rposition(|raw| *raw != uapi::NOT_RUN);
    let last = ran.unwrap_or(0);
    // SAFETY: The results that are descriptors are the tests' own.
    unsafe { program.ran(results[last], u32::try_from(last).unwrap()) };
}

/// A descriptor that can be seen to be closed, whoever gets its number then: the write end of a
/// pipe.
struct Watched {
    number: i32,
    reader: OwnedFd,
}

impl Watched {
    fn new() -> (Self, OwnedFd) {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
        let number = writer.as_raw_fd();
        (Self { number, reader }, writer)
    }

    /// One that only its number is known of.
    fn bare() -> Self {
        let (watched, writer) = Self::new();
        let _ = writer.into_raw_fd();
        watched
    }

    fn is_open(&self) -> bool {
        nix::unistd::read(&self.reader, &mut [0]) == Err(Errno::EAGAIN)
    }

    /// As a return value.
    fn raw(&self) -> i64 {
        self.number.into()
    }
}

#[test]
fn results_become_arguments() {
    let mut buf = [0; 16];
    let addr = address(buf.as_ptr());
    let mut p = Program::new();
    let fd = p.openat(CWD, c"x", OFlag::O_CREAT, Mode::S_IRUSR).unwrap();
    p.read(&fd, &mut buf).unwrap();
    p.close(fd).unwrap();

    let [open, read, close] = p.atoms() else {
        panic!("three atoms");
    };
    assert_eq!(i64::from(open.nr), libc::SYS_openat);
    assert_eq!(open.args[0], crate::buffer::register(-100));
    assert_eq!(open.args[2..], [0o100, 0o400, 0, 0]);
    assert_eq!(open.arg_from, [0; 6]);
    assert_eq!(open.flags, uapi::STOP_ON_NEGATIVE);
    assert_eq!(i64::from(read.nr), libc::SYS_read);
    assert_eq!(read.args, [0, addr, 16, 0, 0, 0]);
    assert_eq!(read.arg_from, [1, 0, 0, 0, 0, 0]);
    assert_eq!(i64::from(close.nr), libc::SYS_close);
    assert_eq!(close.arg_from, [1, 0, 0, 0, 0, 0]);
    assert!(p.names().eq(["openat", "read", "close"]));
}

#[test]
fn data_can_be_what_was_read() {
    let file = File::open("/dev/null").unwrap();
    let mut buf = [0; 16];
    let addr = address(buf.as_ptr());
    let mut p = Program::new();
    let read = p.read(&file, &mut buf).unwrap();
    p.pwrite(&file, &read, 7).unwrap();
    assert_eq!(p.atoms()[1].args[1], addr);
    assert_eq!(p.atoms()[1].arg_from, [0, 0, 1, 0, 0, 0]);
    assert_eq!(p.atoms()[1].args[3], 7);

    // From here on the length must stay one.
    let refused = BuildError::UncheckedLength {
        index: 0,
        name: "read",
    };
    assert_eq!(p.carry_on(&read), Err(refused.clone()));
    assert_eq!(p.skip_if(&read, Stop::NEGATIVE, 1), Err(refused.clone()));
    assert_eq!(p.stop_if(&read, Stop::ZERO), Err(refused));
    assert_eq!(p.stop_if(&read, Stop::NON_POSITIVE), Ok(()));
}

#[test]
fn an_unchecked_length_is_refused() {
    let file = File::open("/dev/null").unwrap();
    let mut p = Program::new();
    let read = p.read(&file, vec![0; 16]).unwrap();
    p.carry_on(&read).unwrap();
    let error = p.write(&file, &read).unwrap_err();
    let text = "atom 0 (read): its result is a length, it must stop the program if negative";
    assert_eq!(error.to_string(), text);
    assert_eq!(p.len(), 1);

    let packet = p.recv(&file, vec![0; 16], MsgFlags::MSG_TRUNC).unwrap();
    let beyond = BuildError::LengthBeyondBuffer {
        index: 1,
        name: "recvfrom",
    };
    assert_eq!(
        p.send(&file, &packet, MsgFlags::empty()).unwrap_err(),
        beyond
    );
}

#[test]
fn foreign_handles_are_refused() {
    let mut other = Program::new();
    let fd = other.openat(CWD, c"x", READ_ONLY, MODE).unwrap();
    let pid = other.getpid().unwrap();

    let mut p = Program::new();
    p.getpid().unwrap();
    let foreign = |name| BuildError::ForeignHandle { name };
    assert_eq!(p.read(&fd, vec![0]).unwrap_err(), foreign("read"));
    assert_eq!(p.stop_if(&pid, Stop::ZERO), Err(foreign("stop_if")));
    assert_eq!(p.skip_if(&pid, Stop::ZERO, 1), Err(foreign("skip_if")));
    assert_eq!(p.ftruncate(CWD, &pid).unwrap_err(), foreign("ftruncate"));
    assert_eq!(p.close(fd).unwrap_err(), foreign("close"));
    assert_eq!(p.len(), 1);
    assert!(p.kept.is_empty(), "what was refused is not kept");

    // Nor is one from before the program was made anew.
    let mut recycled = other.recycle();
    recycled.getpid().unwrap();
    assert_eq!(recycled.carry_on(&pid), Err(foreign("stop_if")));

    pretend(&mut p, &[1]);
    let failure = p.outcome().unwrap().get(&pid).unwrap_err().failure;
    assert_eq!(failure, AtomFailure::Foreign);
}

#[test]
fn sixty_four_atoms_are_the_most() {
    let mut p = Program::new();
    for _ in 0..uapi::MAX_ATOMS {
        p.getppid().unwrap();
    }
    let error = p.read(CWD, vec![0; 9]).unwrap_err();
    assert_eq!(error.to_string(), "read: a program has at most 64 atoms");
    assert_eq!(p.len(), 64);
}

#[test]
fn paths_are_checked_and_copied() {
    let mut p = Program::new();
    let nul = BuildError::PathWithNul { name: "openat" };
    assert_eq!(p.openat(CWD, "a\0b", READ_ONLY, MODE).unwrap_err(), nul);
    assert!(p.is_empty());

    let path = String::from("/etc/passwd");
    p.openat(CWD, &path, READ_ONLY, MODE).unwrap();
    let at = std::ptr::with_exposed_provenance(usize::try_from(p.atoms()[0].args[1]).unwrap());
    // SAFETY: The program keeps the path.
    let path = unsafe { std::ffi::CStr::from_ptr(at) };
    assert_eq!(path, c"/etc/passwd");
}

#[test]
fn skips_must_lead_somewhere() {
    let mut p = Program::new();
    let pid = p.getpid().unwrap();
    let empty = BuildError::EmptySkip {
        index: 0,
        name: "getpid",
    };
    assert_eq!(p.skip_if(&pid, Stop::empty(), 1), Err(empty.clone()));
    assert_eq!(p.skip_if(&pid, Stop::ZERO, 0), Err(empty));
    p.skip_if(&pid, Stop::NONZERO, 2).unwrap();
    assert_eq!(p.atoms()[0].skip, 2);
    assert_eq!(
        p.atoms()[0].flags,
        uapi::STOP_ON_NONZERO | uapi::SKIP_ON_STOP
    );

    p.getpid().unwrap();
    let error = p.encode(0).unwrap_err().to_string();
    assert_eq!(
        error,
        "atom 0 (getpid): skips 2 atoms, but only 1 stand behind it"
    );
    p.getpid().unwrap();
    assert!(p.encode(0).is_ok(), "to just behind the last atom");
    p.stop_if(&pid, Stop::ZERO).unwrap();
    assert_eq!(p.atoms()[0].skip, 0);
}

#[test]
fn an_empty_program_is_refused() {
    assert_eq!(Program::new().encode(0).unwrap_err(), BuildError::Empty);
}

#[test]
fn values_and_failures_name_the_atom() {
    let mut p = Program::new();
    let fd = p.openat(CWD, c"x", READ_ONLY, MODE).unwrap();
    let read = p.read(&fd, vec![0; 4]).unwrap();
    let seek = p.lseek(&fd, SeekFrom::End(-1)).unwrap();
    assert!(p.outcome().is_none());

    let opened = Watched::bare();
    pretend(
        &mut p,
        &[opened.raw(), -i64::from(libc::EIO), uapi::NOT_RUN],
    );
    let mut outcome = p.outcome().unwrap();
    assert_eq!(outcome.get(&fd), Ok(opened.number));
    let error = outcome.get(&read).unwrap_err();
    assert_eq!(error.to_string(), "atom 1 (read): EIO: I/O error");
    assert_eq!(error.errno(), Some(Errno::EIO));
    assert_eq!(outcome.take(&read).unwrap_err(), error);
    assert_eq!(outcome.check(), Err(error));
    let error = outcome.get(&seek).unwrap_err();
    assert_eq!(error.to_string(), "atom 2 (lseek): did not run");
    assert_eq!(
        (outcome.last(), outcome.result(), outcome.ran()),
        (1, -5, 2)
    );
    assert!(opened.is_open());

    // Built again, it has no outcome, and what it had opened is closed.
    p.encode(0).unwrap();
    assert!(p.outcome().is_none());
    assert!(!opened.is_open());
}

#[test]
fn descriptors_belong_to_the_program_until_closed_or_taken() {
    let mut p = Program::new();
    let closed = p.openat(CWD, c"x", READ_ONLY, MODE).unwrap();
    let kept = p.openat(CWD, c"x", READ_ONLY, MODE).unwrap();
    let taken = p.openat(CWD, c"x", READ_ONLY, MODE).unwrap();
    p.close(closed).unwrap();

    // The program closes the first.
    let [first, second, third] = [(); 3].map(|()| Watched::bare());
    pretend(&mut p, &[first.raw(), second.raw(), third.raw(), 0]);
    let mut outcome = p.outcome().unwrap();
    let mine = outcome.take_fd(&taken).unwrap();
    assert_eq!(mine.as_raw_fd(), third.number);
    let again = outcome.take_fd(&taken).unwrap_err().failure;
    assert_eq!(again, AtomFailure::NothingHeld);
    assert_eq!(outcome.get(&kept), Ok(second.number));
    assert!(first.is_open(), "its closing was only pretended");

    // This time the program ends before it gets to that.
    pretend(&mut p, &[first.raw()]);
    drop(p);
    assert!(!first.is_open() && !second.is_open() && third.is_open());
    drop(mine);
    assert!(!third.is_open());
}

#[test]
fn pipes_are_owned_like_other_descriptors() {
    let mut p = Program::new();
    let pipe = p.pipe2(OFlag::O_CLOEXEC).unwrap();
    let [one, other] = [(); 2].map(|()| Watched::bare());
    p.kept[0] = Kept::Any(Box::new(vec![[one.number, other.number]]));
    pretend(&mut p, &[0]);
    let (reader, writer) = p.outcome().unwrap().take_pipe(&pipe).unwrap();
    assert_eq!(reader.as_raw_fd(), one.number);
    assert_eq!(writer.as_raw_fd(), other.number);
    drop(p);
    assert!(one.is_open() && other.is_open());
    drop((reader, writer));
    assert!(!one.is_open() && !other.is_open());
}

#[test]
fn an_adopted_descriptor_is_closed_once() {
    let (watched, fd) = Watched::new();
    let mut p = Program::new();
    let fd = p.adopt(fd).unwrap();
    p.fsync(&fd).unwrap();
    p.close(fd).unwrap();
    let number = arg::fd_value(watched.number);
    assert!(p.atoms().iter().all(|atom| atom.args[0] == number));
    assert!(watched.is_open());
    pretend(&mut p, &[0, 0]);
    assert_eq!(p.encode(0).unwrap_err(), BuildError::Spent);
    drop(p);
    assert!(watched.is_open(), "its closing was only pretended");
    // SAFETY: Nobody else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(watched.number) });

    // Not run, it is closed with the program.
    let (watched, fd) = Watched::new();
    let mut p = Program::new();
    let fd = p.adopt(fd).unwrap();
    p.close(fd).unwrap();
    drop(p);
    assert!(!watched.is_open());
}

#[test]
fn an_adopted_descriptor_comes_back() {
    let (watched, fd) = Watched::new();
    let mut p = Program::new();
    let mut other = Program::new();
    let fd = p.adopt(fd).unwrap();
    let foreign = BuildError::ForeignHandle { name: "fsync" };
    assert_eq!(other.fsync(&fd).unwrap_err(), foreign);
    p.fsync(&fd).unwrap();
    pretend(&mut p, &[-5]);
    p.encode(0).unwrap();
    pretend(&mut p, &[-5]);
    let mut outcome = p.outcome().unwrap();
    let back = outcome.take_adopted(&fd).unwrap();
    assert!(outcome.take_adopted(&fd).is_none());
    assert_eq!(p.encode(0).unwrap_err(), BuildError::Spent);
    drop(p);
    assert!(watched.is_open());
    drop(back);
    assert!(!watched.is_open());
}

#[test]
fn what_was_not_closed_can_be_taken() {
    let [opened, other] = [(); 2].map(|()| Watched::bare());
    let (adopted, fd) = Watched::new();
    let mut p = Program::new();
    let fd = p.adopt(fd).unwrap();
    let first = p.openat(CWD, c"x", READ_ONLY, MODE).unwrap();
    let second = p.openat(CWD, c"x", READ_ONLY, MODE).unwrap();
    let first = p.close(first).unwrap();
    let fd = p.close(fd).unwrap();
    let second = p.close(second).unwrap();
    pretend(&mut p, &[opened.raw(), other.raw(), -5]);
    let mut outcome = p.outcome().unwrap();
    assert!(outcome.take_unclosed(&first).is_none());
    let numbers = [fd, second].map(|close| {
        let number = outcome.take_unclosed(&close).map(|fd| fd.as_raw_fd());
        assert!(outcome.take_unclosed(&close).is_none());
        number.unwrap()
    });
    assert_eq!(numbers, [adopted.number, other.number]);
    assert!(!adopted.is_open() && !other.is_open());
    drop(p);
    assert!(opened.is_open(), "its closing was only pretended");
}

#[test]
fn owned_memory_comes_back_cut_to_size() {
    let mut p = Program::new();
    let read = p.read(CWD, vec![7_u8; 100]).unwrap();
    let stat = p.fstat(CWD, Alloc).unwrap();
    let events = p.poll(vec![], None).unwrap();
    pretend(&mut p, &[3, 0, 0]);
    let mut outcome = p.outcome().unwrap();
    assert_eq!(outcome.take(&read).unwrap(), [7; 3]);
    assert_eq!(outcome.take(&stat).unwrap().st_size, 0);
    assert_eq!(outcome.get(&events), Ok(0));
    let again = outcome.take(&read).unwrap_err().failure;
    assert_eq!(again, AtomFailure::NothingHeld);
    assert_eq!(p.encode(0).unwrap_err(), BuildError::Spent);
}

#[test]
fn shared_things_are_kept() {
    let word = Arc::new(AtomicU32::new(0));
    let counter = Arc::new(AtomicUsize::new(0));
    let fd = Arc::new(OwnedFd::from(File::open("/dev/null").unwrap()));
    let mut p = Program::new();
    p.futex_wait(Arc::clone(&word), 1, None).unwrap();
    p.umem_add(Arc::clone(&counter), 2).unwrap();
    p.fsync(Arc::clone(&fd)).unwrap();
    assert_eq!(p.atoms()[0].args[0], address(word.as_ptr()));
    assert_eq!(p.atoms()[1].args[..2], [address(counter.as_ptr()), 2]);
    assert_eq!(p.atoms()[1].flags, 0);
    let counts = || [Arc::strong_count(&word), Arc::strong_count(&counter)];
    assert_eq!((counts(), Arc::strong_count(&fd)), ([2, 2], 2));
    let p = p.recycle();
    assert_eq!((counts(), Arc::strong_count(&fd)), ([1, 1], 1));
    assert!(p.is_empty());
}

#[test]
fn addresses_are_copied() {
    let address = SockaddrIn::new(127, 0, 0, 1, 80);
    let mut p = Program::new();
    p.connect(CWD, &address).unwrap();
    let Kept::Bytes(bytes) = &p.kept[0] else {
        panic!("bytes are kept");
    };
    assert_eq!(bytes[2..8], [0, 80, 127, 0, 0, 1]);
    assert_eq!(p.atoms()[0].args[2], 16);
}

#[test]
fn untyped_calls_take_six_arguments() {
    let mut p = Program::new();
    let pid = p.getpid().unwrap();
    let nr = u32::try_from(libc::SYS_kill).unwrap();
    let args = [RawArg::result(&pid), 0.into()];
    // SAFETY: Never run.
    unsafe { p.raw(nr, &args) }.unwrap();
    assert_eq!(p.atoms()[1].arg_from, [1, 0, 0, 0, 0, 0]);
    assert_eq!(p.names().last(), Some("kill"));
    // SAFETY: Never run.
    let error = unsafe { p.raw(nr, &[0.into(); 7]) }.unwrap_err();
    assert_eq!(error, BuildError::TooManyArguments { name: "kill" });
    assert_eq!(p.len(), 2);
}

/// One random step of building.
#[derive(Clone, Debug)]
enum Step {
    Pid,
    Truncate(usize),
    Skip(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Pid),
        any::<usize>().prop_map(Step::Truncate),
        (any::<usize>(), any::<u8>()).prop_map(|(at, skip)| Step::Skip(at, skip)),
    ];
    prop::collection::vec(step, 0..100)
}

proptest! {
    /// Whatever is built, what is handed to the kernel keeps to its rules.
    #[test]
    fn what_is_encoded_is_well_formed(steps in steps()) {
        let mut p = Program::new();
        let mut numbers = Vec::new();
        for step in steps {
            let pick = |at: usize| at.checked_rem(numbers.len()).map(|at| &numbers[at]);
            match step {
                Step::Pid => numbers.extend(p.getpid().ok()),
                Step::Truncate(at) => {
                    if let Some(number) = pick(at) {
                        let _ = p.ftruncate(CWD, number);
                    }
                }
                Step::Skip(at, skip) => {
                    if let Some(number) = pick(at) {
                        let _ = p.skip_if(number, Stop::ZERO, skip);
                    }
                }
            }
        }
        prop_assert!(p.len() <= uapi::MAX_ATOMS);
        let Ok(encoded) = p.encode(uapi::SYNC) else { return Ok(()) };
        prop_assert_eq!(encoded.nr_atoms as usize, p.len());
        for (index, atom) in p.atoms().iter().enumerate() {
            prop_assert!(atom.arg_from.iter().all(|from| usize::from(*from) <= index));
            prop_assert_eq!(atom.flags & uapi::SKIP_ON_STOP != 0, atom.skip != 0);
            prop_assert!(index + 1 + usize::from(atom.skip) <= p.len());
            prop_assert_eq!(atom.reserved, 0);
        }
    }
}
