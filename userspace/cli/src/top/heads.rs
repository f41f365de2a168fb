// SPDX-License-Identifier: GPL-2.0

//! The heads of the system, as `/proc/PID/fdinfo` tells of them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What a line of a head begins with.
const PREFIX: &str = "syslet-";
/// What a line begins with that counts calls whose programs could only block in the caller.
const FALLBACK: &str = "fallback-";

/// A descriptor of a head: those that share one show the same numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub pid: u32,
    pub fd: u32,
    /// The name of the process.
    pub comm: String,
    values: BTreeMap<String, u64>,
}

impl Head {
    /// The number in the line of this name; 0 where there is none.
    pub fn value(&self, name: &str) -> u64 {
        self.values.get(name).copied().unwrap_or(0)
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
    }

    /// Programs that ended in their caller.
    pub fn in_caller(&self) -> u64 {
        self.value("programs")
            .saturating_sub(self.value("handoffs"))
    }

    /// Cachemiss threads that run an atom at the moment.
    pub fn running(&self) -> u64 {
        self.value("in-flight")
            .saturating_sub(self.value("threads-blocked"))
    }

    /// How many calls had programs that could only block in the caller, by reason.
    pub fn fallbacks(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values()
            .filter_map(|(name, value)| Some((name.strip_prefix(FALLBACK)?, value)))
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The heads, by process and descriptor.
    pub heads: Vec<Head>,
    /// How many processes may not be looked at.
    pub closed: usize,
}

/// The lines of a head in an fdinfo; `None` if it is that of something else.
fn parse(text: &str) -> Option<BTreeMap<String, u64>> {
    let values: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| {
            let (name, value) = line.strip_prefix(PREFIX)?.split_once(':')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        })
        .collect();
    values.contains_key("setup").then_some(values)
}

/// Looks for heads below `proc`, in one process or in all.
pub fn find(proc: &Path, pid: Option<u32>) -> io::Result<Found> {
    let mut found = Found::default();
    let mut pids: Vec<u32> = match pid {
        Some(pid) => vec![pid],
        None => numbers(proc)?,
    };
    pids.sort_unstable();
    for process in pids {
        match find_in(&proc.join(process.to_string()), process) {
            Ok(heads) => found.heads.extend(heads),
            Err(error) if pid.is_some() => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.closed += 1,
            // It is gone.
            Err(_) => {}
        }
    }
    Ok(found)
}

fn find_in(dir: &Path, pid: u32) -> io::Result<Vec<Head>> {
    let mut fds = numbers(&dir.join("fdinfo"))?;
    fds.sort_unstable();
    let heads = fds.into_iter().filter_map(|fd| {
        let text = fs::read_to_string(dir.join("fdinfo").join(fd.to_string())).ok()?;
        let comm = || fs::read_to_string(dir.join("comm")).unwrap_or_default();
        // A process may call itself anything, and this goes to a terminal.
        let printable = |letter: char| if letter.is_control() { '?' } else { letter };
        Some(Head {
            pid,
            fd,
            values: parse(&text)?,
            comm: comm().trim_end().chars().map(printable).collect(),
        })
    });
    Ok(heads.collect())
}

/// The entries of a directory that are numbers.
fn numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        found.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok()),
        );
    }
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A head with these lines.
    pub fn head(pid: u32, lines: &str) -> Head {
        Head {
            pid,
            fd: 3,
            comm: "test".into(),
            values: parse(lines).unwrap(),
        }
    }

    #[test]
    fn lines_of_a_head() {
        let text = "pos:\t0\nflags:\t02\nsyslet-setup:\t1\nsyslet-programs:\t12\n\
                    syslet-handoffs:\t5\nsyslet-in-flight:\t3\nsyslet-threads-blocked:\t2\n\
                    syslet-fallback-limit:\t4\nsyslet-new-thing:\tword\n";
        let head = head(1, text);
        assert_eq!(head.value("programs"), 12);
        assert_eq!(head.value("pos"), 0);
        assert_eq!(head.in_caller(), 7);
        assert_eq!(head.running(), 1);
        assert_eq!(head.fallbacks().collect::<Vec<_>>(), [("limit", 4)]);
    }

    #[test]
    fn others_are_no_heads() {
        assert_eq!(parse("pos:\t0\neventfd-count: 3\n"), None);
        assert_eq!(parse(""), None);
        assert!(parse("syslet-setup:\t0\n").is_some());
    }

    #[test]
    fn a_proc_with_two_processes() {
        let proc = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = proc.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("12/comm", "with\x1bone\n");
        write("12/fdinfo/0", "pos:\t0\n");
        write("12/fdinfo/7", "syslet-setup:\t1\nsyslet-calls:\t9\n");
        write("9/fdinfo/1", "pos:\t0\n");
        write("self/fdinfo/7", "syslet-setup:\t1\n");
        let found = find(proc.path(), None).unwrap();
        assert_eq!(found.closed, 0);
        let [head] = &found.heads[..] else {
            panic!("{found:?}");
        };
        assert_eq!((head.pid, head.fd, head.comm.as_str()), (12, 7, "with?one"));
        assert_eq!(head.value("calls"), 9);
        assert!(find(proc.path(), Some(9)).unwrap().heads.is_empty());
        assert!(find(proc.path(), Some(13)).is_err());
    }
}
