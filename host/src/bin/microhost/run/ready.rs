//! What a host says once it serves: to people how to call it, to machines where it is.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use microhost::app::Ready;

use crate::output::{self, visible};

/// Tells people: the address, the services and their methods, and a curl line that works as it
/// stands.
pub fn tell(ready: &Ready) {
    output::tell(text(ready));
}

/// Tells machines, in one line of the log.
pub fn log(ready: &Ready) {
    let names: Vec<&str> = ready.services.iter().map(|service| service.name.as_str()).collect();
    let endpoints: Vec<String> =
        ready.services.iter().flat_map(|service| &service.endpoints).map(|one| format!("{}/{}", one.service, one.method)).collect();
    let routes: Vec<String> =
        ready.services.iter().filter_map(|service| Some(format!("{}={}", service.name, service.http.as_ref()?))).collect();
    let http = (!routes.is_empty()).then(|| routes.join(","));
    tracing::info!(address = %ready.address, tls = ready.tls, services = %names.join(","), endpoints = %endpoints.join(","), http, "ready");
}

fn text(ready: &Ready) -> String {
    let origin = origin(ready);
    let mut text = format!("microhost {} serves at {origin}\n", env!("CARGO_PKG_VERSION"));
    for service in &ready.services {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "\n  {}", visible(&service.name));
        let width = service.endpoints.iter().map(|one| one.service.len()).max().unwrap_or_default();
        for group in service.endpoints.chunk_by(|a, b| a.service == b.service) {
            let methods: Vec<&str> = group.iter().map(|one| one.method.as_str()).collect();
            let _ = writeln!(text, "    {:<width$}  {}", group[0].service, methods.join(", "));
        }
        if let Some(route) = &service.http {
            let _ = writeln!(text, "    HTTP at {route}");
        }
        for refused in &service.refused {
            let _ = writeln!(text, "    not served: {}: {}", visible(&refused.function), visible(&refused.why));
        }
    }
    if let Some(one) = ready.services.iter().flat_map(|service| &service.endpoints).next() {
        let insecure = if ready.tls { " --insecure" } else { "" };
        let body = quoted(&one.example);
        let _ =
            writeln!(text, "\n  try: curl{insecure} {origin}/{}/{} -H 'content-type: application/json' -d {body}", one.service, one.method);
    } else if let Some(route) = ready.services.iter().find_map(|service| service.http.as_ref()) {
        let insecure = if ready.tls { " --insecure" } else { "" };
        let _ = writeln!(text, "\n  try: curl{insecure} {origin}{route}");
    }
    text
}

/// A URL for this machine: an address that stands for all of its own is no address to call.
fn origin(ready: &Ready) -> String {
    let ip = match ready.address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if ready.tls { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, ready.address.port()))
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use microhost::app::{ReadyEndpoint, ReadyService};
    use microhost::schema::Refused;

    use super::*;

    #[test]
    fn people_get_a_curl_line_that_works_as_it_stands() {
        let endpoint = |method: &str| ReadyEndpoint {
            service: "example.greeter.Greet".into(),
            method: method.into(),
            example: r#"{"name":"it's"}"#.into(),
        };
        let ready = Ready {
            address: "0.0.0.0:8080".parse().expect("an address"),
            tls: false,
            services: vec![ReadyService {
                name: "greeter".into(),
                endpoints: vec![endpoint("Hello"), endpoint("Goodbye")],
                http: None,
                refused: vec![Refused { function: "example:greeter/greet#watch".into(), why: "streams".into() }],
            }],
        };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text(&ready),
            format!(
                "microhost {version} serves at http://127.0.0.1:8080\n\n  greeter\n    example.greeter.Greet  Hello, Goodbye\n    \
                 not served: example:greeter/greet#watch: streams\n\n  \
                 try: curl http://127.0.0.1:8080/example.greeter.Greet/Hello -H 'content-type: application/json' -d '{{\"name\":\"it'\\''s\"}}'\n"
            )
        );
    }
    #[test]
    fn people_are_told_where_plain_http_is_answered() {
        let site =
            ReadyService { name: "site".into(), endpoints: Vec::new(), http: Some("/shop".parse().expect("a route")), refused: Vec::new() };
        let ready = Ready { address: "[::1]:80".parse().expect("an address"), tls: false, services: vec![site] };
        let text = text(&ready);
        assert!(text.ends_with("\n  site\n    HTTP at /shop\n\n  try: curl http://[::1]:80/shop\n"), "{text}");
    }
}
