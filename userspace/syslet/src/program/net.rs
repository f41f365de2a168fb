// SPDX-License-Identifier: GPL-2.0

//! Atoms on sockets.

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockProtocol, SockType, SockaddrLike,
};

use super::draft::Draft;
use super::{Bytes, Data, Fd, FdArg, Program, Size, Unit};
use crate::buffer::OutBuf;
use crate::error::BuildError;

impl Draft<'_, '_> {
    /// A socket address and its length, two arguments. It is copied.
    fn address(self, address: &impl SockaddrLike) -> Self {
        let len = address.len();
        let bytes = (0..len as usize).map(|at| {
            // SAFETY: An address is `len()` bytes long, by the trait's contract.
            unsafe { address.as_ptr().cast::<u8>().add(at).read() }
        });
        self.input(bytes.collect()).value(len.into())
    }
}

impl<'a> Program<'a> {
    /// `socket(2)`; without a protocol, the usual one of the type.
    pub fn socket(
        &mut self,
        family: AddressFamily,
        kind: SockType,
        flags: SockFlag,
        protocol: Option<SockProtocol>,
    ) -> Result<Fd, BuildError> {
        let protocol = protocol.map_or(0, |protocol| protocol as i32);
        let draft = self.draft("socket", libc::SYS_socket)?;
        let draft = draft.int(family as i32).int(kind as i32 | flags.bits());
        draft.int(protocol).opens()
    }

    /// `connect(2)`.
    pub fn connect(
        &mut self,
        socket: impl Into<FdArg<'a>>,
        address: &impl SockaddrLike,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("connect", libc::SYS_connect)?;
        draft.fd(socket).address(address).unit()
    }

    /// `bind(2)`.
    pub fn bind(
        &mut self,
        socket: impl Into<FdArg<'a>>,
        address: &impl SockaddrLike,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("bind", libc::SYS_bind)?;
        draft.fd(socket).address(address).unit()
    }

    /// `listen(2)`.
    pub fn listen(
        &mut self,
        socket: impl Into<FdArg<'a>>,
        backlog: i32,
    ) -> Result<Unit, BuildError> {
        let draft = self.draft("listen", libc::SYS_listen)?;
        draft.fd(socket).int(backlog).unit()
    }

    /// `accept4(2)`, without the peer's address.
    pub fn accept4(
        &mut self,
        socket: impl Into<FdArg<'a>>,
        flags: SockFlag,
    ) -> Result<Fd, BuildError> {
        let draft = self.draft("accept4", libc::SYS_accept4)?;
        let draft = draft.fd(socket).null().null();
        draft.int(flags.bits()).opens()
    }

    /// `sendto(2)` without an address.
    pub fn send(
        &mut self,
        socket: impl Into<FdArg<'a>>,
        data: impl Into<Data<'a>>,
        flags: MsgFlags,
    ) -> Result<Size, BuildError> {
        let draft = self.draft("sendto", libc::SYS_sendto)?;
        let draft = draft.fd(socket).data(data).int(flags.bits());
        draft.null().null().size()
    }

    /// `recvfrom(2)` without an address.
    ///
    /// With `MSG_TRUNC` the result is the packet's length, which can be more than the buffer
    /// holds, so no later atom can take it as [`Data`].
    pub fn recv<B: OutBuf<'a, u8>>(
        &mut self,
        socket: impl Into<FdArg<'a>>,
        buf: B,
        flags: MsgFlags,
    ) -> Result<Bytes<B::Owned>, BuildError> {
        let draft = self.draft("recvfrom", libc::SYS_recvfrom)?;
        let draft = draft.fd(socket).buffer(buf).int(flags.bits());
        let draft = draft.null().null();
        let unbounded = flags.contains(MsgFlags::MSG_TRUNC);
        draft.unbounded_if(unbounded).bytes()
    }

    /// `shutdown(2)`.
    pub fn shutdown(
        &mut self,
        socket: impl Into<FdArg<'a>>,
        how: Shutdown,
    ) -> Result<Unit, BuildError> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        let draft = self.draft("shutdown", libc::SYS_shutdown)?;
        draft.fd(socket).int(how).unit()
    }
}
