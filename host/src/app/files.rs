//! Open files: a service keeps the one that its code is mapped from, and a connection is one too. Many
//! systems let a program have 1,024 unless it asks for more, for the sake of programs that use `select`.

use std::io;

/// Lets this process open as many files as the system allows it.
pub fn open_as_many_as_allowed() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read and write the struct that they are given.
    let done = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
