//! Unix sockets that are listened at: taken from a dead host where need be, never from a living one, and
//! gone with their host.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket as Raw, Type};

/// Who may connect to a socket, beside the superuser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The user of this process.
    User,
    /// The user of this process and the group of the socket's file.
    Group,
}

impl Rights {
    fn mode(self) -> u16 {
        match self {
            Rights::User => 0o600,
            Rights::Group => 0o660,
        }
    }
}

/// A socket that cannot be listened at.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another host has it.
    #[error("a host listens at {path} already")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in its place.
    #[error("{path} exists and is no socket")]
    NoSocket {
        /// What is there.
        path: PathBuf,
    },
    /// The path is longer than the system takes.
    #[error("{path} has {} bytes, and a socket's path at most {most}", .path.as_os_str().len())]
    Long {
        /// The path.
        path: PathBuf,
        /// The most bytes.
        most: usize,
    },
    /// Nothing can be put into its folder.
    #[error("cannot use the folder {path} for a socket: {source}")]
    Place {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be listened at.
    #[error("cannot listen at {path}: {source}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The longest path of a socket: `sun_path` without the zero at its end.
const MAX_PATH: usize = size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

/// A socket that is listened at. Dropping it removes it.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// The file's device and number, so that nothing is removed that another host put there.
    file: (u64, u64),
}

impl Socket {
    /// Listens at this path, with as many connections that wait to be accepted as `backlog` says. The socket
    /// has these rights, whatever folder it is in.
    pub fn open(path: &Path, rights: Rights, backlog: i32) -> Result<Socket, SocketError> {
        let path = std::path::absolute(path).map_err(|source| SocketError::Listen { path: path.to_owned(), source })?;
        if path.as_os_str().len() > MAX_PATH {
            return Err(SocketError::Long { path, most: MAX_PATH });
        }
        let folder = path.parent().unwrap_or(&path).to_owned();
        let mut refused = None;
        let bound = locked(&folder, || {
            refused = make_room(&path)?;
            if refused.is_some() { Err(ErrorKind::AddrInUse.into()) } else { bind(&path, rights, backlog) }
        });
        match (bound, refused) {
            (Ok((listener, file)), _) => Ok(Socket { listener, path, file }),
            (Err(_), Some(refused)) => Err(refused),
            (Err(source), None)
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
            {
                Err(SocketError::Place { path: folder, source })
            }
            (Err(source), None) => Err(SocketError::Listen { path, source }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What accepts, in non-blocking mode.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(folder) = self.path.parent() else { return };
        // What cannot be removed is found dead by whoever looks next.
        let _ = locked(folder, || if file(&self.path)? == self.file { remove(&self.path) } else { Ok(()) });
    }
}

/// Removes what a dead host left; why it cannot, where something else is there.
fn make_room(path: &Path) -> io::Result<Option<SocketError>> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Ok(Some(SocketError::NoSocket { path })),
        Ok(_) if is_alive(&path) => Ok(Some(SocketError::Taken { path })),
        Ok(_) => remove(&path).map(|()| None),
    }
}

fn bind(path: &Path, rights: Rights, backlog: i32) -> io::Result<(UnixListener, (u64, u64))> {
    let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux makes the file with the rights that the socket has, so that there is no moment in which
    // others could connect; elsewhere this may fail, and the rights are set below.
    // SAFETY: the descriptor is open as long as `socket`; the call takes plain numbers.
    let _ = unsafe { libc::fchmod(socket.as_raw_fd(), rights.mode().into()) };
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(rights.mode().into()))?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from(std::os::fd::OwnedFd::from(socket)), file(path)?))
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Removes a socket's file, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether somebody listens at a socket. Where that cannot be told, it counts as if somebody did.
pub fn is_alive(path: &Path) -> bool {
    let tried = || -> io::Result<()> {
        let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
        // Whoever has a full queue is alive, and not waited for.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    !tried().is_err_and(|error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound))
}

/// Does something while no other host or command puts a socket into the folder or takes one away. A
/// socket that is bound and not listened at yet looks as if its host were dead.
pub fn locked<T>(folder: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let lock = File::open(folder)?;
    lock.lock()?;
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_at(path: &Path) -> Result<Socket, SocketError> {
        Socket::open(path, Rights::User, 1)
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn a_socket_has_its_rights_and_is_gone_with_its_host() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        for (rights, mode) in [(Rights::User, 0o600), (Rights::Group, 0o660)] {
            let socket = Socket::open(&path, rights, 1).expect("free");
            assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, mode);
            assert!(is_alive(&path));
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_dead_host_s_socket_is_taken_and_a_living_one_s_is_not() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).expect("free"));
        assert!(path.exists() && !is_alive(&path));
        let living = open_at(&path).expect("its host is dead");
        assert!(matches!(open_at(&path), Err(SocketError::Taken { .. })));
        drop(living);
    }

    #[test]
    fn what_is_no_socket_and_what_is_too_long_is_refused() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        fs::write(&path, "mine").expect("a file");
        assert!(matches!(open_at(&path), Err(SocketError::NoSocket { .. })));
        assert!(matches!(open_at(&folder.path().join("x".repeat(120))), Err(SocketError::Long { .. })));
        assert!(matches!(open_at(&folder.path().join("none/a.sock")), Err(SocketError::Place { .. })));
    }

    #[test]
    fn a_socket_that_another_host_put_there_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        let first = open_at(&path).expect("free");
        fs::remove_file(&path).expect("ours");
        let second = open_at(&path).expect("free");
        drop(first);
        assert!(is_alive(&path));
        drop(second);
    }
}
