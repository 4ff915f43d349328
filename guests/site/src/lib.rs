//! Answers HTTP by WASI 0.3, and has a typed interface beside it by the SDK.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use exports::test::site::site::Guest;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::exports::http::handler;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme};
use wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter, spawn_local};
use wasip3::{wit_future, wit_stream};

microhost_sdk::service!({ world: "test:site/guest" });

static REQUESTS: AtomicU64 = AtomicU64::new(0);

const PIECE: usize = 64 << 10;

struct Site;

impl Guest for Site {
    fn requests() -> u64 {
        REQUESTS.load(Relaxed)
    }
}

export!(Site);
wasip3::http::service::export!(Site);

type Trailers = FutureReader<Result<Option<Fields>, ErrorCode>>;

/// A response with these headers and whatever is written to the body.
fn respond(headers: &[(&str, &str)], body: StreamReader<u8>, trailers: Trailers) -> Response {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    Response::new(Fields::from_list(&headers).expect("the guest sets valid headers"), Some(body), trailers).0
}

/// A response whose body is written by `write`.
fn stream<F: Future<Output = ()> + 'static>(headers: &[(&str, &str)], write: impl FnOnce(StreamWriter<u8>) -> F) -> Response {
    let (body_in, body) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let response = respond(headers, body, trailers);
    spawn_local(write(body_in));
    response
}

fn text(text: String) -> Response {
    stream(&[("content-type", "text/plain")], async |mut body| {
        body.write_all(text.into_bytes()).await;
    })
}

/// What the request looks like from in here.
fn look(request: &Request) -> Response {
    let method = match request.get_method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Head => "HEAD".to_owned(),
        Method::Other(name) => name,
        other => format!("{other:?}"),
    };
    let scheme = if matches!(request.get_scheme(), Some(Scheme::Https)) { "https" } else { "http" };
    let authority = request.get_authority().unwrap_or_default();
    let path = request.get_path_with_query().unwrap_or_default();
    let mut lines = format!("{method} {scheme}://{authority}{path}\n");
    for (name, value) in request.get_headers().copy_all() {
        lines.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text(lines)
}

/// The body and the trailers of the request, as they come. Copied by the guest, piece by piece.
fn echo(request: Request) -> Response {
    let (_, consumed) = wit_future::new(|| Ok(()));
    let (mut body, trailers) = Request::consume_body(request, consumed);
    let (mut copy_in, copy) = wit_stream::new();
    let response = respond(&[("trailer", "x-sum")], copy, trailers);
    spawn_local(async move {
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            let (result, read) = body.read(piece).await;
            piece = copy_in.write_all(read).await;
            // What is left was not taken: nobody reads any more.
            if !piece.is_empty() || matches!(result, StreamResult::Dropped) {
                return;
            }
        }
    });
    response
}

/// The first piece of the request's body, without waiting for the next.
async fn first(request: Request) -> Response {
    let (_, consumed) = wit_future::new(|| Ok(()));
    let (mut body, _) = Request::consume_body(request, consumed);
    let (_, piece) = body.read(Vec::with_capacity(PIECE)).await;
    text(String::from_utf8_lossy(&piece).into_owned())
}

/// Calls `TO`, several times one after the other, and answers with the statuses and bodies.
async fn fetch(scheme: &Scheme, to: &str, times: u64) -> Result<Response, ErrorCode> {
    let (authority, path) = to.split_once('/').unwrap_or((to, ""));
    let mut answers = String::new();
    for _ in 0..times {
        let (_, trailers) = wit_future::new(|| Ok(None));
        let options = RequestOptions::new();
        let (request, _) = Request::new(Fields::new(), None, trailers, Some(options));
        let set = request.set_scheme(Some(scheme)).and_then(|()| request.set_authority(Some(authority)));
        set.and_then(|()| request.set_path_with_query(Some(&format!("/{path}")))).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
        let response = client::send(request).await?;
        let status = response.get_status_code();
        let (_, consumed) = wit_future::new(|| Ok(()));
        let (body, _) = Response::consume_body(response, consumed);
        answers.push_str(&format!("{status} {}\n", String::from_utf8_lossy(&body.collect().await)));
    }
    Ok(text(answers))
}

fn number(query: &str, name: &str) -> u64 {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

impl handler::Guest for Site {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        REQUESTS.fetch_add(1, Relaxed);
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        // Under whatever route: the last segment says what is wanted.
        Ok(match path.rsplit('/').next().unwrap_or_default() {
            "look" => look(&request),
            "echo" => echo(request),
            "first" => first(request).await,
            "large" => {
                let left = number(query, "mib") << 20;
                let length = left.to_string();
                let headers: &[(&str, &str)] = if query.contains("length") { &[("content-length", &length)] } else { &[] };
                stream(headers, async move |mut body| {
                    let mut left = left;
                    while left > 0 {
                        let piece = left.min(PIECE as u64);
                        let size = usize::try_from(piece).expect("a piece is small");
                        if !body.write_all(vec![b'x'; size]).await.is_empty() {
                            return;
                        }
                        left -= piece;
                    }
                })
            }
            "slow" => {
                wait_for(number(query, "ms") * 1_000_000).await;
                text("slept".to_owned())
            }
            "pause" => stream(&[], async move |mut body| {
                body.write_all(b"first".to_vec()).await;
                wait_for(number(&target, "ms").max(3_600_000) * 1_000_000).await;
                drop(body);
            }),
            "trap" => panic!("as you asked"),
            "trap-later" => stream(&[], async |mut body| {
                body.write_all(b"first".to_vec()).await;
                wait_for(50_000_000).await;
                panic!("as you asked, in the middle");
            }),
            "spin" => loop {
                std::hint::black_box(0);
            },
            "after" => {
                spawn_local(async {
                    wait_for(100_000_000).await;
                    println!("after the response");
                });
                text("before".to_owned())
            }
            "error" => return Err(ErrorCode::ConnectionRefused),
            "fetch" => {
                let (how, to) = query.split_once("to=").unwrap_or(("", query));
                let scheme = if how.contains("tls") { Scheme::Https } else { Scheme::Http };
                fetch(&scheme, to, number(how, "times").max(1)).await?
            }
            _ => text("Hello, WASI!".to_owned()),
        })
    }
}
