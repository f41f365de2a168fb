// SPDX-License-Identifier: GPL-2.0

//! Reading and writing user memory: a page of it, what is behind that, and what is the kernel's.

use kernel::prelude::*;

#[kunit_tests(syslet_copy)]
mod tests {
    use kernel::page::PAGE_SIZE;
    use kernel::uaccess::UserPtr;
    use kernel::uaccess::UserSlice;

    use super::*;
    use crate::copy;
    use crate::copy::Argument;
    use crate::kunit::facts;
    use crate::uapi;

    /// The end of a page of user memory, behind which there is none. Once in each test: pages that
    /// are mapped one after the other are next to each other.
    fn end_of_page() -> Result<usize> {
        Ok(facts::user_page()? + PAGE_SIZE)
    }

    fn user(at: usize) -> UserPtr {
        UserPtr::from_addr(at)
    }

    fn put(at: usize, bytes: &[u8]) -> Result {
        UserSlice::new(user(at), bytes.len())
            .writer()
            .write_slice(bytes)
    }

    #[test]
    fn memory_of_the_kernels_is_refused() -> Result {
        let mut secret = KBox::new([0x5ec2e7_u64; 8], GFP_KERNEL)?;
        let at = (&raw mut *secret) as usize;
        assert!(copy::read_u64(user(at)) == Err(EFAULT));
        assert!(copy::read_u32(user(at)) == Err(EFAULT));
        assert!(copy::write_u64(user(at), 0) == Err(EFAULT));
        assert!(copy::write_u32(user(at), 0) == Err(EFAULT));
        assert!(copy::write_2_words(user(at), [0; 2]) == Err(EFAULT));
        assert!(copy::write_constant(at as u64, &[0; 16]) == Err(EFAULT));
        // Of 24, 48 and any other number of bytes.
        assert!(Argument::<uapi::Exec>::read(at).is_err());
        assert!(Argument::<uapi::Query>::read(at).is_err());
        assert!(Argument::<uapi::Setup>::read(at).is_err());
        let mut programs = KVVec::<uapi::Program>::new();
        assert!(copy::read_array(&mut programs, at as u64, 1) == Err(EFAULT));
        assert!(programs.is_empty());
        assert!(secret.iter().all(|&word| word == 0x5ec2e7));
        Ok(())
    }

    #[test]
    fn words_end_with_the_mapping() -> Result {
        let end = end_of_page()?;
        copy::write_u64(user(end - 8), 0x0102_0304_0506_0708)?;
        copy::write_u32(user(end - 12), 0x0a0b_0c0d)?;
        assert!(copy::read_u64(user(end - 8))? == 0x0102_0304_0506_0708);
        assert!(copy::read_u32(user(end - 4))? == 0x0102_0304);
        assert!(copy::read_u64(user(end - 12))? == 0x0506_0708_0a0b_0c0d);

        copy::write_2_words(user(end - 16), [1, 2])?;
        assert!(copy::read_u64(user(end - 16))? == 1 && copy::read_u64(user(end - 8))? == 2);
        for behind in [end - 7, end - 1, end] {
            assert!(copy::read_u64(user(behind)) == Err(EFAULT));
            assert!(copy::write_u64(user(behind), 0) == Err(EFAULT));
        }
        assert!(copy::read_u32(user(end - 3)) == Err(EFAULT));
        assert!(copy::write_u32(user(end - 3), 0) == Err(EFAULT));
        assert!(copy::write_2_words(user(end - 8), [3, 4]) == Err(EFAULT));
        assert!(copy::write_constant(end as u64 - 8, &[0xff; 9]) == Err(EFAULT));
        Ok(())
    }

    /// Reads a struct of the size given, whose bytes are 1, 2, 3 and so on, and which ends at `end`.
    fn read<T>(end: usize, size: u32) -> Result<(Argument<T>, usize)>
    where
        T: copy::Extensible + kernel::transmute::FromBytes + kernel::transmute::AsBytes,
    {
        let at = end - size as usize;
        for (index, byte) in (0..size).zip(1_u8..) {
            put(at + index as usize, &[byte])?;
        }
        put(at, &size.to_ne_bytes())?;
        Ok((Argument::read(at)?, at))
    }

    #[test]
    fn a_struct_is_read_up_to_its_size_and_no_further() -> Result {
        let end = end_of_page()?;
        for size in [8, 16, 24] {
            let (argument, at) = read::<uapi::Exec>(end, size)?;
            let exec = argument.value;
            assert!(exec.size == size && exec.flags == 0x0807_0605);
            let programs = if size > 8 { 0x100f_0e0d_0c0b_0a09 } else { 0 };
            assert!(exec.programs == programs);
            assert!(exec.reserved == if size > 16 { 0x1817_1615 } else { 0 });
            let left = (size as usize).saturating_sub(16);
            assert!(argument.tail(16) == ((at + 16) as u64, left));
        }
        // The page ends before what the size says does.
        let at = end - 16;
        put(at, &24_u32.to_ne_bytes())?;
        assert!(Argument::<uapi::Exec>::read(at).is_err_and(|error| error == EFAULT));
        Ok(())
    }

    #[test]
    fn each_length_is_read_alike() -> Result {
        let end = end_of_page()?;
        let exec = read::<uapi::Exec>(end, 24)?.0.value;
        let query = read::<uapi::Query>(end, 48)?.0.value;
        let setup = read::<uapi::Setup>(end, 40)?.0.value;
        assert!(exec.reserved == 0x1817_1615);
        assert!(query.reserved == 0x302f_2e2d);
        assert!(setup.cqes_offset == 0x2827_2625_2423_2221);
        Ok(())
    }

    #[test]
    fn what_is_longer_must_end_in_zeroes() -> Result {
        let at = end_of_page()? - PAGE_SIZE;
        for (size, fits) in [
            (0, false),
            (7, false),
            (8, true),
            (4096, true),
            (4097, false),
        ] {
            put(at, &(size as u32).to_ne_bytes())?;
            assert!(Argument::<uapi::Cancel>::read(at).is_ok() == fits);
        }
        put(at, &200_u32.to_ne_bytes())?;
        for (offset, refused) in [
            (15, false),
            (16, true),
            (79, true),
            (199, true),
            (200, false),
        ] {
            put(at + offset, &[1])?;
            let read = Argument::<uapi::Cancel>::read(at);
            assert!(read.is_err_and(|error| error == E2BIG) == refused);
            put(at + offset, &[0])?;
        }
        Ok(())
    }

    #[test]
    fn a_short_struct_is_written_back_short() -> Result {
        let at = end_of_page()? - 64;
        put(at, &[0xee; 64])?;
        put(at, &16_u32.to_ne_bytes())?;
        put(at + 4, &[0; 4])?;
        let mut argument = Argument::<uapi::Query>::read(at)?;
        argument.value.features = 0x77;
        argument.value.max_atoms = 0x99;
        argument.write_back()?;
        assert!(copy::read_u64(user(at + 8))? == 0x77);
        assert!(copy::read_u64(user(at + 16))? == 0xeeee_eeee_eeee_eeee);
        Ok(())
    }

    #[test]
    fn arrays_end_with_the_mapping() -> Result {
        let end = end_of_page()?;
        let most = PAGE_SIZE / size_of::<uapi::Atom>();
        let mut atoms = KVVec::<uapi::Atom>::new();
        put(end - size_of::<uapi::Atom>(), &39_u32.to_ne_bytes())?;
        copy::read_array(&mut atoms, (end - PAGE_SIZE) as u64, most)?;
        assert!(atoms.len() == most && atoms[most - 1].nr == 39 && atoms[0].nr == 0);
        assert!(copy::read_array(&mut atoms, (end - PAGE_SIZE + 8) as u64, most) == Err(EFAULT));
        assert!(copy::read_array(&mut atoms, 0, usize::MAX) == Err(EFAULT));
        assert!(atoms.len() == most);
        Ok(())
    }
}
