// SPDX-License-Identifier: GPL-2.0

//! `syslet run`: programs as they are written.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{bail, Context, Result};
use nix::errno::Errno;
use serde_json::{json, Value};
use syslet::Head;

use crate::lang::{self, Buffer};

/// What to run, and how to show what came of it.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Programs, one an argument
    #[arg(required_unless_present = "file", value_name = "PROGRAM")]
    programs: Vec<String>,
    /// A file of programs, one a line; - is standard input
    #[arg(short, long, conflicts_with = "programs")]
    file: Option<PathBuf>,
    /// Show what is in the buffers, as text
    #[arg(long)]
    text: bool,
    /// Show what is in the buffers, byte by byte
    #[arg(long)]
    hex: bool,
    /// Everything, as JSON; buffers in hexadecimal, or with --text as text
    #[arg(long)]
    json: bool,
}

const HELP: &str = r#"A program is a line of system calls:

  openat(AT_FDCWD, "/etc/hostname", O_RDONLY); read($0, buf[64], 64); close($0)

  $0, $1 ...      the result of an atom, counted from 0; or $fd, after fd = openat(...)
  buf[64]         a new buffer; later on just buf
  "text"          its address, with a zero byte behind it
  {1, 500000000}  the address of 64-bit words, such as a struct timespec
  A | B           numbers and constants (O_*, AT_*, S_I*, AF_*, SOCK_*, MSG_*, ...) joined

A call that fails ends the program. Behind a call may stand another condition:

  stop if < 0     or <= 0, == 0, != 0: end the program
  skip 2 if == 0  jump over the next two calls
  carry on        go on whatever the result

The calls act on this very process, as plain system calls would."#;

/// Why nobody can look into a result that is not there.
const NOT_RUN: &str = "not run";

/// Runs and shows; `false` if a program ended with a failing call.
pub fn main(args: &Args, head: impl FnOnce() -> Result<Head>) -> Result<bool> {
    let source = source(args)?;
    let programs = match lang::parse(&source) {
        Ok(programs) => programs,
        Err(mistake) => bail!("{}", mistake.in_source(&source)),
    };
    if programs.is_empty() {
        bail!("there is no program");
    }
    let (mut running, mut memories) = (Vec::new(), Vec::new());
    for program in &programs {
        let ready = lang::lower(program)?;
        running.push(ready.program);
        memories.push(ready.memory);
    }
    head()?.run_all(&mut running)?;

    let mut reports = Vec::new();
    for (program, memory) in running.iter_mut().zip(&memories) {
        let names: Vec<_> = program.names().collect();
        let outcome = program.outcome().context("a program did not run")?;
        reports.push(Report {
            atoms: names.into_iter().zip(outcome.results()).collect(),
            last: outcome.last(),
            result: outcome.result(),
            buffers: &memory.buffers,
        });
    }
    let mut out = io::stdout().lock();
    if args.json {
        let programs: Vec<_> = reports
            .iter()
            .map(|report| report.json(args.text))
            .collect();
        serde_json::to_writer_pretty(&mut out, &json!({ "programs": programs }))?;
        writeln!(out)?;
    } else {
        for (index, report) in reports.iter().enumerate() {
            if reports.len() > 1 {
                writeln!(out, "program {index}")?;
            }
            report.write(&mut out, args)?;
        }
    }
    Ok(reports.iter().all(|report| errno(report.result).is_none()))
}

fn source(args: &Args) -> Result<String> {
    let Some(path) = &args.file else {
        return Ok(args.programs.join("\n"));
    };
    let mut text = String::new();
    if path.as_os_str() == "-" {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    }
    Ok(text)
}

/// The error number in a return value.
fn errno(result: i64) -> Option<Errno> {
    let number = (-4095..0).contains(&result).then(|| -result)?;
    i32::try_from(number).ok().map(Errno::from_raw)
}

/// What became of one program.
struct Report<'a> {
    atoms: Vec<(&'static str, Option<i64>)>,
    last: usize,
    result: i64,
    buffers: &'a [Buffer],
}

impl Report<'_> {
    /// What is in a buffer: as much as the call returned that it is written in, or up to the
    /// last byte that is not zero.
    fn content<'b>(&self, buffer: &'b Buffer) -> &'b [u8] {
        let returned = self.atoms.get(buffer.atom).and_then(|(_, result)| *result);
        let returned = usize::try_from(returned.unwrap_or(0)).unwrap_or(0);
        let written = buffer.bytes.iter().rposition(|byte| *byte != 0);
        let written = written.map_or(0, |at| at + 1);
        if returned > buffer.bytes.len() {
            return &buffer.bytes[..written];
        }
        &buffer.bytes[..returned.max(written)]
    }

    fn json(&self, text: bool) -> Value {
        let atoms: Vec<_> = self
            .atoms
            .iter()
            .map(|(name, result)| {
                let errno = result.and_then(errno).map(|errno| format!("{errno:?}"));
                json!({ "call": name, "result": result, "errno": errno })
            })
            .collect();
        let buffers: Vec<_> = self
            .buffers
            .iter()
            .map(|buffer| {
                let content = self.content(buffer);
                let (key, value) = if text {
                    ("text", String::from_utf8_lossy(content).into_owned())
                } else {
                    ("hex", plain_hex(content))
                };
                json!({ "name": buffer.name, "atom": buffer.atom, key: value })
            })
            .collect();
        json!({ "last": self.last, "result": self.result, "atoms": atoms, "buffers": buffers })
    }

    fn write(&self, out: &mut impl Write, args: &Args) -> io::Result<()> {
        writeln!(out, "{:>4}  {:<20} {:>12}", "atom", "call", "result")?;
        for (index, (name, result)) in self.atoms.iter().enumerate() {
            let Some(result) = result else {
                writeln!(out, "{index:>4}  {name:<20} {NOT_RUN:>12}")?;
                continue;
            };
            write!(out, "{index:>4}  {name:<20} {result:>12}")?;
            match errno(*result) {
                Some(errno) => writeln!(out, "  {errno}")?,
                None => writeln!(out)?,
            }
        }
        for buffer in self.buffers {
            let content = self.content(buffer);
            let (name, atom, len) = (&buffer.name, buffer.atom, content.len());
            if args.text || args.hex {
                writeln!(out, "{name} (atom {atom}), {len} bytes:")?;
            }
            if args.text {
                let text = String::from_utf8_lossy(content);
                writeln!(out, "{}", text.strip_suffix('\n').unwrap_or(&text))?;
            }
            if args.hex {
                out.write_all(dump(content).as_bytes())?;
            }
        }
        Ok(())
    }
}

fn plain_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes anything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes as `hexdump -C` shows them.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, bytes) in bytes.chunks(16).enumerate() {
        let mut hex = String::new();
        for (column, byte) in bytes.iter().enumerate() {
            // A string takes anything.
            let _ = write!(hex, "{}{byte:02x}", if column == 8 { "  " } else { " " });
        }
        let printable = |byte: &u8| matches!(byte, b' '..=b'~').then_some(char::from(*byte));
        let ascii: String = bytes.iter().map(|b| printable(b).unwrap_or('.')).collect();
        let _ = writeln!(text, "{:08x} {hex:<49}  |{ascii}|", row * 16);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_look_like_those_of_hexdump() {
        let bytes: Vec<u8> = (b'A'..b'A' + 17).chain([0]).collect();
        let expected = "\
00000000  41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  |ABCDEFGHIJKLMNOP|
00000010  51 00                                             |Q.|
";
        assert_eq!(dump(&bytes), expected);
        assert_eq!(plain_hex(&bytes[15..]), "505100");
    }

    fn report(result: i64, bytes: &[u8]) -> Vec<u8> {
        let buffer = Buffer {
            name: "b".into(),
            atom: 0,
            bytes: bytes.to_vec(),
        };
        let report = Report {
            atoms: vec![("read", Some(result))],
            last: 0,
            result,
            buffers: &[],
        };
        report.content(&buffer).to_vec()
    }

    #[test]
    fn what_a_buffer_holds() {
        assert_eq!(report(3, &[1, 0, 0, 0]), [1, 0, 0]);
        assert_eq!(report(0, &[1, 0, 2, 0]), [1, 0, 2]);
        assert!(report(-5, &[0; 4]).is_empty());
        assert_eq!(report(9, &[7, 0]), [7]);
    }

    #[test]
    fn error_numbers() {
        assert_eq!(errno(-2), Some(Errno::ENOENT));
        assert_eq!(errno(0), None);
        assert_eq!(errno(-4096), None);
        assert_eq!(errno(i64::MIN), None);
    }
}
