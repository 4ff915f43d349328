//! What a service says of its own health while it runs, and what becomes of its calls then.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::host::{Host, Start};
use e2e::metrics::{INSTANCES, TRAPS};
use e2e::{cluster, guests, settings, soon};
use serde_json::{Value, json};

use crate::messages::Text;

const BEAT: &str = "test.pulse.v1.Pulse/Beat";

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A host with a service that says what its file wants, beside one that calls it.
struct Patient {
    host: Host,
    state: PathBuf,
}

impl Patient {
    /// Well at first, and called `version` by what it answers; `check` is how it is asked. `among` names its
    /// cluster, and those of it that it knows.
    async fn start(version: &str, check: &str, more: &str, among: Option<(&str, &[&Patient])>) -> Patient {
        let start = Start::settings("");
        let state = start.folder().join("state");
        fs::create_dir(&state).expect("a folder of the test's own");
        let rest = format!(
            "{more}\nhealth = {{ {check} }}\n[service.pulse.grants]\nenvironment = {{ HEALTH = \"/state/health\", VERSION = {version:?} }}\n\
             folders = {{ \"/state\" = {{ path = \"state\", write = true }} }}\n"
        );
        let text = settings::service("pulse", &guests::guest("pulse"), &rest) + &calling();
        fs::write(start.folder().join("microhost.toml"), text).expect("a folder of the test's own");
        write(&state, "health", "well");
        let start = match among {
            Some((cluster, known)) => known.iter().fold(start.among(cluster), |start, patient| start.arg("--peer").arg(patient.host.url())),
            None => start,
        };
        Patient { host: start.ready().await, state }
    }

    /// From now on, it says this when it is asked.
    fn says(&self, what: &str) {
        write(&self.state, "health", what);
    }

    /// From now on, the version of it that is tried says this.
    fn trial_says(&self, what: &str) {
        write(&self.state, "trial", what);
    }

    /// Which versions answer so many calls.
    async fn answering(&self, calls: usize) -> BTreeSet<String> {
        let mut answered = BTreeSet::new();
        for _ in 0..calls {
            answered.insert(self.host.call(BEAT, &json!({})).ok().await["version"].as_str().unwrap_or_default().to_owned());
        }
        answered
    }

    async fn answers_become(&self, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
        soon(&format!("answers of {wanted:?}"), async { while self.answering(10).await != wanted {} }).await;
    }

    /// What a figure says of it.
    async fn figure(&self, name: &str) -> f64 {
        self.host.metrics().await.value(name, &[("service", "pulse")])
    }

    /// How often it was asked.
    fn asked(&self) -> usize {
        fs::read(self.state.join("health.asked")).map_or(0, |dots| dots.len())
    }

    /// How the command tells that it is.
    async fn health(&self) -> Value {
        let ended = self.host.admin(["health", "pulse", "--json"]).run().await;
        let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
        assert_eq!(ended.code, Some(if told["well"] == true { 0 } else { 1 }), "{ended:#?}");
        told
    }

    /// Waits until the command tells that it is in this state; why.
    async fn becomes(&self, state: &str) -> String {
        soon(&format!("that it is {state}"), async {
            loop {
                let told = self.health().await;
                if told["services"][0]["state"] == state {
                    return told["services"][0]["why"].as_str().unwrap_or_default().to_owned();
                }
            }
        })
        .await
    }

    /// What gRPC's own health tells of it.
    async fn grpc(&self) -> i32 {
        let asked = Text { value: "test.pulse.v1.Pulse".into() };
        self.host.grpc("grpc.health.v1.Health/Check", &asked).outcome().await.reply::<Health>().status
    }

    async fn probe(&self, path: &str) -> u16 {
        self.host.get(&format!("/_microhost/health/{path}")).await.status.as_u16()
    }
}

/// At once, so that nobody reads half of it.
fn write(state: &Path, file: &str, what: &str) {
    let new = state.join("new");
    fs::write(&new, what).and_then(|()| fs::rename(&new, state.join(file))).expect("a folder of the test's own");
}

const OFTEN: &str = "interval = \"50ms\", timeout = \"20s\", failure-threshold = 2, success-threshold = 2";

/// The section of the service that calls.
fn calling() -> String {
    settings::service("caller", &guests::guest("caller"), "handles = [\"test.Caller\"]\ngrants = { calls = [\"*\"] }")
}

/// A host whose service calls that of these, all in turn: one that was slow once would be called seldom otherwise.
async fn caller(cluster: &str, patients: &[&Patient]) -> Host {
    let mut start = Start::settings(&(calling() + "[calls.balance]\npolicy = \"round-robin\"\n")).among(cluster);
    for patient in patients {
        start = start.arg("--peer").arg(patient.host.url());
    }
    start.ready().await
}

/// Who answers so many calls.
async fn answering(caller: &Host, calls: usize) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    for _ in 0..calls {
        let beaten = caller.call("test.Caller/Any", &json!({})).header("x-to", BEAT).ok().await;
        answered.insert(beaten["version"].as_str().unwrap_or_default().to_owned());
    }
    answered
}

async fn answers_become(caller: &Host, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
    soon(&format!("answers of {wanted:?}"), async { while answering(caller, 20).await != wanted {} }).await;
}

#[tokio::test]
async fn a_service_whose_check_fails_is_left_alone_by_other_hosts_until_it_is_well_again() {
    let cluster = cluster::unique("check");
    let sick = Patient::start("sick", OFTEN, "", Some((&cluster, &[]))).await;
    let well = Patient::start("well", OFTEN, "", Some((&cluster, &[]))).await;
    let caller = caller(&cluster, &[&sick, &well]).await;
    answers_become(&caller, &["sick", "well"]).await;
    sick.says("not-serving");
    answers_become(&caller, &["well"]).await;
    assert_eq!(answering(&caller, 100).await, BTreeSet::from(["well".to_owned()]), "it stays out");
    let known = caller.admin(["services", "--json"]).run().await.json();
    let is_sick = |service: &&Value| service["name"] == "pulse" && service["address"] == sick.host.url();
    let of_sick = known.as_array().expect("a list").iter().find(is_sick).expect("it is known");
    assert_eq!(of_sick["state"], "unwell");
    // Where none is well, all are called all the same.
    well.says("no disk");
    answers_become(&caller, &["sick", "well"]).await;
    sick.says("well");
    answers_become(&caller, &["sick"]).await;
    well.says("well");
    answers_become(&caller, &["sick", "well"]).await;
}

#[tokio::test]
async fn a_caller_in_the_same_host_is_answered_by_another_one_while_its_own_service_is_not_well() {
    let cluster = cluster::unique("own");
    let own = Patient::start("own", OFTEN, "", Some((&cluster, &[]))).await;
    let _other = Patient::start("other", OFTEN, "", Some((&cluster, &[&own]))).await;
    soon("that both hosts know each other", async { while own.health().await["elsewhere"].as_array().is_none_or(Vec::is_empty) {} }).await;
    answers_become(&own.host, &["own"]).await;
    own.says("not-serving");
    answers_become(&own.host, &["other"]).await;
    own.says("well");
    answers_become(&own.host, &["own"]).await;
}

#[tokio::test]
async fn whoever_asks_is_told_that_a_service_is_not_well_and_calls_of_it_are_served_all_the_same() {
    let patient = Patient::start("1", OFTEN, "", None).await;
    assert_eq!((patient.grpc().await, patient.probe("ready?service=pulse").await), (1, 200));
    assert_eq!(patient.health().await["well"], true);
    patient.host.call(BEAT, &json!({})).ok().await;
    patient.says("no disk");
    let why = patient.becomes("unwell").await;
    assert!(why.contains("its check fails") && why.contains("no disk"), "{why}");
    assert_eq!(patient.grpc().await, 2, "NOT_SERVING");
    for (page, status) in
        [("ready?service=pulse", 503), ("ready?service=test.pulse.v1.Pulse", 503), ("ready?service=x", 404), ("ready", 200), ("live", 200)]
    {
        assert_eq!(patient.probe(page).await, status, "{page}");
    }
    assert_eq!(patient.host.metrics().await.value("microhost_service_up", &[("service", "pulse")]), 0.0);
    let ended = patient.host.admin(["health"]).run().await;
    assert!(ended.code == Some(1) && ended.stdout.contains("no disk") && ended.stderr.contains("not well: pulse"), "{ended:#?}");
    assert_eq!(patient.host.call(BEAT, &json!({})).ok().await["version"], "1");
    let warned = patient.host.logged("the service is not well").await;
    assert_eq!(warned["fields"]["service"], "pulse", "{warned}");
    patient.says("well");
    patient.becomes("serving").await;
    assert_eq!((patient.grpc().await, patient.probe("ready?service=pulse").await), (1, 200));
    patient.host.logged("the service is well again").await;
}

#[tokio::test]
async fn a_trap_a_silence_and_a_failure_count_like_an_answer_that_says_no() {
    let check = "interval = \"50ms\", timeout = \"500ms\", failure-threshold = 2, success-threshold = 1";
    let patient = Patient::start("1", check, "", None).await;
    let silence = "before its deadline";
    for (says, told) in [("trap", "the service failed"), ("not-serving", "NOT_SERVING"), ("silent", silence), ("no luck", "no luck")] {
        patient.says(says);
        // Without an instance it is not asked, and one whose calls nobody waits for any longer goes.
        patient.host.call(BEAT, &json!({})).ok().await;
        let why = patient.becomes("unwell").await;
        assert!(why.contains(told), "{says}: {why}");
        patient.says("well");
        patient.becomes("serving").await;
    }
    assert!(patient.host.metrics().await.value(TRAPS, &[]) >= 2.0, "each trap ended an instance, and another one was asked");
}

#[tokio::test]
async fn a_service_is_unwell_only_after_as_many_bad_answers_as_its_threshold() {
    let check = "interval = \"50ms\", timeout = \"20s\", failure-threshold = 5, success-threshold = 3";
    let patient = Patient::start("1", check, "", None).await;
    patient.says("not-serving");
    patient.host.call(BEAT, &json!({})).ok().await;
    patient.becomes("unwell").await;
    assert!(patient.asked() >= 5, "it was asked {} times", patient.asked());
    let before = patient.asked();
    patient.says("well");
    patient.becomes("serving").await;
    assert!(patient.asked() >= before + 3, "it was asked {} times", patient.asked() - before);
}

#[tokio::test]
async fn a_version_that_is_tried_gets_no_calls_while_its_check_fails_and_its_share_when_it_is_well_again() {
    const SERVICE_UP: &str = "microhost_service_up";
    const CANARY_UP: &str = "microhost_canary_up";
    let patient = Patient::start("1", OFTEN, "", None).await;
    patient.trial_says("well");
    let component = guests::guest("pulse");
    let swap = ["swap".as_ref(), "pulse".as_ref(), component.as_os_str(), "--canary".as_ref(), "50%".as_ref()];
    let swap = patient.host.admin(swap).args(["--grant", "env=VERSION=2", "--grant", "env=HEALTH=/state/trial"]);
    swap.run().await.succeeded();
    assert_eq!(patient.answering(10).await, BTreeSet::from(["1".to_owned(), "2".to_owned()]));
    assert_eq!((patient.figure(SERVICE_UP).await, patient.figure(CANARY_UP).await), (1.0, 1.0));

    patient.trial_says("no disk");
    patient.answers_become(&["1"]).await;
    assert_eq!(patient.answering(100).await, BTreeSet::from(["1".to_owned()]), "it stays out");
    assert_eq!((patient.figure(SERVICE_UP).await, patient.figure(CANARY_UP).await), (1.0, 0.0));
    assert_eq!((patient.grpc().await, patient.probe("ready?service=pulse").await), (1, 200), "the service is well");
    let told = patient.health().await;
    let service = &told["services"][0];
    assert_eq!((&told["well"], &service["state"], &service["canary"]["version"]), (&json!(false), &json!("serving"), &json!(2)), "{told}");
    assert!(
        service["canary"]["why"].as_str().is_some_and(|why| why.contains("no disk")) && service["canary"]["since"].is_string(),
        "{told}"
    );
    for command in [&["health"][..], &["services"], &["describe", "pulse"]] {
        let shown = patient.host.admin(command).run().await.stdout;
        assert!(shown.contains("50% of the calls") && shown.contains("is not well") && shown.contains("no disk"), "{command:?}: {shown}");
    }
    let refused = patient.host.admin(["swap", "pulse", "--promote"]).run().await.failed();
    assert!(refused.contains("version 2, which is tried, is not well") && refused.contains("no disk"), "{refused}");
    patient.host.logged("a version that is tried is not well").await;

    // How the one that serves is has nothing to do with the one that is tried.
    patient.says("not-serving");
    patient.becomes("unwell").await;
    patient.trial_says("well");
    patient.answers_become(&["1", "2"]).await;
    assert_eq!((patient.figure(SERVICE_UP).await, patient.figure(CANARY_UP).await), (0.0, 1.0));
    patient.host.admin(["swap", "pulse", "--promote"]).run().await.succeeded();
    patient.answers_become(&["2"]).await;
    patient.becomes("serving").await;
    assert_eq!(patient.host.metrics().await.sum(CANARY_UP, &[]), 0.0, "none is tried any longer");
    assert_eq!(patient.health().await["services"][0]["canary"], Value::Null);
}

#[tokio::test]
async fn being_asked_keeps_no_instance_alive() {
    let patient = Patient::start("1", OFTEN, "limits = { idle = \"1s\" }", None).await;
    assert_eq!(patient.host.metrics().await.sum(INSTANCES, &[("service", "pulse")]), 0.0, "none is made to be asked");
    patient.host.call(BEAT, &json!({})).ok().await;
    soon("that it is asked", async {
        while patient.asked() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    patient.host.metric_becomes(INSTANCES, &[("service", "pulse")], |alive| alive == 0.0).await;
}
