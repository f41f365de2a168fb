// SPDX-License-Identifier: GPL-2.0

//! The kernel's log: whether it complained since it was last asked.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// What a complaint begins with, most of the time; the lab has the whole list, and the last word.
const COMPLAINTS: [&str; 10] = [
    "[ cut here ]",
    "WARNING: ",
    "BUG: ",
    "Oops",
    "Kernel panic",
    "KASAN: ",
    "general protection fault",
    "INFO: task ",
    "rcu: INFO:",
    "rust_kernel: panicked",
];

/// The log, read as far as it goes.
pub struct KernelLog(File);

impl KernelLog {
    /// From now on.
    pub fn open() -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The first complaint since the last call, with what follows it.
    pub fn complaint(&mut self) -> io::Result<Option<String>> {
        let mut found: Option<String> = None;
        let mut record = [0; 8192];
        loop {
            let len = match self.0.read(&mut record) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(found),
                // Overwritten before it was read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => continue,
                Err(error) => return Err(error),
            };
            let text = String::from_utf8_lossy(&record[..len]);
            let text = text.split_once(';').map_or(&*text, |(_, text)| text);
            match &mut found {
                Some(found) if found.len() < 4000 => found.push_str(text),
                None if COMPLAINTS.iter().any(|start| text.contains(start)) => {
                    found = Some(format!("the kernel complained:\n{text}"));
                }
                _ => {}
            }
        }
    }
}
