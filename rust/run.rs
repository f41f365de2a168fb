// SPDX-License-Identifier: GPL-2.0

//! Running one program: the interpreter of atoms.

use kernel::bindings;
use kernel::prelude::*;
use kernel::task::Task;
use kernel::uaccess::UserPtr;

use crate::batch::Batch;
use crate::copy;
use crate::dispatch::Frame;
use crate::dispatch::Outcome;
use crate::flight::Flight;
use crate::flight::Owned;
use crate::flight::Progress;
use crate::flight::State;
use crate::identity;
use crate::policy;
use crate::policy::Abi;
use crate::program;
use crate::program::Listed;
use crate::program::Next;
use crate::program::Text;
use crate::symbols::raw;
use crate::uapi;
use crate::uatom::Chain;

const EINTR_RESULT: i64 = -(bindings::EINTR as i64);
const ECANCELED_RESULT: i64 = -(bindings::ECANCELED as i64);
const RESTART_BLOCK: i64 = -(bindings::ERESTART_RESTARTBLOCK as i64);
/// The codes that ask for a restart; none may reach user space.
const RESTART_CODES: core::ops::RangeInclusive<i64> =
    RESTART_BLOCK..=-(bindings::ERESTARTSYS as i64);

/// The flags of a task that has something to do on its way back to user space.
const WORK: usize = 1 << bindings::TIF_NOTIFY_RESUME
    | 1 << bindings::TIF_NOTIFY_SIGNAL
    | 1 << bindings::TIF_NEED_RESCHED
    | 1 << bindings::TIF_NEED_RESCHED_LAZY
    | 1 << bindings::TIF_SIGPENDING;

/// How a program ended.
pub struct Ended {
    /// Return value of the last atom that ran.
    pub result: i64,
    /// Its index.
    pub last: usize,
    /// `CQE_*`.
    pub flags: u32,
    /// Nothing more may run before the caller's signals were seen to.
    pub halt: bool,
}

/// What came of running a program.
pub enum Ran {
    /// It ended.
    Ended(Ended),
    /// A signal came while its first atom had not done anything: this errno restarts it.
    Restart(i32),
    /// This is a cachemiss thread and has to see to a signal; the program can go on later.
    Suspended,
}

/// Runs a program in the current task, from where its flight says that it is.
///
/// With `restartable` an interrupted first atom is left to the caller to restart.
pub fn run(
    flight: &Flight,
    frame: &Frame,
    batch: &Batch,
    program: &uapi::Program,
    restartable: bool,
) -> Ran {
    if let Some(links) = batch.links(program) {
        let text = Chain::new(batch.abi(), batch.atoms(program), links);
        return run_chain(flight, frame, batch.abi(), &text, restartable);
    }
    let text = Listed {
        atoms: batch.atoms(program),
        results: program.results,
    };
    interpret(flight, frame, batch.abi(), &text, restartable)
}

/// The same for a chain: an interpreter of its own, so that the other one need not ask.
#[cold]
#[inline(never)]
fn run_chain(flight: &Flight, frame: &Frame, abi: Abi, text: &Chain<'_>, restartable: bool) -> Ran {
    interpret(flight, frame, abi, text, restartable)
}

#[inline(always)]
fn interpret(flight: &Flight, frame: &Frame, abi: Abi, text: &impl Text, restartable: bool) -> Ran {
    let owned = flight.owned();
    // SAFETY: The current task owns the flight. A block inside a call has the scheduler hook write
    // to the state, so no reference to that is held here.
    let progress = unsafe { &mut (*owned).progress };
    // SAFETY: As above.
    let state = || unsafe { (&raw const (*owned).state).read() };
    // Whether the user context is here, and nothing waits to be done for it.
    let is_calm =
        || matches!(state(), State::Unarmed | State::Armed) && frame.thread_flags() & WORK == 0;

    // Nothing out of the ordinary has happened: neither before the atom, nor since.
    let mut calm = is_calm() && progress.restart == 0 && identity::temporary_mask().is_none();
    loop {
        let cruise = if calm {
            cruise(frame, abi, text, progress, is_calm)
        } else {
            Cruise::Next
        };
        let index = progress.index;
        let atom = &text.atoms()[index];
        let mut halt = false;
        let mut temporary = None;
        let mut already = None;
        let mut result = match cruise {
            Cruise::Ended(ended) => return Ran::Ended(ended),
            Cruise::Returned(result) => {
                calm = false;
                result
            }
            Cruise::Stored(result, stored) => {
                already = Some(stored);
                result
            }
            Cruise::Next => {
                // Only after a suspension; elsewhere it was looked at behind the last atom.
                if state() == State::Settled && flight.is_canceled() {
                    return Ran::Ended(Ended {
                        result: ECANCELED_RESULT,
                        last: index,
                        flags: uapi::CQE_CANCELED,
                        halt: false,
                    });
                }
                temporary = identity::temporary_mask();
                let result = if progress.restart == RESTART_BLOCK {
                    restart_call()
                } else {
                    let args = text.arguments(atom, &progress.results);
                    let settled = state() == State::Settled;
                    call(frame, abi, atom.nr, args, settled, &mut halt)
                };
                calm = calm && result != EINTR_RESULT && !halt && is_calm();
                result
            }
        };
        let mut settled = false;
        if !calm {
            progress.restart = 0;
            // Only a pending signal makes these codes what they are; a call may well return such a
            // number of its own.
            let interrupted =
                RESTART_CODES.contains(&result) && atom.nr != uapi::NR_UMEM_ADD && signal_pending();
            if state() == State::Detached {
                flight.settle();
            }

            settled = state() == State::Settled;
            let mut canceled = settled && flight.is_canceled();
            if interrupted {
                if settled && !canceled {
                    identity::block_all_again();
                    halt |= way_back(frame.thread_flags());
                    if !halt && !flight.is_canceled() {
                        // A signal that was for the user context, which has it now, leaves nothing
                        // here to see to.
                        progress.restart = result;
                        if signal_pending() {
                            return Ran::Suspended;
                        }
                        continue;
                    }
                    canceled = flight.is_canceled();
                }
                if !settled && restartable && index == 0 {
                    return Ran::Restart(restart_code(result));
                }
                result = EINTR_RESULT;
            }
            if canceled && result == EINTR_RESULT {
                result = ECANCELED_RESULT;
            }
        }

        progress.results.set(index, result);
        let mut flags = 0;
        let mut next = text.next(atom, index, result);
        if text.stores(index) {
            let stored = match already {
                Some(stored) => stored,
                None => store(text.slot(index), text.slot_size(), result),
            };
            if stored.is_err() {
                result = i64::from(EFAULT.to_errno());
                flags |= uapi::CQE_FAULT;
                next = Next::End;
            }
            calm = calm && is_calm();
        }
        if !calm {
            halt |= way_back(frame.thread_flags());
            if state() == State::Detached {
                flight.settle();
            }
            if let Some(temporary) = temporary.filter(|_| state() != State::Settled) {
                // SAFETY: The current task owns the flight; the hook does not touch the mask.
                identity::put_back_temporary_mask(temporary, unsafe { (*owned).mask });
            }
            // io_pgetevents() leaves its mask in force whatever it returns.
            if result == EINTR_RESULT || settled || identity::temporary_mask().is_some() {
                keep_mask(owned);
            }
            if state() == State::Settled && flight.is_canceled() {
                let ends = matches!(next, Next::Atom(_));
                if ends || result == ECANCELED_RESULT {
                    result = ECANCELED_RESULT;
                    flags |= uapi::CQE_CANCELED;
                    next = Next::End;
                }
            }
            calm = is_calm() && identity::temporary_mask().is_none();
        }
        if next == Next::Stop {
            flags |= uapi::CQE_STOPPED;
        }
        match next {
            Next::Atom(next) if !halt => progress.index = next,
            _ => {
                return Ran::Ended(Ended {
                    result,
                    last: index,
                    flags,
                    halt,
                })
            }
        }
    }
}

/// How far a program came by itself.
enum Cruise {
    /// The next atom takes more care.
    Next,
    /// It has returned this, and something is to be seen to.
    Returned(i64),
    /// The same, but only once the result was stored, or could not be.
    Stored(i64, Result),
    /// The program has ended.
    Ended(Ended),
}

/// Runs atoms as long as nothing is out of the ordinary, and nothing about them is.
#[inline(always)]
fn cruise(
    frame: &Frame,
    abi: Abi,
    text: &impl Text,
    progress: &mut Progress,
    is_calm: impl Fn() -> bool,
) -> Cruise {
    loop {
        let index = progress.index;
        let atom = &text.atoms()[index];
        if atom.reserved != program::FREE || frame.is_filtered() {
            return Cruise::Next;
        }
        let result = if program::takes_results(atom) {
            match text.arguments(atom, &progress.results) {
                Some(args) => frame.call_unfiltered(abi, atom.nr, &args),
                None => EINVAL.to_errno().into(),
            }
        } else {
            frame.call_unfiltered(abi, atom.nr, &atom.args)
        };
        if result == EINTR_RESULT || !is_calm() {
            return Cruise::Returned(result);
        }
        progress.results.set(index, result);
        if text.stores(index) {
            let stored = store(text.slot(index), text.slot_size(), result);
            if stored.is_err() || !is_calm() {
                return Cruise::Stored(result, stored);
            }
        }
        let flags = match text.next(atom, index, result) {
            Next::Atom(next) => {
                // SAFETY: It is a reference's. Volatile, as it is looked at behind its back when
                // the next call blocks, or ends the task.
                unsafe { (&raw mut progress.index).write_volatile(next) };
                continue;
            }
            Next::End => 0,
            Next::Stop => uapi::CQE_STOPPED,
        };
        return Cruise::Ended(Ended {
            result,
            last: index,
            flags,
            halt: false,
        });
    }
}

/// Makes the call of an atom, whatever it is; sets `halt` if nothing more may run.
#[inline(never)]
fn call(
    frame: &Frame,
    abi: Abi,
    nr: u32,
    args: Option<[u64; 6]>,
    settled: bool,
    halt: &mut bool,
) -> i64 {
    let Some(mut args) = args else {
        return EINVAL.to_errno().into();
    };
    if nr == uapi::NR_UMEM_ADD {
        return umem_add(abi, args[0], args[1]);
    }
    if policy::check_args(abi, nr, &args).is_err() {
        return EPERM.to_errno().into();
    }
    if let Some(mask) = policy::mask_argument(abi, nr).filter(|_| settled) {
        args[mask] = 0;
    }
    match frame.call(abi, nr, &args) {
        Outcome::Returned(result) => result,
        Outcome::Trapped => {
            *halt = true;
            ENOSYS.to_errno().into()
        }
    }
}

/// Sees to the signal mask after an interrupted call of the kind of `ppoll()`, which leaves its own
/// mask in force so that a handler can run under it.
#[inline]
fn keep_mask(owned: *mut Owned) {
    // SAFETY: The current task owns the flight; the hook does not touch the mask.
    let mask = unsafe { (*owned).mask };
    // SAFETY: As above, for the state.
    let state = unsafe { (&raw const (*owned).state).read() };
    if state == State::Settled {
        identity::block_all_again();
    } else if identity::pin_saved_mask(mask) && state == State::Armed {
        // The handler has to run here, so the user context stays.
        // SAFETY: As above.
        unsafe { (*owned).state = State::Unarmed };
    }
}

/// Goes on with the call that was interrupted and left word how.
fn restart_call() -> i64 {
    // SAFETY: The current task's own restart block, which the call has set.
    let block = unsafe { &raw mut (*Task::current_raw()).restart_block };
    // SAFETY: As above.
    match unsafe { (*block).fn_ } {
        // SAFETY: The function is the one to be called with this block.
        Some(restart) => unsafe { restart(block) as i64 },
        None => EINTR_RESULT,
    }
}

/// The errno that makes the whole `EXEC` start again where `result` asked the call to.
fn restart_code(result: i64) -> i32 {
    // A restart block belongs to the call that set it, which the task is no longer in. Like after
    // a handler ran, such a call is not restarted.
    if result == RESTART_BLOCK {
        EINTR.to_errno()
    } else {
        // CAST: One of the four codes.
        result as i32
    }
}

/// Stores one result.
#[inline]
fn store(at: u64, size: usize, result: i64) -> Result {
    let at = copy::user_ptr(at)?;
    if size == size_of::<i64>() {
        // CAST: The bits are what is stored.
        copy::write_u64(at, result as u64)
    } else {
        // CAST: To a caller of 32 bits the lower half is the result.
        copy::write_u32(at, result as u32)
    }
}

/// Adds to a user variable and returns the new value.
fn umem_add(abi: Abi, at: u64, addend: u64) -> i64 {
    let add = || -> Result<i64> {
        match abi {
            Abi::X86_64 => {
                let at = copy::user_ptr(at)?;
                let sum = copy::read_u64(at)?.wrapping_add(addend);
                copy::write_u64(at, sum)?;
                Ok(sum as i64)
            }
            Abi::I386 => {
                let at = UserPtr::from_addr(at as u32 as usize);
                let sum = copy::read_u32(at)?.wrapping_add(addend as u32);
                copy::write_u32(at, sum)?;
                Ok(i64::from(sum as i32))
            }
        }
    };
    add().unwrap_or_else(|error| i64::from(error.to_errno()))
}

/// What the way back to user space would have done after a call. Returns whether a fatal signal
/// is pending.
#[inline]
fn way_back(flags: usize) -> bool {
    flags & WORK != 0 && way_back_work(flags)
}

#[cold]
fn way_back_work(flags: usize) -> bool {
    // SAFETY: `Symbols` lives as long as the device does, and a task between two calls of its own
    // holds no locks.
    unsafe { raw::syslet_task_work_run() };
    if flags & (1 << bindings::TIF_NEED_RESCHED | 1 << bindings::TIF_NEED_RESCHED_LAZY) != 0 {
        // SAFETY: As above.
        unsafe { bindings::schedule() };
    }
    fatal_signal_pending()
}

#[inline]
fn thread_flags() -> usize {
    // SAFETY: The current task's own flags; others set bits in them at any time.
    unsafe { (&raw const (*Task::current_raw()).thread_info.flags).read_volatile() }
}

/// Whether a task with these flags has any signal to see to.
#[inline]
pub fn has_signal(flags: usize) -> bool {
    flags & (1 << bindings::TIF_SIGPENDING | 1 << bindings::TIF_NOTIFY_SIGNAL) != 0
}

/// Whether the current task has any signal to see to.
#[inline]
pub fn signal_pending() -> bool {
    has_signal(thread_flags())
}

/// Whether the current task is about to die of a signal.
pub fn fatal_signal_pending() -> bool {
    // SAFETY: As in `thread_flags`; a killed task finds SIGKILL among its private signals.
    let pending =
        unsafe { (&raw const (*Task::current_raw()).pending.signal.sig[0]).read_volatile() };
    signal_pending() && pending & (1 << (bindings::SIGKILL - 1)) != 0
}
