//! Services that import one another's interfaces, and call them as their own functions.

use e2e::connect::Failure;
use e2e::host::{Host, Start};
use e2e::nats::Server;
use e2e::{cluster, guests, metrics, settings, soon};
use futures::future::join_all;
use serde_json::{Value, json};

const GRANT: &str = "grants = { calls = [\"test.back.Back\"] }";

/// The service that calls, and the one that is called.
struct Pair {
    /// The host of the one that calls.
    front: Host,
    /// That of the other, where it is another host.
    back: Option<Host>,
    /// The server by which alone they reach each other, where it is so.
    server: Option<Server>,
}

impl std::ops::Deref for Pair {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.front
    }
}

impl Pair {
    /// Both in one host; the one that calls is started first.
    async fn together() -> Pair {
        let back = settings::service("zback", &guests::guest("back"), "");
        let front = Start::settings(&format!("{}{back}", settings::service("front", &guests::guest("front"), GRANT))).ready().await;
        Pair { front, back: None, server: None }
    }

    /// Each in a host of its own.
    async fn apart() -> Pair {
        let cluster = cluster::unique("peers");
        let back = Start::guest("back").among(&cluster).ready().await;
        let front = Start::settings(&settings::service("front", &guests::guest("front"), GRANT)).among(&cluster);
        Pair { front: front.arg("--peer").arg(back.url()).ready().await, back: Some(back), server: None }
    }

    /// Each in a host of its own, which can be reached by a NATS server alone; `None` where there is none.
    async fn by_nats() -> Option<Pair> {
        let (cluster, server) = (cluster::unique("peers"), Server::start().await?);
        let among = |start: Start| start.among(&cluster).arg("--cluster").arg(server.url()).arg("--advertise").arg("nats:");
        let back = among(Start::guest("back")).ready().await;
        let front = among(Start::settings(&settings::service("front", &guests::guest("front"), GRANT))).ready().await;
        Some(Pair { front, back: Some(back), server: Some(server) })
    }

    /// The host of the service that is called.
    fn back(&self) -> &Host {
        self.back.as_ref().unwrap_or(&self.front)
    }

    /// Waits until no call is under way anywhere.
    async fn is_idle(&self) {
        for host in [&self.front].into_iter().chain(&self.back) {
            host.metric_becomes(metrics::IN_FLIGHT, &[], |calls| calls == 0.0).await;
        }
    }
}

/// Each of these tests with both services in one host, with a host for each, and with hosts that have no way
/// to each other but a NATS server: the components do not know the difference.
macro_rules! wherever_they_run {
    ($($test:ident)*) => {
        mod in_one_host {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Pair::together().await).await;
            })*
        }

        mod in_two_hosts {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Pair::apart().await).await;
            })*
        }

        mod in_two_hosts_by_nats {
            $(#[tokio::test]
            async fn $test() {
                let Some(pair) = super::Pair::by_nats().await else { return };
                super::$test(pair).await;
            })*
        }
    };
}

wherever_they_run! {
    functions_of_every_shape_are_called_as_ones_own
    many_calls_at_once_each_get_their_own_answer
    an_error_of_the_other_service_comes_as_its_own_type
    a_call_that_fails_by_itself_is_told_in_the_functions_own_error_type
    identity_and_trace_pass_by_the_hosts_hand
    a_deadline_goes_down_the_chain
    a_caller_that_goes_away_takes_the_calls_below_with_it
    streams_of_every_kind_pass_between_two_services
    a_stream_says_at_its_end_how_it_went_through_both_services
    a_stream_that_breaks_ends_the_call_that_reads_it_and_never_looks_whole
    a_stream_that_the_reader_drops_ends_its_writer
}

fn front(method: &str) -> String {
    format!("test.front.Front/{method}")
}

async fn ok(host: &Host, method: &str, message: Value) -> Value {
    host.call(&front(method), &message).ok().await
}

async fn fails(host: &Host, method: &str, message: Value) -> Failure {
    host.call(&front(method), &message).fails().await
}

fn order() -> Value {
    json!({
        "id": "o1",
        "lines": [{"item": "tea", "count": 2}, {"item": "cup", "count": 4}],
        "note": "soon",
        "kind": "KIND_CARD",
        "options": ["OPTIONS_URGENT"],
        "place": {"f0": 1.5, "f1": -3},
        "raw": "AP8=",
        "state": {"shipped": "18446744073709551615"},
    })
}

async fn functions_of_every_shape_are_called_as_ones_own(host: Pair) {
    assert_eq!(ok(&host, "Greet", json!({"name": "Ada"})).await, json!({"value": "Hello, Ada!"}));
    assert_eq!(ok(&host, "Ping", json!({})).await, json!({}));
    assert_eq!(ok(&host, "Add", json!({"a": 1, "b": 2})).await, json!({"value": 3}));
    let wide = ok(&host, "Wide", order()).await;
    assert_eq!((&wide["value"]["f0"], &wide["value"]["f2"]), (&json!("text123"), &json!("1099511628043")));
    assert_eq!(wide["value"]["f1"], order());
    let passed = ok(&host, "Pass", order()).await;
    assert_eq!((&passed["id"], passed["lines"].as_array().map(Vec::len)), (&json!("o1+"), Some(3)));
    assert_eq!((&passed["raw"], &passed["place"], &passed["state"]), (&order()["raw"], &order()["place"], &order()["state"]));
}

async fn many_calls_at_once_each_get_their_own_answer(host: Pair) {
    assert_eq!(ok(&host, "Many", json!({"calls": 2000, "atOnce": 64})).await, json!({"value": "2001000"}));
    let calls = (0..200).map(|n| {
        let host = &host;
        async move { (n, ok(host, "Greet", json!({"name": n.to_string()})).await) }
    });
    for (n, answer) in join_all(calls).await {
        assert_eq!(answer, json!({"value": format!("Hello, {n}!")}));
    }
}

async fn an_error_of_the_other_service_comes_as_its_own_type(host: Pair) {
    let failure = fails(&host, "Fail", json!({"how": {"notFound": "no such order"}})).await;
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("not_found", "no such order"));
    let failure = fails(&host, "Fail", json!({"how": {"soldOut": 7}})).await;
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("unknown", "sold out"));
}

async fn a_call_that_fails_by_itself_is_told_in_the_functions_own_error_type(host: Pair) {
    // `fault` has no case of the code's name, and one named `other`.
    let failure = fails(&host, "Trap", json!({})).await;
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("unknown", "the service failed while it served the call"));
    assert_eq!(ok(&host, "Add", json!({"a": 1, "b": 2})).await, json!({"value": 3}));
}

async fn identity_and_trace_pass_by_the_hosts_hand(host: Pair) {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let who = host.call(&front("Who"), &json!({})).header("traceparent", trace).ok().await;
    let who = who["value"].as_str().expect("a text").to_owned();
    let untraced = ok(&host, "Who", json!({})).await["value"].as_str().expect("a text").to_owned();
    match &host.back {
        None => assert_eq!((who, untraced.as_str()), (format!("front nobody {trace}"), "front nobody untraced")),
        // Who comes by NATS has no address.
        Some(_) if host.server.is_some() => assert_eq!((who, untraced.as_str()), (format!(" nobody {trace}"), " nobody untraced")),
        // Which service of another host it is, only that host could say, which has no way to prove it.
        Some(_) => assert!(who.starts_with(" 127.0.0.1:") && who.ends_with(trace) && untraced.ends_with(" untraced"), "{who}, {untraced}"),
    }
}

async fn a_deadline_goes_down_the_chain(host: Pair) {
    let left = host.call(&front("TimeLeft"), &json!({})).header("connect-timeout-ms", "2000").ok().await;
    let left: u64 = left["value"].as_str().expect("a number").parse().expect("a number");
    assert!(left > 0 && left <= 2_000_000_000, "{left}");
    let failure = host.call(&front("Sleep"), &json!({"ms": 60_000})).header("connect-timeout-ms", "200").fails().await;
    assert_eq!(failure.code, "deadline_exceeded");
    host.is_idle().await;
    let slept = host.back().call("test.back.Back/Slept", &json!({})).ok().await;
    // In another instance, perhaps: never one that ended well.
    assert_eq!(slept["value"]["f1"], json!(0));
}

async fn a_caller_that_goes_away_takes_the_calls_below_with_it(host: Pair) {
    let call = host.call(&front("Sleep"), &json!({"ms": 60_000}));
    let call = tokio::spawn(e2e::http::send(host.address, e2e::http::Version::One, call.into_request()));
    // Each host counts those that it serves.
    host.back().metric_becomes(metrics::IN_FLIGHT, &[("service", "test.back.Back")], |calls| calls == 1.0).await;
    call.abort();
    host.is_idle().await;
}

async fn streams_of_every_kind_pass_between_two_services(host: Pair) {
    let mut streams = host.streams().await;
    let (counted, end) = streams.all(&front("Count"), &[json!({"to": 1000})]).await;
    assert_eq!((counted.len(), &counted[999], end.status), (1000, &json!({"value": 1000}), 0));
    let numbers: Vec<Value> = (1..=500).map(|number| json!({"value": number})).collect();
    assert_eq!(streams.all(&front("Sum"), &numbers).await.0, [json!({"value": "125250"})]);
    let notes: Vec<Value> = (1..=300).map(|id| json!({"id": id, "text": "a".repeat(id as usize)})).collect();
    let (shouted, end) = streams.all(&front("Shout"), &notes).await;
    assert_eq!((shouted.len(), end.status), (300, 0));
    assert!(shouted.iter().zip(1..).all(|(note, id)| *note == json!({"id": id, "text": "A".repeat(id)})));
    let data = "aGVsbG8gYnl0ZXM=";
    let (bytes, end) = streams.all(&front("Bytes"), &[json!({"value": data})]).await;
    assert_eq!((bytes, end.status), (vec![json!({"value": data})], 0));
    assert_eq!(streams.all(&front("Later"), &[json!({"value": 7})]).await.0, [json!({"value": "it was 7"})]);
}

async fn a_stream_says_at_its_end_how_it_went_through_both_services(host: Pair) {
    let mut streams = host.streams().await;
    let (counted, end) = streams.all(&front("CountThen"), &[json!({"to": 100})]).await;
    assert_eq!((counted.len(), end.status), (100, 0));
    let (counted, end) = streams.all(&front("CountThen"), &[json!({"to": 100, "fails": {"permissionDenied": {}}})]).await;
    assert_eq!((counted.len(), end.status), (100, 7), "{end:?}");
    let (counted, end) = streams.all(&front("CountThen"), &[json!({"to": 0, "fails": {"notFound": "x"}})]).await;
    assert_eq!((counted.len(), end.status), (0, 5), "{end:?}");
}

async fn a_stream_that_breaks_ends_the_call_that_reads_it_and_never_looks_whole(host: Pair) {
    let failure = fails(&host, "ReadTrap", json!({"to": 10})).await;
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("internal", "the service failed while it served the call"));
    assert_eq!(ok(&host, "Add", json!({"a": 1, "b": 2})).await, json!({"value": 3}));
}

async fn a_stream_that_the_reader_drops_ends_its_writer(host: Pair) {
    assert_eq!(ok(&host, "ReadSome", json!({"count": 1000})).await, json!({"value": 1000}));
    host.back().metric_becomes(metrics::STREAMS, &[], |streams| streams == 0.0).await;
    host.is_idle().await;
}

#[tokio::test]
async fn a_future_that_nothing_is_written_to_fails_the_call_that_awaits_it_and_no_other() {
    // What is under way there is not to end with it.
    let back = settings::service("back", &guests::guest("back"), "isolation = \"request\"");
    let one = format!("{GRANT}\nlimits = {{ instances = 1 }}");
    let host = Start::settings(&(settings::service("front", &guests::guest("front"), &one) + &back)).ready().await;
    // In the one instance that there is of it, and in no other.
    let sleeping = host.call(&front("Sleep"), &json!({"ms": 1000}));
    let sleeping = tokio::spawn(e2e::http::send(host.address, e2e::http::Version::One, sleeping.into_request()));
    host.metric_becomes(metrics::IN_FLIGHT, &[], |calls| calls == 2.0).await;
    let failure = soon("the end of the call", fails(&host, "AwaitNever", json!({}))).await;
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("internal", "the service failed while it served the call"));
    let (replies, end) = soon("the end of the call", host.streams().await.all(&front("Never"), &[json!({})])).await;
    assert_eq!((replies.len(), end.status), (0, 13), "{end:?}");
    assert_eq!(host.metrics().await.sum(metrics::TRAPS, &[("service", "front")]), 0.0);
    let slept = sleeping.await.expect("the client ends");
    assert_eq!((slept.status.as_u16(), slept.json()), (200, json!({"value": 1000})));
    assert_eq!(ok(&host, "Add", json!({"a": 1, "b": 2})).await, json!({"value": 3}));
}

#[tokio::test]
async fn what_is_not_granted_keeps_the_service_from_starting_and_says_what_to_write() {
    let (front, back) = (guests::guest("front"), guests::guest("back"));
    let text = format!("{}{}", settings::service("front", &front, ""), settings::service("back", &back, ""));
    let (_, error) = Start::settings(&text).arg("--strict").refused().await;
    assert!(error.contains("calls = [\"test.back.Back\"] under [service.front.grants]"), "{error}");
}

#[tokio::test]
async fn a_service_without_a_provider_starts_only_if_that_may_come_late() {
    let alone = |rest: &str| Start::settings(&settings::service("front", &guests::guest("front"), rest));
    let (_, error) = alone(GRANT).refused().await;
    assert!(error.contains("test:back/back@1.2.0: no service here offers it"), "{error}");
    assert!(error.contains("late = [\"test.back.Back\"] under [service.front.grants]"), "{error}");
    let host = alone("grants = { calls = [\"test.back.Back\"], late = [\"test.back.Back\"] }").ready().await;
    // The error type has a case of that name.
    assert_eq!(fails(&host, "Pass", order()).await.code, "unavailable");
    // Here it has none, and the call itself fails.
    assert_eq!(fails(&host, "Add", json!({"a": 1, "b": 2})).await.code, "unavailable");
    assert_eq!(fails(&host, "Greet", json!({"name": "x"})).await.code, "unavailable");
    let (replies, end) = host.streams().await.all(&front("Count"), &[json!({"to": 3})]).await;
    assert_eq!((replies.len(), end.status), (0, 14), "{end:?}");
}

#[tokio::test]
async fn a_circle_of_calls_works_and_is_bounded() {
    let text = settings::service("circle", &guests::guest("circle"), "grants = { calls = [\"test.circle.Round\"] }");
    let host = Start::settings(&text).ready().await;
    for method in ["Turn", "TurnPlain"] {
        let endpoint = format!("test.circle.Round/{method}");
        assert_eq!(host.call(&endpoint, &json!({"deep": 20})).ok().await, json!({"value": 20}), "{method}");
        let failure = host.call(&endpoint, &json!({"deep": 100})).fails().await;
        assert!(failure.message.contains("more than 32 calls of services led to this one"), "{method}: {}", failure.message);
    }
    let failure = soon("its end", host.call("test.circle.Round/Fall", &json!({})).fails()).await;
    assert_eq!(failure.code, "resource_exhausted");
}
