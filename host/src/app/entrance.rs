//! The socket of the host's door: taken before anything is served, so that a host which was asked for
//! one and cannot have it does not start.

use crate::admin::door::{self, DoorError};
use crate::settings::HostName;
use crate::sockets::Socket;

use super::Entrance;

/// The socket, where there is to be one.
///
/// Fails where a place or a name was asked for that cannot be had.
pub fn socket(entrance: &Entrance, name: Option<&HostName>) -> Result<Option<Socket>, DoorError> {
    match entrance {
        Entrance::Shut => Ok(None),
        Entrance::At(path) => door::open_at(path).map(Some),
        Entrance::Usual => match door::open(name.map(HostName::as_str)) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if name.is_some() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "commands such as `microhost services` cannot reach this host");
                Ok(None)
            }
        },
    }
}
