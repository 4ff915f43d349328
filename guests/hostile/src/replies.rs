//! Replies that have no end.

use std::future::pending;

use microhost_sdk::spawn;
use microhost_sdk::wit_bindgen::StreamReader;

use crate::wit_stream;

const PIECE: usize = 64 << 10;
const PIECES: usize = 8;

pub fn endless() -> StreamReader<Vec<u8>> {
    let (mut out, reader) = wit_stream::new();
    spawn(async move { while out.write_all(vec![vec![7; PIECE]; PIECES]).await.is_empty() {} });
    reader
}

pub fn unfinished() -> StreamReader<u32> {
    let (mut out, reader) = wit_stream::new();
    spawn(async move {
        // Whether it was taken makes no difference.
        let _ = out.write_one(1).await;
        pending::<()>().await;
    });
    reader
}
