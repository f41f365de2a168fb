// SPDX-License-Identifier: GPL-2.0

//! Leadership that moves, against what relies on it.
//!
//! `rust/leader.c` and `rust/identity.c` cannot be run here, so this repeats them, function by
//! function and under their names: [`Process::section_enter`], [`Process::section_leave`],
//! [`Process::leader_begin`], [`Process::leader_end`], [`Process::swap_identity`],
//! [`Process::move_leadership`]. A change there has to be made here.

#[path = "../common/mod.rs"]
mod common;

use std::sync::Arc;

use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::sync::Mutex;
use loom::sync::MutexGuard;
use loom::thread;

/// The task that leads at first, and runs a program.
const A: usize = 0;
/// Its worker.
const B: usize = 1;
/// Another thread of the user's.
const C: usize = 2;
/// A thread that is forked.
const NEW: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// Whether a section is under way is looked at, and the lock given back before the change.
    LooksUnderAnotherHold,
    /// A section is not announced.
    TakesNoSection,
    /// Whether the task may be moved is looked at before `tasklist_lock` is taken.
    JudgesUnderAnotherHold,
    /// The list of threads and their pointers change under two holds of `siglock`.
    ReordersUnderAnotherHold,
}

/// What `tasklist_lock` protects.
struct Tasks {
    /// Whose TID the process's is.
    tgid: usize,
    traced: Option<usize>,
    linked: Vec<usize>,
}

struct Process {
    mistake: Mistake,
    /// The slot: the sections under way, each by its thread.
    sections: Mutex<Vec<usize>>,
    tasklist: Mutex<Tasks>,
    /// `siglock` and the order of the list of threads.
    siglock: Mutex<Vec<usize>>,
    group_leader: [AtomicUsize; 4],
    /// `task_lock()` of A and B.
    alloc_lock: [Mutex<()>; 2],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}

impl Process {
    fn new(mistake: Mistake) -> Arc<Self> {
        Arc::new(Self {
            mistake,
            sections: Mutex::new(Vec::new()),
            tasklist: Mutex::new(Tasks {
                tgid: A,
                traced: None,
                linked: vec![A, B, C],
            }),
            siglock: Mutex::new(vec![A, B, C]),
            group_leader: std::array::from_fn(|_| AtomicUsize::new(A)),
            alloc_lock: std::array::from_fn(|_| Mutex::new(())),
        })
    }

    fn leader_of(&self, thread: usize) -> usize {
        self.group_leader[thread].load(Relaxed)
    }

    fn section_enter(&self, thread: usize) {
        if self.mistake != Mistake::TakesNoSection {
            lock(&self.sections).push(thread);
        }
    }

    fn section_leave(&self, thread: usize) {
        lock(&self.sections).retain(|&other| other != thread);
    }

    /// `None` if a section is under way.
    fn leader_begin(&self) -> Option<MutexGuard<'_, Vec<usize>>> {
        let mut sections = lock(&self.sections);
        if !sections.is_empty() {
            return None;
        }
        if self.mistake == Mistake::LooksUnderAnotherHold {
            drop(sections);
            sections = lock(&self.sections);
        }
        Some(sections)
    }

    fn leader_end(sections: MutexGuard<'_, Vec<usize>>) {
        drop(sections);
    }

    /// B takes over from A. `None`: not at this moment.
    fn swap_identity(&self) -> Option<bool> {
        let sections = self.leader_begin()?;
        let mut tasks = lock(&self.tasklist);
        let may = tasks.traced.is_none();
        if self.mistake == Mistake::JudgesUnderAnotherHold {
            drop(tasks);
            tasks = lock(&self.tasklist);
        }
        let order = lock(&self.siglock);
        if may {
            assert_eq!(tasks.traced, None, "moved although traced");
            tasks.tgid = B;
            self.move_leadership(&tasks.linked, order);
        } else {
            drop(order);
        }
        drop(tasks);
        Self::leader_end(sections);
        Some(may)
    }

    fn move_leadership<'a>(&'a self, threads: &[usize], mut order: MutexGuard<'a, Vec<usize>>) {
        for &thread in threads {
            self.group_leader[thread].store(B, Relaxed);
        }
        if self.mistake == Mistake::ReordersUnderAnotherHold {
            drop(order);
            order = lock(&self.siglock);
        }
        order.retain(|&thread| thread != B);
        order.insert(0, B);
    }

    /// As often as B does at most, in little.
    fn take_over(&self) -> bool {
        for _ in 0..2 {
            if let Some(moved) = self.swap_identity() {
                return moved;
            }
            thread::yield_now();
        }
        false
    }

    /// All that is linked agrees on who leads.
    fn check(&self, moved: bool) {
        let tasks = lock(&self.tasklist);
        assert_eq!(tasks.tgid, if moved { B } else { A });
        for &thread in &tasks.linked {
            assert_eq!(self.leader_of(thread), tasks.tgid, "who leads {thread}");
        }
        assert_eq!(lock(&self.siglock)[0], tasks.tgid);
    }
}

fn run(mistake: Mistake, others: &'static [fn(&Process)]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(move || {
        let process = Process::new(mistake);
        let threads: Vec<_> = others
            .iter()
            .map(|other| {
                let process = process.clone();
                thread::spawn(move || other(&process))
            })
            .collect();
        let moved = process.take_over();
        for thread in threads {
            thread.join().expect("no panic");
        }
        process.check(moved);
    });
}

/// `prlimit()`, `setrlimit()`, `execve()`: what was locked is what is unlocked.
fn rlimit(process: &Process) {
    process.section_enter(C);
    let leader = process.leader_of(C);
    let held = lock(&process.alloc_lock[leader]);
    assert_eq!(process.leader_of(C), leader, "unlocked another");
    drop(held);
    process.section_leave(C);
}

/// `copy_process()`: the leader is looked at long before the thread is linked.
fn fork(process: &Process) {
    process.section_enter(C);
    let leader = process.leader_of(C);
    process.group_leader[NEW].store(leader, Relaxed);
    {
        let mut tasks = lock(&process.tasklist);
        let mut order = lock(&process.siglock);
        tasks.linked.push(NEW);
        order.push(NEW);
    }
    process.section_leave(C);
}

/// `ptrace_attach()`
fn trace(process: &Process) {
    let mut tasks = lock(&process.tasklist);
    tasks.traced = Some(tasks.tgid);
}

/// `while_each_thread()` and its like: the list begins with the leader.
fn walk(process: &Process) {
    let order = lock(&process.siglock);
    assert_eq!(order[0], process.leader_of(C), "walked from elsewhere");
}

#[test]
fn rlimit_while_the_leader_changes() {
    run(Mistake::None, &[rlimit]);
}

#[test]
fn fork_while_the_leader_changes() {
    run(Mistake::None, &[fork]);
}

#[test]
fn trace_while_the_leader_changes() {
    run(Mistake::None, &[trace]);
}

#[test]
fn walk_while_the_leader_changes() {
    run(Mistake::None, &[walk, fork]);
}

macro_rules! mistaken {
    ($($test:ident: $mistake:ident, $other:ident, $shows:literal;)*) => {$(
        #[test]
        fn $test() {
            common::fails(stringify!($test), $shows, || run(Mistake::$mistake, &[$other]));
        }
    )*};
}

mistaken! {
    looks_for_sections_under_another_hold: LooksUnderAnotherHold, rlimit, "unlocked another";
    forks_without_a_section: TakesNoSection, fork, "who leads 3";
    locks_without_a_section: TakesNoSection, rlimit, "unlocked another";
    judges_under_another_hold: JudgesUnderAnotherHold, trace, "moved although traced";
    reorders_under_another_hold: ReordersUnderAnotherHold, walk, "walked from elsewhere";
}
