// SPDX-License-Identifier: GPL-2.0

//! Chains of uatoms, the programs of 2007, and what becomes of them.
//!
//! A uatom names its successor and its arguments by pointers, in words of its caller's size. A
//! chain is read once, and translated then: into the atoms of a program, and a link for each, which
//! holds what an atom has no words for. Nothing here touches user memory but through [`Memory`],
//! which is told each address at most once.
//!
//! An atom's index is its place in the walk: first the uatoms along `next`, from the first one to
//! the end; then, for each of these in turn, those that a jump from it leads to and that were not
//! met before. A chain may be run in another order than that, but in a forward one only: it was
//! refused if that is not so.

use crate::policy::Abi;
use crate::program;
use crate::program::Next;
use crate::program::Refusal;
use crate::program::Results;
use crate::program::Text;
use crate::uapi;

/// The user memory that a chain is in, as words of its caller's size.
pub trait Memory {
    /// Reads `N` words at `at`, or `None` where that cannot be read.
    fn read<const N: usize>(&mut self, at: u64) -> Option<[u64; N]>;
}

/// Words before the arguments: `flags`, `nr`, `ret_ptr`, `next`.
const WORDS_BEFORE_ARGS: usize = 4;
/// All words of a uatom: the above, six arguments, `private`.
const WORDS: usize = 11;

const PROGRAM_FLAGS: u32 = uapi::ASYNC | uapi::SYNC | uapi::NO_COMPLETE;

/// What an atom of a chain has beyond an [`uapi::Atom`].
///
/// Atoms are named as in `arg_from`: `k >= 1` is atom `k - 1`, 0 none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The user address of the uatom.
    at: u64,
    /// Its `ret_ptr`.
    ret_ptr: u64,
    /// Its `next`, as an address.
    next_at: u64,
    /// Its `arg_ptr`; those behind the first NULL are NULL.
    arg_ptr: [u64; 6],
    /// Whether a true stop condition goes on with the uatom behind it in memory.
    skips: bool,
    /// The atom that is next.
    next: u8,
    /// The atom that is next on a true stop condition.
    on_stop: u8,
    /// The atom that stores its result where this one does, and runs last before it if it runs.
    previous: u8,
}

impl Link {
    fn address(&self) -> u64 {
        self.at
    }

    fn target(&self) -> u64 {
        self.ret_ptr
    }
}

/// A translated chain, as it is run.
pub struct Chain<'a> {
    abi: Abi,
    atoms: &'a [uapi::Atom],
    links: &'a [Link],
}

impl<'a> Chain<'a> {
    /// What [`translate`] made, cut to its length.
    pub fn new(abi: Abi, atoms: &'a [uapi::Atom], links: &'a [Link]) -> Self {
        Self { abi, atoms, links }
    }

    /// What the memory that `from` and those before it store their results in holds, if one of
    /// them has run.
    fn stored(&self, mut from: u8, results: &Results) -> Option<u64> {
        while from != 0 {
            let writer = usize::from(from) - 1;
            if let Some(result) = results.get(writer) {
                return Some(match self.abi {
                    // CAST: An argument is what was stored: a word, whatever its sign.
                    Abi::X86_64 => result as u64,
                    Abi::I386 => u64::from(result as u32),
                });
            }
            from = self.links.get(writer)?.previous;
        }
        None
    }
}

impl Text for Chain<'_> {
    fn atoms(&self) -> &[uapi::Atom] {
        self.atoms
    }

    fn arguments(&self, atom: &uapi::Atom, results: &Results) -> Option<[u64; 6]> {
        let mut args = atom.args;
        for (arg, &from) in args.iter_mut().zip(&atom.arg_from) {
            // Where none of them has run the memory is as it was at submission.
            if let Some(value) = self.stored(from, results) {
                *arg = value;
            }
        }
        Some(args)
    }

    fn next(&self, atom: &uapi::Atom, index: usize, result: i64) -> Next {
        let Some(link) = self.links.get(index) else {
            return Next::End;
        };
        let stops = program::stops(atom.flags, result);
        match if stops { link.on_stop } else { link.next } {
            0 if stops => Next::Stop,
            0 => Next::End,
            to => Next::Atom(usize::from(to) - 1),
        }
    }

    fn stores(&self, index: usize) -> bool {
        self.slot(index) != 0
    }

    fn slot(&self, index: usize) -> u64 {
        self.links.get(index).map_or(0, |link| link.ret_ptr)
    }

    fn slot_size(&self) -> usize {
        word_size(self.abi)
    }
}

/// What a chain was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translated {
    /// How many atoms and links it has.
    pub len: usize,
    /// The flags of the program: [`uapi::ASYNC`] and the like.
    pub flags: u32,
}

/// Reads the chain that begins at `first`, and translates it into `atoms` and `links`.
///
/// The shorter of the two says how long it may be, and so does [`uapi::MAX_ATOMS`]. `flags` are
/// those that the chain was submitted with.
pub fn translate(
    abi: Abi,
    first: u64,
    flags: u32,
    memory: &mut impl Memory,
    atoms: &mut [uapi::Atom],
    links: &mut [Link],
) -> Result<Translated, Refusal> {
    if first == 0 {
        return Err(Refusal::Fault);
    }
    let mut walk = Walk {
        abi,
        memory,
        atoms,
        links,
        len: 0,
        by_address: Index::new(),
    };
    walk.follow(first)?;
    let mut index = 0;
    while index < walk.len {
        if let Some(beyond) = walk.links.get(index).and_then(|link| walk.beyond(link)) {
            walk.follow(beyond)?;
        }
        index += 1;
    }
    walk.resolve();

    let Walk {
        atoms, links, len, ..
    } = walk;
    let (atoms, links) = (
        atoms.get_mut(..len).ok_or(Refusal::TooBig)?,
        links.get_mut(..len).ok_or(Refusal::TooBig)?,
    );
    let mut order = [0; uapi::MAX_ATOMS];
    let order = order.get_mut(..len).ok_or(Refusal::TooBig)?;
    sort(links, order)?;
    connect(atoms, links, order);
    Ok(Translated {
        len,
        flags: program_flags(flags, atoms)?,
    })
}

/// The flags of the program, which its atoms do not keep, but for [`uapi::NO_COMPLETE`]: that is
/// asked of the last one that ran.
fn program_flags(mut flags: u32, atoms: &mut [uapi::Atom]) -> Result<u32, Refusal> {
    const BOTH: u32 = uapi::ASYNC | uapi::SYNC;

    if flags & !PROGRAM_FLAGS != 0 {
        return Err(Refusal::Invalid);
    }
    if atoms.iter().all(|atom| atom.flags & uapi::NO_COMPLETE != 0) {
        flags |= uapi::NO_COMPLETE;
    }
    for atom in atoms {
        flags |= atom.flags & BOTH;
        atom.flags &= !BOTH;
    }
    if flags & BOTH == BOTH {
        return Err(Refusal::Invalid);
    }
    Ok(flags)
}

/// The collecting of a chain.
struct Walk<'a, M> {
    abi: Abi,
    memory: &'a mut M,
    atoms: &'a mut [uapi::Atom],
    links: &'a mut [Link],
    len: usize,
    by_address: Index,
}

impl<M: Memory> Walk<'_, M> {
    /// Collects the uatoms from `at` on, up to one that was met before.
    fn follow(&mut self, mut at: u64) -> Result<(), Refusal> {
        while at != 0 {
            let Err(place) = self.by_address.find(self.links, Link::address, at) else {
                break;
            };
            let index = self.len;
            at = self.collect(at)?;
            self.by_address.insert(place, index);
        }
        Ok(())
    }

    /// Collects the uatom at `at`, and returns its `next`.
    fn collect(&mut self, at: u64) -> Result<u64, Refusal> {
        const KNOWN: u32 = PROGRAM_FLAGS | program::STOP_MASK | uapi::SKIP_ON_STOP;

        if self.len >= uapi::MAX_ATOMS {
            return Err(Refusal::TooBig);
        }
        let (Some(atom), Some(link)) = (self.atoms.get_mut(self.len), self.links.get_mut(self.len))
        else {
            return Err(Refusal::TooBig);
        };
        let [flags, nr, ret_ptr, next_at] = self.memory.read(at).ok_or(Refusal::Fault)?;
        let flags = u32::try_from(flags).map_err(|_| Refusal::Invalid)?;
        if flags & !KNOWN != 0 {
            return Err(Refusal::Invalid);
        }
        let nr = u32::try_from(nr).map_err(|_| Refusal::UnknownCall)?;
        program::check_call(self.abi, nr)?;

        *atom = uapi::Atom {
            nr,
            flags: flags & !uapi::SKIP_ON_STOP,
            ..uapi::Atom::default()
        };
        *link = Link {
            at,
            ret_ptr,
            next_at,
            // Without a condition nothing stops, and nothing jumps.
            skips: flags & uapi::SKIP_ON_STOP != 0 && flags & program::STOP_MASK != 0,
            ..Link::default()
        };
        // Behind a NULL a uatom need not even exist: they may be packed, or end with a mapping.
        for (word, (arg, ptr)) in
            (WORDS_BEFORE_ARGS..).zip(atom.args.iter_mut().zip(&mut link.arg_ptr))
        {
            let [arg_ptr] = self
                .memory
                .read(behind(self.abi, at, word))
                .ok_or(Refusal::Fault)?;
            if arg_ptr == 0 {
                break;
            }
            [*arg] = self.memory.read(arg_ptr).ok_or(Refusal::Fault)?;
            *ptr = arg_ptr;
        }
        self.len += 1;
        Ok(next_at)
    }

    /// Where a true stop condition of the uatom of `link` goes on, if it does.
    fn beyond(&self, link: &Link) -> Option<u64> {
        link.skips.then(|| behind(self.abi, link.at, WORDS))
    }

    /// The atom that the uatom at `at`, which atom `from` leads to, became, as in `arg_from`.
    fn name_of(&self, from: usize, at: u64) -> u8 {
        // Mostly that is the one which was walked next.
        let next = self.links.iter().take(self.len).nth(from + 1);
        if next.is_some_and(|link| link.at == at) {
            return name(from + 1);
        }
        self.by_address.name_of(self.links, Link::address, at)
    }

    /// Replaces addresses of uatoms by their atoms.
    fn resolve(&mut self) {
        for index in 0..self.len {
            let Some(&link) = self.links.get(index) else {
                return;
            };
            let next = self.name_of(index, link.next_at);
            let on_stop = self.beyond(&link).map_or(0, |at| self.name_of(index, at));
            if let Some(link) = self.links.get_mut(index) {
                link.next = next;
                link.on_stop = on_stop;
            }
        }
    }
}

/// Fills `order` with the indices of `links` such that each is before its successors.
fn sort(links: &[Link], order: &mut [u8]) -> Result<(), Refusal> {
    let place_of = |name: u8| usize::from(name).wrapping_sub(1);
    let mut before = [0u64; uapi::MAX_ATOMS];
    for (index, link) in links.iter().enumerate() {
        for to in [link.next, link.on_stop] {
            if let Some(before) = before.get_mut(place_of(to)) {
                *before |= 1 << index;
            }
        }
    }
    // Of a chain without loops only the first uatom has none before it.
    let mut ready = u64::from(before.first() == Some(&0));
    for place in order {
        let index = ready.trailing_zeros();
        // CAST: Below `MAX_ATOMS`.
        let link = links.get(index as usize).ok_or(Refusal::Loop)?;
        *place = index as u8;
        ready &= !(1 << index);
        for to in [link.next, link.on_stop] {
            if let Some(before) = before.get_mut(place_of(to)) {
                *before &= !(1 << index);
                if *before == 0 {
                    ready |= 1 << place_of(to);
                }
            }
        }
    }
    Ok(())
}

/// Has what flows through memory flow from atom to atom.
fn connect(atoms: &mut [uapi::Atom], links: &mut [Link], order: &[u8]) {
    // The last so far to store at each address.
    let mut writers = Index::new();
    for &index in order {
        let index = usize::from(index);
        let (Some(atom), Some(&link)) = (atoms.get_mut(index), links.get(index)) else {
            return;
        };
        for (from, &arg_ptr) in atom.arg_from.iter_mut().zip(&link.arg_ptr) {
            if arg_ptr == 0 {
                break;
            }
            *from = writers.name_of(links, Link::target, arg_ptr);
        }
        if link.ret_ptr == 0 {
            continue;
        }
        match writers.find(links, Link::target, link.ret_ptr) {
            Ok(place) => {
                let previous = writers.replace(place, index);
                if let Some(link) = links.get_mut(index) {
                    link.previous = previous;
                }
            }
            Err(place) => writers.insert(place, index),
        }
    }
}

/// Some atoms of a chain, sorted by an address that each has, no two the same.
///
/// The addresses are the caller's choice. Looking one up takes as long whatever they are, which is
/// more than a table of hashes could say.
struct Index {
    atoms: [u8; uapi::MAX_ATOMS],
    len: usize,
}

impl Index {
    const fn new() -> Self {
        Self {
            atoms: [0; uapi::MAX_ATOMS],
            len: 0,
        }
    }

    /// The place of the atom with this address, or else the one where it would be.
    fn find(
        &self,
        links: &[Link],
        address_of: impl Fn(&Link) -> u64,
        address: u64,
    ) -> Result<usize, usize> {
        let atoms = self.atoms.get(..self.len).unwrap_or_default();
        let key = |&atom: &u8| links.get(usize::from(atom)).map_or(0, &address_of);
        // Most chains go upwards in memory.
        if atoms.last().is_none_or(|last| key(last) < address) {
            return Err(atoms.len());
        }
        atoms.binary_search_by_key(&address, key)
    }

    /// The atom with this address, as in `arg_from`.
    fn name_of(&self, links: &[Link], address_of: impl Fn(&Link) -> u64, address: u64) -> u8 {
        let found = self.find(links, address_of, address).ok();
        found
            .and_then(|place| self.atoms.get(place))
            .map_or(0, |&atom| atom + 1)
    }

    /// Adds an atom where its address was not found.
    fn insert(&mut self, place: usize, atom: usize) {
        if let Some([first, rest @ ..]) = self.atoms.get_mut(place..=self.len) {
            // CAST: Below `MAX_ATOMS`.
            let mut moved = core::mem::replace(first, atom as u8);
            for behind in rest {
                core::mem::swap(behind, &mut moved);
            }
            self.len += 1;
        }
    }

    /// Puts an atom in the place of one with the same address; returns that, as in `arg_from`.
    fn replace(&mut self, place: usize, atom: usize) -> u8 {
        self.atoms.get_mut(place).map_or(0, |entry| {
            // CAST: Below `MAX_ATOMS`.
            core::mem::replace(entry, atom as u8) + 1
        })
    }
}

/// An atom, by its index, as in `arg_from`.
fn name(index: usize) -> u8 {
    // CAST: At most `MAX_ATOMS`.
    (index + 1) as u8
}

/// Size of a word.
fn word_size(abi: Abi) -> usize {
    match abi {
        Abi::X86_64 => 8,
        Abi::I386 => 4,
    }
}

/// The address of the word `count` words behind `at`.
fn behind(abi: Abi, at: u64, count: usize) -> u64 {
    // CAST: `usize` to `u64` does not lose anything.
    let at = at.wrapping_add((count * word_size(abi)) as u64);
    match abi {
        Abi::X86_64 => at,
        // CAST: Pointers wrap around as they do in user space.
        Abi::I386 => u64::from(at as u32),
    }
}
