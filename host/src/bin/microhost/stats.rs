//! `microhost stats`: what the services of a host do, at one moment or from moment to moment.

use std::time::SystemTime;

use bytesize::ByteSize;
use clap::Args;
use microhost::admin::view::{CallFigures, ServiceFigures, Stats as View};

use crate::door::{self, HostArgs, segment};
use crate::failure::Outcome;
use crate::look::LookArgs;
use crate::paint::Paint;
use crate::table::{Cell, Table};

/// Show what the services of a running host do and use
///
/// Calls and errors are counted since the host started; p50 and p99 are the times in which half and 99
/// of 100 calls ended. With --watch, calls a second and CPU are those of the time between two looks.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost stats                    a line a service
  microhost stats orders             one service: a line an endpoint, and every figure
  microhost stats --watch            again and again, until Ctrl-C
  microhost stats --watch --json     one line of JSON each time")]
pub struct Stats {
    /// The service, by its name in the settings; all without
    service: Option<String>,

    #[command(flatten)]
    look: LookArgs,

    #[command(flatten)]
    host: HostArgs,
}

impl Stats {
    /// Prints the figures.
    pub fn execute(self) -> Outcome {
        door::run(async {
            let path = self.service.as_deref().map_or_else(|| "stats".to_owned(), |name| format!("stats?service={}", segment(name)));
            let client = self.host.client().await?;
            let look = async || client.get(&path).await;
            self.look.each(look, |now, before, paint| text(now, before, self.service.is_some(), paint)).await.map(drop)
        })
    }
}

fn text(now: &View, before: Option<&View>, whole: bool, paint: Paint) -> String {
    let elapsed = before.and_then(|before| between(&before.at, &now.at));
    let last = |name: &str| before.and_then(|before| before.services.iter().find(|service| service.name == name));
    let mut lines = overview(now, last, elapsed).lines(paint);
    for service in now.services.iter().filter(|_| whole) {
        lines.push(String::new());
        lines.extend(endpoints(service, last(&service.name), elapsed).lines(paint));
        lines.push(String::new());
        let mut table = Table::new(&["figure", "value"]);
        for (name, value) in &service.figures {
            table.row([Cell::text(name.replace('_', " ")), Cell::number(figure(name, *value))]);
        }
        lines.extend(table.lines(paint));
    }
    if now.services.is_empty() {
        lines.push("the host runs no service".to_owned());
    }
    lines.join("\n")
}

fn overview<'b>(now: &View, last: impl Fn(&str) -> Option<&'b ServiceFigures>, elapsed: Option<f64>) -> Table {
    let mut table = Table::new(&[
        "service",
        "calls",
        "calls/s",
        "errors",
        "now",
        "p50",
        "p99",
        "instances",
        "memory",
        "cpu",
        "disk",
        "queued",
        "streams",
        "shed",
        "traps",
        "log lost",
    ]);
    for service in &now.services {
        let get = |name: &str| service.figures.get(name).copied().unwrap_or_default();
        let last = last(&service.name);
        let [calls, rate, errors, under_way, p50, p99] = calls(&service.calls, last.map(|last| &last.calls), elapsed);
        let cpu = get("guest_cpu_seconds");
        let cpu = match (last.and_then(|last| last.figures.get("guest_cpu_seconds")), elapsed) {
            (Some(before), Some(elapsed)) => format!("{:.0}%", (cpu - before).max(0.0) / elapsed * 100.0),
            _ => seconds(cpu),
        };
        let amiss = |value: f64| Cell::number(value).bad_if(value > 0.0);
        table.row([
            Cell::text(&service.name).strong(),
            calls,
            rate,
            errors,
            under_way,
            p50,
            p99,
            Cell::number(get("instances")),
            Cell::number(bytes(get("instance_memory_bytes"))),
            Cell::number(cpu),
            Cell::number(bytes(get("disk_bytes"))),
            Cell::number(get("queued_calls")),
            Cell::number(get("streams")),
            amiss(get("shed_calls") + get("refused_by_limits")),
            amiss(get("traps")),
            amiss(get("log_lines_dropped")),
        ]);
    }
    table
}

fn endpoints(service: &ServiceFigures, last: Option<&ServiceFigures>, elapsed: Option<f64>) -> Table {
    let mut table = Table::new(&["endpoint", "calls", "calls/s", "errors", "now", "p50", "p99", "received", "sent", "ended as"]);
    for (name, figures) in &service.endpoints {
        let codes: Vec<String> = figures.codes.iter().map(|(code, count)| format!("{code} {count}")).collect();
        let last = last.and_then(|last| last.endpoints.get(name));
        let calls = calls(figures, last, elapsed);
        let rest = [Cell::number(figures.received), Cell::number(figures.sent), Cell::text(codes.join(", "))];
        table.row([Cell::text(name)].into_iter().chain(calls).chain(rest));
    }
    table
}

/// Calls, calls a second, errors, calls now, p50, p99.
fn calls(now: &CallFigures, before: Option<&CallFigures>, elapsed: Option<f64>) -> [Cell; 6] {
    let rate = match (before, elapsed) {
        // Figures begin anew with a service that does.
        (Some(before), Some(elapsed)) => format!("{:.0}", now.ended.saturating_sub(before.ended) as f64 / elapsed),
        _ => "-".to_owned(),
    };
    let time = |us: Option<u64>| Cell::number(us.map_or_else(|| "-".to_owned(), time));
    [
        Cell::number(now.ended),
        Cell::number(rate),
        Cell::number(now.errors).bad_if(now.errors > 0),
        Cell::number(now.under_way),
        time(now.p50_us),
        time(now.p99_us),
    ]
}

/// The seconds between two moments.
fn between(before: &str, now: &str) -> Option<f64> {
    let moment = |text: &str| -> Option<SystemTime> { humantime::parse_rfc3339(text).ok() };
    let elapsed = moment(now)?.duration_since(moment(before)?).ok()?.as_secs_f64();
    (elapsed > 0.0).then_some(elapsed)
}

fn figure(name: &str, value: f64) -> String {
    match name {
        _ if name.ends_with("_bytes") => bytes(value),
        _ if name.ends_with("_seconds") => seconds(value),
        _ => value.to_string(),
    }
}

/// Never negative: gauges may be read in the midst of a change.
fn bytes(value: f64) -> String {
    ByteSize(value.max(0.0) as u64).display().iec().to_string()
}

fn seconds(value: f64) -> String {
    time((value.max(0.0) * 1e6) as u64)
}

/// Microseconds in a unit that keeps the number short.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}µs"),
        1_000..10_000 => format!("{:.1}ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..100_000_000 => format!("{:.1}s", us as f64 / 1e6),
        _ => format!("{}s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn view(at: &str, ended: u64, cpu: f64) -> View {
        let calls = CallFigures { ended, p50_us: Some(80), p99_us: Some(2_500), ..CallFigures::default() };
        let figures = BTreeMap::from([
            ("instances".to_owned(), 1.0),
            ("instance_memory_bytes".to_owned(), 1_114_112.0),
            ("guest_cpu_seconds".to_owned(), cpu),
        ]);
        let endpoints = BTreeMap::from([("a.B/C".to_owned(), calls.clone())]);
        View { at: at.into(), services: vec![ServiceFigures { name: "orders".into(), calls, figures, endpoints }] }
    }

    #[test]
    fn rates_are_those_between_two_looks() {
        let (before, now) = (view("2026-01-01T00:00:00.000Z", 100, 1.0), view("2026-01-01T00:00:02.000Z", 300, 2.0));
        let text = text(&now, Some(&before), false, Paint::none());
        let row: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row[..10], ["orders", "300", "100", "0", "0", "80µs", "2.5ms", "1", "1.1", "MiB"]);
        assert_eq!(row[10], "50%");
    }

    #[test]
    fn one_service_is_shown_with_its_endpoints_and_every_figure() {
        let text = text(&view("2026-01-01T00:00:00.000Z", 100, 1.5), None, true, Paint::none());
        let has = |wanted: &[&str]| text.lines().any(|line| line.split_whitespace().eq(wanted.iter().copied()));
        assert!(text.contains("a.B/C") && has(&["guest", "cpu", "seconds", "1.5s"]), "{text}");
    }

    #[test]
    fn times_are_short() {
        assert_eq!([80, 2_500, 40_000, 3_200_000].map(time), ["80µs", "2.5ms", "40ms", "3.2s"]);
    }
}
