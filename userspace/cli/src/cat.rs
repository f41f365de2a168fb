// SPDX-License-Identifier: GPL-2.0

//! `syslet cat`: files to standard output.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use syslet::Head;

use crate::reader::Reader;

/// Which files.
#[derive(clap::Args)]
pub struct Args {
    /// The files, in this order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// How many files one entry into the kernel reads the beginnings of.
const BATCH: usize = 8;

/// Writes them; `false` if one could not be read.
pub fn main(head: &Head, args: &Args) -> Result<bool> {
    let paths: Vec<_> = args
        .files
        .iter()
        .map(|path| CString::new(path.clone().into_os_string().into_vec()))
        .collect::<Result<_, _>>()
        .context("a path with a zero byte in it")?;
    let mut all_read = true;
    let mut out = io::stdout().lock();
    let mut reader = Reader::new(head, BATCH.min(paths.len()));
    reader.read(
        &paths,
        |_, bytes| Ok(out.write_all(bytes)?),
        |file, result| {
            if let Err(error) = result {
                all_read = false;
                eprintln!("syslet: {}: {error}", args.files[file].display());
            }
            Ok(())
        },
    )?;
    out.flush()?;
    Ok(all_read)
}
