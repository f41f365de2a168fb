// SPDX-License-Identifier: GPL-2.0

//! Choices that more than one target has to make.

use arbitrary::Result;
use arbitrary::Unstructured;
use syslet_pure::policy::Abi;
use syslet_pure::uapi;

/// A calling convention.
pub fn abi(u: &mut Unstructured<'_>) -> Result<Abi> {
    Ok(if u.arbitrary::<u8>()? & 1 == 0 {
        Abi::X86_64
    } else {
        Abi::I386
    })
}

/// A system call number: mostly one about where the tables are.
pub fn number(u: &mut Unstructured<'_>) -> Result<u32> {
    let choice: u16 = u.arbitrary()?;
    Ok(match choice {
        0xffff => u.arbitrary()?,
        0x8000.. => uapi::NR_UMEM_ADD,
        _ => u32::from(choice) & 0x3ff,
    })
}

/// A result: mostly one about which conditions change their mind.
pub fn result(u: &mut Unstructured<'_>) -> Result<i64> {
    let choice: u8 = u.arbitrary()?;
    Ok(match choice {
        0xff => u.arbitrary()?,
        0xfe => i64::MIN,
        0xfd => i64::MAX,
        0xfc => 1 << 32,
        _ => i64::from(i8::from_ne_bytes([choice])),
    })
}
