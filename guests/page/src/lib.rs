//! Answers HTTP by WASI 0.2.

use std::io::{Read, Write};

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, Scheme};

wasip2::http::proxy::export!(Page);

struct Page;

const PIECE: usize = 64 << 10;

fn wait(ms: u64) {
    subscribe_duration(ms * 1_000_000).block();
}

/// Begins a response; the body is the caller's to write and to finish.
fn begin(out: ResponseOutparam, headers: Fields) -> OutgoingBody {
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("a new response has its body");
    ResponseOutparam::set(out, Ok(response));
    body
}

/// Writes what it can: nobody may be there to read it.
fn write(body: &OutgoingBody, bytes: &[u8]) {
    let mut stream = body.write().expect("the body's stream is taken once");
    let _ = stream.write_all(bytes).and_then(|()| Write::flush(&mut stream));
}

fn text(out: ResponseOutparam, text: &str) {
    let body = begin(out, Fields::new());
    write(&body, text.as_bytes());
    OutgoingBody::finish(body, None).expect("the body is whole");
}

fn look(request: &IncomingRequest, out: ResponseOutparam) {
    let scheme = if matches!(request.scheme(), Some(Scheme::Https)) { "https" } else { "http" };
    let authority = request.authority().unwrap_or_default();
    let path = request.path_with_query().unwrap_or_default();
    let mut lines = format!("{:?} {scheme}://{authority}{path}\n", request.method());
    for (name, value) in request.headers().entries() {
        lines.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text(out, &lines);
}

fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let incoming = request.consume().expect("the body is taken once");
    let headers = Fields::from_list(&[("trailer".to_owned(), b"x-sum".to_vec())]).expect("a valid header");
    let outgoing = begin(out, headers);
    {
        let mut from = incoming.stream().expect("the body's stream is taken once");
        let mut to = outgoing.write().expect("the body's stream is taken once");
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = Read::read(&mut from, &mut piece) {
            if to.write_all(&piece[..read]).and_then(|()| Write::flush(&mut to)).is_err() {
                return;
            }
        }
    }
    let trailers = IncomingBody::finish(incoming);
    trailers.subscribe().block();
    let trailers = trailers.get().and_then(Result::ok).and_then(Result::ok).flatten();
    let _ = OutgoingBody::finish(outgoing, trailers.map(|fields| Fields::from_list(&fields.entries()).expect("they were valid")));
}

impl wasip2::exports::http::incoming_handler::Guest for Page {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path.rsplit('/').next().unwrap_or_default() {
            "look" => look(&request, out),
            "echo" => echo(&request, out),
            "large" => {
                let mib: usize = query.strip_prefix("mib=").and_then(|mib| mib.parse().ok()).unwrap_or_default();
                let body = begin(out, Fields::new());
                {
                    let mut stream = body.write().expect("the body's stream is taken once");
                    for _ in 0..mib * 16 {
                        if stream.write_all(&[b'x'; PIECE]).and_then(|()| Write::flush(&mut stream)).is_err() {
                            return;
                        }
                    }
                }
                let _ = OutgoingBody::finish(body, None);
            }
            "slow" => {
                wait(query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()).unwrap_or_default());
                text(out, "slept");
            }
            "pause" => {
                let body = begin(out, Fields::new());
                write(&body, b"first");
                wait(3_600_000);
            }
            "trap" => panic!("as you asked"),
            "trap-later" => {
                let body = begin(out, Fields::new());
                write(&body, b"first");
                wait(50);
                panic!("as you asked, in the middle");
            }
            "error" => ResponseOutparam::set(out, Err(ErrorCode::ConnectionRefused)),
            "switch" => {
                let response = OutgoingResponse::new(Fields::new());
                response.set_status_code(101).expect("a valid status");
                ResponseOutparam::set(out, Ok(response));
            }
            "silent" => drop(out),
            _ => text(out, "Hello, WASI!"),
        }
    }
}
