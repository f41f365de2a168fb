// SPDX-License-Identifier: GPL-2.0

//! The async head: the state behind one open `/dev/syslet`.

use kernel::mm::Mm;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Full;
use kernel::sync::Arc;
use kernel::sync::Mutex;
use kernel::sync::SetOnce;
use kernel::task::Task;

use crate::cachemiss::Limits;
use crate::cachemiss::Pool;
use crate::flight::Flight;
use crate::params;
use crate::process;
use crate::process::Registration;
use crate::program;
use crate::ring::Ring;
use crate::stats::Stats;
use crate::uapi;

/// Entries of a ring whose user does not say.
const DEFAULT_CQ_ENTRIES: u32 = 256;
/// Cachemiss threads of a head whose user does not say.
const DEFAULT_THREADS: u32 = 1024;
/// Spare threads of a head whose user does not say.
const DEFAULT_SPARES: u32 = 1;
/// Milliseconds an idle thread of a head stays whose user does not say.
const DEFAULT_IDLE_MS: u32 = 5000;

/// What `SETUP` makes.
pub struct Established {
    /// Dropped first: the exit probe finds the pool by it.
    registration: Registration,
    /// The address space that the head serves.
    mm: ARef<Mm>,
    /// Where its cachemiss threads are while in user mode; without it there can be none.
    pub parking: Option<usize>,
    /// Its cachemiss threads.
    pub pool: Pin<KBox<Pool>>,
    /// Its completion ring.
    pub ring: Pin<KBox<Ring>>,
    /// What one call may submit.
    pub limits: program::Limits,
}

/// An async head.
#[pin_data(PinnedDrop)]
pub struct Head {
    established: SetOnce<Established>,
    #[pin]
    setup: Mutex<()>,
    /// A flight, with the buffers of its batch, that waits for the next `EXEC`; or null.
    flight: Atomic<*mut Flight>,
    /// What it has done.
    pub stats: Stats,
}

impl Head {
    /// A head that `SETUP` has not seen yet.
    pub fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                established: SetOnce::new(),
                setup <- new_mutex!((), "syslet_setup"),
                flight: Atomic::new(core::ptr::null_mut()),
                stats: Stats::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// What `SETUP` made: `ENXIO` before that, `EACCES` to any other address space.
    #[inline]
    pub fn established(&self) -> Result<&Established> {
        let established = self.established.as_ref().ok_or(ENXIO)?;
        let task = Task::current_raw();
        // The process as well as its address space: a child of vfork() shares only the latter.
        // SAFETY: The current task's own field.
        if unsafe { (*task).mm } != established.mm.as_raw()
            || !established.registration.is_of(task)
            || established.pool.is_orphaned()
        {
            return Err(EACCES);
        }
        Ok(established)
    }

    /// What `SETUP` made, to look at from anywhere.
    pub fn peek(&self) -> Option<&Established> {
        self.established.as_ref()
    }

    /// `SETUP`: makes the ring and fills in what is in force.
    ///
    /// `publish` tells the caller; if it fails nothing was set up.
    pub fn set_up(
        &self,
        setup: &mut uapi::Setup,
        publish: impl FnOnce(&uapi::Setup) -> Result,
    ) -> Result {
        let or_default = |value: u32, default: u32| if value == 0 { default } else { value };

        if setup.flags != 0 {
            return Err(EINVAL);
        }
        setup.cq_entries = or_default(
            setup.cq_entries,
            DEFAULT_CQ_ENTRIES.min(params::max_cq_entries()),
        );
        setup.max_threads = or_default(
            setup.max_threads,
            DEFAULT_THREADS.min(params::max_threads()),
        );
        setup.spare_threads = or_default(setup.spare_threads, DEFAULT_SPARES);
        setup.idle_ms = or_default(setup.idle_ms, DEFAULT_IDLE_MS);
        if !setup.cq_entries.is_power_of_two()
            || setup.cq_entries > params::max_cq_entries()
            || setup.max_threads > params::max_threads()
            || setup.spare_threads > setup.max_threads
        {
            return Err(EINVAL);
        }

        let _guard = self.setup.lock();
        if self.established.as_ref().is_some() {
            return Err(EBUSY);
        }
        let task = current!();
        let mm: &Mm = task.mm().ok_or(EINVAL)?;
        let ring = KBox::pin_init(
            Ring::new(setup.cq_entries, setup.max_threads),
            GFP_KERNEL_ACCOUNT,
        )?;
        let pool = KBox::pin_init(
            Pool::new(Limits {
                threads: setup.max_threads,
                spares: setup.spare_threads,
                idle_ms: setup.idle_ms,
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let parking = process::parking_page(mm)?;
        // SAFETY: The pool is pinned, and dropped after the registration.
        let registration = unsafe { Registration::new(&pool)? };
        setup.ring_bytes = ring.bytes() as u64;
        setup.cqes_offset = crate::ring::CQES_OFFSET as u64;
        publish(setup)?;
        self.established.populate(Established {
            registration,
            mm: ARef::from(mm),
            parking,
            pool,
            ring,
            limits: params::limits(),
        });
        Ok(())
    }

    /// A flight to use; one that was used before, if there is one.
    #[inline]
    pub fn take_flight(&self) -> Result<Pin<KBox<Flight>>> {
        let kept = self.flight.xchg(core::ptr::null_mut(), Full);
        if kept.is_null() {
            return Flight::new();
        }
        // SAFETY: Only `keep_flight` stores other than null here, and whoever takes the pointer
        // out owns it.
        Ok(KBox::into_pin(unsafe { KBox::from_raw(kept) }))
    }

    /// Keeps a flight that is not in use for the next call, and with it the worker that it has
    /// reserved.
    ///
    /// ```text
    /// here                                   close()
    /// ====                                   =======
    /// xchg(flight, this one)                 xchg(closing, true)
    /// if closing: drop_kept()                drop_kept(): xchg(flight, null)
    /// ```
    ///
    /// One of the two finds the other's mark, and no worker stays that keeps the file.
    #[inline]
    pub fn keep_flight(&self, flight: Pin<KBox<Flight>>) {
        // SAFETY: The flight is not in use.
        let batch = unsafe { &mut (*flight.owned()).batch };
        if !batch.as_ref().is_some_and(|batch| batch.is_small()) {
            *batch = None;
        }
        // SAFETY: Flights stay pinned: the pointer goes back into a pinned box.
        let flight = KBox::into_raw(unsafe { Pin::into_inner_unchecked(flight) });
        let old = self.flight.xchg(flight, Full);
        if !old.is_null() {
            // SAFETY: As in `take_flight`.
            self.discard(unsafe { KBox::from_raw(old) });
        }
        if self
            .peek()
            .is_some_and(|established| established.pool.is_closing())
        {
            self.drop_kept();
        }
    }

    /// A descriptor is closed: idle workers leave, so that none keeps the file.
    pub fn close(&self) {
        if let Some(established) = self.peek() {
            established.pool.close();
            self.drop_kept();
        }
    }

    /// Drops the flight that was kept.
    fn drop_kept(&self) {
        let kept = self.flight.xchg(core::ptr::null_mut(), Full);
        if !kept.is_null() {
            // SAFETY: As in `take_flight`.
            self.discard(unsafe { KBox::from_raw(kept) });
        }
    }

    /// Drops a flight that is not in use, and gives back the worker that it has reserved.
    fn discard(&self, flight: KBox<Flight>) {
        // SAFETY: The flight is not in use.
        let worker = unsafe { (*flight.owned()).worker.take() };
        if let (Some(worker), Some(established)) = (worker, self.peek()) {
            established.pool.release(worker, &flight);
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Head {
    fn drop(self: Pin<&mut Self>) {
        self.drop_kept();
    }
}
