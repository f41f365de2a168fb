// SPDX-License-Identifier: GPL-2.0

//! A user thread, which ends, and two workers, of which one leaves by itself.

use std::sync::Arc;

use kernel::alloc::GFP_KERNEL_ACCOUNT;
use kernel::atomic::Acquire;
use kernel::atomic::Atomic;
use kernel::atomic::Release;
use kernel::model;
use kernel::model::Process;
use kernel::model::Signal;
use kernel::model::Task;
use kernel::prelude::KBox;
use kernel::prelude::Pin;
use loom::thread;

use super::cachemiss::Limits;
use super::cachemiss::Parked;
use super::cachemiss::Pool;
use super::process;
use super::process::Registration;
use super::ring::Ring;

/// The exit code of the user thread.
const CODE: i32 = 7 << 8;

struct World {
    process: Process,
    /// The user's, then the workers.
    tasks: [Task; 3],
    /// The user thread's probe is over.
    user_gone: Atomic<bool>,
    pool: Pin<KBox<Pool>>,
    ring: Pin<KBox<Ring>>,
}

impl World {
    fn new() -> Arc<Self> {
        let mut tasks = [true, false, false].map(Task::new);
        let process = Process::new(&mut tasks);
        for worker in &mut tasks[1..] {
            worker.set_ip(model::PARKING_PAGE);
        }
        // More workers than spares: only then their time can be over.
        let limits = Limits {
            threads: 2,
            spares: 0,
            idle_ms: 1,
        };
        Arc::new(Self {
            process,
            tasks,
            user_gone: Atomic::new(false),
            pool: KBox::pin_init(Pool::new(limits), GFP_KERNEL_ACCOUNT).expect("memory"),
            ring: KBox::pin_init(Ring::new(1, 2), GFP_KERNEL_ACCOUNT).expect("memory"),
        })
    }

    /// A worker, from its arrival to its end.
    fn work(&self, story: Story, at: usize, id: u64) {
        self.tasks[at].enter();
        loop {
            let worker = self.pool.recognise(id).expect("it is this one");
            match self.pool.park(&worker) {
                Parked::Chosen(_) => unreachable!("there is no program"),
                Parked::Interrupted => {
                    model::clear(Signal::Stop);
                    if story == Story::Reopens {
                        self.pool.reopen();
                    }
                }
                Parked::Leave(status) => {
                    if story == Story::WorkerLast && at == 1 {
                        model::sleep_until(|| self.user_gone.load(Acquire));
                    }
                    return model::exit(i32::from(status) << 8, process::syslet_task_exit)
                }
            }
        }
    }

    /// All of it; `other` does something to the workers.
    fn run(self: &Arc<Self>, story: Story, other: fn(&Self)) {
        loom::stop_exploring();
        self.tasks[0].enter();
        process::parking_page(self.process.mm()).expect("memory");
        // SAFETY: The world outlives it.
        let registration = unsafe { Registration::new(&self.pool) }.expect("registered");
        let mut threads = Vec::new();
        for at in [1, 2] {
            let worker = self.pool.enlist(&self.ring).expect("room");
            worker.note_task(self.tasks[at].as_ptr());
            let (world, id) = (self.clone(), worker.id());
            threads.push(thread::spawn(move || world.work(story, at, id)));
            assert!(worker.await_arrival());
        }
        loom::explore();
        let world = self.clone();
        threads.push(thread::spawn(move || other(&world)));
        model::exit(CODE, process::syslet_task_exit);
        self.user_gone.store(true, Release);
        self.tasks[1].wake();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(self.process.exit_code(), CODE, "status");
        assert_eq!(process::registered(), 0);
        assert!(self.pool.is_orphaned());
        drop(registration);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Story {
    Any,
    /// The first worker, having left its pool, ends only when the user thread has.
    WorkerLast,
    /// A worker in user mode runs a program, as if it were a thread of the user's.
    Reopens,
}

fn check(preemptions: usize, story: Story, other: fn(&World)) {
    model::check(preemptions, move || World::new().run(story, other));
}

/// One worker leaves for having been idle too long: the other one learns that the user is gone.
pub fn user_and_worker_exit() {
    check(2, Story::Any, |world| world.tasks[1].expire());
}

/// The same, if the worker is the last to end.
pub fn worker_ends_last() {
    check(2, Story::WorkerLast, |world| world.tasks[1].expire());
}

/// One worker is on its way through user mode.
pub fn user_exits_as_a_worker_parks() {
    check(3, Story::Any, |world| world.tasks[1].send(Signal::Stop));
}

/// The same, and the process has made it run code of its own.
pub fn user_exits_as_a_worker_reopens() {
    check(3, Story::Reopens, |world| world.tasks[1].send(Signal::Stop));
}
