//! A file system of a test's own that can hang: one in a file, which the kernel can be told to freeze.
//!
//! What a test leaves behind that was killed, frozen as it may be, is swept by the next one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use tempfile::TempDir;

/// How large it is.
const BYTES: u64 = 16 << 20;

/// What the names of the folders begin with; the id of the process follows, and a hyphen.
const PREFIX: &str = "microhost-volume-";

/// The file system, and where it is mounted, in its folder.
const IMAGE: &str = "image";
const MOUNTED: &str = "mounted";

/// A mounted file system, gone when it is dropped.
pub struct Volume {
    folder: TempDir,
    mounted: PathBuf,
}

impl Volume {
    /// An empty one. In CI it has to be; elsewhere `None` says that its test cannot run, and has said why.
    pub fn new() -> Option<Volume> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        Volume::of(std::process::id())
    }

    /// One that this process owns.
    fn of(process: u32) -> Option<Volume> {
        let folder = tempfile::Builder::new().prefix(&format!("{PREFIX}{process}-")).tempdir().expect("a temporary folder");
        let (image, mounted) = (folder.path().join(IMAGE), folder.path().join(MOUNTED));
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

/// Takes away the volumes of processes that are gone.
fn sweep() {
    let Ok(folders) = std::fs::read_dir(std::env::temp_dir()) else { return };
    let left = folders.filter_map(|entry| Some(entry.ok()?.path())).filter(|folder| is_left(folder));
    for folder in left {
        let (image, mounted) = (folder.join(IMAGE), folder.join(MOUNTED));
        // How far the process came is not known: what is not frozen, mounted or attached fails, and is as it should be.
        let _ = run("fsfreeze", &["--unfreeze".as_ref(), mounted.as_ref()]);
        let _ = run("umount", &["--lazy".as_ref(), mounted.as_ref()]);
        for device in devices(&image) {
            let _ = run("losetup", &["--detach".as_ref(), device.as_ref()]);
        }
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => println!("{} was left behind by a process that is gone, and is swept", folder.display()),
            Err(why) => eprintln!("{} was left behind by a process that is gone, and stays: {why}", folder.display()),
        }
    }
}

/// Whether a folder is of a process that is gone.
fn is_left(folder: &Path) -> bool {
    let name = folder.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix(PREFIX));
    let process = name.and_then(|name| name.split_once('-')?.0.parse::<u32>().ok());
    process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
}

/// The loop devices that have an image.
fn devices(image: &Path) -> Vec<PathBuf> {
    let Ok(blocks) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let names = blocks.filter_map(|entry| Some(entry.ok()?.file_name()));
    let has = |name: &std::ffi::OsString| {
        let file = Path::new("/sys/block").join(name).join("loop/backing_file");
        std::fs::read_to_string(file).is_ok_and(|backing| Path::new(backing.trim_end()) == image)
    };
    names.filter(has).map(|name| Path::new("/dev").join(name)).collect()
}

fn run(program: &str, args: &[&OsStr]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_left_behind_that_is_gone_is_swept_and_nothing_else() {
        let mut gone = Command::new("true").spawn().expect("a process");
        gone.wait().expect("its end");
        let (Some(left), Some(mine)) = (Volume::of(gone.id()), Volume::of(std::process::id())) else { return };
        let folder = left.folder.path().to_owned();
        assert!(is_left(&folder) && !is_left(mine.folder.path()) && devices(&folder.join(IMAGE)).len() == 1);
        // As it is for a process that was killed.
        std::mem::forget(left.freeze());
        std::mem::forget(left);
        sweep();
        assert!(!folder.exists() && devices(&folder.join(IMAGE)).is_empty());
        std::fs::write(mine.path().join("file"), "text").expect("the other one is as it was");
    }
}
