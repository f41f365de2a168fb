// SPDX-License-Identifier: GPL-2.0

//! The device before it has a ring: opening it, and asking what the kernel offers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;

use crate::buffer::address;
use crate::error::Error;
use crate::{raw, uapi};

/// Where the device is.
pub const DEFAULT_PATH: &str = "/dev/syslet";

bitflags::bitflags! {
    /// What the kernel's half can do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Features: u64 {
        /// Programs that block go on in the background.
        const ASYNC = uapi::FEAT_ASYNC;
        /// Programs in flight can be canceled.
        const CANCEL = uapi::FEAT_CANCEL;
        /// 32-bit callers are served.
        const COMPAT = uapi::FEAT_COMPAT;
        /// Chains of classic uatoms can be run.
        const UATOM = uapi::FEAT_UATOM;
        /// The caller keeps its TID when work blocks.
        const STABLE_TID = uapi::FEAT_STABLE_TID;
        /// [`ASYNC`](Self::ASYNC) for 32-bit callers too.
        const COMPAT_ASYNC = uapi::FEAT_COMPAT_ASYNC;
        // Newer kernels know others.
        const _ = !0;
    }
}

/// What the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// What it can do.
    pub features: Features,
    /// Most atoms in a program.
    pub max_atoms: u32,
    /// Most programs that one entry into the kernel runs.
    pub max_programs: u32,
    /// Most entries of a completion ring.
    pub max_cq_entries: u32,
    /// Most cachemiss threads of one head.
    pub max_threads: u32,
}

/// Whether a system call may be in an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The kernel's policy does not know the number.
    Unknown,
    /// It may.
    Allow,
    /// It is refused.
    Deny,
}

/// The device, open, without a ring: enough to ask what the kernel offers.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
}

impl Device {
    /// Opens the device at its [usual place](DEFAULT_PATH).
    ///
    /// # Errors
    ///
    /// [`Error::Open`]: `ENOENT` where the module is not loaded, `EACCES` for those who may not.
    pub fn open() -> Result<Self, Error> {
        Self::open_at(DEFAULT_PATH)
    }

    /// Opens the device at `path`.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_at(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let fd = open(path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
        fd.map(|fd| Self { fd }).map_err(|errno| Error::Open {
            path: path.into(),
            errno,
        })
    }

    /// What the kernel offers.
    ///
    /// # Errors
    ///
    /// [`Error::Command`]; `ENOTTY` if this is another device.
    pub fn query(&self) -> Result<Info, Error> {
        let query = self.query_into(&mut [])?;
        Ok(Info {
            features: Features::from_bits_retain(query.features),
            max_atoms: query.max_atoms,
            max_programs: query.max_programs,
            max_cq_entries: query.max_cq_entries,
            max_threads: query.max_threads,
        })
    }

    /// The verdicts on the system calls from number 0 to below `count`, at most 65536.
    ///
    /// # Errors
    ///
    /// [`Error::Command`].
    pub fn policies(&self, count: usize) -> Result<Vec<Verdict>, Error> {
        let mut raw = vec![uapi::POLICY_UNKNOWN; count];
        self.query_into(&mut raw)?;
        let verdict = |code| match code {
            uapi::POLICY_ALLOW => Verdict::Allow,
            uapi::POLICY_DENY => Verdict::Deny,
            _ => Verdict::Unknown,
        };
        Ok(raw.into_iter().map(verdict).collect())
    }

    fn query_into(&self, policies: &mut [u8]) -> Result<uapi::Query, Error> {
        let failed = Error::command("QUERY");
        let Ok(nr_policies) = u32::try_from(policies.len()) else {
            return Err(failed(Errno::EINVAL));
        };
        let mut query = uapi::Query {
            size: raw::size_field::<uapi::Query>(),
            policies: if policies.is_empty() {
                0
            } else {
                address(policies.as_mut_ptr())
            },
            nr_policies,
            ..uapi::Query::default()
        };
        // SAFETY: `policies` may be written.
        unsafe { raw::query(self.as_fd(), &mut query) }.map_err(failed)?;
        Ok(query)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
