//! The folder in which hosts have their sockets, and commands look for them. It belongs to one user,
//! and is believed only where nobody else could have put anything into it.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{DoorError, SUFFIX};
use crate::sockets::{is_alive, locked, remove};

/// Sockets that are looked at in one folder.
const MAX_HOSTS: usize = 256;

/// What the folder lets its user do, and nobody else anything.
const OWNER_ONLY: u32 = 0o700;

/// The sockets of the hosts that run.
#[derive(Debug, Default)]
pub struct Found {
    /// The sockets, sorted by path.
    pub sockets: Vec<PathBuf>,
    /// The folders that were not looked into, and why.
    pub refused: Vec<DoorError>,
}

/// Looks for the hosts of this user, and removes the sockets of those that died.
pub fn find() -> Found {
    let mut found = Found::default();
    for folder in folders() {
        match check(&folder) {
            Ok(true) => found.sockets.extend(sweep(&folder)),
            Ok(false) => {}
            Err(error) => found.refused.push(error),
        }
    }
    found
}

/// The folder that hosts of this user share, made where it is missing.
pub(super) fn usual() -> Result<PathBuf, DoorError> {
    let folder = folders().swap_remove(0);
    match DirBuilder::new().mode(OWNER_ONLY).create(&folder) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => return Err(DoorError::Place { path: folder, source }),
        _ => {}
    }
    match check(&folder)? {
        true => Ok(folder),
        false => Err(DoorError::Place { path: folder, source: ErrorKind::NotFound.into() }),
    }
}

/// Where sockets may be; the first is where new ones go. There are two, as a host that a service
/// manager started may not know of the folder that a login has.
fn folders() -> Vec<PathBuf> {
    let mine = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()).filter(mine);
    let shared = std::env::temp_dir().join(format!("microhost-{}", user()));
    runtime.map(|path| path.join("microhost")).into_iter().chain([shared]).collect()
}

/// The user that this process runs as.
pub(super) fn user() -> u32 {
    // SAFETY: `geteuid` takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether there is a folder; fails where somebody else could have put something into it.
fn check(folder: &Path) -> Result<bool, DoorError> {
    // Not followed: whoever made a link can change where it leads.
    let found = match fs::symlink_metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(DoorError::Place { path: folder.to_owned(), source }),
    };
    let refused = |what: String, advice: String| Err(DoorError::Folder { path: folder.to_owned(), what, advice });
    let remove = "remove it, or name another place with --admin-socket PATH (for commands, --host PATH)".to_owned();
    if !found.is_dir() {
        return refused("is no folder".to_owned(), remove);
    }
    if found.uid() != user() {
        return refused(format!("belongs to user {} and not to user {}", found.uid(), user()), remove);
    }
    let mode = found.mode() & 0o777;
    if mode & !OWNER_ONLY != 0 {
        return refused(format!("is open to other users (mode {mode:03o})"), format!("chmod 700 {}", folder.display()));
    }
    Ok(true)
}

/// The sockets of a folder that somebody listens at. Those of the dead are removed.
pub(super) fn sweep(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_socket = |path: &PathBuf| {
        path.to_string_lossy().ends_with(SUFFIX) && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_socket).take(MAX_HOSTS).collect();
    paths.retain(|path| {
        let alive = is_alive(path);
        if !alive {
            // What cannot be removed now is found dead the next time too.
            let _ = locked(folder, || if is_alive(path) { Ok(()) } else { remove(path) });
        }
        alive
    });
    paths.sort_unstable();
    paths
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::super::open_at;
    use super::*;

    #[test]
    fn a_folder_with_wide_rights_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let error = check(folder.path()).expect_err("wide").to_string();
        assert!(error.contains("mode 755") && error.contains(&format!("chmod 700 {}", folder.path().display())), "{error}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("it is ours");
        assert!(check(folder.path()).expect("narrow"));
    }

    #[test]
    fn a_folder_of_another_user_and_a_link_are_refused() {
        let own = tempfile::tempdir().expect("a temporary folder");
        let link = own.path().join("link");
        std::os::unix::fs::symlink(own.path(), &link).expect("a link");
        assert!(check(&link).expect_err("a link").to_string().contains("is no folder"));
        assert!(!check(&own.path().join("none")).expect("nothing there"));
        // Every system has one folder of root's, and the tests may run as root.
        if user() != 0 {
            assert!(check(Path::new("/")).expect_err("root's").to_string().contains("belongs to user 0"));
        }
    }

    #[test]
    fn the_dead_are_swept_and_the_living_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        drop(UnixListener::bind(folder.path().join("dead.sock")).expect("free"));
        fs::write(folder.path().join("note.sock"), "no socket").expect("a file");
        let living = open_at(&folder.path().join("living.sock")).expect("free");
        assert_eq!(sweep(folder.path()), [living.path()]);
        assert!(!folder.path().join("dead.sock").exists() && folder.path().join("note.sock").exists());
    }
}
