//! What should not come up does not, whatever is in the way: its health, its grants, what callers had, or
//! another swap. The commands say what it was, and the version that ran serves on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use e2e::command::{Command, Ended};
use e2e::descriptors;
use e2e::guests::{guest, text};
use e2e::host::{Host, Start};
use e2e::settings::service;
use e2e::soon;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto};
use serde_json::{Value, json};

const BEAT: &str = "test.pulse.v1.Pulse/Beat";
const GROW: &str = "test.table.Table/Grow";
const SAY: &str = "test.talk.v1.Talk/Say";

/// The exit code of what is refused, and of what may go well another time.
const REFUSED: Option<i32> = Some(3);
const FAILED: Option<i32> = Some(1);

fn swap(host: &Host, service: &str, component: &Path, more: &[&str]) -> Command {
    host.admin(["swap", service].map(OsStr::new).into_iter().chain([component.as_os_str()])).args(more)
}

/// What a swap that has to be refused says.
async fn refused(host: &Host, service: &str, component: &Path, more: &[&str]) -> String {
    let ended = swap(host, service, component, more).run().await;
    assert_eq!(ended.code, REFUSED, "{ended:?}");
    let said = ended.failed();
    assert!(said.contains(&format!("{service} was not swapped, version 1 goes on serving")), "{said}");
    said
}

/// A host with the service `pulse`, which says by its environment whether it is well.
async fn pulse(limits: &str) -> Host {
    let rest = format!("grants = {{ environment = {{ VERSION = \"first\" }} }}\nlimits = {{ {limits} }}");
    Start::settings(&service("pulse", &guest("pulse"), &rest)).ready().await
}

async fn beat(host: &Host) -> Value {
    host.call(BEAT, &json!({})).ok().await["version"].clone()
}

/// The grants of a version that calls itself the second, and of its health.
fn second(health: &str) -> Vec<String> {
    ["--grant", "env=VERSION=second", "--grant", &format!("env=HEALTH={health}")].map(str::to_owned).to_vec()
}

async fn versions(host: &Host, service: &str) -> Value {
    host.admin(["describe", service, "--json"]).run().await.json()["versions"].clone()
}

#[tokio::test]
async fn a_version_that_is_not_well_in_its_warm_up_never_gets_a_call_and_the_command_says_why() {
    let host = pulse("timeout = \"500ms\"").await;
    let answers = async {
        loop {
            assert_eq!(beat(&host).await, "first");
        }
    };
    let refusals = async {
        for (health, why) in [
            ("not-serving", "grpc.health.v1.Health/Check answered NOT_SERVING"),
            ("the pump is dry", "grpc.health.v1.Health/Check failed: the pump is dry"),
            ("trap", "grpc.health.v1.Health/Check failed: the service failed while it served the call"),
            ("silent", "grpc.health.v1.Health/Check failed: "),
        ] {
            let grants = second(health);
            let more: Vec<&str> = grants.iter().map(String::as_str).collect();
            let said = refused(&host, "pulse", &guest("pulse"), &more).await;
            assert!(said.contains(&format!("it failed while it warmed up: {why}")), "{health}: {said}");
            assert!(said.contains("microhost logs pulse"), "{said}");
        }
    };
    tokio::select! {
        () = refusals => {}
        () = answers => {}
    }
    let logged = host.admin(["logs", "pulse"]).run().await.succeeded();
    assert!(logged.contains("not well enough to say so"), "where the command says that there is more: {logged}");
    let shown = versions(&host, "pulse").await;
    assert_eq!(
        (&shown["serving"], &shown["previous"], &shown["draining"], &shown["swapping"]),
        (&json!(1), &Value::Null, &json!([]), &json!(false))
    );
    swap(&host, "pulse", &guest("pulse"), &["--grant", "env=VERSION=second"]).run().await.succeeded();
    assert_eq!(beat(&host).await, "second");
}

#[tokio::test]
async fn what_a_version_newly_needs_is_told_with_what_to_write_and_granted_by_it() {
    let others = service("back", &guest("back"), "");
    let host = Start::settings(&(service("table", &text("table"), "") + &others)).ready().await;
    let new = text("table-of-back");
    let said = refused(&host, "table", &new, &[]).await;
    assert!(said.contains("+ imports test:back/back@1.2.0"), "the difference: {said}");
    assert!(said.contains("test:back/back@1.2.0: allow its calls with --grant calls=test.back.Back"), "what to write: {said}");
    let said = refused(&host, "table", &new, &["--force"]).await;
    assert!(said.contains("--grant calls=test.back.Back"), "force grants nothing: {said}");
    let said = refused(&host, "table", &new, &["--grant", "calls=test.back.Back/Ping"]).await;
    assert!(said.contains("--grant calls=test.back.Back"), "another method's grant is not its own: {said}");
    assert_eq!(host.call(GROW, &json!({ "elements": 6 })).ok().await["value"], 1);

    let told = swap(&host, "table", &new, &["--grant", "calls=test.back.Back/Add"]).run().await.succeeded();
    assert!(told.contains("+ imports test:back/back@1.2.0") && told.contains("version 2 has the calls"), "{told}");
    assert_eq!(host.call(GROW, &json!({ "elements": 6 })).ok().await["value"], 7);
    let described = host.admin(["describe", "table", "--json"]).run().await.json();
    assert_eq!(described["grants"]["calls"], json!(["test.back.Back/Add"]), "{described}");
}

#[tokio::test]
async fn a_malformed_grant_is_a_mistake_of_the_command_line() {
    // Before any host is looked for.
    for (grant, words) in [
        ("cals=a.B", "expected one of calls=SERVICE[/METHOD], late=SERVICE, http=HOST"),
        ("calls=a.B/C/D", "expected a service such as shop.payments.Payment, one of its methods"),
        ("http=ftp://x", "expected a host such as api.example.com"),
        ("env=LANG", "expected env=NAME=VALUE"),
        ("dir=/tmp", "expected dir=FOLDER::GUEST with a GUEST that begins with /"),
        ("sockets=all", "or sockets, got"),
    ] {
        let ended = Command::microhost(["swap", "table", "table.wasm", "--grant", grant]).run().await;
        assert_eq!(ended.code, Some(2), "{grant}: {ended:?}");
        assert!(
            ended.stderr.contains(grant) && ended.stderr.contains("--grant") && ended.stderr.contains(words),
            "{grant}: {}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn one_change_of_a_service_at_a_time_and_the_next_one_is_told_to_wait() {
    let host = pulse("").await;
    let grants = second("silent");
    let more: Vec<&str> = grants.iter().map(String::as_str).collect();
    let under_way = swap(&host, "pulse", &guest("pulse"), &more).talk();
    let swapping = async |wanted: bool| {
        soon("the beginning or the end of the swap", async {
            // The host has no other way to tell of it.
            while versions(&host, "pulse").await["swapping"] != wanted {}
        })
        .await;
    };
    swapping(true).await;
    let told = |ended: Ended| {
        assert_eq!(ended.code, FAILED, "{ended:?}");
        let said = ended.failed();
        assert!(said.contains("version 1 goes on serving: another swap of it is under way; wait for its end"), "{said}");
    };
    told(swap(&host, "pulse", &guest("pulse"), &[]).run().await);
    told(host.admin(["rollback", "pulse"]).run().await);
    assert_eq!(beat(&host).await, "first");
    // The one that waits is given up as Ctrl-C gives it up, and has changed nothing.
    under_way.interrupt();
    drop(under_way);
    swapping(false).await;
    assert_eq!(beat(&host).await, "first");
    swap(&host, "pulse", &guest("pulse"), &["--grant", "env=VERSION=third"]).run().await.succeeded();
    assert_eq!(beat(&host).await, "third");
}

/// A version of `talk` whose `.proto` file says something else.
fn talk(host: &Host, name: &str, change: impl FnOnce(&mut FileDescriptorProto)) -> PathBuf {
    let path = host.folder().join(format!("{name}.wasm"));
    let bytes = descriptors::changed(&guest("talk"), |files: &mut FileDescriptorSet| {
        let file = files.file.iter_mut().find(|file| file.package() == "test.talk.v1").expect("the service's own file");
        // Comments are found by the places of what they stand at, which change.
        file.source_code_info = None;
        change(file);
    });
    std::fs::write(&path, bytes).expect("the host's folder can be written to");
    path
}

fn line(file: &mut FileDescriptorProto) -> &mut DescriptorProto {
    file.message_type.iter_mut().find(|message| message.name() == "Line").expect("it has a message Line")
}

fn methods(file: &mut FileDescriptorProto) -> &mut Vec<MethodDescriptorProto> {
    &mut file.service[0].method
}

#[tokio::test]
async fn a_service_of_a_proto_file_is_swapped_while_its_callers_lose_nothing() {
    let host = Start::settings(&service("talk", &guest("talk"), "")).ready().await;
    let more = talk(&host, "more", |file| {
        let field = FieldDescriptorProto { name: Some("loud".into()), number: Some(2), ..line(file).field[0].clone() };
        line(file).field.push(FieldDescriptorProto { json_name: None, r#type: Some(Type::Bool.into()), ..field });
        let say = methods(file)[0].clone();
        methods(file).push(MethodDescriptorProto { name: Some("Whisper".into()), ..say });
    });
    let told = swap(&host, "talk", &more, &[]).run().await.succeeded();
    assert!(told.contains("+ test.talk.v1.Talk/Whisper: rpc Whisper(test.talk.v1.Line) returns (test.talk.v1.Line)"), "{told}");
    assert_eq!(host.call(SAY, &json!({ "text": "a" })).ok().await["text"], "a");
    assert_eq!(host.call(SAY, &json!({ "text": "a" })).ok().await["loud"], false, "the host knows the new field");
}

#[tokio::test]
async fn a_service_whose_proto_file_lost_what_callers_had_is_refused_by_its_name() {
    let host = Start::settings(&service("talk", &guest("talk"), "")).ready().await;
    let field = |change: fn(&mut FieldDescriptorProto)| move |file: &mut FileDescriptorProto| change(&mut line(file).field[0]);
    let less = [
        (
            talk(&host, "method", |file| methods(file).retain(|method| method.name() != "Say")),
            "- test.talk.v1.Talk/Say: rpc Say(test.talk.v1.Line) returns (test.talk.v1.Line)",
        ),
        (
            talk(&host, "kind", |file| methods(file)[0].server_streaming = Some(true)),
            "after:  rpc Say(test.talk.v1.Line) returns (stream test.talk.v1.Line)",
        ),
        (
            talk(&host, "type", field(|text| text.r#type = Some(Type::Bytes.into()))),
            "~ test.talk.v1.Line: messages have `string text = 1` in the running version, and `bytes text = 1` in the new one",
        ),
        (
            talk(&host, "number", field(|text| text.number = Some(7))),
            "~ test.talk.v1.Line: messages have `string text = 1` in the running version, and `nothing` in the new one",
        ),
    ];
    for (component, difference) in &less {
        let said = refused(&host, "talk", component, &[]).await;
        assert!(said.contains("--force swaps all the same") && said.contains(difference), "{said}");
        assert_eq!(host.call(SAY, &json!({ "text": "a" })).ok().await["text"], "a");
    }
    let told = swap(&host, "talk", &less[0].0, &["--force"]).run().await.succeeded();
    assert!(told.contains(less[0].1), "{told}");
    assert_eq!(host.call(SAY, &json!({ "text": "a" })).fails().await.code, "unimplemented");
}

#[tokio::test]
async fn callers_ask_the_host_for_its_health_whatever_services_say_of_theirs_to_the_host() {
    let start = Start::settings("");
    let other = start.folder().join("other.wasm");
    let renamed = descriptors::changed(&guest("pulse"), |files: &mut FileDescriptorSet| {
        let file = files.file.iter_mut().find(|file| file.package() == "test.pulse.v1").expect("the service's own file");
        file.service[0].method[0].name = Some("Throb".into());
    });
    std::fs::write(&other, renamed).expect("the host's folder can be written to");
    let path = start.folder().join("both.toml");
    let unwell = "grants = { environment = { HEALTH = \"not-serving\" } }";
    std::fs::write(&path, service("pulse", &guest("pulse"), "") + &service("other", &other, unwell))
        .expect("the host's folder can be written to");
    let host = start.at_path(path).arg("--strict").ready().await;
    for name in ["", "test.pulse.v1.Pulse"] {
        let health = host.call("grpc.health.v1.Health/Check", &json!({ "service": name })).ok().await;
        assert_eq!(health["status"], "SERVING", "{name:?}");
    }
    // Reflection shows one such service, too.
    let told = host.command(["call", "grpc.health.v1.Health", "Check"]).run().await.json();
    assert_eq!(told["status"], "SERVING");
}
