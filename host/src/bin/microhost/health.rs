//! `microhost health`: whether a host and its services are well, and the same services on other hosts.

use clap::Args;
use microhost::admin::view::{ClusterView, HealthView, ServiceHealth, State};
use serde::Serialize;

use crate::door::{self, HostArgs};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::look::LookArgs;
use crate::paint::{Paint, visible};
use crate::shown::{self, Elsewhere, aged, known};
use crate::table::{Cell, Table};

/// Show whether a running host and its services are well
///
/// Tells of each service since when, and why it is not well; and of the same services on the other hosts
/// that it knows. Ends with 0 if all that it tells of is well, else with 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost health
  microhost health orders                              one service, here and on other hosts
  microhost health --watch                             again and again, until Ctrl-C
  microhost health --host shop                         one of several hosts
  microhost health --json | jq '.services[] | select(.state != \"serving\")'")]
pub struct Health {
    /// The service, by its name in the settings
    service: Option<String>,

    #[command(flatten)]
    look: LookArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// All that is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    well: bool,
    phase: String,
    trouble: Option<String>,
    services: Vec<ServiceHealth>,
    elsewhere: Vec<Elsewhere>,
}

impl Health {
    /// Prints how all is.
    pub fn execute(self) -> Outcome {
        door::run(async {
            let client = self.host.client().await?;
            let look = async || told(client.get("health").await?, &client.get("cluster").await?, self.service.as_deref());
            let told = self.look.each(look, |told, _, paint| text(told, paint)).await?;
            match &told.unwell()[..] {
                [] => Ok(()),
                unwell => Err(Failure::new(Exit::Failed, format!("not well: {}", unwell.join(", ")))),
            }
        })
    }
}

/// What is to be told of a host and of others, of all services or of one.
fn told(host: HealthView, cluster: &ClusterView, only: Option<&str>) -> Outcome<Told> {
    let HealthView { phase, trouble, mut services } = host;
    let mut elsewhere = Elsewhere::all(cluster);
    let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    match only {
        Some(only) => {
            services.retain(|service| service.name == only);
            elsewhere.retain(|service| service.name == only);
            if services.is_empty() && elsewhere.is_empty() {
                let known = format!("this host has {}", names.join(", "));
                return Err(
                    Failure::new(Exit::Refused, format!("neither this host nor one that it knows has a service {only:?}")).note(known)
                );
            }
        }
        None => elsewhere.retain(|service| names.contains(&service.name)),
    }
    let mut told = Told { well: false, phase, trouble, services, elsewhere };
    told.well = told.unwell().is_empty();
    Ok(told)
}

impl Told {
    /// What is not well of it.
    fn unwell(&self) -> Vec<String> {
        let host = (self.phase != "ready" || self.trouble.is_some()).then(|| "the host".to_owned());
        let is_bad = |state| matches!(state, State::Unwell | State::Failed);
        let here = self.services.iter().filter(|service| is_bad(service.state)).map(|service| service.name.clone());
        let tried = self.services.iter().filter_map(|service| Some((service, service.canary.as_ref()?)));
        let tried = tried.filter(|(_, trial)| trial.why.is_some());
        let there = self.elsewhere.iter().filter(|service| is_bad(service.state));
        host.into_iter()
            .chain(here)
            .chain(tried.map(|(service, trial)| format!("version {} of {}, which is tried", trial.version, service.name)))
            .chain(there.map(|service| format!("{} on {}", service.name, service.host)))
            .collect()
    }
}

fn text(told: &Told, paint: Paint) -> String {
    let phase = match told.phase.as_str() {
        "ready" if told.trouble.is_none() => paint.good("ready"),
        phase => paint.bad(phase),
    };
    let mut lines = vec![format!("the host is {phase}")];
    lines.extend(told.trouble.iter().map(|trouble| format!("  {}", paint.bad(&visible(trouble)))));
    if !told.services.is_empty() {
        let mut table = Table::new(&["name", "version", "state", "for"]);
        for service in &told.services {
            let name = Cell::text(&service.name).strong();
            table.row([name, known(service.version.as_deref()), shown::state(service.state), aged(service.since.as_deref())]);
        }
        lines.push(String::new());
        lines.extend(table.lines(paint));
    }
    lines.extend(told.services.iter().filter_map(|service| Some(shown::reason(&service.name, service.why.as_ref()?, paint))));
    lines.extend(told.services.iter().filter_map(|service| shown::held_back(&service.name, service.canary.as_ref(), paint)));
    let others = Elsewhere::lines(&told.elsewhere, "on other hosts", paint);
    if !others.is_empty() {
        lines.push(String::new());
        lines.extend(others);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(trouble: Option<&str>, state: State) -> HealthView {
        let service = ServiceHealth {
            name: "orders".into(),
            version: Some("1.2.0".into()),
            state,
            why: (state != State::Serving).then(|| "its check fails: no disk".to_owned()),
            since: None,
            canary: None,
        };
        HealthView { phase: "ready".into(), trouble: trouble.map(str::to_owned), services: vec![service] }
    }

    #[test]
    fn a_service_that_is_not_well_is_shown_with_its_reason() {
        let told = told(health(None, State::Unwell), &ClusterView::default(), None).ok().expect("it is known");
        let expected = "\
the host is ready

NAME    VERSION  STATE   FOR
orders  1.2.0    unwell    -

orders: its check fails: no disk";
        assert_eq!(text(&told, Paint::none()), expected);
    }

    #[test]
    fn all_is_well_only_where_the_host_and_its_services_are() {
        let well = |trouble, state| {
            let told = told(health(trouble, state), &ClusterView::default(), Some("orders")).ok().expect("it is known");
            assert_eq!(told.well, told.unwell().is_empty());
            told.well
        };
        assert!(well(None, State::Serving) && well(None, State::Waiting));
        assert!(!well(None, State::Unwell) && !well(None, State::Failed) && !well(Some("lane 1 hangs"), State::Serving));
        assert!(told(health(None, State::Serving), &ClusterView::default(), Some("stock")).is_err());
    }
}
