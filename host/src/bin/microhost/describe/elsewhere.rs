//! What hosts tell others of a service: who offers it, and by which names and kinds it is called.

use std::collections::BTreeMap;
use std::fmt::Write;

use microhost::registry::{Interface, Kind, Node, Service};
use microhost::settings::nearest;
use serde::Serialize;

use super::heading;
use crate::call::names;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::paint::{Paint, visible};
use crate::shown::known;
use crate::table::{Cell, Table};

/// Services that an error lists.
const MAX_LISTED: usize = 50;

/// A service as it is known from what hosts tell.
#[derive(Serialize)]
pub struct Elsewhere {
    name: String,
    /// Who offers it.
    pub nodes: Vec<Offering>,
    /// What can be called at any of them.
    endpoints: Vec<Endpoint>,
    /// What it takes any call of, as a gateway; `*` for all that nothing else serves.
    gateway: Vec<String>,
}

/// A host that offers a service.
#[derive(Serialize)]
pub struct Offering {
    /// What people call the host.
    host: String,
    /// It is the host that was asked.
    own: bool,
    addresses: Vec<String>,
    zone: Option<String>,
    version: Option<String>,
    weight: u32,
    ready: bool,
    /// Those of the service, and those of its host that the service has not.
    labels: BTreeMap<String, String>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Endpoint {
    service: String,
    method: String,
    kind: &'static str,
    safe: bool,
}

impl Elsewhere {
    /// What these nodes tell of a service, that of the host that was asked first. It is called as in the
    /// settings of its hosts; where none has it by that name, as callers do.
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a Node>, own: Option<&str>, name: &str) -> Option<Elsewhere> {
        let nodes: Vec<&Node> = nodes.into_iter().collect();
        let all = || nodes.iter().flat_map(|node| node.services.iter().map(move |service| (*node, service)));
        let mut found: Vec<(&Node, &Service)> = all().filter(|(_, service)| service.name == name).collect();
        if found.is_empty() {
            let called = |service: &Service| service.interfaces.iter().any(|interface| names::fits(&interface.name, name));
            found = all().filter(|(_, service)| called(service)).collect();
        }
        found.sort_by_key(|(node, service)| (own != Some(&node.id), &service.name, node.called()));
        let first = found.first()?.1;
        let interfaces = || found.iter().flat_map(|(_, service)| &service.interfaces);
        let mut endpoints: Vec<Endpoint> = interfaces().flat_map(endpoints).collect();
        endpoints.sort_unstable();
        // Hosts with versions of it that differ may have the same by another kind: then it is told twice.
        endpoints.dedup();
        let mut gateway: Vec<String> = interfaces().filter(|of| of.methods.is_empty()).map(|of| of.name.clone()).collect();
        gateway.sort_unstable();
        gateway.dedup();
        let nodes = found.iter().map(|(node, service)| Offering::of(node, service, own)).collect();
        Some(Elsewhere { name: first.name.clone(), nodes, endpoints, gateway })
    }

    /// Prints it.
    pub fn print(&self, json: bool) -> Outcome {
        if json { output::print_json(self) } else { output::print(self.text(Paint::for_stdout())) }
    }

    fn text(&self, paint: Paint) -> String {
        let mut text = format!("{}  on other hosts\n", paint.strong(&visible(&self.name)));
        heading(&mut text, "offered by", paint);
        offered(&self.nodes, &mut text, paint);
        if !self.endpoints.is_empty() {
            heading(&mut text, "endpoints", paint);
        }
        for group in self.endpoints.chunk_by(|a, b| a.service == b.service) {
            let _ = writeln!(text, "  {}", visible(&group[0].service));
            for one in group {
                let safe = if one.safe { ", safe" } else { "" };
                let _ = writeln!(text, "    {}  ({}{safe})", visible(&one.method), one.kind);
            }
        }
        if !self.gateway.is_empty() {
            heading(&mut text, "takes any call of", paint);
            let _ = writeln!(text, "  {}", visible(&self.gateway.join(", ")));
        }
        text.push_str("\nWhat else there is to know, the host tells that runs it: --host URL with its --token\n");
        text.trim_end().to_owned()
    }
}

fn endpoints(interface: &Interface) -> impl Iterator<Item = Endpoint> {
    let kind = |kind| match kind {
        Kind::Unary => "unary",
        Kind::ServerStream => "server-stream",
        Kind::ClientStream => "client-stream",
        Kind::Bidirectional => "bidi-stream",
    };
    interface.methods.iter().map(move |method| Endpoint {
        service: interface.name.clone(),
        method: method.name.clone(),
        kind: kind(method.kind),
        safe: method.safe,
    })
}

impl Offering {
    fn of(node: &Node, service: &Service, own: Option<&str>) -> Offering {
        let mut labels = node.labels.clone();
        labels.extend(service.labels.clone());
        Offering {
            host: node.called().to_owned(),
            own: own == Some(&node.id),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            zone: node.zone.clone(),
            version: service.version.clone(),
            weight: service.weight,
            ready: service.ready,
            labels,
        }
    }
}

/// Who offers a service, a line each.
pub fn offered(nodes: &[Offering], text: &mut String, paint: Paint) {
    let mut table = Table::new(&["host", "address", "version", "state", "weight", "zone", "labels"]);
    for node in nodes {
        let labels: Vec<String> = node.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.row([
            if node.own { Cell::text(format!("{}, this one", node.host)).strong() } else { Cell::text(&node.host) },
            known(node.addresses.first().map(String::as_str)),
            known(node.version.as_deref()),
            if node.ready { Cell::text("ready").good() } else { Cell::text("not ready").bad() },
            Cell::number(node.weight),
            known(node.zone.as_deref()),
            known((!labels.is_empty()).then(|| labels.join(" ")).as_deref()),
        ]);
    }
    for line in table.lines(paint) {
        let _ = writeln!(text, "  {line}");
    }
}

/// Why nothing is told of a service that no host has.
pub fn unknown(service: &str, nodes: &[Node]) -> Failure {
    let mut names: Vec<&str> = nodes.iter().flat_map(|node| &node.services).map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let near = nearest(service, names.iter().copied());
    names.truncate(MAX_LISTED);
    let failure = Failure::new(Exit::Refused, format!("no host that was found has a service {service:?}"));
    let failure = failure.note(if names.is_empty() { "they run none".to_owned() } else { format!("there are {}", names.join(", ")) });
    match near {
        Some(near) => failure.advise(near),
        None => failure.advise("`microhost services --discover` lists them with their hosts"),
    }
}
