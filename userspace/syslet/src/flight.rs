// SPDX-License-Identifier: GPL-2.0

//! The programs that the kernel has, and the memory that it may write to on their behalf.

use crate::program::Program;

/// A program in flight: names it for [`Head::cancel`](crate::Head::cancel), and in its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The number that the kernel knows the program by: unique among those of its head.
    pub fn user_data(self) -> u64 {
        self.0
    }

    pub(crate) fn from_user_data(user_data: u64) -> Self {
        Self(user_data)
    }

    fn new(index: u32, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | u64::from(index))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half, by design")]
    fn index(self) -> usize {
        self.0 as u32 as usize
    }
}

#[derive(Debug)]
struct Slot {
    /// Counts the programs that were here, so that an old ticket does not fit a new one.
    generation: u32,
    program: Option<Program<'static>>,
}

/// Programs by ticket.
///
/// Whatever is still in here when it is dropped is leaked: the kernel may yet write to it.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl InFlight {
    /// Puts a program in, before the kernel hears of it.
    pub(crate) fn insert(&mut self, program: Program<'static>) -> Ticket {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.program = Some(program);
            return Ticket::new(index, slot.generation);
        }
        // Memory ends long before `u32` does.
        let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 programs in flight");
        self.slots.push(Slot {
            generation: 0,
            program: Some(program),
        });
        Ticket::new(index, 0)
    }

    /// Takes a program out. The caller knows that the kernel is done with it.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Program<'static>> {
        let index = ticket.index();
        let slot = self.slots.get_mut(index)?;
        let current = u32::try_from(index).map(|index| Ticket::new(index, slot.generation));
        if current != Ok(ticket) {
            return None;
        }
        let program = slot.program.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.extend(u32::try_from(index));
        Some(program)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            std::mem::forget(slot.program.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A program that holds `witness`.
    fn holding(witness: &Arc<[u8]>) -> Program<'static> {
        let mut program = Program::new();
        program.write(crate::CWD, Arc::clone(witness)).unwrap();
        program
    }

    #[test]
    fn a_ticket_fits_once() {
        let mut flight = InFlight::default();
        let first = flight.insert(Program::new());
        assert!(flight.remove(first).is_some());
        assert!(flight.remove(first).is_none());

        let second = flight.insert(Program::new());
        assert_ne!(first, second);
        assert!(flight.remove(first).is_none());
        assert_eq!(flight.len(), 1);
        assert!(flight.remove(second).is_some());
        assert_eq!(flight.len(), 0);
    }

    #[test]
    fn what_is_in_flight_at_the_end_is_leaked() {
        let witness: Arc<[u8]> = Arc::from([1, 2, 3].as_slice());
        let mut flight = InFlight::default();
        let done = flight.insert(holding(&witness));
        flight.insert(holding(&witness));
        drop(flight.remove(done));
        assert_eq!(Arc::strong_count(&witness), 2);
        drop(flight);
        assert_eq!(Arc::strong_count(&witness), 2);
    }

    #[test]
    fn a_ticket_of_elsewhere_fits_nothing() {
        let mut flight = InFlight::default();
        flight.insert(Program::new());
        assert!(flight.remove(Ticket::from_user_data(u64::MAX)).is_none());
        assert!(flight.remove(Ticket::from_user_data(7)).is_none());
        assert_eq!(flight.len(), 1);
    }
}
