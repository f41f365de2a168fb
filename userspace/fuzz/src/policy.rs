// SPDX-License-Identifier: GPL-2.0

//! The system call policy: a number and arguments, and the same arguments for all calls that have
//! a rule.

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use syslet_oracles::policy as oracle;
use syslet_pure::policy;
use syslet_pure::policy::Abi;
use syslet_pure::policy::Policy;

use crate::choices;

/// A system call.
#[derive(Debug)]
pub struct Case {
    abi: Abi,
    nr: u32,
    args: [u64; 6],
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            abi: choices::abi(u)?,
            nr: choices::number(u)?,
            args: u.arbitrary()?,
        })
    }
}

impl crate::Case for Case {
    fn check(&self) {
        let Self { abi, nr, args } = *self;
        oracle::check(abi, nr, &args);
        for entry in policy::parts(abi).into_iter().flatten() {
            if let Policy::Check(rule) = entry.policy {
                let breach = oracle::breach(entry.name, &args);
                assert_eq!(rule.check(&args).err(), breach, "{}", entry.name);
            }
        }
    }
}
