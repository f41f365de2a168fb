// SPDX-License-Identifier: GPL-2.0

//! Opens, measures, reads and closes a file in one entry into the kernel.
//!
//! `cargo run --example hello -- /etc/hostname`, as a user who may open /dev/syslet.

use std::error::Error;
use std::io::Write;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use syslet::{Alloc, Head, Program, CWD};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1);
    let path = path.as_deref().unwrap_or("/etc/hostname");

    let head = Head::open()?;
    let mut buf = [0; 4096];

    let mut p = Program::new();
    let fd = p.openat(CWD, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let stat = p.fstat(&fd, Alloc)?;
    let read = p.read(&fd, &mut buf)?;
    // By default a call that fails ends the program; here the file is closed all the same.
    p.carry_on(&read)?;
    p.close(fd)?;

    let mut outcome = head.run(&mut p)?;
    let len = outcome.get(&read)?;
    let size = outcome.take(&stat)?.st_size;
    eprintln!(
        "{path}: {len} of {size} bytes, {} calls, {} entry",
        outcome.ran(),
        head.entered()
    );
    std::io::stdout().write_all(&buf[..len])?;
    Ok(())
}
