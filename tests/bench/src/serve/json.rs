//! Bare hyper: a task for each connection, HTTP/1.1, JSON by serde; and a page.

use std::convert::Infallible;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::message::{Message, PATH};
use crate::page;

/// The longest request that is read: what microhost allows too.
const MAX_REQUEST: usize = 4 << 20;

pub async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept a connection")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        tokio::spawn(async move {
            // An error here is a connection that the client broke off: nothing to do about it.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET && request.uri().path() == page::PATH {
        let mut response = Response::new(Full::from(page::TEXT));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return Ok(response);
    }
    if request.uri().path() != PATH || request.method() != Method::POST {
        return Ok(refuse(StatusCode::NOT_FOUND));
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_REQUEST).collect().await else {
        return Ok(refuse(StatusCode::BAD_REQUEST));
    };
    let Ok(message) = serde_json::from_slice::<Message>(&body.to_bytes()) else {
        return Ok(refuse(StatusCode::BAD_REQUEST));
    };
    let reply = serde_json::to_vec(&message).expect("a message has no key that is not a string");
    let mut response = Response::new(Full::new(Bytes::from(reply)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn refuse(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
