// SPDX-License-Identifier: GPL-2.0

//! Programs and chains of the greatest length, in memory of the kernel's that ends with them.

use kernel::prelude::*;

#[kunit_tests(syslet_program)]
mod tests {
    use super::*;
    use crate::policy::Abi;
    use crate::program;
    use crate::program::Refusal;
    use crate::uapi;
    use crate::uatom;

    const MOST: usize = uapi::MAX_ATOMS;
    const WORDS: usize = 11;

    /// Uatoms one behind the other, from [`START`] on.
    struct Uatoms(KVec<[u64; WORDS]>);

    const START: u64 = 0x10000;

    impl Uatoms {
        /// A chain of `len` calls of `getpid()`, each next to that before it.
        fn chain(len: usize) -> Result<Self> {
            let mut uatoms = KVec::with_capacity(len, GFP_KERNEL)?;
            for index in 0..len {
                let mut uatom = [0; WORDS];
                uatom[1] = 39;
                if index + 1 < len {
                    uatom[3] = START + ((index + 1) * WORDS * 8) as u64;
                }
                uatoms.push(uatom, GFP_KERNEL)?;
            }
            Ok(Self(uatoms))
        }
    }

    impl uatom::Memory for Uatoms {
        fn read<const N: usize>(&mut self, at: u64) -> Option<[u64; N]> {
            let word = usize::try_from(at.checked_sub(START)?).ok()? / 8;
            let mut words = [0; N];
            for (index, to) in (word..).zip(&mut words) {
                *to = *self.0.get(index / WORDS)?.get(index % WORDS)?;
            }
            Some(words)
        }
    }

    /// Translates a chain of `len` uatoms into room for `room`.
    fn translate(len: usize, room: usize) -> Result<Result<uatom::Translated, Refusal>> {
        let mut memory = Uatoms::chain(len)?;
        let mut atoms = KVec::from_elem(uapi::Atom::default(), room, GFP_KERNEL)?;
        let mut links = KVec::from_elem(uatom::Link::default(), room, GFP_KERNEL)?;
        Ok(uatom::translate(
            Abi::X86_64,
            START,
            0,
            &mut memory,
            &mut atoms,
            &mut links,
        ))
    }

    #[test]
    fn a_chain_is_as_long_as_its_room() -> Result {
        let whole = |len| Ok(uatom::Translated { len, flags: 0 });
        for room in [1, 2, MOST] {
            assert!(translate(room, room)? == whole(room));
            assert!(translate(room + 1, room)? == Err(Refusal::TooBig));
        }
        // However much room there is.
        assert!(translate(MOST + 1, MOST + 1)? == Err(Refusal::TooBig));
        Ok(())
    }

    #[test]
    fn results_are_taken_from_the_last_atom_but_one() -> Result {
        let getpid = uapi::Atom {
            nr: 39,
            ..Default::default()
        };
        let mut atoms = KVec::from_elem(getpid, MOST, GFP_KERNEL)?;
        atoms[MOST - 1].arg_from[5] = MOST as u8;
        assert!(program::check_atoms(Abi::X86_64, &mut atoms) == Err(Refusal::Invalid));
        // What an error leaves is not used.
        atoms = KVec::from_elem(getpid, MOST, GFP_KERNEL)?;
        atoms[MOST - 1].arg_from[5] = (MOST - 1) as u8;
        assert!(program::check_atoms(Abi::X86_64, &mut atoms) == Ok(()));
        assert!(atoms.iter().all(|atom| atom.reserved == program::FREE));

        let mut results = KBox::new(program::Results::new(), GFP_KERNEL)?;
        assert!(results.arguments(&atoms[MOST - 1]).is_none());
        results.set(MOST - 2, -7);
        assert!(results.arguments(&atoms[MOST - 1]) == Some([0, 0, 0, 0, 0, -7_i64 as u64]));
        results.set(MOST, 1);
        assert!(results.get(MOST).is_none() && results.get(0).is_none());
        Ok(())
    }
}
