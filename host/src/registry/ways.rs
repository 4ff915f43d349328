//! Which of a node's addresses lead there from here.

use std::ffi::CString;
use std::path::Path;

use super::{Address, Node, machine};

impl Node {
    /// Where this process can reach it, the best first: by sockets before all else, where it is on the
    /// same machine. They need no network, and no other machine has them.
    pub fn ways(&self) -> impl Iterator<Item = &Address> {
        // Who names no machine has been named by a person, who knows.
        let near = self.machine.as_deref().is_none_or(|its| machine() == Some(its));
        let sockets = self.addresses.iter().filter(move |address| near && matches!(address, Address::Unix(path) if may_connect(path)));
        sockets.chain(self.addresses.iter().filter(|address| !matches!(address, Address::Unix(_))))
    }
}

/// Whether this process may connect to a socket, if there is one. Without this, one of another user would be
/// tried first by each call that comes after a change.
fn may_connect(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
    // SAFETY: the path ends with a zero and lives as long as the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::registry::conformance::node;

    fn ways(machine: Option<&str>, addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        let node = Node { addresses, machine: machine.map(str::to_owned), ..node("a", 1) };
        node.ways().map(ToString::to_string).collect()
    }

    #[test]
    fn a_socket_of_this_machine_comes_first_and_one_of_another_is_no_way() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.sock");
        let _listener = UnixListener::bind(&path).expect("free");
        let socket = format!("unix:{}", path.display());
        let addresses = ["http://10.0.0.1:80", "http://10.0.0.2:80", &socket, "unix:/none/such.sock"];
        assert_eq!(ways(machine(), &addresses), [socket.as_str(), "http://10.0.0.1:80", "http://10.0.0.2:80"]);
        assert_eq!(ways(Some("another"), &addresses), ["http://10.0.0.1:80", "http://10.0.0.2:80"]);
    }

    #[test]
    fn a_socket_that_a_person_named_is_believed_where_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.sock");
        let _listener = UnixListener::bind(&path).expect("free");
        let socket = format!("unix:{}", path.display());
        assert_eq!(ways(None, &[&socket]), [socket.as_str()]);
        assert!(ways(None, &["unix:/none/such.sock"]).is_empty());
    }
}
