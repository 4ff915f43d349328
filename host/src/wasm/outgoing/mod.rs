//! Calls that guests make by `wasi:http`: to granted hosts, at addresses that the grant reaches, and
//! nowhere else.
//!
//! `client` sends a request and keeps its times, `connect` makes the connections and checks where
//! they go, by the `rules` for addresses; `fault` says what went wrong.

use std::sync::Arc;

use http::{Request, Response};
use wasmtime_wasi_http::{RequestOptions, Result, WasiBody, WasiHttpHooks};

mod client;
mod connect;
mod fault;
mod resolve;
mod rules;
mod stream;

pub use client::Client;

type Io = Box<dyn Future<Output = Result<()>> + Send>;

/// The outgoing calls of one instance.
pub struct Outgoing {
    client: Arc<Client>,
}

impl Outgoing {
    /// Calls by its service's client.
    pub fn new(client: &Arc<Client>) -> Outgoing {
        Outgoing { client: Arc::clone(client) }
    }
}

/// What a guest may write at once to a body of `wasi:http` 0.2. The host holds a few such pieces of each
/// body, and a guest may have thousands of bodies that nobody reads.
const BODY_CHUNK: usize = 64 << 10;

impl WasiHttpHooks for Outgoing {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io)>> + Send> {
        let client = Arc::clone(&self.client);
        Box::new(async move {
            let response = client.send(request, options).await?;
            // Connections are driven by tasks of their own.
            Ok((response, Box::new(std::future::ready(Ok(()))) as Io))
        })
    }
}
