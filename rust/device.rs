// SPDX-License-Identifier: GPL-2.0

//! `/dev/syslet`: file operations, and what each ioctl wants.

use kernel::bindings;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::miscdevice::MiscDevice;
use kernel::miscdevice::MiscDeviceOptions;
use kernel::miscdevice::MiscDeviceRegistration;
use kernel::mm::virt::VmaNew;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::Arc;
use kernel::sync::ArcBorrow;
use kernel::types::ForeignOwnable;
use kernel::types::Opaque;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;

use crate::block;
use crate::copy;
use crate::copy::Argument;
use crate::dispatch::Frame;
use crate::fdinfo;
use crate::head::Head;
use crate::notify::EventFd;
use crate::params;
use crate::policy;
use crate::policy::Abi;
use crate::session;
use crate::session::Session;
use crate::uapi;
use crate::wait;

/// Who may open the device: root and the group that the udev rule gives it to.
const MODE: u16 = 0o660;

/// Most verdicts that one `QUERY` fills.
const MAX_POLICIES: u32 = 65536;

#[vtable]
impl MiscDevice for Head {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Head::new()
    }

    #[inline]
    fn ioctl(head: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        ioctl(&head, file, Abi::X86_64, cmd, arg)
    }

    fn compat_ioctl(head: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        // SAFETY: An ioctl is a system call from user mode.
        if unsafe { Frame::current() }.is_x32() {
            return Err(EOPNOTSUPP);
        }
        // CAST: A 32-bit caller's pointer.
        ioctl(&head, file, Abi::I386, cmd, arg as u32 as usize)
    }

    fn mmap(head: ArcBorrow<'_, Self>, _file: &File, vma: &VmaNew) -> Result {
        head.established()?.ring.mmap(vma)
    }

    fn show_fdinfo(head: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        fdinfo::show(&head, m);
    }
}

#[inline]
fn ioctl(head: &Head, file: &File, abi: Abi, cmd: u32, arg: usize) -> Result<isize> {
    const QUERY: u32 = uapi::ioc_unsized(uapi::IOC_QUERY);
    const SETUP: u32 = uapi::ioc_unsized(uapi::IOC_SETUP);
    const EXEC: u32 = uapi::ioc_unsized(uapi::IOC_EXEC);
    const WAIT: u32 = uapi::ioc_unsized(uapi::IOC_WAIT);
    const CANCEL: u32 = uapi::ioc_unsized(uapi::IOC_CANCEL);
    const EVENTFD: u32 = uapi::ioc_unsized(uapi::IOC_EVENTFD);
    const EXEC_UATOM: u32 = uapi::ioc_unsized(uapi::IOC_EXEC_UATOM);
    const PARK: u32 = uapi::ioc_unsized(uapi::IOC_PARK);

    // Before anything that sleeps: who shares the file table may be gone then.
    let file_refs = session::file_refs();
    // A program may not drive the device that drives it.
    if block::current_flight().is_some() {
        return Err(EPERM);
    }
    let with_session = |enter: &dyn Fn(&Session<'_>) -> Result<isize>| {
        // SAFETY: An ioctl is a system call from user mode, and lasts longer than the value.
        let frame = unsafe { Frame::current() };
        enter(&Session {
            head,
            established: head.established()?,
            file,
            frame: &frame,
            abi,
            file_refs,
        })
    };
    match uapi::ioc_unsized(cmd) {
        EXEC => {
            let argument = Argument::<uapi::Exec>::read(arg)?;
            with_session(&|session| session.exec(&argument.value))
        }
        // To any but a cachemiss thread it is not there.
        PARK => with_session(&|session| session.park(arg as u64)).map_err(|error| {
            if error == ENXIO || error == EACCES {
                EPERM
            } else {
                error
            }
        }),
        WAIT => wait::wait(head, &Argument::<uapi::Wait>::read(arg)?.value),
        QUERY => query(abi, Argument::read(arg)?),
        SETUP => {
            let mut argument = Argument::<uapi::Setup>::read(arg)?;
            let mut setup = argument.value;
            head.set_up(&mut setup, |setup| {
                argument.value = *setup;
                argument.write_back()
            })?;
            Ok(0)
        }
        EVENTFD => set_eventfd(head, arg),
        CANCEL => cancel(head, &Argument::<uapi::Cancel>::read(arg)?.value),
        EXEC_UATOM => {
            let argument = Argument::<uapi::UatomExec>::read(arg)?;
            with_session(&|session| session.exec_uatom(&argument))
        }
        _ => Err(ENOTTY),
    }
}

fn query(abi: Abi, mut argument: Argument<uapi::Query>) -> Result<isize> {
    let query = &mut argument.value;
    if query.flags != 0 || query.reserved != 0 || query.nr_policies > MAX_POLICIES {
        return Err(EINVAL);
    }
    let limits = params::limits();
    query.features = uapi::FEAT_ASYNC
        | uapi::FEAT_CANCEL
        | uapi::FEAT_COMPAT
        | uapi::FEAT_UATOM
        | uapi::FEAT_STABLE_TID;
    query.max_atoms = limits.atoms;
    query.max_programs = limits.programs;
    query.max_cq_entries = params::max_cq_entries();
    query.max_threads = params::max_threads();

    if query.policies != 0 {
        let mut writer =
            UserSlice::new(copy::user_ptr(query.policies)?, query.nr_policies as usize).writer();
        let verdicts = policy::codes(abi);
        let known = verdicts.len().min(writer.len());
        writer.write_slice(&verdicts[..known])?;
        let unknown = [uapi::POLICY_UNKNOWN; 64];
        while !writer.is_empty() {
            writer.write_slice(&unknown[..writer.len().min(unknown.len())])?;
        }
    }
    argument.write_back()?;
    Ok(0)
}

fn cancel(head: &Head, cancel: &uapi::Cancel) -> Result<isize> {
    let pool = &head.established()?.pool;
    if cancel.flags & !uapi::CANCEL_ALL != 0 {
        return Err(EINVAL);
    }
    let all = cancel.flags & uapi::CANCEL_ALL != 0;
    match pool.cancel(|user_data| all || user_data == cancel.user_data) {
        0 => Err(ENOENT),
        // CAST: At most the number of threads.
        count => Ok(count as isize),
    }
}

fn set_eventfd(head: &Head, arg: usize) -> Result<isize> {
    let ring = &head.established()?.ring;
    let fd: i32 = UserSlice::new(UserPtr::from_addr(arg), size_of::<i32>())
        .reader()
        .read()?;
    let eventfd = match fd {
        -1 => None,
        fd => Some(EventFd::from_fd(fd)?),
    };
    ring.set_eventfd(eventfd);
    Ok(0)
}

/// The `poll()` of the device.
///
/// # Safety
///
/// `file` must be a file of this device, and `table` null or valid.
unsafe extern "C" fn poll(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: `MiscDevice`'s open put an `Arc<Head>` there, which lives until release.
    let head = unsafe { <Arc<Head> as ForeignOwnable>::borrow((*file).private_data) };
    // SAFETY: The file is open, and not in an fdget_pos section of this thread.
    let file = unsafe { File::from_raw_file(file) };
    match head.peek() {
        // SAFETY: By the safety requirements; the ring lives as long as the head, which the file
        // owns.
        Some(established) => unsafe { established.ring.poll(file, table) },
        None => bindings::POLLERR,
    }
}

/// The `flush()` of the device: a process closes a descriptor of it.
///
/// # Safety
///
/// `file` must be a file of this device.
unsafe extern "C" fn flush(file: *mut bindings::file, _owner: bindings::fl_owner_t) -> c_int {
    // SAFETY: As in `poll`.
    let head = unsafe { <Arc<Head> as ForeignOwnable>::borrow((*file).private_data) };
    if head.established().is_ok() {
        head.close();
    }
    0
}

/// A `file_operations` in a static.
struct Operations(bindings::file_operations);

// SAFETY: Nobody writes to it.
unsafe impl Sync for Operations {}

const OPTIONS: MiscDeviceOptions = MiscDeviceOptions { name: c"syslet" };

/// What the kernel crate's abstraction provides, and the operation that it has no name for.
static OPERATIONS: Operations = Operations({
    // SAFETY: `into_raw` points it to a static.
    let mut operations = unsafe { *OPTIONS.into_raw::<Head>().fops };
    operations.poll = Some(poll);
    operations.flush = Some(flush);
    operations
});

/// The registered device.
///
/// # Invariants
///
/// `inner` is registered.
#[pin_data(PinnedDrop)]
pub struct Device {
    #[pin]
    inner: Opaque<bindings::miscdevice>,
}

// SAFETY: It may be deregistered from another thread than it was registered in.
unsafe impl Send for Device {}
// SAFETY: There is nothing to call on a shared reference.
unsafe impl Sync for Device {}

impl Device {
    /// Registers the device.
    pub fn register() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: Registered when this succeeds.
            inner <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                let mut device = OPTIONS.into_raw::<Head>();
                device.fops = &OPERATIONS.0;
                device.mode = MODE;
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(device) };
                // SAFETY: The device is initialised, and pinned until it is deregistered.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
        }? Error)
    }
}

#[pinned_drop]
impl PinnedDrop for Device {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}
