// SPDX-License-Identifier: GPL-2.0

//! Constants by name.

use nix::libc;

macro_rules! constants {
    ($($name:ident)*) => {
        /// Each constant's name and value, as an argument has it.
        const CONSTANTS: &[(&str, u64)] = &[
            // Negative ones have their sign extended, like any `int` argument.
            $((stringify!($name), u64::from_ne_bytes((libc::$name as i64).to_ne_bytes())),)*
            ("NULL", 0),
        ];
    };
}

constants! {
    AT_EACCESS AT_EMPTY_PATH AT_FDCWD AT_REMOVEDIR AT_SYMLINK_FOLLOW AT_SYMLINK_NOFOLLOW
    AF_INET AF_INET6 AF_NETLINK AF_UNIX
    CLOCK_BOOTTIME CLOCK_MONOTONIC CLOCK_REALTIME TIMER_ABSTIME
    EFD_CLOEXEC EFD_NONBLOCK EFD_SEMAPHORE
    EPOLLERR EPOLLET EPOLLHUP EPOLLIN EPOLLOUT EPOLL_CLOEXEC
    EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD
    F_DUPFD F_DUPFD_CLOEXEC F_GETFD F_GETFL F_GETPIPE_SZ F_OK F_SETFD F_SETFL F_SETPIPE_SZ
    FD_CLOEXEC
    FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE FALLOC_FL_ZERO_RANGE
    FUTEX_PRIVATE_FLAG FUTEX_WAIT FUTEX_WAKE
    GRND_NONBLOCK GRND_RANDOM
    LOCK_EX LOCK_NB LOCK_SH LOCK_UN
    MAP_ANONYMOUS MAP_FIXED MAP_POPULATE MAP_PRIVATE MAP_SHARED
    MFD_ALLOW_SEALING MFD_CLOEXEC
    MSG_DONTWAIT MSG_NOSIGNAL MSG_PEEK MSG_TRUNC MSG_WAITALL
    O_APPEND O_CLOEXEC O_CREAT O_DIRECT O_DIRECTORY O_DSYNC O_EXCL O_LARGEFILE O_NOATIME O_NOCTTY
    O_NOFOLLOW O_NONBLOCK O_PATH O_RDONLY O_RDWR O_SYNC O_TMPFILE O_TRUNC O_WRONLY
    POLLERR POLLHUP POLLIN POLLOUT
    PROT_EXEC PROT_NONE PROT_READ PROT_WRITE
    R_OK W_OK X_OK
    RENAME_EXCHANGE RENAME_NOREPLACE
    RWF_DSYNC RWF_NOWAIT RWF_SYNC
    SEEK_CUR SEEK_DATA SEEK_END SEEK_HOLE SEEK_SET
    SHUT_RD SHUT_RDWR SHUT_WR
    SOCK_CLOEXEC SOCK_DGRAM SOCK_NONBLOCK SOCK_SEQPACKET SOCK_STREAM SOL_SOCKET SO_REUSEADDR
    SPLICE_F_MORE SPLICE_F_MOVE SPLICE_F_NONBLOCK
    STATX_ALL STATX_BASIC_STATS STATX_SIZE
    STDERR_FILENO STDIN_FILENO STDOUT_FILENO
    S_IRGRP S_IROTH S_IRUSR S_IRWXG S_IRWXO S_IRWXU S_IWGRP S_IWOTH S_IWUSR S_IXGRP S_IXOTH S_IXUSR
    TFD_CLOEXEC TFD_NONBLOCK
}

/// The value of a constant.
pub fn value(name: &str) -> Option<u64> {
    let found = CONSTANTS.iter().find(|(known, _)| *known == name)?;
    Some(found.1)
}

/// The constant whose name is most like this one, if it is a slip away.
pub fn near(name: &str) -> Option<&'static str> {
    const SLIPS: usize = 2;

    let distances = CONSTANTS
        .iter()
        .map(|(known, _)| (distance(name, known), *known));
    let (distance, known) = distances.min()?;
    (distance <= SLIPS).then_some(known)
}

/// How many letters must be put in, taken out or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}
