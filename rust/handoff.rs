// SPDX-License-Identifier: GPL-2.0

//! A takeover: the worker's side of a handoff.

use kernel::sync::Arc;

use crate::batch::Batch;
use crate::cachemiss::Pool;
use crate::dispatch::Frame;
use crate::flight::Flight;
use crate::identity;
use crate::late;
use crate::trace;
use crate::uapi;
use crate::worker::Worker;

/// What the user context goes on with.
pub struct Work {
    /// The batch that it is in.
    pub batch: Arc<Batch>,
    /// The program that is next.
    pub next: usize,
    /// `EXEC_*`.
    pub flags: u32,
    /// The call has undone a close of the head.
    pub reopened: bool,
}

/// Takes the user context of `flight` over into the current task, which is `worker`.
///
/// Whatever happens to the current task meanwhile, it finishes this: a signal, even SIGKILL, is
/// seen to on its way to user mode. `None` if the context cannot move after all; the worker then
/// is what it was, but not in the idle list.
pub fn take_over(
    pool: &Pool,
    worker: &Arc<Worker>,
    flight: *const Flight,
    frame: &Frame,
) -> Option<Work> {
    // SAFETY: The flight has chosen this worker, so it lasts until it is told that this is over.
    let flight = unsafe { &*flight };
    let owned = flight.owned();
    let task = flight.task();
    // SAFETY: The task waits for us in the kernel before it exits.
    let led = unsafe { (&raw const (*task).group_leader).read_volatile() == task };

    late::hand_over(worker);
    // SAFETY: As above; it is of our thread group, or the worker would not have been reserved.
    let taken = unsafe { identity::take(task, (*owned).mask, (*owned).pending) };
    if !taken {
        // SAFETY: As above.
        unsafe { (*owned).refused = true };
        flight.complete_taken();
        return None;
    }

    // SAFETY: As above.
    let work = unsafe {
        (*owned).tid = identity::hold_tid();
        // Our own context goes where the user's was: into the task that is the worker from now on.
        frame.exchange(task, &mut (*owned).user);
        (*owned).batch.clone().map(|batch| Work {
            batch,
            next: (*owned).next,
            flags: (*owned).flags,
            reopened: (*owned).reopened,
        })
    };
    if let Some(work) = &work {
        let user_data = work.batch.programs()[work.next - 1].user_data;
        flight.set_user_data(user_data);
        trace::handoff(user_data, worker.id());
    }
    pool.hand_on(worker, flight, led);
    late::expect(worker);
    flight.complete_taken();
    work
}

/// Tells user space that the program before `work` went on without it.
pub fn report_pending(work: &Work) -> kernel::error::Result {
    work.batch.write_outcome(work.next - 1, 0, 0, uapi::PENDING)
}
