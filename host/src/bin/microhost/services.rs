//! `microhost services`: what a host runs, a line a service, and what it knows of other hosts.

use std::time::{Duration, SystemTime};

use clap::Args;
use microhost::admin::view::{ClusterView, ServiceView, State};
use microhost::registry::Node;
use serde::Serialize;
use serde_json::json;

use crate::again::Again;
use crate::discover::{self, DiscoverArgs, Search};
use crate::door::{self, Client, HostArgs};
use crate::failure::Outcome;
use crate::output::{self, Paint, visible};
use crate::table::{Cell, Table};

/// List the services of a running host
///
/// Those that could not be started are listed too, with the reason. After them come those of all hosts
/// that it knows.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost services
  microhost services --watch                           again and again, until Ctrl-C
  microhost services --host shop                       one of several hosts
  microhost services --host https://shop.example.com   with the token in MICROHOST_TOKEN
  microhost services --discover                        those of all hosts of this network, also where none runs here
  microhost services --json | jq -r '.[] | select(.state == \"failed\") | .name'")]
pub struct Services {
    #[command(flatten)]
    again: Again,

    /// Print JSON; the services of other hosts are those with a key `host`
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    host: HostArgs,

    #[command(flatten)]
    discover: DiscoverArgs,
}

impl Services {
    /// Prints the list.
    pub fn execute(self) -> Outcome {
        door::run(async {
            let place = Place::of(self.host, &self.discover).await?;
            if let Place::Network(search) = &place {
                search.all().await;
                if search.nodes().by_id.is_empty() && !self.again.watches() {
                    return Err(search.nobody().await);
                }
            }
            self.again
                .each(async || {
                    let (services, cluster) = place.look().await?;
                    let elsewhere: Vec<Elsewhere> =
                        cluster.nodes.iter().filter(|node| Some(&node.id) != cluster.own.as_ref()).flat_map(of).collect();
                    if self.json {
                        let all = services.iter().flatten().map(|own| json!(own)).chain(elsewhere.iter().map(|other| json!(other)));
                        output::print_json(&all.collect::<Vec<_>>())
                    } else {
                        let paint = Paint::for_stdout();
                        let (own, title) = match &services {
                            Some(services) => (text(services, paint), "on other hosts"),
                            None if elsewhere.is_empty() => ("no host that was found runs a service".to_owned(), ""),
                            None => (String::new(), "name"),
                        };
                        let parts = [own, others(&elsewhere, title, paint), lost(&cluster, paint), astray(&cluster, paint)];
                        let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                        self.again.print(&said.join("\n\n"))
                    }
                })
                .await
        })
    }
}

/// Where a command looks.
pub enum Place {
    /// A host that runs, and those that it knows.
    Host(Client),
    /// Those that are found.
    Network(Search),
}

impl Place {
    /// Where the flags say.
    pub async fn of(host: HostArgs, discover: &DiscoverArgs) -> Outcome<Place> {
        if discover.is_asked("--host", "MICROHOST_HOST", host.named())? {
            return discover.begin().map(Place::Network);
        }
        host.client().await.map(Place::Host).map_err(discover::hinted)
    }

    /// The services of the host, if it is one, and the hosts that are known.
    pub async fn look(&self) -> Outcome<(Option<Vec<ServiceView>>, ClusterView)> {
        match self {
            Place::Host(client) => Ok((Some(client.get("services").await?), client.get("cluster").await?)),
            Place::Network(search) => Ok((None, search.view())),
        }
    }
}

/// A service of another host.
#[derive(Serialize)]
struct Elsewhere {
    name: String,
    version: Option<String>,
    state: State,
    host: String,
    address: Option<String>,
    zone: Option<String>,
    weight: u32,
}

fn of(node: &Node) -> impl Iterator<Item = Elsewhere> {
    let host = node.called().to_owned();
    let address = node.addresses.first().map(ToString::to_string);
    node.services.iter().map(move |service| Elsewhere {
        name: service.name.clone(),
        version: service.version.clone(),
        state: if service.ready { State::Serving } else { State::Unwell },
        host: host.clone(),
        address: address.clone(),
        zone: node.zone.clone(),
        weight: service.weight,
    })
}

/// The services of other hosts, a line each.
fn others(elsewhere: &[Elsewhere], title: &str, paint: Paint) -> String {
    if elsewhere.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[title, "version", "state", "host", "address", "zone"]);
    for service in elsewhere {
        let known = |text: &Option<String>| Cell::text(text.as_deref().unwrap_or("-"));
        table.row([
            Cell::text(&service.name).strong(),
            known(&service.version),
            if service.state == State::Serving { state(service.state) } else { Cell::text("not ready").bad() },
            Cell::text(&service.host),
            known(&service.address),
            known(&service.zone),
        ]);
    }
    table.lines(paint).join("\n")
}

/// What is old of it, as a registry cannot be reached.
fn lost(cluster: &ClusterView, paint: Paint) -> String {
    let lost = cluster.registries.iter().filter_map(|registry| {
        let (age, why) = (registry.lost_for?, registry.why.as_deref().unwrap_or_default());
        let age = humantime::format_duration(Duration::from_secs(age as u64));
        Some(format!("{} has been out of reach for {age}: {}", paint.odd(&visible(&registry.name)), visible(why)))
    });
    lost.collect::<Vec<_>>().join("\n")
}

/// Where the host says that it is, and does not find itself.
fn astray(cluster: &ClusterView, paint: Paint) -> String {
    let astray = cluster.addresses.iter().filter_map(|at| {
        let (address, why) = (paint.odd(&visible(&at.address)), visible(at.why.as_deref()?));
        let told = if at.told { "others are told of it" } else { "others are not told of it" };
        Some(format!("{address} does not lead the host to itself, and {told}: {why}"))
    });
    astray.collect::<Vec<_>>().join("\n")
}

fn text(services: &[ServiceView], paint: Paint) -> String {
    if services.is_empty() {
        return "the host runs no service".to_owned();
    }
    let mut table = Table::new(&["name", "version", "state", "instances", "calls", "errors", "now", "age"]);
    for service in services {
        table.row([
            Cell::text(&service.name).strong(),
            Cell::text(service.version.as_deref().unwrap_or("-")),
            state(service.state),
            Cell::number(service.instances),
            Cell::number(service.calls),
            Cell::number(service.errors).bad_if(service.errors > 0),
            Cell::number(service.under_way),
            Cell::number(service.since.as_deref().and_then(age).unwrap_or_else(|| "-".to_owned())),
        ]);
    }
    let mut lines = table.lines(paint);
    for service in services {
        if let Some(why) = &service.why {
            let why: Vec<String> = why.lines().map(visible).collect();
            lines.push(format!("\n{}: {}", paint.strong(&visible(&service.name)), why.join("\n  ")));
        }
    }
    lines.join("\n")
}

/// A state in its colour.
pub fn state(state: State) -> Cell {
    let cell = Cell::text(state.name());
    match state {
        State::Serving => cell.good(),
        State::Waiting => cell.odd(),
        State::Unwell | State::Failed => cell.bad(),
    }
}

/// How long ago a moment was, in its two largest units: `3h 12m`.
pub fn age(since: &str) -> Option<String> {
    let since = humantime::parse_rfc3339(since).ok()?;
    // A clock that was set back makes nothing older than new.
    let age = SystemTime::now().duration_since(since).unwrap_or_default();
    let whole = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    Some(whole.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_failed_is_listed_with_its_reason() {
        let service = |name: &str, state, why: Option<&str>| ServiceView {
            name: name.into(),
            version: Some("1.2.0".into()),
            state,
            why: why.map(str::to_owned),
            since: None,
            instances: 1,
            calls: 20,
            errors: 0,
            under_way: 2,
        };
        let all = [service("orders", State::Serving, None), service("stock", State::Failed, Some("no such file"))];
        let text = text(&all, Paint::none());
        let expected = "\
NAME    VERSION  STATE    INSTANCES  CALLS  ERRORS  NOW  AGE
orders  1.2.0    serving          1     20       0    2    -
stock   1.2.0    failed           1     20       0    2    -

stock: no such file";
        assert_eq!(text, expected);
    }
}
