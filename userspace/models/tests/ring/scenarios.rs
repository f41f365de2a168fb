// SPDX-License-Identifier: GPL-2.0

//! A ring of one or two entries, tasks that post to it, and its user, who is the main thread.

use std::sync::Arc;

use kernel::alloc::GFP_KERNEL_ACCOUNT;
use kernel::atomic::Acquire;
use kernel::atomic::Atomic;
use kernel::atomic::Relaxed;
use kernel::atomic::Release;
use kernel::model;
use kernel::model::Task;
use kernel::prelude::KBox;
use kernel::prelude::Pin;
use loom::thread;

use super::notify::Deadline;
use super::notify::EventFd;
use super::ring::Ring;
use super::ring::CQES_OFFSET;
use crate::rest::uapi::Cqe;
use crate::rest::uapi::RingHeader;

struct World {
    user: Task,
    ring: Pin<KBox<Ring>>,
}

impl World {
    fn new(entries: u32, in_flight: u32) -> Arc<Self> {
        let world = Self {
            user: Task::new(true),
            ring: KBox::pin_init(Ring::new(entries, in_flight), GFP_KERNEL_ACCOUNT)
                .expect("memory"),
        };
        // Loom wants an atomic to be made before it is shared.
        for offset in [
            core::mem::offset_of!(RingHeader, head),
            core::mem::offset_of!(RingHeader, tail),
            core::mem::offset_of!(RingHeader, overflow),
        ] {
            world.word(offset);
        }
        world.user.enter();
        Arc::new(world)
    }

    /// A word of the header, as user space has it mapped.
    fn word(&self, offset: usize) -> &Atomic<u32> {
        // SAFETY: It is there, and all accesses are atomic.
        unsafe { Atomic::from_ptr(self.ring.model_base().add(offset).cast()) }
    }

    /// Takes one completion, as the documentation says.
    fn take(&self) -> Option<Cqe> {
        let head = self.word(core::mem::offset_of!(RingHeader, head));
        let tail = self.word(core::mem::offset_of!(RingHeader, tail));
        let at = head.load(Relaxed);
        let waiting = tail.load(Acquire).wrapping_sub(at);
        assert!(waiting <= self.ring.entries(), "overrun");
        if waiting == 0 {
            return None;
        }
        let index = (at & (self.ring.entries() - 1)) as usize;
        // SAFETY: Within the ring.
        let cqe = unsafe {
            model::read_shared(
                self.ring
                    .model_base()
                    .add(CQES_OFFSET)
                    .cast::<Cqe>()
                    .add(index),
            )
        };
        head.store(at.wrapping_add(1), Release);
        Some(cqe)
    }

    /// Posts so many completions, numbered from `first` on.
    fn post(&self, first: u64, count: u64) {
        for number in first..first + count {
            let place = self.ring.take_place().expect("enough of them");
            self.ring.post(
                place,
                Cqe {
                    user_data: number,
                    ..Cqe::default()
                },
            );
        }
    }

    /// Takes so many, of which there is one whenever `wait` returns.
    fn take_all(&self, count: usize, mut wait: impl FnMut()) -> Vec<u64> {
        let mut taken = Vec::new();
        while taken.len() < count {
            wait();
            while let Some(cqe) = self.take() {
                taken.push(cqe.user_data);
            }
        }
        taken
    }

    fn wait(&self) {
        assert!(self.ring.wait(1, Some(Deadline::Never)).expect("no signal") >= 1);
    }

    /// Nothing is left, and all places are there again.
    fn end(&self) {
        assert_eq!(self.ring.available(), 0);
        assert_eq!(self.ring.kept(), 0);
        assert!(self.take().is_none());
        assert_eq!(self.word(core::mem::offset_of!(RingHeader, overflow)).load(Relaxed), 0);
    }
}

/// A ring of one overflows; what is kept back comes in order.
pub fn take_as_it_is_posted() {
    model::check(3, || {
        let world = World::new(1, 2);
        let other = world.clone();
        let poster = thread::spawn(move || other.post(1, 3));
        assert_eq!(world.take_all(3, || world.wait()), [1, 2, 3]);
        poster.join().expect("no panic");
        world.end();
    });
}

/// Each poster's come in its order.
pub fn two_post() {
    model::check(2, || {
        let world = World::new(1, 2);
        let posters = [10, 20].map(|first| {
            let world = world.clone();
            thread::spawn(move || world.post(first, 2))
        });
        let taken = world.take_all(4, || world.wait());
        for poster in posters {
            poster.join().expect("no panic");
        }
        for first in [10, 20] {
            let of_one: Vec<_> = taken.iter().filter(|&&number| number / 10 == first / 10).collect();
            assert_eq!(of_one, [&first, &(first + 1)], "order");
        }
        world.end();
    });
}

/// Two wait for one completion, and both learn of it.
pub fn wait_and_post() {
    model::check(3, || {
        let world = World::new(1, 1);
        let other = world.clone();
        let waiter = thread::spawn(move || {
            let task = Task::new(false);
            task.enter();
            other.wait();
        });
        let other = world.clone();
        let poster = thread::spawn(move || other.post(1, 1));
        world.wait();
        waiter.join().expect("no panic");
        poster.join().expect("no panic");
        assert_eq!(world.take().map(|cqe| cqe.user_data), Some(1));
        world.end();
    });
}

/// Who reads the eventfd and then looks finds what it was told of.
pub fn read_the_eventfd() {
    model::check(3, || {
        let world = World::new(2, 2);
        let eventfd = EventFd::from_fd(0).expect("memory");
        let ctx = eventfd.model_ctx();
        world.ring.set_eventfd(Some(eventfd));
        let other = world.clone();
        let poster = thread::spawn(move || other.post(1, 2));
        let taken = world.take_all(2, || {
            model::read_eventfd(ctx);
        });
        assert_eq!(taken, [1, 2]);
        poster.join().expect("no panic");
        world.end();
        world.ring.set_eventfd(None);
    });
}

/// There is a place only if what it is for can be kept: nobody takes anything from the ring.
pub fn take_places() {
    model::check(2, || {
        // One in the ring, four and one kept back.
        let world = World::new(1, 1);
        world.post(0, 5);
        let posters = [10, 20].map(|first| {
            let world = world.clone();
            thread::spawn(move || {
                let place = world.ring.take_place()?;
                world.ring.post(
                    place,
                    Cqe {
                        user_data: first,
                        ..Cqe::default()
                    },
                );
                Some(first)
            })
        });
        let mut posted = vec![0, 1, 2, 3, 4];
        for poster in posters {
            posted.extend(poster.join().expect("no panic"));
        }
        let mut taken = world.take_all(posted.len(), || world.wait());
        taken.sort_unstable();
        posted.sort_unstable();
        assert_eq!(taken, posted, "lost");
        world.end();
    });
}
