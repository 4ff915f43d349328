//! `bench choose`: what it costs to choose one of many hosts, with each policy. It has to cost among ten
//! thousand what it costs among ten.

use std::fmt;
use std::hint::black_box;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use microhost::lanes::Lanes;
use microhost::selector::{Candidates, Choice, Facts, Listed, Outcome, Rules, Tried};
use microhost::settings::{Balance, BreakerSettings, Policy};
use serde::Serialize;

use crate::statistics::Spread;
use crate::table::Table;

/// What is measured, and how long.
#[derive(Args)]
pub struct Options {
    /// Hosts to choose from
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1_000, 10_000], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    hosts: Vec<u32>,
    /// Choices of each measurement
    #[arg(long, default_value_t = 1_000_000)]
    count: u32,
    /// Measurements, of which the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Keys that calls have, one after the other.
const KEYS: usize = 1024;

/// One of this many hosts has another weight than the others, and one is left alone.
const ODD: u32 = 10;

struct Host {
    id: String,
    weight: u32,
}

impl Listed for Host {
    fn facts(&self) -> Facts<'_> {
        Facts { node: &self.id, service: "payments", weight: self.weight, ..Facts::default() }
    }
}

/// A policy as the report calls it, and as it is set.
const POLICIES: [(&str, Policy, Option<&str>); 5] = [
    ("two-choices", Policy::TwoChoices, None),
    ("round-robin", Policy::RoundRobin, None),
    ("random", Policy::Random, None),
    ("least-in-flight", Policy::LeastInFlight, None),
    ("hash-by", Policy::TwoChoices, Some("user-id")),
];

/// What one policy costs among so many hosts, in nanoseconds.
#[derive(Serialize)]
struct Cost {
    policy: &'static str,
    hosts: u32,
    /// A choice alone, and one with the call that is begun with it and ends.
    choice: Spread,
    call: Spread,
    /// The latter on all cores at once, by the same list: time of a core.
    call_on_all_cores: Spread,
    /// Making the list.
    build: Spread,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.count > 0, "nothing is measured: give --rounds and --count more than zero");
    let lanes = Lanes::start(thread::available_parallelism().context("the machine does not tell its cores")?)?;
    let mut report = Report { cores: lanes.count(), costs: Vec::new() };
    for (name, policy, hash_by) in POLICIES {
        for hosts in &options.hosts {
            eprintln!("{name} among {hosts} …");
            // Those that are left alone stay so while it is measured.
            let breaker = BreakerSettings { pause: Some(Duration::from_secs(3600)), ..BreakerSettings::default() };
            let balance = Balance { policy: Some(policy), hash_by: hash_by.map(Into::into), breaker, ..Balance::default() };
            report.costs.push(measure(name, *hosts, &Rules::new(&balance, None), options, &lanes)?);
        }
    }
    lanes.stop(Duration::from_secs(1));
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?)
    } else {
        print!("{report}")
    }
    Ok(())
}

/// Choices among a list, on a lane as those of calls are.
struct Choices {
    candidates: Candidates<Host>,
    keys: Vec<String>,
    count: u32,
}

impl Choices {
    fn choose(&self, n: u32) -> Choice<'_, Host> {
        self.candidates.choose(Some(&self.keys[n as usize % KEYS]), &Tried::default()).expect("all are ready")
    }

    /// Nanoseconds of a choice alone.
    fn choice(&self) -> f64 {
        self.timed(|n| drop(black_box(self.choose(n))))
    }

    /// Nanoseconds of a choice, and of the call that is begun with it and ends.
    fn call(&self) -> f64 {
        self.timed(|n| {
            black_box(self.choose(n).begin().finish(Outcome::Success));
        })
    }

    fn timed(&self, one: impl Fn(u32)) -> f64 {
        let start = Instant::now();
        (0..self.count).for_each(one);
        start.elapsed().as_nanos() as f64 / f64::from(self.count)
    }

    /// The mean of what is measured on this many lanes at once.
    fn on(self: &Arc<Self>, lanes: &Lanes, many: usize, measured: fn(&Choices) -> f64) -> Result<f64> {
        let together = Arc::new(Barrier::new(many));
        let (times, timed) = mpsc::channel();
        for lane in 0..many {
            let (choices, together, times) = (Arc::clone(self), Arc::clone(&together), times.clone());
            lanes.spawn_on(lane, async move {
                together.wait();
                // Whoever does not wait for it has failed already.
                let _ = times.send(measured(&choices));
            });
        }
        drop(times);
        let times: Vec<f64> = timed.iter().collect();
        ensure!(times.len() == many, "a choice panicked");
        Ok(times.iter().sum::<f64>() / many as f64)
    }
}

fn measure(policy: &'static str, hosts: u32, rules: &Rules, options: &Options, lanes: &Lanes) -> Result<Cost> {
    let list = || (0..hosts).map(|id| Host { id: format!("host-{id}"), weight: if id % ODD == 0 { 50 } else { 100 } });
    let mut builds = Vec::new();
    let mut candidates = Candidates::build(list(), rules, None);
    for _ in 0..options.rounds {
        let list: Vec<Host> = list().collect();
        let start = Instant::now();
        candidates = Candidates::build(list, rules, None);
        builds.push(start.elapsed().as_nanos() as f64);
    }
    let keys: Vec<String> = (0..KEYS).map(|key| format!("user-{key}")).collect();
    // Some are left alone, as some always are; theirs is not the first try.
    for _ in 0..hosts / ODD * 100 {
        let choice = candidates.choose(None, &Tried::default()).expect("all are ready");
        let is_broken = choice.value.id.ends_with('7');
        choice.begin().finish(if is_broken { Outcome::Failure } else { Outcome::Success });
    }
    let choices = Arc::new(Choices { candidates, keys, count: options.count });
    let rounds = |many, measured: fn(&Choices) -> f64| {
        let all: Result<Vec<f64>> = (0..options.rounds).map(|_| choices.on(lanes, many, measured)).collect();
        all.map(Spread::of)
    };
    Ok(Cost {
        policy,
        hosts,
        choice: rounds(1, Choices::choice)?,
        call: rounds(1, Choices::call)?,
        call_on_all_cores: rounds(lanes.count(), Choices::call)?,
        build: Spread::of(builds),
    })
}

#[derive(Serialize)]
struct Report {
    cores: usize,
    costs: Vec<Cost>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let head = ["policy", "hosts", "choice ns", "with call ns", "on all cores ns", "list ms"];
        let mut table = Table::new(format!("A choice among hosts, of which a tenth is left alone; {} cores", self.cores), &head);
        for cost in &self.costs {
            let nanoseconds = |spread: &Spread| format!("{:.0}", spread.median);
            table.row(vec![
                cost.policy.into(),
                cost.hosts.to_string(),
                nanoseconds(&cost.choice),
                nanoseconds(&cost.call),
                nanoseconds(&cost.call_on_all_cores),
                format!("{:.2}", cost.build.median / 1e6),
            ]);
        }
        table.fmt(f)
    }
}
