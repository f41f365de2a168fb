// SPDX-License-Identifier: GPL-2.0

//! Finding the regular files of a tree.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Regular files, sorted by path. Symbolic links are not followed.
    pub files: Vec<CString>,
    /// Directories that could not be looked into, and why.
    pub closed: Vec<(PathBuf, io::Error)>,
}

/// Finds the regular files at and below `root`.
///
/// Fails if `root` itself cannot be looked at.
pub fn regular_files(root: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    let kind = fs::metadata(root)?.file_type();
    if kind.is_file() {
        found.add(root.into());
        return Ok(found);
    }
    fs::read_dir(root)?;
    let mut left = vec![root.to_path_buf()];
    while let Some(directory) = left.pop() {
        if let Err(error) = look_into(&directory, &mut found, &mut left) {
            found.closed.push((directory, error));
        }
    }
    found.files.sort_unstable();
    Ok(found)
}

impl Found {
    fn add(&mut self, path: PathBuf) {
        // The kernel's own names have no zero byte.
        self.files
            .extend(CString::new(path.into_os_string().into_vec()));
    }
}

fn look_into(directory: &Path, found: &mut Found, left: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            left.push(entry.path());
        } else if kind.is_file() {
            found.add(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        fs::create_dir_all(path("b/c")).unwrap();
        fs::write(path("b/c/2"), "").unwrap();
        fs::write(path("a"), "").unwrap();
        std::os::unix::fs::symlink("a", path("link")).unwrap();
        std::os::unix::fs::symlink(".", path("loop")).unwrap();

        let found = regular_files(dir.path()).unwrap();
        let names: Vec<_> = found
            .files
            .iter()
            .map(|path| path.to_str().unwrap().rsplit('/').next().unwrap())
            .collect();
        assert_eq!(names, ["a", "2"]);
        assert!(found.closed.is_empty());
        assert_eq!(regular_files(&path("a")).unwrap().files.len(), 1);
        assert!(regular_files(&path("nothing")).is_err());
    }
}
