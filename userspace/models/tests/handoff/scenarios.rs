// SPDX-License-Identifier: GPL-2.0

//! One task that runs a program and blocks (A), its worker (B), and others that interfere.

use std::sync::Arc;

use kernel::alloc::GFP_KERNEL_ACCOUNT;
use kernel::atomic::Acquire;
use kernel::atomic::Atomic;
use kernel::atomic::Relaxed;
use kernel::atomic::Release;
use kernel::model;
use kernel::model::Signal;
use kernel::model::Task;
use kernel::prelude::KBox;
use kernel::prelude::Pin;
use loom::thread;

use super::cachemiss::Limits;
use super::cachemiss::Parked;
use super::cachemiss::Pool;
use super::flight::Flight;
use super::flight::State;
use super::handoff;
use super::ring::Ring;
use crate::rest::batch::Batch;
use crate::rest::dispatch::Frame;
use crate::rest::process;

struct World {
    a: Task,
    b: Task,
    ring: Pin<KBox<Ring>>,
    pool: Pin<KBox<Pool>>,
    /// What A's program waits for.
    event: Atomic<bool>,
    /// B has led its thread group.
    led: bool,
}

impl World {
    fn new(spares: u32) -> Self {
        let limits = Limits {
            threads: 2,
            spares,
            idle_ms: 1,
        };
        Self {
            a: Task::new(true).lead(),
            b: Task::new(false),
            ring: KBox::pin_init(Ring::new(1, 2), GFP_KERNEL_ACCOUNT).expect("memory"),
            pool: KBox::pin_init(Pool::new(limits), GFP_KERNEL_ACCOUNT).expect("memory"),
            event: Atomic::<bool>::new(false),
            led: false,
        }
    }

    /// B, from its arrival until it has a user context, or has left.
    fn park(&self, id: u64) {
        self.b.enter();
        loop {
            let worker = self.pool.recognise(id).expect("it is B");
            loop {
                match self.pool.park(&worker) {
                    Parked::Chosen(flight) => {
                        if handoff::take_over(&self.pool, &worker, flight, &Frame).is_some() {
                            assert!(self.b.has_user());
                            return;
                        }
                    }
                    // Through user mode, and back.
                    Parked::Interrupted => {
                        model::clear(Signal::Stop);
                        break;
                    }
                    Parked::Leave(_) => {
                        assert!(!self.b.has_user());
                        return;
                    }
                }
            }
        }
    }

    /// A's program, which waits for the event, while others do something.
    fn run(self: &Arc<Self>, begins: Begins, goes: Goes, others: &[fn(&World)]) {
        if begins == Begins::Parked {
            loom::stop_exploring();
        }
        let worker = self.pool.enlist(&self.ring).expect("room");
        worker.note_task(self.b.as_ptr());
        worker.led.store(self.led, Relaxed);
        self.a.enter();
        let (world, id) = (self.clone(), worker.id());
        let mut threads = vec![thread::spawn(move || {
            world.park(id);
            if goes == Goes::UntilItIsAlone {
                wake(&world);
            }
        })];
        assert!(worker.await_arrival());
        drop(worker);
        if begins == Begins::Parked {
            loom::explore();
        }
        for &other in others {
            let world = self.clone();
            threads.push(thread::spawn(move || other(&world)));
        }

        let flight = Flight::new().expect("memory");
        // SAFETY: The flight is the current task's.
        unsafe {
            let owned = &mut *flight.owned();
            owned.batch = Some(kernel::sync::Arc::pin_new(Batch::new()));
            owned.next = 1;
            owned.posts = true;
            flight.watch();
        }
        let worker = self.pool.reserve(&flight);
        let armed = worker.is_some();
        // SAFETY: As above.
        unsafe { (*flight.owned()).worker = worker };
        if armed {
            // SAFETY: As above.
            unsafe { (*flight.owned()).state = State::Armed };
            if goes == Goes::AtOnce {
                flight.leave_now();
                // SAFETY: As above.
                let state = unsafe { (*flight.owned()).state };
                assert!(matches!(state, State::Settled | State::Unarmed));
            }
        }
        model::sleep_until(|| self.event.load(Acquire));
        self.land(flight);
        if goes != Goes::UnlessClosed {
            self.pool.close();
        }
        for thread in threads {
            thread.join().expect("no panic");
        }
        self.a.join_interrupts();
        assert!(self.a.has_user() != self.b.has_user());
        assert_eq!(self.pool.census().busy, 0, "busy");
    }

    /// What `fly` and what follows it do once the call has returned.
    fn land(&self, flight: Pin<KBox<Flight>>) {
        // SAFETY: The flight is the current task's.
        if unsafe { (*flight.owned()).state } == State::Detached {
            flight.settle();
        }
        // SAFETY: As above.
        unsafe { flight.unwatch() };
        // SAFETY: As above.
        let owned = unsafe { &mut *flight.owned() };
        if owned.state == State::Settled {
            assert!(!self.a.has_user());
            Frame.restore(&owned.user);
            let worker = owned.worker.as_ref().expect("it took over");
            self.pool.land(worker);
            if flight.is_canceled() {
                kernel::sched::task_work_run();
            }
            let place = owned.place.take().expect("taken when it was chosen");
            self.ring.give_back(place);
            owned.worker = None;
        } else {
            assert!(self.a.has_user());
            if let Some(place) = owned.place.take() {
                self.ring.give_back(place);
            }
            if let Some(worker) = owned.worker.take() {
                self.pool.release(worker, &flight);
            }
        }
        drop(flight);
    }
}

/// From when on every order is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// The fork of B.
    Arriving,
    /// B is asleep.
    Parked,
}

/// How A's program leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// When it blocks.
    Blocking,
    /// When it blocks, and B ends what it waits for once it is gone, or has the user context.
    UntilItIsAlone,
    /// Before it begins.
    AtOnce,
    /// When it blocks; and A does not close the head, as somebody else does.
    UnlessClosed,
}

fn wake(world: &World) {
    world.event.store(true, Release);
    world.a.wake();
}

fn check(
    preemptions: usize,
    spares: u32,
    begins: Begins,
    goes: Goes,
    others: &'static [fn(&World)],
) {
    model::check(preemptions, move || {
        Arc::new(World::new(spares)).run(begins, goes, others);
    });
}

/// What A waits for comes at any time.
pub fn detach_and_wake() {
    check(2, 1, Begins::Arriving, Goes::Blocking, &[wake]);
}

/// A leaves without having to wait for anything, and B is killed.
pub fn leave_now_and_kill() {
    let others: &[fn(&World)] = &[|world| {
        world.b.send(Signal::Kill);
        wake(world);
    }];
    check(2, 1, Begins::Parked, Goes::AtOnce, others);
}

/// B is killed.
pub fn detach_and_kill() {
    let others: &[fn(&World)] = &[|world| world.b.send(Signal::Kill)];
    check(3, 1, Begins::Parked, Goes::UntilItIsAlone, others);
}

/// B has to pass through user mode, and comes back.
pub fn detach_and_stop() {
    let others: &[fn(&World)] = &[|world| {
        world.b.send(Signal::Stop);
        wake(world);
    }];
    check(2, 1, Begins::Arriving, Goes::Blocking, others);
}

/// B has been idle for too long.
pub fn detach_and_leave() {
    let others: &[fn(&World)] = &[|world| {
        world.b.expire();
        wake(world);
    }];
    check(2, 0, Begins::Parked, Goes::Blocking, others);
}

/// Somebody closes the head: B leaves, whether A gives it back or not.
pub fn reserve_and_close() {
    let others: &[fn(&World)] = &[|world| {
        wake(world);
        world.pool.close();
    }];
    check(2, 1, Begins::Arriving, Goes::UnlessClosed, others);
}

/// B has led, and stays in the closed head until the other threads are gone.
pub fn reserve_and_close_having_led() {
    let others: &[fn(&World)] = &[|world| {
        wake(world);
        world.pool.close();
        process::leave_one();
        world.pool.reconsider();
    }];
    model::check(3, move || {
        let world = World {
            led: true,
            ..World::new(1)
        };
        Arc::new(world).run(Begins::Arriving, Goes::UnlessClosed, others);
    });
}

/// Somebody closes the head while B is on its way.
pub fn park_and_close() {
    let others: &[fn(&World)] = &[|world| {
        world.b.send(Signal::Stop);
        world.pool.close();
        wake(world);
    }];
    check(2, 1, Begins::Parked, Goes::UnlessClosed, others);
}

/// Somebody cancels what is in flight.
pub fn detach_and_cancel() {
    let others: &[fn(&World)] = &[|world| {
        wake(world);
        world.pool.cancel(|_| true);
    }];
    check(2, 1, Begins::Parked, Goes::Blocking, others);
}
