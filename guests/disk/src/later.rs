//! The same by WASI 0.3, which Rust's `std` does not use yet.

use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip3::wit_stream;

use crate::exports::test::disk::disk::Outcome;
use crate::pieces;

fn failed(done: u64, error: &ErrorCode) -> Outcome {
    Outcome { done, error: format!("{error:?}") }
}

fn once(result: Result<(), ErrorCode>) -> Outcome {
    match result {
        Ok(()) => Outcome { done: 1, error: String::new() },
        Err(error) => failed(0, &error),
    }
}

/// The granted folder that a path begins with, and the rest of the path.
fn split(path: &str) -> Result<(Descriptor, String), ErrorCode> {
    let of = |(folder, name): (Descriptor, String)| {
        let rest = path.strip_prefix(&name)?.strip_prefix('/')?.to_owned();
        Some((folder, rest))
    };
    get_directories().into_iter().find_map(of).ok_or(ErrorCode::NoEntry)
}

async fn open(path: &str, how: OpenFlags) -> Result<Descriptor, ErrorCode> {
    let (folder, rest) = split(path)?;
    folder.open_at(PathFlags::empty(), rest, how, DescriptorFlags::WRITE).await
}

pub async fn write(path: &str, offset: Option<u64>, bytes: u64) -> Outcome {
    let file = match open(path, OpenFlags::CREATE).await {
        Ok(file) => file,
        Err(error) => return failed(0, &error),
    };
    let (mut out, data) = wit_stream::new();
    let written = match offset {
        Some(offset) => file.write_via_stream(data, offset),
        None => file.append_via_stream(data),
    };
    let mut done = 0;
    for piece in pieces(bytes) {
        let left = out.write_all(vec![7; piece]).await.len();
        done += (piece - left) as u64;
        if left > 0 {
            break;
        }
    }
    drop(out);
    match written.await {
        Ok(()) => Outcome { done, error: String::new() },
        Err(error) => failed(done, &error),
    }
}

pub async fn set_size(path: &str, size: u64) -> Outcome {
    once(match open(path, OpenFlags::CREATE).await {
        Ok(file) => file.set_size(size).await,
        Err(error) => Err(error),
    })
}

pub async fn truncate(path: &str) -> Outcome {
    once(open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE).await.map(drop))
}

pub async fn create(folder: &str, files: u32) -> Outcome {
    for number in 0..files {
        if let Err(error) = open(&format!("{folder}/{number}"), OpenFlags::CREATE | OpenFlags::EXCLUSIVE).await {
            return failed(number.into(), &error);
        }
    }
    Outcome { done: files.into(), error: String::new() }
}

pub async fn remove(path: &str) -> Outcome {
    once(match split(path) {
        Ok((folder, rest)) => folder.unlink_file_at(rest).await,
        Err(error) => Err(error),
    })
}
