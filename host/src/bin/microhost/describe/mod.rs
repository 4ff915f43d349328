//! `microhost describe`: all that a host knows of one of its services.

use std::fmt::Write;

use clap::Args;
use microhost::admin::change::Trial;
use microhost::admin::view::{Description, EndpointView, MessageView};
use serde::Serialize;

use crate::door::{self, segment};
use crate::failure::Outcome;
use crate::output;
use crate::paint::{Paint, visible};
use crate::place::{Place, PlaceArgs};
use crate::shown::age;
use crate::table::{Cell, Table};

mod elsewhere;

use elsewhere::{Elsewhere, Offering};

/// Show a service: the hosts that offer it, endpoints, messages, imports, grants, limits
///
/// The service is named as in the settings and in `microhost services`. One that runs only on other hosts
/// may be named as callers do, too, and is shown as far as they tell others of it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost describe orders
  microhost describe orders --host shop
  microhost describe orders --discover                 wherever it runs on this network
  microhost describe orders --json | jq .endpoints")]
pub struct Describe {
    /// The service, by its name in the settings
    service: String,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// What a host tells of its own service, with who else has it.
#[derive(Serialize)]
struct Own {
    #[serde(flatten)]
    found: Description,
    nodes: Vec<Offering>,
}

impl Describe {
    /// Prints what is known.
    pub fn execute(self) -> Outcome {
        door::run(async {
            let place = self.place.place().await?;
            if let Place::Network(search) = &place {
                search.until(|nodes| Elsewhere::of(nodes.by_id.values().map(|node| &**node), None, &self.service).is_some()).await;
            }
            let (services, cluster) = place.look().await?;
            let elsewhere = Elsewhere::of(&cluster.nodes, cluster.own.as_deref(), &self.service);
            let client = match &place {
                Place::Host(client) => client,
                Place::Network(search) if cluster.nodes.is_empty() => return Err(search.nobody().await),
                Place::Network(search) => {
                    let Some(elsewhere) = elsewhere else {
                        return Err(search.with_troubles(elsewhere::unknown(&self.service, &cluster.nodes)).await);
                    };
                    return elsewhere.print(self.json);
                }
            };
            let is_own = services.iter().flatten().any(|own| own.name == self.service);
            match elsewhere {
                Some(elsewhere) if !is_own => elsewhere.print(self.json),
                // Where nobody knows it, the host says what there is.
                elsewhere => {
                    let found = client.get(&format!("services/{}", segment(&self.service))).await?;
                    let own = Own { found, nodes: elsewhere.map(|elsewhere| elsewhere.nodes).unwrap_or_default() };
                    if self.json { output::print_json(&own) } else { output::print(text(&own, Paint::for_stdout())) }
                }
            }
        })
    }
}

/// Writing to a string cannot fail, so no result of it is looked at, here and below.
fn text(Own { found, nodes }: &Own, paint: Paint) -> String {
    let service = &found.service;
    let mut text = String::new();
    let heading = |text: &mut String, what: &str| heading(text, what, paint);
    let version = service.version.as_deref().map(|version| format!(" {}", visible(version))).unwrap_or_default();
    let _ = writeln!(text, "{}{version}  {}", paint.strong(&visible(&service.name)), service.state.name());
    if let Some(why) = &service.why {
        for line in why.lines() {
            let _ = writeln!(text, "  {}", paint.bad(&visible(line)));
        }
    }
    let since = service.since.as_deref().map(|since| format!("{since} ({} ago)", age(since).unwrap_or_default()));
    let calls = format!("{} ended, {} of them by its fault; {} now", service.calls, service.errors, service.under_way);
    let versions = found.versions.as_ref();
    let running = versions.map(|versions| {
        let before = versions.previous.map(|previous| format!("; `microhost rollback` brings back {previous}")).unwrap_or_default();
        let swapping = if versions.swapping { "; a swap is under way" } else { "" };
        format!("{}{before}{swapping}", versions.serving)
    });
    let trial = versions.and_then(|versions| versions.canary.as_ref()).map(|trial| {
        let Trial { version, share, calls, why, .. } = trial;
        let now = why.as_ref().map(|why| format!("; it is not well and gets none now: {why}")).unwrap_or_default();
        format!("{version} has {share} of the calls: {} ended, {} of them failed{now}", calls.ended, calls.failed)
    });
    let draining = versions.filter(|versions| !versions.draining.is_empty()).map(|versions| {
        let all = versions.draining.iter();
        let all = all.map(|old| format!("{}, {} instances, for {:.0}s", old.version, old.instances, old.seconds));
        all.collect::<Vec<_>>().join("; ")
    });
    let facts = [
        ("component", Some(found.component.clone())),
        ("since", since),
        ("serving", running),
        ("canary", trial),
        ("draining", draining),
        ("instances", Some(format!("{}, {}", service.instances, found.isolation))),
        ("calls", Some(calls)),
        ("HTTP", found.http.as_ref().map(|route| format!("at {route}"))),
        ("gateway", (!found.gateway.is_empty()).then(|| found.gateway.join(", "))),
    ];
    for (name, fact) in facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))) {
        let _ = writeln!(text, "  {name:<10} {}", visible(&fact));
    }
    if !nodes.is_empty() {
        heading(&mut text, "offered by");
        elsewhere::offered(nodes, &mut text, paint);
    }
    if !found.endpoints.is_empty() {
        heading(&mut text, "endpoints");
        endpoints(&found.endpoints, &mut text);
    }
    if !found.messages.is_empty() {
        heading(&mut text, "messages: number, name in protobuf, name in JSON, type");
        messages(&found.messages, &mut text);
    }
    if !found.refused.is_empty() {
        heading(&mut text, "not served");
        for refused in &found.refused {
            let _ = writeln!(text, "  {}: {}", visible(&refused.function), visible(&refused.why));
        }
    }
    if !found.imports.is_empty() {
        heading(&mut text, "imports of other services");
        for import in &found.imports {
            let by = import.by.as_ref().map_or_else(|| paint.bad("nobody yet"), |by| format!("from {}", visible(by)));
            let _ = writeln!(text, "  {}  {by}: {}", visible(&import.interface), visible(&import.functions.join(", ")));
        }
    }
    heading(&mut text, "grants");
    if found.grants.is_empty() {
        text.push_str("  none\n");
    }
    for (kind, granted) in &found.grants {
        let _ = writeln!(text, "  {kind:<12} {}", visible(&granted.join(", ")));
    }
    heading(&mut text, "limits");
    let limits: Vec<String> = found.limits.iter().map(|(name, limit)| format!("{name} = {limit}")).collect();
    for row in limits.chunks(3) {
        let columns: Vec<String> = row.iter().map(|limit| format!("{limit:<30}")).collect();
        let _ = writeln!(text, "  {}", columns.join(" ").trim_end());
    }
    text.trim_end().to_owned()
}

fn heading(text: &mut String, what: &str, paint: Paint) {
    let _ = writeln!(text, "\n{}", paint.strong(what));
}

fn endpoints(all: &[EndpointView], text: &mut String) {
    for group in all.chunk_by(|a, b| a.service == b.service) {
        let _ = writeln!(text, "  {}", visible(&group[0].service));
        for one in group {
            let safe = if one.safe { ", safe" } else { "" };
            let _ = writeln!(text, "    {}  ({}{safe})", visible(&one.method), one.kind);
            if let Some(signature) = &one.signature {
                let _ = writeln!(text, "      {}", visible(signature));
            }
            let _ = writeln!(text, "      {}", visible(&messages_of(one)));
        }
    }
}

/// What goes in and what comes out: `stream example.chat.Line -> example.chat.Summary`.
fn messages_of(one: &EndpointView) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    let (client, server) =
        (matches!(one.kind.as_str(), "client-stream" | "bidi-stream"), matches!(one.kind.as_str(), "server-stream" | "bidi-stream"));
    format!("{}{} -> {}{}", stream(client), one.input, stream(server), one.output)
}

fn messages(all: &[MessageView], text: &mut String) {
    for message in all {
        let _ = writeln!(text, "  {}", visible(&message.name));
        let mut table = Table::new(&["", "", "", ""]);
        for field in &message.fields {
            table.row([Cell::number(field.number), Cell::text(&field.name), Cell::text(&field.json_name), Cell::text(&field.kind)]);
        }
        for line in table.lines(Paint::none()).iter().skip(1) {
            let _ = writeln!(text, "    {line}");
        }
    }
}
