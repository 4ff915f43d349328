//! A file system of a test's own that can hang: one in a file, which the kernel can be told to freeze.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How large it is.
const BYTES: u64 = 16 << 20;

/// A mounted file system, gone when it is dropped.
pub struct Volume {
    folder: TempDir,
    mounted: PathBuf,
}

impl Volume {
    /// An empty one. In CI it has to be; elsewhere `None` says that its test cannot run, and has said why.
    pub fn new() -> Option<Volume> {
        let folder = TempDir::new().expect("a temporary folder");
        let (image, mounted) = (folder.path().join("image"), folder.path().join("mounted"));
        let made = std::fs::create_dir(&mounted)
            .and_then(|()| std::fs::File::create(&image)?.set_len(BYTES))
            .map_err(|error| error.to_string())
            .and_then(|()| run("mkfs.ext4", &["-q".as_ref(), image.as_ref()]))
            .and_then(|()| run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), mounted.as_ref()]));
        if let Err(why) = made {
            let missing = format!("no file system in a file, which takes root, loop devices, mkfs.ext4 and mount: {why}");
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("not tested: {missing}");
            return None;
        }
        Some(Volume { folder, mounted })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Has whoever writes to it hang from now on.
    pub fn freeze(&self) -> Frozen<'_> {
        run("fsfreeze", &["--freeze".as_ref(), self.mounted.as_ref()]).expect("what can mount can freeze");
        Frozen(self)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a host may have it open for a moment longer.
        if let Err(why) = run("umount", &["--lazy".as_ref(), self.mounted.as_ref()]) {
            eprintln!("{} stays mounted: {why}", self.folder.path().display());
        }
    }
}

/// A volume that hangs until this is dropped.
pub struct Frozen<'a>(&'a Volume);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(why) = run("fsfreeze", &["--unfreeze".as_ref(), self.0.mounted.as_ref()]) {
            eprintln!("{} stays frozen: {why}", self.0.mounted.display());
        }
    }
}

fn run(program: &str, args: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())) }
}
