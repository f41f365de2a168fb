// SPDX-License-Identifier: GPL-2.0

//! Atoms on files and directories.

use std::io::SeekFrom;

use nix::fcntl::{AtFlags, OFlag, RenameFlags};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

use super::{Bytes, Data, Fd, FdArg, FdMut, Num, Number, PathArg, Pipe, Program, Size, Unit};
use crate::buffer::{register, Alloc, OutBuf, OutRef};
use crate::error::BuildError;

impl<'a> Program<'a> {
    /// `openat(2)`. `mode` counts only where a file is made.
    pub fn openat(
        &mut self,
        dir: impl Into<FdArg<'a>>,
        path: impl Into<PathArg<'a>>,
        flags: OFlag,
        mode: Mode,
    ) -> Result<Fd, BuildError> {
        let draft = self.draft("openat", libc::SYS_openat)?;
        let draft = draft.fd(dir).path(path).int(flags.bits());
        draft.value(mode.bits().into()).opens()
    }

    /// `fstat(2)`.
    pub fn fstat<S: OutRef<'a, libc::stat>>(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        stat: S,
    ) -> Result<Unit<S::Owned>, BuildError> {
        let draft = self.draft("fstat", libc::SYS_fstat)?;
        draft.fd(fd).object(stat).unit()
    }

    /// `statx(2)`; `mask` is made of `libc::STATX_*`.
    pub fn statx<S: OutRef<'a, libc::statx>>(
        &mut self,
        dir: impl Into<FdArg<'a>>,
        path: impl Into<PathArg<'a>>,
        flags: AtFlags,
        mask: u32,
        statx: S,
    ) -> Result<Unit<S::Owned>, BuildError> {
        let draft = self.draft("statx", libc::SYS_statx)?;
        let draft = draft.fd(dir).path(path).int(flags.bits());
        draft.value(mask.into()).object(statx).unit()
    }

    /// `read(2)`: as many bytes as there are, at most those that `buf` has room for.
    pub fn read<B: OutBuf<'a, u8>>(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        buf: B,
    ) -> Result<Bytes<B::Owned>, BuildError> {
        let draft = self.draft("read", libc::SYS_read)?;
        draft.fd(fd).buffer(buf).bytes()
    }

    /// `pread64(2)`: as [`read`](Self::read), at `offset` bytes from the file's start.
    pub fn pread<B: OutBuf<'a, u8>>(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        buf: B,
        offset: impl Into<Num>,
    ) -> Result<Bytes<B::Owned>, BuildError> {
        let draft = self.draft("pread64", libc::SYS_pread64)?;
        draft.fd(fd).buffer(buf).num(offset).bytes()
    }

    /// `write(2)`: writes the data, or the part of it that [`Size`] tells.
    pub fn write(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        data: impl Into<Data<'a>>,
    ) -> Result<Size, BuildError> {
        let draft = self.draft("write", libc::SYS_write)?;
        draft.fd(fd).data(data).size()
    }

    /// `pwrite64(2)`: as [`write`](Self::write), at `offset` bytes from the file's start.
    pub fn pwrite(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        data: impl Into<Data<'a>>,
        offset: impl Into<Num>,
    ) -> Result<Size, BuildError> {
        let draft = self.draft("pwrite64", libc::SYS_pwrite64)?;
        draft.fd(fd).data(data).num(offset).size()
    }

    /// `lseek(2)`: the new position, in bytes from the file's start.
    pub fn lseek(&mut self, fd: impl Into<FdArg<'a>>, to: SeekFrom) -> Result<Number, BuildError> {
        let (offset, whence) = match to {
            // The kernel takes a start beyond `i64` for a negative one, and refuses it: `EINVAL`.
            SeekFrom::Start(offset) => (offset, libc::SEEK_SET),
            SeekFrom::Current(offset) => (register(offset), libc::SEEK_CUR),
            SeekFrom::End(offset) => (register(offset), libc::SEEK_END),
        };
        let draft = self.draft("lseek", libc::SYS_lseek)?;
        draft.fd(fd).value(offset).int(whence).number()
    }

    /// `fsync(2)`.
    pub fn fsync(&mut self, fd: impl Into<FdArg<'a>>) -> Result<Unit, BuildError> {
        self.draft("fsync", libc::SYS_fsync)?.fd(fd).unit()
    }

    /// `fdatasync(2)`.
    pub fn fdatasync(&mut self, fd: impl Into<FdArg<'a>>) -> Result<Unit, BuildError> {
        self.draft("fdatasync", libc::SYS_fdatasync)?.fd(fd).unit()
    }

    /// `ftruncate(2)`: to `len` bytes.
    pub fn ftruncate(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        len: impl Into<Num>,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("ftruncate", libc::SYS_ftruncate)?;
        draft.fd(fd).num(len).unit()
    }

    /// `mkdirat(2)`.
    pub fn mkdirat(
        &mut self,
        dir: impl Into<FdArg<'a>>,
        path: impl Into<PathArg<'a>>,
        mode: Mode,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("mkdirat", libc::SYS_mkdirat)?;
        draft.fd(dir).path(path).value(mode.bits().into()).unit()
    }

    /// `unlinkat(2)`.
    pub fn unlinkat(
        &mut self,
        dir: impl Into<FdArg<'a>>,
        path: impl Into<PathArg<'a>>,
        flags: UnlinkatFlags,
    ) -> Result<Unit, BuildError> {
        let flags = match flags {
            UnlinkatFlags::RemoveDir => libc::AT_REMOVEDIR,
            UnlinkatFlags::NoRemoveDir => 0,
        };
        let draft = self.draft("unlinkat", libc::SYS_unlinkat)?;
        draft.fd(dir).path(path).int(flags).unit()
    }

    /// `renameat2(2)`.
    pub fn renameat2(
        &mut self,
        old_dir: impl Into<FdArg<'a>>,
        old_path: impl Into<PathArg<'a>>,
        new_dir: impl Into<FdArg<'a>>,
        new_path: impl Into<PathArg<'a>>,
        flags: RenameFlags,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("renameat2", libc::SYS_renameat2)?;
        let draft = draft.fd(old_dir).path(old_path);
        let draft = draft.fd(new_dir).path(new_path);
        draft.value(flags.bits().into()).unit()
    }

    /// `getdents64(2)`: directory entries as `struct linux_dirent64`, one behind the other.
    pub fn getdents64<B: OutBuf<'a, u8>>(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        buf: B,
    ) -> Result<Bytes<B::Owned>, BuildError> {
        let draft = self.draft("getdents64", libc::SYS_getdents64)?;
        draft.fd(fd).buffer(buf).bytes()
    }

    /// `readlinkat(2)`: the link's target, without a zero byte behind it.
    pub fn readlinkat<B: OutBuf<'a, u8>>(
        &mut self,
        dir: impl Into<FdArg<'a>>,
        path: impl Into<PathArg<'a>>,
        buf: B,
    ) -> Result<Bytes<B::Owned>, BuildError> {
        let draft = self.draft("readlinkat", libc::SYS_readlinkat)?;
        draft.fd(dir).path(path).buffer(buf).bytes()
    }

    /// `pipe2(2)`: the descriptors belong to the program until
    /// [`Outcome::take_pipe`](crate::Outcome::take_pipe) takes them out.
    ///
    /// They are stored in memory, not returned, so atoms of the same program cannot take them.
    pub fn pipe2(&mut self, flags: OFlag) -> Result<Pipe, BuildError> {
        let draft = self.draft("pipe2", libc::SYS_pipe2)?;
        let draft = draft.object::<[i32; 2], _>(Alloc);
        draft.int(flags.bits()).opens_pair()
    }

    /// `dup3(2)`: makes `new` another name of what `old` refers to.
    pub fn dup3(
        &mut self,
        old: impl Into<FdArg<'a>>,
        new: impl Into<FdMut<'a>>,
        flags: OFlag,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("dup3", libc::SYS_dup3)?;
        draft.fd(old).fd_mut(new).int(flags.bits()).unit()
    }

    /// `fcntl(2)` with `F_DUPFD_CLOEXEC`: another descriptor of the same open file, numbered
    /// `lowest` or above.
    pub fn fcntl_dupfd(&mut self, fd: impl Into<FdArg<'a>>, lowest: i32) -> Result<Fd, BuildError> {
        let draft = self.draft("fcntl", libc::SYS_fcntl)?;
        let draft = draft.fd(fd).int(libc::F_DUPFD_CLOEXEC);
        draft.int(lowest).opens()
    }

    /// `fcntl(2)` with `F_GETFL`: the file's status flags, as [`OFlag`] has them.
    pub fn fcntl_getfl(&mut self, fd: impl Into<FdArg<'a>>) -> Result<Number, BuildError> {
        let draft = self.draft("fcntl", libc::SYS_fcntl)?;
        draft.fd(fd).int(libc::F_GETFL).number()
    }

    /// `fcntl(2)` with `F_SETFL`.
    pub fn fcntl_setfl(
        &mut self,
        fd: impl Into<FdArg<'a>>,
        flags: OFlag,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("fcntl", libc::SYS_fcntl)?;
        draft.fd(fd).int(libc::F_SETFL).int(flags.bits()).unit()
    }
}
