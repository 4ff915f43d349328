//! The native servers that microhost is measured against: the same call on the bare libraries, as
//! their own documentation has one write it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::process::ready_line;

mod grpc;
mod json;
mod streams;

/// A native server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Native {
    /// hyper: JSON over HTTP/1.1, decoded and encoded with serde; and a page.
    Hyper,
    /// tonic: gRPC, unary and of streams, decoded and encoded with prost.
    Tonic,
    /// tonic: the same, with streams that are made without a task and a channel.
    TonicDirect,
}

impl Native {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Native::Hyper => "hyper",
            Native::Tonic => "tonic",
            Native::TonicDirect => "tonic-direct",
        }
    }
}

/// Which server to be, and where.
#[derive(Args)]
pub struct Serve {
    native: Native,
    /// The port on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Listen on all addresses of version 4, not on 127.0.0.1 alone.
    #[arg(long)]
    everywhere: bool,
}

/// Serves until it is stopped. Writes the same ready line as microhost does.
pub fn run(serve: &Serve) -> Result<()> {
    // What `#[tokio::main]` makes: the runtime that most servers in Rust run on.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the tokio runtime")?;
    runtime.block_on(async {
        let address = SocketAddr::from((if serve.everywhere { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST }, serve.port));
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        eprintln!("{}", ready_line(listener.local_addr()?));
        on(listener, serve.native).await
    })
}

/// Serves on `listener` until it fails.
pub async fn on(listener: TcpListener, native: Native) -> Result<()> {
    match native {
        Native::Hyper => json::serve(listener).await,
        Native::Tonic => grpc::serve(listener, false).await,
        Native::TonicDirect => grpc::serve(listener, true).await,
    }
}
