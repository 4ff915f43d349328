//! The benchmark's page by WASI 0.3, and nothing that another host would lack.

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

struct Hello;

wasip3::http::service::export!(Hello);

impl Guest for Hello {
    async fn handle(_: Request) -> Result<Response, ErrorCode> {
        let (mut body, reader) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let headers = Fields::from_list(&[("content-type".to_owned(), b"text/plain".to_vec())]).expect("the header is valid");
        spawn_local(async move {
            body.write_all(b"Hello, WASI!".to_vec()).await;
        });
        Ok(Response::new(headers, Some(reader), trailers).0)
    }
}
