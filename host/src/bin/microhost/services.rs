//! `microhost services`: what a host runs, a line a service, and what it knows of other hosts.

use std::time::Duration;

use clap::Args;
use microhost::admin::view::{ClusterView, ServiceView};
use serde::{Serialize, Serializer};

use crate::door;
use crate::failure::Outcome;
use crate::look::LookArgs;
use crate::paint::{Paint, visible};
use crate::place::{Place, PlaceArgs};
use crate::shown::{self, Elsewhere, aged, known};
use crate::table::{Cell, Table};

/// List the services of a running host
///
/// Those that could not be started are listed too, with the reason. After them come those of all hosts
/// that it knows; in JSON they are those with a key `host`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost services
  microhost services --watch                           again and again, until Ctrl-C
  microhost services --host shop                       one of several hosts
  microhost services --host https://shop.example.com   with the token in MICROHOST_TOKEN
  microhost services --discover                        those of all hosts of this network
  microhost services --json | jq -r '.[] | select(.state == \"failed\") | .name'")]
pub struct Services {
    #[command(flatten)]
    look: LookArgs,

    #[command(flatten)]
    place: PlaceArgs,
}

impl Services {
    /// Prints the list.
    pub fn execute(self) -> Outcome {
        door::run(async {
            let place = self.place.place().await?;
            if let Place::Network(search) = &place {
                search.all().await;
                if search.nodes().by_id.is_empty() && !self.look.watches() {
                    return Err(search.nobody().await);
                }
            }
            let look = async || {
                let (own, cluster) = place.look().await?;
                Ok(Seen { own, elsewhere: Elsewhere::all(&cluster), cluster })
            };
            self.look.each(look, |seen, _, paint| seen.text(paint)).await.map(drop)
        })
    }
}

/// What there is.
struct Seen {
    /// The services of the host, if one was asked.
    own: Option<Vec<ServiceView>>,
    elsewhere: Vec<Elsewhere>,
    cluster: ClusterView,
}

/// A list of all services.
impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum One<'s> {
            Own(&'s ServiceView),
            Elsewhere(&'s Elsewhere),
        }
        serializer.collect_seq(self.own.iter().flatten().map(One::Own).chain(self.elsewhere.iter().map(One::Elsewhere)))
    }
}

impl Seen {
    fn text(&self, paint: Paint) -> String {
        let (own, title) = match &self.own {
            Some(services) => (text(services, paint), "on other hosts"),
            None if self.elsewhere.is_empty() => ("no host that was found runs a service".to_owned(), ""),
            None => (String::new(), "name"),
        };
        let others = Elsewhere::lines(&self.elsewhere, title, paint).join("\n");
        let parts = [own, others, lost(&self.cluster, paint), astray(&self.cluster, paint)];
        let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        said.join("\n\n")
    }
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
            known(service.version.as_deref()),
            shown::state(service.state),
            Cell::number(service.instances),
            Cell::number(service.calls),
            Cell::number(service.errors).bad_if(service.errors > 0),
            Cell::number(service.under_way),
            aged(service.since.as_deref()),
        ]);
    }
    let mut lines = table.lines(paint);
    lines.extend(services.iter().filter_map(|service| Some(shown::reason(&service.name, service.why.as_ref()?, paint))));
    lines.extend(services.iter().filter_map(|service| shown::held_back(&service.name, service.canary.as_ref(), paint)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use microhost::admin::view::State;

    use super::*;

    #[test]
    fn a_service_that_failed_is_listed_with_its_reason() {
        let service = |name: &str, state, why: Option<&str>| ServiceView {
            name: name.into(),
            version: Some("1.2.0".into()),
            state,
            why: why.map(str::to_owned),
            since: None,
            canary: None,
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
