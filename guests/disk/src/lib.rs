//! Writes to a folder until it is refused: `std` does it by WASI 0.2, `later` by 0.3.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};

use exports::test::disk::disk::{Guest, Outcome};

mod later;

microhost_sdk::service!({ world: "test:disk/guest" });

/// What is written at once.
const PIECE: usize = 64 << 10;

struct Disk;

/// Does it again and again; what is added up is how much each time did.
fn all(times: impl Iterator<Item = io::Result<u64>>) -> Outcome {
    let mut done = 0;
    for time in times {
        match time {
            Ok(more) => done += more,
            Err(error) => return Outcome { done, error: format!("{:?}", error.kind()) },
        }
    }
    Outcome { done, error: String::new() }
}

fn once(result: io::Result<()>) -> Outcome {
    all([result.map(|()| 1)].into_iter())
}

/// The lengths of the pieces of so many bytes.
fn pieces(bytes: u64) -> impl Iterator<Item = usize> {
    (0..bytes).step_by(PIECE).map(move |from| usize::try_from(bytes - from).unwrap_or(PIECE).min(PIECE))
}

fn write(file: io::Result<File>, bytes: u64) -> Outcome {
    let mut file = match file {
        Ok(file) => file,
        Err(error) => return once(Err(error)),
    };
    all(pieces(bytes).map(|piece| file.write(&vec![7; piece]).map(|written| written as u64)))
}

fn sized(path: &str, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.set_len(size).map(|()| file)
}

impl Guest for Disk {
    fn append(path: String, bytes: u64) -> Outcome {
        write(OpenOptions::new().create(true).append(true).open(path), bytes)
    }

    fn write(path: String, offset: u64, bytes: u64) -> Outcome {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        write(file.and_then(|mut file| file.seek(SeekFrom::Start(offset)).map(|_| file)), bytes)
    }

    fn set_size(path: String, size: u64) -> Outcome {
        once(sized(&path, size).map(drop))
    }

    fn truncate(path: String) -> Outcome {
        once(File::create(path).map(drop))
    }

    fn grow_many(folder: String, files: u32, size: u64) -> Outcome {
        let mut held = Vec::new();
        let opened = all((0..files).map(|number| {
            held.push(File::create(format!("{folder}/{number}"))?);
            Ok(0)
        }));
        if !opened.error.is_empty() {
            return opened;
        }
        all(held.iter().map(|file| file.set_len(size).map(|()| 1)))
    }

    fn nameless(folder: String, files: u32, size: u64) -> Outcome {
        let mut held = Vec::new();
        all((0..files).map(|_| {
            let path = format!("{folder}/nameless");
            held.push(sized(&path, size)?);
            fs::remove_file(path).map(|()| 1)
        }))
    }

    fn replace(folder: String, times: u32, size: u64) -> Outcome {
        all((0..times).map(|_| {
            let next = format!("{folder}/next");
            sized(&next, size)?;
            fs::rename(next, format!("{folder}/it")).map(|()| 1)
        }))
    }

    fn create(folder: String, files: u32) -> Outcome {
        all((0..files).map(|number| File::create(format!("{folder}/{number}")).map(|_| 1)))
    }

    fn nest(folder: String, folders: u32) -> Outcome {
        let mut path = folder;
        all((0..folders).map(|_| {
            path.push_str("/d");
            fs::create_dir(&path).map(|()| 1)
        }))
    }

    fn link(path: String, other: String) -> Outcome {
        once(fs::hard_link(path, other))
    }

    fn remove(path: String) -> Outcome {
        once(fs::remove_file(path))
    }

    async fn append_later(path: String, bytes: u64) -> Outcome {
        later::write(&path, None, bytes).await
    }

    async fn write_later(path: String, offset: u64, bytes: u64) -> Outcome {
        later::write(&path, Some(offset), bytes).await
    }

    async fn set_size_later(path: String, size: u64) -> Outcome {
        later::set_size(&path, size).await
    }

    async fn truncate_later(path: String) -> Outcome {
        later::truncate(&path).await
    }

    async fn create_later(folder: String, files: u32) -> Outcome {
        later::create(&folder, files).await
    }

    async fn remove_later(path: String) -> Outcome {
        later::remove(&path).await
    }
}

export!(Disk);
