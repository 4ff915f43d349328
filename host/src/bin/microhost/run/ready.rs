//! What a host says once it serves: to people how to call it, to machines where it is.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use microhost::app::{Ready, ReadyEndpoint};
use microhost::schema::MethodKind;

use crate::output;
use crate::paint::visible;

/// Tells people, or machines, what is ready.
pub fn announce(ready: &Ready, people: bool) {
    if people { tell(ready) } else { log(ready) }
}

/// Tells people: the address, the services and their methods, and a curl line that works as it
/// stands.
fn tell(ready: &Ready) {
    output::tell(text(ready));
}

/// Tells machines, in one line of the log.
fn log(ready: &Ready) {
    let names: Vec<&str> = ready.services.iter().map(|service| service.name.as_str()).collect();
    let endpoints: Vec<String> =
        ready.services.iter().flat_map(|service| &service.endpoints).map(|one| format!("{}/{}", one.service, one.method)).collect();
    let routes: Vec<String> =
        ready.services.iter().filter_map(|service| Some(format!("{}={}", service.name, service.http.as_ref()?))).collect();
    let http = (!routes.is_empty()).then(|| routes.join(","));
    let admin = ready.door.as_ref().map(|path| path.display().to_string());
    let versions: Vec<String> =
        ready.services.iter().filter_map(|service| Some(format!("{}={}", service.name, service.version.as_ref()?))).collect();
    let versions = (!versions.is_empty()).then(|| versions.join(","));
    // Why they failed stands in a record of each.
    let failed: Vec<&str> = ready.failed.iter().map(|failed| failed.load.name.as_str()).collect();
    let failed = (!failed.is_empty()).then(|| failed.join(","));
    let address = ready.address.map(tracing::field::display);
    let sockets: Vec<String> = ready.sockets.iter().map(|path| path.display().to_string()).collect();
    let sockets = (!sockets.is_empty()).then(|| sockets.join(","));
    tracing::info!(address, sockets, tls = ready.tls, services = %names.join(","), versions, endpoints = %endpoints.join(","), http, admin, failed, "ready");
}

fn text(ready: &Ready) -> String {
    let origins = origins(ready);
    let (origin, curl) = (origins.first().map_or("", String::as_str), curl(ready));
    let mut text = format!("microhost {} serves at {origin}\n", env!("CARGO_PKG_VERSION"));
    for other in origins.iter().skip(1) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "and at {other}");
    }
    for service in &ready.services {
        let version = service.version.as_ref().map_or(String::new(), |version| format!(" {}", visible(version)));
        let _ = writeln!(text, "\n  {}{version}", visible(&service.name));
        let width = service.endpoints.iter().map(|one| one.service.len()).max().unwrap_or_default();
        for group in service.endpoints.chunk_by(|a, b| a.service == b.service) {
            let methods: Vec<String> = group.iter().map(shown).collect();
            let _ = writeln!(text, "    {:<width$}  {}", group[0].service, methods.join(", "));
        }
        if service.gateway {
            text.push_str("    takes calls of other services\n");
        }
        if let Some(route) = &service.http {
            let _ = writeln!(text, "    HTTP at {route}");
        }
        for refused in &service.refused {
            let _ = writeln!(text, "    not served: {}: {}", visible(&refused.function), visible(&refused.why));
        }
    }
    for failed in &ready.failed {
        let _ = writeln!(text, "\n  {}: does not run", visible(&failed.load.name));
        for line in failed.why.lines() {
            let _ = writeln!(text, "    {}", visible(line));
        }
    }
    let endpoints = || ready.services.iter().flat_map(|service| &service.endpoints);
    // curl cannot speak streams.
    let first = endpoints().find(|one| one.kind == MethodKind::Unary).or_else(|| endpoints().next());
    if let Some(one) = first {
        let (service, method, body) = (&one.service, &one.method, quoted(&one.example));
        let _ = match one.kind {
            MethodKind::Unary => {
                writeln!(text, "\n  try: {curl}/{service}/{method} -H 'content-type: application/json' -d {body}")
            }
            _ if ready.tls && ready.address.is_some() => {
                writeln!(text, "\n  try: microhost call --insecure --at {origin} {service}/{method} {body}")
            }
            _ => writeln!(text, "\n  try: microhost call --at {origin} {service}/{method} {body}"),
        };
    } else if let Some(route) = ready.services.iter().find_map(|service| service.http.as_ref()) {
        let _ = writeln!(text, "\n  try: {curl}{route}");
    }
    text
}

/// A method's name, and its kind if it streams.
fn shown(endpoint: &ReadyEndpoint) -> String {
    match endpoint.kind {
        MethodKind::Unary => endpoint.method.clone(),
        kind => format!("{} ({})", endpoint.method, kind.name()),
    }
}

/// Where the host is, for this machine.
fn origins(ready: &Ready) -> Vec<String> {
    let network = ready.address.map(|address| url(address, ready.tls));
    let sockets = ready.sockets.iter().map(|path| format!("unix:{}", visible(&path.display().to_string())));
    network.into_iter().chain(sockets).collect()
}

/// The beginning of a line that calls the host, up to the path.
fn curl(ready: &Ready) -> String {
    match (ready.address, ready.sockets.first()) {
        (Some(address), _) => format!("curl{} {}", if ready.tls { " --insecure" } else { "" }, url(address, ready.tls)),
        (None, Some(path)) => format!("curl --unix-socket {} http://localhost", quoted(&path.display().to_string())),
        (None, None) => "curl".to_owned(),
    }
}

/// A URL for this machine: an address that stands for all of its own is no address to call.
fn url(address: SocketAddr, tls: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use microhost::app::{Load, NotRunning, ReadyService};
    use microhost::schema::Refused;

    use super::*;

    fn endpoint(method: &str, kind: MethodKind) -> ReadyEndpoint {
        ReadyEndpoint { service: "example.greeter.Greet".into(), method: method.into(), kind, example: r#"{"name":"it's"}"#.into() }
    }

    fn ready(endpoints: Vec<ReadyEndpoint>, gateway: bool) -> Ready {
        let refused = vec![Refused { function: "example:greeter/greet#watch".into(), why: "a resource".into() }];
        Ready {
            address: "0.0.0.0:8080".parse().ok(),
            sockets: Vec::new(),
            tls: false,
            door: None,
            services: vec![ReadyService { name: "greeter".into(), version: Some("0.1.0".into()), endpoints, gateway, http: None, refused }],
            failed: vec![NotRunning { load: Load { name: "stock".into(), ..Load::default() }, why: "no disk\nno luck".into() }],
        }
    }

    #[test]
    fn people_get_a_curl_line_that_works_as_it_stands() {
        let endpoints = vec![endpoint("Watch", MethodKind::ServerStream), endpoint("Hello", MethodKind::Unary)];
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text(&ready(endpoints, false)),
            format!(
                "microhost {version} serves at http://127.0.0.1:8080\n\n  greeter 0.1.0\n    example.greeter.Greet  Watch (server-stream), Hello\n    \
                 not served: example:greeter/greet#watch: a resource\n\n  \
                 stock: does not run\n    no disk\n    no luck\n\n  \
                 try: curl http://127.0.0.1:8080/example.greeter.Greet/Hello -H 'content-type: application/json' -d '{{\"name\":\"it'\\''s\"}}'\n"
            )
        );
    }

    #[test]
    fn where_there_are_streams_alone_people_get_a_line_for_them() {
        let text = text(&ready(vec![endpoint("Talk", MethodKind::BidiStream)], true));
        assert!(text.contains("takes calls of other services\n"), "{text}");
        let line = r#"try: microhost call --at http://127.0.0.1:8080 example.greeter.Greet/Talk '{"name":"it'\''s"}'"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn people_are_told_where_plain_http_is_answered() {
        let site = ReadyService {
            name: "site".into(),
            version: None,
            endpoints: Vec::new(),
            gateway: false,
            http: Some("/shop".parse().expect("a route")),
            refused: Vec::new(),
        };
        let ready = Ready {
            address: "[::1]:80".parse().ok(),
            sockets: Vec::new(),
            tls: false,
            door: None,
            services: vec![site],
            failed: Vec::new(),
        };
        let text = text(&ready);
        assert!(text.ends_with("\n  site\n    HTTP at /shop\n\n  try: curl http://[::1]:80/shop\n"), "{text}");
    }

    #[test]
    fn people_are_told_of_sockets_and_how_to_call_by_them() {
        let mut ready = ready(vec![endpoint("Hello", MethodKind::Unary)], false);
        ready.sockets = vec!["/run/a b.sock".into()];
        let version = env!("CARGO_PKG_VERSION");
        let beginning = format!("microhost {version} serves at http://127.0.0.1:8080\nand at unix:/run/a b.sock\n\n");
        assert!(text(&ready).starts_with(&beginning), "{}", text(&ready));
        ready.address = None;
        let line = "try: curl --unix-socket '/run/a b.sock' http://localhost/example.greeter.Greet/Hello -H";
        let text = text(&ready);
        assert!(text.starts_with(&format!("microhost {version} serves at unix:/run/a b.sock\n\n")) && text.contains(line), "{text}");
    }
}
