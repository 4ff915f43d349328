//! The door of a host: a Unix socket by which the user that the host runs as looks into it and changes
//! it. Nobody else can reach it, so it asks for no token. docs/admin.md tells users where it is.

use std::io;
use std::path::{Path, PathBuf};

mod folder;
mod serve;

use crate::sockets::{Rights, Socket, SocketError};

pub use folder::{Found, find};
pub use serve::Door;

/// The name that a host's socket has behind the host's own.
const SUFFIX: &str = ".sock";

/// Commands that wait to be accepted.
const BACKLOG: i32 = 128;

/// The socket of a host in the folder that the user's hosts share, under this name or, without one, under
/// the process id.
pub fn open(name: Option<&str>) -> Result<Socket, DoorError> {
    let folder = folder::usual()?;
    // So that a machine on which hosts crash does not fill up with their sockets.
    folder::sweep(&folder);
    let name = name.map_or_else(|| std::process::id().to_string(), str::to_owned);
    open_at(&folder.join(format!("{name}{SUFFIX}")))
}

/// The socket of a host at this path: its user's alone, whatever folder it is in.
pub fn open_at(path: &Path) -> Result<Socket, DoorError> {
    Ok(Socket::open(path, Rights::User, BACKLOG)?)
}

/// A door that cannot be opened or looked for.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The folder of the sockets is not the user's alone.
    #[error("{path} {what}, so what is in it cannot be trusted: {advice}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The folder cannot be made or read, or nothing can be put into it.
    #[error(
        "cannot use the folder {path} for the admin socket: {source}; name another place with --admin-socket PATH, or do without with --no-admin"
    )]
    Place {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another host has the socket.
    #[error("a host listens at {path} already: stop it, or give this one another name with --admin-name NAME")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in the socket's place.
    #[error("{path} exists and is no socket: name another place with --admin-socket PATH")]
    NoSocket {
        /// What is there.
        path: PathBuf,
    },
    /// The path is longer than the system takes.
    #[error("{path} has {} bytes, and a socket's path at most {most}: name a shorter one with --admin-socket PATH", .path.as_os_str().len())]
    Long {
        /// The path.
        path: PathBuf,
        /// The most bytes.
        most: usize,
    },
    /// The socket cannot be listened at.
    #[error("cannot listen at {path}: {source}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<SocketError> for DoorError {
    fn from(error: SocketError) -> DoorError {
        match error {
            SocketError::Taken { path } => DoorError::Taken { path },
            SocketError::NoSocket { path } => DoorError::NoSocket { path },
            SocketError::Long { path, most } => DoorError::Long { path, most },
            SocketError::Place { path, source } => DoorError::Place { path, source },
            SocketError::Listen { path, source } => DoorError::Listen { path, source },
        }
    }
}
