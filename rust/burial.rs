// SPDX-License-Identifier: GPL-2.0

//! What becomes of the programs of a task that exits inside a call.

use core::ptr;

use kernel::bindings;
use kernel::prelude::*;

use crate::flight::Flight;
use crate::flight::Owned;
use crate::flight::State;
use crate::trace;
use crate::uapi;
use crate::uapi::Cqe;
use crate::worker::Worker;

/// Sees to the program of the current task, which exits inside a call.
///
/// # Safety
///
/// To be called by the exit probe, with the flight that is watched.
pub unsafe fn bury(flight: &Flight) {
    // SAFETY: It is watched by the current task, and its memory lasts until the burial frees it.
    unsafe {
        flight.unwatch();
        flight.queue_burial(burial);
    }
}

/// Sees to the program that `worker`, which exits, had put aside.
///
/// # Safety
///
/// To be called by the exit probe, for the current task's worker.
pub unsafe fn bury_suspended(worker: &Worker) {
    if let Some(flight) = worker.resume() {
        // SAFETY: The burial frees it.
        unsafe {
            let flight = KBox::into_raw(Pin::into_inner_unchecked(flight));
            (*flight).queue_burial(burial);
        }
    }
}

/// Whether the completion of a flight's program is posted if it ends with the atom that it is at.
fn posts_here(owned: &Owned) -> bool {
    let Some(batch) = owned.batch.as_ref() else {
        return false;
    };
    // `next` is behind the program in hand.
    let program = owned
        .next
        .checked_sub(1)
        .and_then(|index| batch.programs().get(index));
    program.is_some_and(|program| batch.posts(program, owned.progress.index))
}

/// Completes a program whose task is exiting, and drops what its stack will not come to drop.
///
/// # Safety
///
/// `work` must be the burial of a flight in a box, which nobody else uses.
unsafe extern "C" fn burial(work: *mut bindings::callback_head) {
    // SAFETY: By the safety requirement.
    let flight = unsafe { &*Flight::of_burial(work) };
    // SAFETY: As above.
    let owned = unsafe { &mut *flight.owned() };
    if flight.is_canceled() && !core::mem::replace(&mut owned.buried, true) {
        // The interruption, which lies in the flight, may be queued behind this: once round.
        // SAFETY: As for the first time.
        unsafe { flight.queue_burial(burial) };
        return;
    }
    if owned.state == State::Detached {
        flight.settle();
    }
    // SAFETY: It came from a box, and nobody else will use it.
    let flight = KBox::into_pin(unsafe { KBox::from_raw(ptr::from_ref(flight).cast_mut()) });
    let file = owned.file;
    // SAFETY: The file reference that is dropped below keeps the head.
    let head = unsafe { &*owned.head };

    let settled = owned.state == State::Settled;
    let cqe = Cqe {
        user_data: flight.user_data(),
        result: -i64::from(bindings::ECANCELED),
        last: owned.progress.index as u32,
        flags: uapi::CQE_ASYNC | uapi::CQE_CANCELED,
        reserved: 0,
    };
    if settled {
        trace::complete(cqe.user_data, cqe.result, cqe.last, cqe.flags);
    }
    if let Some(established) = head.peek() {
        if let Some(place) = owned.place.take() {
            if settled && posts_here(owned) {
                head.stats.completions.add(1);
                established.ring.post(place, cqe);
            } else {
                established.ring.give_back(place);
            }
        }
        if let Some(worker) = owned.worker.take().filter(|_| !settled) {
            established.pool.release(worker, &flight);
        }
        // The call is never returned to that has undone a close.
        if owned.reopened && !settled {
            head.close();
        }
    }
    let refs = owned.file_refs;
    drop(flight);
    for _ in 0..refs {
        // SAFETY: These references are those of the frames that are never returned to.
        unsafe { bindings::fput(file) };
    }
}
