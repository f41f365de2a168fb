// SPDX-License-Identifier: GPL-2.0

//! What a program has when it has run, and who owns that; for outcomes and for errors.

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::{Meta, Opens, Program, Progress};
use crate::buffer::Kept;
use crate::policy::{self, Abi, Verdict};
use crate::uapi;

impl Program<'_> {
    /// Takes note of what the kernel did; returns the index of the last atom.
    ///
    /// # Safety
    ///
    /// The program has run to its end since it was last encoded, the kernel has written its result
    /// slots, and this is the first call for that run.
    pub(crate) unsafe fn ran(&mut self, result: i64, last: u32) -> usize {
        // A kernel that counts wrongly must not lead out of the arrays.
        let last = (last as usize).min(self.atoms.len() - 1);
        self.progress = Progress::Ran { result, last };
        for (index, meta) in (0u8..).zip(&self.meta) {
            let raw = self.results[usize::from(index)];
            let made = match meta.opens {
                Opens::Result { closed_by } => {
                    let has_run = |atom: u8| self.results[usize::from(atom)] != uapi::NOT_RUN;
                    let open = !closed_by.is_some_and(has_run);
                    [i32::try_from(raw).ok().filter(|_| open), None]
                }
                Opens::Pair if raw == 0 => self.pair(meta).map(Some),
                Opens::Nothing | Opens::Pair => continue,
            };
            for fd in made.into_iter().flatten().filter(|fd| *fd >= 0) {
                // SAFETY: The call has just made this descriptor for the program, no atom has
                // closed it, and nobody else was told its number.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                self.opened.push((index, fd));
            }
        }
        self.release_closed();
        last
    }

    /// The two descriptors in the memory that an atom has filled.
    fn pair(&self, meta: &Meta) -> [i32; 2] {
        let kept = meta.memory.map(|slot| &self.kept[usize::from(slot)]);
        match kept {
            Some(Kept::Any(memory)) => memory.downcast_ref::<Vec<[i32; 2]>>(),
            _ => None,
        }
        .and_then(|pairs| pairs.first().copied())
        .unwrap_or([-1; 2])
    }

    /// Lets go of the adopted descriptors that the program has closed.
    fn release_closed(&mut self) {
        for (index, meta) in self.meta.iter().enumerate() {
            let Some(slot) = meta.closes else { continue };
            if self.results[index] == uapi::NOT_RUN {
                continue;
            }
            // Linux has closed it whatever the result was.
            let kept = std::mem::replace(&mut self.kept[usize::from(slot)], Kept::Gone);
            if let Kept::Fd(fd) = kept {
                std::mem::forget(fd);
            }
            self.spent = true;
        }
    }

    /// The first atom that a kernel answers with `errno` to, by the policy that is compiled in:
    /// its index and name, and why.
    pub(crate) fn refused_atom(
        &self,
        errno: Errno,
    ) -> Option<(usize, &'static str, Option<&'static str>)> {
        self.atoms.iter().enumerate().find_map(|(index, atom)| {
            let reason = match policy::verdict(Abi::X86_64, atom.nr) {
                Verdict::Deny(reason) if errno == Errno::EPERM => Some(reason.as_str()),
                Verdict::Unknown if errno == Errno::ENOSYS && atom.nr != uapi::NR_UMEM_ADD => None,
                _ => return None,
            };
            Some((index, self.name(index), reason))
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn name(&self, index: usize) -> &'static str {
        self.meta.get(index).map_or("?", |meta| meta.name)
    }

    pub(crate) fn results(&self) -> &[i64] {
        &self.results
    }

    /// Takes out the memory that the atom filled.
    pub(crate) fn take_memory(&mut self, index: usize) -> Option<Kept> {
        let slot = self.meta[index].memory?;
        let kept = std::mem::replace(&mut self.kept[usize::from(slot)], Kept::Gone);
        self.spent = true;
        (!matches!(kept, Kept::Gone)).then_some(kept)
    }

    /// Takes out a descriptor that was adopted.
    pub(crate) fn take_adopted(&mut self, slot: u16) -> Option<OwnedFd> {
        let kept = self.kept.get_mut(usize::from(slot))?;
        match std::mem::replace(kept, Kept::Gone) {
            Kept::Fd(fd) => {
                self.spent = true;
                Some(fd)
            }
            _ => None,
        }
    }

    /// Takes out the descriptor that the atom was to close.
    pub(crate) fn take_unclosed(&mut self, closer: u8) -> Option<OwnedFd> {
        if let Some(slot) = self.meta[usize::from(closer)].closes {
            return self.take_adopted(slot);
        }
        let closed_here = Opens::Result {
            closed_by: Some(closer),
        };
        let opener = self
            .meta
            .iter()
            .position(|meta| meta.opens == closed_here)?;
        self.take_opened(opener)
    }

    /// Takes out the descriptor that the atom opened.
    pub(crate) fn take_opened(&mut self, index: usize) -> Option<OwnedFd> {
        let found = self
            .opened
            .iter()
            .position(|(at, _)| usize::from(*at) == index)?;
        Some(self.opened.remove(found).1)
    }
}
