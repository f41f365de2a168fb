// SPDX-License-Identifier: GPL-2.0

//! Chains of uatoms: which are refused for what, and what one does.
//!
//! A chain is run in its memory, as the kernel of 2007 did: an atom at a time, looking up arguments
//! and successors when it gets there. Only that uatoms are seen as they were at submission.

use std::collections::HashMap;
use std::collections::HashSet;

use syslet_pure::policy::Abi;
use syslet_pure::program::Refusal;
use syslet_pure::program::Text;
use syslet_pure::uapi;
use syslet_pure::uapi::Atom;
use syslet_pure::uatom;
use syslet_pure::uatom::Chain;
use syslet_pure::uatom::Link;
use syslet_pure::uatom::Memory;
use syslet_pure::uatom::Translated;

use crate::interpreter;
use crate::interpreter::End;
use crate::memory::word;
use crate::memory::Words;
use crate::program::check_call;
use crate::stops;

/// Stop conditions of uatoms.
pub const CONDITIONS: [u64; 4] = [0x08, 0x10, 0x20, 0x40];
/// The flag with which a true condition goes on with the uatom behind in memory.
pub const SKIP: u64 = 0x80;

const BOTH: u64 = 0x1 | 0x2;
const OF_PROGRAM: u64 = BOTH | 0x4;
const CONDITION_MASK: u64 = 0x78;

/// A translated chain with its own buffers.
#[derive(Clone, Debug)]
pub struct Owned {
    abi: Abi,
    /// Its atoms.
    pub atoms: Vec<Atom>,
    links: Vec<Link>,
    /// The program's flags.
    pub flags: u32,
}

impl Owned {
    /// The chain as it is run.
    pub fn chain(&self) -> Chain<'_> {
        Chain::new(self.abi, &self.atoms, &self.links)
    }
}

/// Has the chain at `first` translated, in buffers for `limit` atoms.
pub fn translate(
    abi: Abi,
    memory: &mut impl Memory,
    first: u64,
    flags: u32,
    limit: usize,
) -> Result<Owned, Refusal> {
    // Not zeroes: whatever was in the buffers must not matter.
    let stale = Atom {
        nr: 7,
        flags: 0xff,
        args: [9; 6],
        arg_from: [1; 6],
        ..Atom::default()
    };
    let mut atoms = vec![stale; limit];
    let mut links = vec![Link::default(); limit];
    let Translated { len, flags } =
        uatom::translate(abi, first, flags, memory, &mut atoms, &mut links)?;
    atoms.truncate(len);
    links.truncate(len);
    Ok(Owned {
        abi,
        atoms,
        links,
        flags,
    })
}

/// What is seen of an atom that runs: its number, its arguments, and where its result goes.
pub type Step = (u64, [u64; 6], Option<u64>);

/// Runs a translated chain as the module does: `result` says what the atom at an index returns.
pub fn run(chain: &Owned, result: impl Fn(usize) -> i64) -> (Vec<Step>, Vec<usize>, End) {
    let text = chain.chain();
    let run = interpreter::run(&text, result);
    let indices: Vec<_> = run.steps.iter().map(|&(index, _)| index).collect();
    let step = |&(index, args): &interpreter::Step| {
        let ret_ptr = text.stores(index).then(|| text.slot(index));
        let nr = text.atoms()[index].nr;
        (nr.into(), args.expect("always there"), ret_ptr)
    };
    (run.steps.iter().map(step).collect(), indices, run.end)
}

/// A uatom as memory has it.
struct Seen {
    flags: u64,
    nr: u64,
    ret_ptr: u64,
    next: u64,
    arg_ptrs: Vec<u64>,
}

impl Seen {
    fn jumps(&self) -> bool {
        self.flags & SKIP != 0 && self.flags & CONDITION_MASK != 0
    }
}

fn offset(abi: Abi, at: u64, words: u64) -> u64 {
    let at = at.wrapping_add(words * word(abi));
    match abi {
        Abi::X86_64 => at,
        Abi::I386 => at & 0xffff_ffff,
    }
}

/// The uatom at `at`, or what is wrong with it.
fn look(memory: &Words, at: u64) -> Result<Seen, Refusal> {
    let read = |at: u64| memory.at.get(&at).copied().ok_or(Refusal::Fault);
    let field = |index: u64| read(offset(memory.abi, at, index));
    let mut seen = Seen {
        flags: field(0)?,
        nr: field(1)?,
        ret_ptr: field(2)?,
        next: field(3)?,
        arg_ptrs: Vec::new(),
    };
    if seen.flags & !(OF_PROGRAM | CONDITION_MASK | SKIP) != 0 {
        return Err(Refusal::Invalid);
    }
    // All bits count.
    let nr = u32::try_from(seen.nr).map_err(|_| Refusal::UnknownCall)?;
    check_call(memory.abi, nr)?;
    for arg in 4..10 {
        let arg_ptr = field(arg)?;
        if arg_ptr == 0 {
            break;
        }
        read(arg_ptr)?;
        seen.arg_ptrs.push(arg_ptr);
    }
    Ok(seen)
}

/// Where a uatom may go on; one that cannot be looked at goes nowhere.
fn successors(memory: &Words, at: u64) -> Vec<u64> {
    let Ok(seen) = look(memory, at) else {
        return Vec::new();
    };
    let behind = seen.jumps().then(|| offset(memory.abi, at, 11));
    let next = Some(seen.next).filter(|&next| next != 0);
    next.into_iter().chain(behind).collect()
}

/// The addresses of uatoms in the order of the walk, by the text of the documentation.
pub fn walk(memory: &Words, first: u64) -> Vec<u64> {
    fn follow(memory: &Words, order: &mut Vec<u64>, met: &mut HashSet<u64>, mut at: u64) {
        while at != 0 && met.insert(at) {
            order.push(at);
            at = look(memory, at).map_or(0, |seen| seen.next);
        }
    }
    let (mut order, mut met) = (Vec::new(), HashSet::new());
    follow(memory, &mut order, &mut met, first);
    let mut place = 0;
    while place < order.len() {
        let at = order[place];
        if look(memory, at).is_ok_and(|seen| seen.jumps()) {
            follow(memory, &mut order, &mut met, offset(memory.abi, at, 11));
        }
        place += 1;
    }
    order
}

/// Whether some way through the chain comes by a uatom twice.
fn has_loop(memory: &Words, order: &[u64]) -> bool {
    order.iter().any(|&start| {
        let mut met = HashSet::new();
        let mut todo = successors(memory, start);
        while let Some(at) = todo.pop() {
            if met.insert(at) {
                todo.extend(successors(memory, at));
            }
        }
        met.contains(&start)
    })
}

/// How often each word is read when a chain without defects is submitted: once for each uatom that
/// has it or names it, and nothing behind a NULL.
pub fn reads(memory: &Words, order: &[u64]) -> HashMap<u64, u32> {
    let mut reads = HashMap::new();
    for &at in order {
        let seen = look(memory, at).expect("no defects");
        let args = seen.arg_ptrs.len() as u64;
        let fields = (0..6.min(args + 1)).map(|arg| 4 + arg);
        for field in (0..4).chain(fields) {
            *reads.entry(offset(memory.abi, at, field)).or_default() += 1;
        }
        for arg_ptr in seen.arg_ptrs {
            *reads.entry(arg_ptr).or_default() += 1;
        }
    }
    reads
}

/// All that is wrong with a chain: it must be refused for one of these, if for anything.
pub fn defects(memory: &Words, first: u64, flags: u32, limit: usize) -> Vec<Refusal> {
    let mut defects = Vec::new();
    if first == 0 {
        defects.push(Refusal::Fault);
    }
    let order = walk(memory, first);
    if order.len() > limit.min(uapi::MAX_ATOMS) {
        defects.push(Refusal::TooBig);
    }
    let mut of_all = u64::from(flags);
    let mut all_fine = true;
    for &at in &order {
        match look(memory, at) {
            Ok(seen) => of_all |= seen.flags & BOTH,
            Err(refusal) => {
                all_fine = false;
                defects.push(refusal);
            }
        }
    }
    if of_all & !OF_PROGRAM != 0 || of_all & BOTH == BOTH {
        defects.push(Refusal::Invalid);
    }
    if all_fine && has_loop(memory, &order) {
        defects.push(Refusal::Loop);
    }
    defects
}

/// What the flags of a chain without defects, and of its atoms, come to.
pub fn flags(memory: &Words, order: &[u64], flags: u32) -> (u64, Vec<u64>) {
    let of_uatoms = || order.iter().map(|&at| memory.at[&at]);
    let mut program = u64::from(flags) | of_uatoms().fold(0, |all, flags| all | flags & BOTH);
    if of_uatoms().all(|flags| flags & 0x4 != 0) {
        program |= 0x4;
    }
    let kept = |flags| flags & (CONDITION_MASK | 0x4);
    (program, of_uatoms().map(kept).collect())
}

/// Runs a chain without defects in memory: `result` says what the uatom at an address returns.
pub fn reference(memory: &Words, first: u64, result: impl Fn(u64) -> i64) -> (Vec<Step>, End) {
    let abi = memory.abi;
    let mut stored = HashMap::new();
    let mut at = first;
    let mut steps = Vec::new();
    while at != 0 {
        assert!(steps.len() < uapi::MAX_ATOMS, "it loops");
        let seen = look(memory, at).expect("no defects");
        let mut args = [0; 6];
        for (arg, arg_ptr) in args.iter_mut().zip(&seen.arg_ptrs) {
            *arg = *stored.get(arg_ptr).unwrap_or(&memory.at[arg_ptr]);
        }
        let value = result(at);
        let ret_ptr = Some(seen.ret_ptr).filter(|&ret_ptr| ret_ptr != 0);
        steps.push((seen.nr, args, ret_ptr));
        if let Some(ret_ptr) = ret_ptr {
            let bits = u64::from_ne_bytes(value.to_ne_bytes());
            let mask = u64::MAX >> (64 - 8 * word(abi));
            stored.insert(ret_ptr, bits & mask);
        }
        at = if !stops(seen.flags, value) {
            seen.next
        } else if seen.flags & SKIP != 0 {
            offset(abi, at, 11)
        } else {
            return (steps, End::Stopped);
        };
    }
    (steps, End::Fell)
}
