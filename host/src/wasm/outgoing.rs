//! Calls that guests make by `wasi:http`: to granted hosts and to no others.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<()>> + Send>);

/// The hosts that a guest may call.
pub struct Outgoing {
    granted: Arc<[String]>,
}

impl Outgoing {
    /// Allows calls to these: `api.example.com` for its default ports, `127.0.0.1:9000` for this one.
    pub fn new(granted: &[String]) -> Outgoing {
        Outgoing { granted: granted.into() }
    }

    fn allows(&self, uri: &http::Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        let default = if uri.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(default);
        self.granted.iter().any(|granted| match granted.rsplit_once(':') {
            Some((name, granted_port)) if !name.ends_with(':') => name.eq_ignore_ascii_case(host) && granted_port.parse() == Ok(port),
            _ => granted.eq_ignore_ascii_case(host) && port == default,
        })
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent>> + Send> {
        let allowed = self.allows(request.uri());
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(io) as Box<dyn Future<Output = _> + Send>))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_granted_hosts_and_ports_are_allowed() {
        let outgoing = Outgoing::new(&["api.example.com".to_owned(), "127.0.0.1:9000".to_owned()]);
        let allows = |uri: &str| outgoing.allows(&uri.parse().expect("a URI"));
        assert!(allows("https://api.example.com/x") && allows("http://API.example.com/") && allows("http://127.0.0.1:9000/"));
        assert!(!allows("https://example.com/") && !allows("https://api.example.com:8443/") && !allows("http://127.0.0.1/"));
        assert!(!Outgoing::new(&[]).allows(&"http://127.0.0.1/".parse().expect("a URI")));
    }
}
