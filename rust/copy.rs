// SPDX-License-Identifier: GPL-2.0

//! Reading what was submitted: every byte is fetched once, and only what was fetched counts.

use core::mem::size_of;

use kernel::bindings;
use kernel::ffi::c_void;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::transmute::AsBytes;
use kernel::transmute::FromBytes;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;

use crate::symbols::raw;
use crate::uapi;

/// Size of the `size` and `flags` fields that every extensible struct begins with.
const MIN_SIZE: usize = 8;

/// An extensible struct of the interface: its first field is `size`.
///
/// # Safety
///
/// The type is `repr(C)`, begins with a `u32` that holds its size, and has neither padding nor
/// invalid bit patterns.
pub unsafe trait Extensible: Default {}

macro_rules! impl_bytes {
    ($($name:ident),* $(,)?) => {$(
        // SAFETY: All fields are integers, and the layout asserted in `uapi` leaves no padding.
        unsafe impl FromBytes for uapi::$name {}
        // SAFETY: As above.
        unsafe impl AsBytes for uapi::$name {}
    )*};
}

macro_rules! impl_extensible {
    ($($name:ident),* $(,)?) => {$(
        // SAFETY: `size` is the first field of the struct, and there is no padding.
        unsafe impl Extensible for uapi::$name {}
    )*};
}

impl_bytes!(Atom, Program, Query, Setup, Exec, Wait, Cancel, UatomExec);
impl_extensible!(Query, Setup, Exec, Wait, Cancel, UatomExec);

/// An extensible struct as it was read, and how much of it the caller knows.
pub struct Argument<T> {
    /// The struct; what the caller did not give is zero.
    pub value: T,
    at: UserPtr,
    size: usize,
}

impl<T: Extensible + FromBytes + AsBytes> Argument<T> {
    /// Reads the struct at `arg` by the rules of `copy_struct_from_user()`.
    #[inline]
    pub fn read(arg: usize) -> Result<Self> {
        let at = UserPtr::from_addr(arg);
        let whole = size_of::<T>();

        // Nearly every caller has just this size: one copy then does.
        let mut value = T::default();
        const { assert!(align_of::<T>() == align_of::<u64>()) };
        // SAFETY: The struct is as long as that, aligned for words, and any bytes make a valid one.
        let read = unsafe { fetch((&raw mut value).cast(), at, whole) };
        if read.is_ok() && size_field(&value) == whole as u32 {
            return Ok(Self {
                value,
                at,
                size: whole,
            });
        }
        Self::read_sized(at)
    }

    #[cold]
    fn read_sized(at: UserPtr) -> Result<Self> {
        let size: u32 = UserSlice::new(at, size_of::<u32>()).reader().read()?;
        let size = size as usize;
        if size < MIN_SIZE {
            return Err(EINVAL);
        }
        if size > PAGE_SIZE {
            return Err(E2BIG);
        }

        let known = size.min(size_of::<T>());
        let mut value = T::default();
        // SAFETY: `T` is plain bytes without padding, by its `AsBytes`, and `known` is within it.
        let bytes =
            unsafe { core::slice::from_raw_parts_mut((&raw mut value).cast::<u8>(), known) };
        let mut reader = UserSlice::new(at, size).reader();
        reader.read_slice(bytes)?;
        // The size that was judged is the size that counts, whatever a second thread wrote.
        bytes[..4].copy_from_slice(&(size as u32).to_ne_bytes());

        let mut tail = [0u8; 64];
        while !reader.is_empty() {
            let chunk = reader.len().min(tail.len());
            reader.read_slice(&mut tail[..chunk])?;
            if tail[..chunk].iter().any(|&byte| byte != 0) {
                return Err(E2BIG);
            }
        }
        Ok(Self { value, at, size })
    }

    /// The user address of the fields from `offset` on, and how many bytes of them the caller knows.
    pub fn tail(&self, offset: usize) -> (u64, usize) {
        let known = self.size.min(size_of::<T>());
        // CAST: A pointer travels as `u64`.
        let at = self.at.wrapping_byte_add(offset).as_const_ptr() as u64;
        (at, known.saturating_sub(offset))
    }

    /// Writes the struct back, as much of it as the caller knows.
    pub fn write_back(&self) -> Result {
        // SAFETY: `T` is plain bytes without padding, by its `AsBytes`.
        let bytes = unsafe {
            core::slice::from_raw_parts((&raw const self.value).cast::<u8>(), size_of::<T>())
        };
        let known = self.size.min(bytes.len());
        UserSlice::new(self.at, known)
            .writer()
            .write_slice(&bytes[..known])
    }
}

/// The `size` field that `value` begins with.
fn size_field<T: Extensible>(value: &T) -> u32 {
    // SAFETY: By the trait's contract.
    unsafe { (&raw const *value).cast::<u32>().read() }
}

/// Reads `bytes` bytes at user address `from`.
///
/// Not through `UserSlice`: what it asks the heap about the destination, and what a copy of any
/// length costs, is more than all the rest for structs of a few words.
///
/// # Safety
///
/// `to` must be valid for writes of so many bytes, and aligned for words.
#[inline]
unsafe fn fetch(to: *mut c_void, from: UserPtr, bytes: usize) -> Result {
    let from = from.as_const_ptr();
    // SAFETY: By the safety requirement; it checks the user address itself.
    let read = unsafe {
        match bytes {
            24 => raw::syslet_get_3_words(to.cast(), from),
            32 => raw::syslet_get_4_words(to.cast(), from),
            48 => raw::syslet_get_6_words(to.cast(), from),
            _ => bindings::_copy_from_user(to, from, bytes) == 0,
        }
    };
    done(read)
}

/// What a copy, which says whether it was possible, means.
#[inline]
fn done(possible: bool) -> Result {
    possible.then_some(()).ok_or(EFAULT)
}

/// Appends `count` values at user address `from` to `to`.
pub fn read_array<T: FromBytes>(to: &mut KVVec<T>, from: u64, count: usize) -> Result {
    let bytes = count.checked_mul(size_of::<T>()).ok_or(EFAULT)?;
    to.reserve(count, GFP_KERNEL_ACCOUNT)?;
    let spare = to.spare_capacity_mut().as_mut_ptr();
    const { assert!(align_of::<T>() == align_of::<u64>()) };
    // SAFETY: `reserve` made room for `count` values, which are `bytes` long and aligned for words.
    unsafe { fetch(spare.cast(), user_ptr(from)?, bytes)? };
    // SAFETY: `count` values beyond the length are within the capacity and were just written;
    // any bytes make a valid `T`.
    unsafe { to.inc_len(count) };
    Ok(())
}

/// Writes constant bytes to user address `to`.
pub fn write_constant(to: u64, bytes: &'static [u8]) -> Result {
    // Not through `UserSlice`, as in `fetch`.
    // SAFETY: The source is as long as it says.
    let left = unsafe {
        bindings::_copy_to_user(
            user_ptr(to)?.as_mut_ptr(),
            bytes.as_ptr().cast(),
            bytes.len(),
        )
    };
    done(left == 0)
}

/// Reads 64 bits at user address `from`, in one access.
#[inline]
pub fn read_u64(from: UserPtr) -> Result<u64> {
    let mut value = 0;
    // Not through `UserSlice`: what copies may read some of what another thread writes, 32 bits
    // byte by byte; and it costs more.
    // SAFETY: It checks the address itself.
    done(unsafe { raw::syslet_get_u64(from.as_const_ptr(), &mut value) }).map(|()| value)
}

/// Reads 32 bits at user address `from`, in one access.
#[inline]
pub fn read_u32(from: UserPtr) -> Result<u32> {
    let mut value = 0;
    // Not through `UserSlice`, as in `read_u64`.
    // SAFETY: It checks the address itself.
    done(unsafe { raw::syslet_get_u32(from.as_const_ptr(), &mut value) }).map(|()| value)
}

/// Writes 64 bits to user address `to`, in one access.
#[inline]
pub fn write_u64(to: UserPtr, value: u64) -> Result {
    // Not through `UserSlice`, as in `read_u64`.
    // SAFETY: It checks the address itself.
    done(unsafe { raw::syslet_put_u64(to.as_mut_ptr(), value) })
}

/// Writes 32 bits to user address `to`, in one access.
#[inline]
pub fn write_u32(to: UserPtr, value: u32) -> Result {
    // Not through `UserSlice`, as in `read_u64`.
    // SAFETY: It checks the address itself.
    done(unsafe { raw::syslet_put_u32(to.as_mut_ptr(), value) })
}

/// Writes two words to user address `to`, each in one access.
#[inline]
pub fn write_2_words(to: UserPtr, words: [u64; 2]) -> Result {
    // Not through `UserSlice`, as in `fetch`.
    // SAFETY: It checks the address itself.
    done(unsafe { raw::syslet_put_2_words(to.as_mut_ptr(), words[0], words[1]) })
}

/// A user pointer that travelled as a `__u64`.
pub fn user_ptr(addr: u64) -> Result<UserPtr> {
    // CAST: `usize` has 64 bits here; where it had not, a cut pointer must not be used.
    usize::try_from(addr)
        .map(UserPtr::from_addr)
        .map_err(|_| EFAULT)
}
