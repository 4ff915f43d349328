//! What several commands show of services: how they are, why, since when, and those of other hosts.

use std::time::{Duration, SystemTime};

use microhost::admin::change::Trial;
use microhost::admin::view::{ClusterView, State};
use microhost::registry::Node;
use serde::Serialize;

use crate::paint::{Paint, visible};
use crate::table::{Cell, Table};

/// A state in its colour.
pub fn state(state: State) -> Cell {
    let cell = Cell::text(state.name());
    match state {
        State::Serving => cell.good(),
        State::Waiting => cell.odd(),
        State::Unwell | State::Failed => cell.bad(),
    }
}

/// What may not be known.
pub fn known(text: Option<&str>) -> Cell {
    Cell::text(text.unwrap_or("-"))
}

/// How long ago a moment was, in its two largest units: `3h 12m`.
pub fn age(since: &str) -> Option<String> {
    let since = humantime::parse_rfc3339(since).ok()?;
    // A clock that was set back makes nothing older than new.
    let age = SystemTime::now().duration_since(since).unwrap_or_default();
    let whole = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    Some(whole.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

/// The same in a table, of what may not have begun.
pub fn aged(since: Option<&str>) -> Cell {
    Cell::number(since.and_then(age).unwrap_or_else(|| "-".to_owned()))
}

/// Why one of them is as it is, below a table of all.
pub fn reason(name: &str, why: &str, paint: Paint) -> String {
    let why: Vec<String> = why.lines().map(visible).collect();
    format!("\n{}: {}", paint.strong(&visible(name)), why.join("\n  "))
}

/// Why the version of a service that is tried gets no calls, below a table; nothing where it gets them.
pub fn held_back(name: &str, trial: Option<&Trial>, paint: Paint) -> Option<String> {
    let Trial { version, share, why, .. } = trial?;
    let why = why.as_deref()?;
    Some(reason(name, &format!("version {version}, which is tried with {share} of the calls, is not well and gets none: {why}"), paint))
}

/// A service of another host.
#[derive(Serialize)]
pub struct Elsewhere {
    /// Its name in the settings of its host.
    pub name: String,
    version: Option<String>,
    /// How it is, as far as its host tells others.
    pub state: State,
    /// What people call its host.
    pub host: String,
    address: Option<String>,
    zone: Option<String>,
    weight: u32,
}

impl Elsewhere {
    /// All that are known.
    pub fn all(cluster: &ClusterView) -> Vec<Elsewhere> {
        cluster.nodes.iter().filter(|node| Some(&node.id) != cluster.own.as_ref()).flat_map(Elsewhere::of).collect()
    }

    fn of(node: &Node) -> impl Iterator<Item = Elsewhere> {
        node.services.iter().map(|service| Elsewhere {
            name: service.name.clone(),
            version: service.version.clone(),
            state: if service.ready { State::Serving } else { State::Unwell },
            host: node.called().to_owned(),
            address: node.addresses.first().map(ToString::to_string),
            zone: node.zone.clone(),
            weight: service.weight,
        })
    }

    /// A line each, below a title; none where there are none.
    pub fn lines(all: &[Elsewhere], title: &str, paint: Paint) -> Vec<String> {
        if all.is_empty() {
            return Vec::new();
        }
        let mut table = Table::new(&[title, "version", "state", "host", "address", "zone"]);
        for service in all {
            table.row([
                Cell::text(&service.name).strong(),
                known(service.version.as_deref()),
                state(service.state),
                Cell::text(&service.host),
                known(service.address.as_deref()),
                known(service.zone.as_deref()),
            ]);
        }
        table.lines(paint)
    }
}
