//! Calls out by `wasi:http`.

use exports::test::fetch::fetch::{Guest, Outcome};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};

microhost_sdk::service!({ world: "test:fetch/guest" });

fn get(authority: &str, path: &str) -> Result<u16, String> {
    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_scheme(Some(&Scheme::Http)).and_then(|()| request.set_authority(Some(authority)));
    set.and_then(|()| request.set_path_with_query(Some(path))).map_err(|()| "no such address".to_owned())?;
    let response = handle(request, None).map_err(|error| error.to_string())?;
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => Ok(response.status()),
        Some(Ok(Err(error))) => Err(error.to_string()),
        Some(Err(())) | None => Err("no response".to_owned()),
    }
}

struct Fetch;

impl Guest for Fetch {
    fn get(authority: String, path: String) -> Outcome {
        match get(&authority, &path) {
            Ok(status) => Outcome { done: true, text: status.to_string() },
            Err(text) => Outcome { done: false, text },
        }
    }
}

export!(Fetch);
