//! The socket of one host: taken from a dead host where need be, never from a living one, and gone
//! with the host.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket as Raw, Type};

use super::folder::{locked, sweep, usual};
use super::{DoorError, SUFFIX};

/// What the socket lets its user do, and nobody else anything.
const OWNER_ONLY: u16 = 0o600;

/// Commands that wait to be accepted.
const BACKLOG: i32 = 128;

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
    /// Listens in the folder that the user's hosts share, under this name or, without one, under the
    /// process id.
    pub fn open(name: Option<&str>) -> Result<Socket, DoorError> {
        let folder = usual()?;
        // So that a machine on which hosts crash does not fill up with their sockets.
        sweep(&folder);
        let name = name.map_or_else(|| std::process::id().to_string(), str::to_owned);
        Socket::open_at(&folder.join(format!("{name}{SUFFIX}")))
    }

    /// Listens at this path. The socket is its user's alone, whatever folder it is in.
    pub fn open_at(path: &Path) -> Result<Socket, DoorError> {
        let path = std::path::absolute(path).map_err(|source| DoorError::Listen { path: path.to_owned(), source })?;
        if path.as_os_str().len() > MAX_PATH {
            return Err(DoorError::Long { path, most: MAX_PATH });
        }
        let folder = path.parent().unwrap_or(&path).to_owned();
        let mut refused = None;
        let bound = locked(&folder, || {
            refused = make_room(&path)?;
            if refused.is_some() { Err(ErrorKind::AddrInUse.into()) } else { bind(&path) }
        });
        match (bound, refused) {
            (Ok((listener, file)), _) => Ok(Socket { listener, path, file }),
            (Err(_), Some(refused)) => Err(refused),
            (Err(source), None)
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
            {
                Err(DoorError::Place { path: folder, source })
            }
            (Err(source), None) => Err(DoorError::Listen { path, source }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn listener(&self) -> io::Result<UnixListener> {
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
fn make_room(path: &Path) -> io::Result<Option<DoorError>> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Ok(Some(DoorError::NoSocket { path })),
        Ok(_) if is_alive(&path) => Ok(Some(DoorError::Taken { path })),
        Ok(_) => remove(&path).map(|()| None),
    }
}

fn bind(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux makes the file with the rights that the socket has, so that there is no moment in which
    // others could connect; elsewhere this may fail, and the rights are set below.
    // SAFETY: the descriptor is open as long as `socket`; the call takes plain numbers.
    let _ = unsafe { libc::fchmod(socket.as_raw_fd(), OWNER_ONLY.into()) };
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY.into()))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from(std::os::fd::OwnedFd::from(socket)), file(path)?))
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether somebody listens at a socket. Where that cannot be told, it counts as if somebody did.
pub(super) fn is_alive(path: &Path) -> bool {
    let tried = || -> io::Result<()> {
        let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
        // Whoever has a full queue is alive, and not waited for.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    !tried().is_err_and(|error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn a_socket_is_its_user_s_alone_and_gone_with_its_host() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        let socket = Socket::open_at(&path).expect("free");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert!(is_alive(&path));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_host_s_socket_is_taken_and_a_living_one_s_is_not() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).expect("free"));
        assert!(path.exists() && !is_alive(&path));
        let living = Socket::open_at(&path).expect("its host is dead");
        assert!(matches!(Socket::open_at(&path), Err(DoorError::Taken { .. })));
        drop(living);
    }

    #[test]
    fn the_dead_are_swept_and_the_living_told() {
        let folder = folder();
        drop(UnixListener::bind(folder.path().join("dead.sock")).expect("free"));
        fs::write(folder.path().join("note.sock"), "no socket").expect("a file");
        let living = Socket::open_at(&folder.path().join("living.sock")).expect("free");
        assert_eq!(sweep(folder.path()), [living.path()]);
        assert!(!folder.path().join("dead.sock").exists() && folder.path().join("note.sock").exists());
    }

    #[test]
    fn what_is_no_socket_and_what_is_too_long_is_refused() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        fs::write(&path, "mine").expect("a file");
        assert!(matches!(Socket::open_at(&path), Err(DoorError::NoSocket { .. })));
        assert!(matches!(Socket::open_at(&folder.path().join("x".repeat(120))), Err(DoorError::Long { .. })));
        assert!(matches!(Socket::open_at(&folder.path().join("none/a.sock")), Err(DoorError::Place { .. })));
    }

    #[test]
    fn a_socket_that_another_host_put_there_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("a.sock");
        let first = Socket::open_at(&path).expect("free");
        fs::remove_file(&path).expect("ours");
        let second = Socket::open_at(&path).expect("free");
        drop(first);
        assert!(is_alive(&path));
        drop(second);
    }
}
