//! The commands that need no host: `new`, `build`, `inspect`, `gen`, `completions`.

use std::fs;

use e2e::command::{BUILD, Command, Ended};
use e2e::guests::{greeter, guest};
use e2e::host::Host;
use e2e::program;
use serde_json::Value;
use tempfile::TempDir;

/// Every command.
const COMMANDS: [&str; 13] =
    ["new", "build", "run", "dev", "call", "inspect", "gen", "completions", "services", "describe", "health", "stats", "logs"];

async fn microhost(args: &[&str]) -> Ended {
    Command::microhost(args).run().await
}

/// A guest's path as an argument.
fn path(name: &str) -> String {
    guest(name).to_str().expect("the target folder's name is UTF-8").to_owned()
}

#[tokio::test]
async fn every_command_has_help_with_examples() {
    let top = microhost(&["--help"]).await.succeeded();
    for command in COMMANDS {
        assert!(top.contains(command), "{command} in {top}");
        let help = match command {
            "gen" => microhost(&["gen", "proto", "--help"]).await.succeeded(),
            command => microhost(&[command, "--help"]).await.succeeded(),
        };
        assert!(help.contains("Examples:") && help.contains(&format!("microhost {command}")), "{help}");
    }
    assert!(microhost(&["--version"]).await.succeeded().starts_with("microhost "));
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2_and_the_nearest_name() {
    for (args, near) in [(&["inspct"][..], "inspect"), (&["run", "--listne", "x"], "--listen"), (&["gen", "prot"], "proto"), (&[], "Usage")]
    {
        let ended = microhost(args).await;
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(near), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn inspect_prints_the_world_the_services_and_what_would_have_to_be_granted() {
    let text = microhost(&["inspect", &path("wasi")]).await.succeeded();
    for part in ["export test:wasi/probe", "test.wasi.Probe", "ReadFile", "--env", "--dir", "sockets"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let fetch = microhost(&["inspect", &path("fetch")]).await.succeeded();
    assert!(fetch.contains("--allow-http"), "{fetch}");
}

#[tokio::test]
async fn inspect_prints_json_that_says_the_same() {
    let found = microhost(&["inspect", "--json", &path("echo")]).await.json();
    assert_eq!(found["services"][0]["name"], "test.echo.Echo", "{found}");
    let names: Vec<_> = found["services"][0]["methods"].as_array().expect("methods").iter().map(|method| &method["name"]).collect();
    assert_eq!(names, ["Echo", "EchoPlain"], "{found}");
    assert!(found["wit"].as_str().is_some_and(|wit| wit.contains("record message")), "{found}");
}

#[tokio::test]
async fn inspect_names_what_cannot_be_served_and_what_another_service_has_to_provide() {
    let refused = microhost(&["inspect", "--json", &path("resource")]).await.json();
    let functions = refused["refused"].as_array().expect("a list");
    assert!(!functions.is_empty(), "{refused}");
    for function in functions {
        let name = function["function"].as_str().unwrap_or_default();
        assert!(
            name.starts_with("test:resource/counters") && function["why"].as_str().is_some_and(|why| why.contains("resource")),
            "{function}"
        );
    }
    let missing = microhost(&["inspect", "--json", &path("unknown-import")]).await.json();
    let imports = missing["imports"].as_array().expect("a list");
    assert!(imports.iter().any(|import| import["name"] == "acme:missing/thing@1.0.0" && import["state"] == "service"), "{missing}");
}

#[tokio::test]
async fn inspect_and_gen_refuse_what_is_no_component() {
    let folder = TempDir::new().expect("a temporary folder");
    let module = folder.path().join("module.wasm");
    fs::write(&module, b"\0asm\x01\0\0\0").expect("it can be written to");
    let module = module.to_str().expect("a temporary path is UTF-8");
    for args in [&["inspect", module][..], &["gen", "proto", module], &["gen", "openapi", module], &["inspect", "/no/such.wasm"]] {
        let ended = microhost(args).await;
        assert_eq!(ended.code, Some(3), "{args:?}: {ended:?}");
        let said = ended.failed();
        assert!(said.contains("core") || said.contains("/no/such.wasm"), "{said}");
    }
}

#[tokio::test]
async fn gen_proto_prints_or_writes_one_file_a_package() {
    let printed = microhost(&["gen", "proto", &path("echo")]).await.succeeded();
    for part in ["syntax = \"proto3\";", "package test.echo;", "service Echo {", "uint64 id = 1;"] {
        assert!(printed.contains(part), "{part} in\n{printed}");
    }
    let folder = TempDir::new().expect("a temporary folder");
    Command::microhost(["gen", "proto", &path("echo"), "-o", "out"]).within(folder.path()).run().await.succeeded();
    let written = fs::read_to_string(folder.path().join("out/test/echo.proto")).expect("the package's file");
    assert!(printed.contains(written.trim_end()), "{written}");
}

#[tokio::test]
async fn gen_openapi_describes_every_endpoint() {
    let document = microhost(&["gen", "openapi", &path("echo")]).await.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
    let post = &document["paths"]["/test.echo.Echo/Echo"]["post"];
    assert!(post["requestBody"]["content"]["application/json"].is_object() && post["responses"]["200"].is_object(), "{document}");
}

/// A method of each kind, as the guest `streams` has them.
const KINDS: [(&str, &str, &str); 4] = [
    ("Produce", "server-stream", "rpc Produce(StreamsProduceRequest) returns (stream StreamsProduceResponse);"),
    ("Sum", "client-stream", "rpc Sum(stream StreamsSumRequest) returns (StreamsSumResponse);"),
    ("Shout", "bidi-stream", "rpc Shout(stream Note) returns (stream Note);"),
    ("Ended", "unary", "rpc Ended(StreamsEndedRequest) returns (StreamsEndedResponse);"),
];

#[tokio::test]
async fn gen_and_inspect_tell_which_methods_stream() {
    let streams = path("streams");
    let proto = microhost(&["gen", "proto", &streams]).await.succeeded();
    let document = microhost(&["gen", "openapi", &streams]).await.json();
    let inspected = microhost(&["inspect", "--json", &streams]).await.json();
    let methods = inspected["services"][0]["methods"].as_array().expect("methods");
    for (name, kind, line) in KINDS {
        assert!(proto.contains(line), "{line} in\n{proto}");
        let post = &document["paths"][format!("/example.streams.Streams/{name}")]["post"];
        let content_type = if kind == "unary" { "application/json" } else { "application/connect+json" };
        for content in [&post["requestBody"]["content"], &post["responses"]["200"]["content"]] {
            assert_eq!(content.as_object().expect("content").keys().collect::<Vec<_>>(), [content_type], "{name}");
        }
        assert_eq!(post["x-microhost-stream"].as_str().unwrap_or("unary"), kind, "{name}");
        let method = methods.iter().find(|method| method["name"] == name).expect("it is listed");
        assert_eq!(method["kind"], kind, "{name}");
    }
    let text = microhost(&["inspect", &streams]).await.succeeded();
    assert!(text.contains("stream example.streams.Note -> stream example.streams.Note"), "{text}");
}

#[tokio::test]
async fn a_host_lists_the_kind_of_every_method() {
    let host = Host::of("streams").await;
    let listed = host.get("/_microhost/services").await.json();
    let methods = listed["services"][0]["methods"].as_array().expect("methods");
    for (name, kind, _) in KINDS {
        let method = methods.iter().find(|method| method["name"] == name).expect("it is listed");
        assert_eq!(method["kind"], kind, "{name}");
    }
}

#[tokio::test]
async fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = microhost(&["completions", shell]).await.succeeded();
        for word in ["microhost", "inspect", "protocol", "max-message"] {
            assert!(script.contains(word), "{shell} lacks {word}: {script}");
        }
    }
    let folder = TempDir::new().expect("a temporary folder");
    let script = folder.path().join("completions");
    fs::write(&script, microhost(&["completions", "bash"]).await.succeeded()).expect("it can be written to");
    Command::new("bash").args(["-n".as_ref(), script.as_os_str()]).run().await.succeeded();
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let program = program::microhost().to_str().expect("the target folder's name is UTF-8");
    let pipe = format!("set -o pipefail; '{program}' gen proto '{}' | head -c 1 >/dev/null", path("types"));
    let ended = Command::new("bash").args(["-c", &pipe]).run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}

#[tokio::test]
async fn new_makes_what_the_example_is() {
    let folder = TempDir::new().expect("a temporary folder");
    Command::microhost(["new", "greeter"]).within(folder.path()).run().await.succeeded();
    let project = folder.path().join("greeter");
    for file in ["Cargo.toml", "README.md", ".gitignore"] {
        assert!(project.join(file).exists(), "{file}");
    }
    for file in ["src/lib.rs", "wit/world.wit", "microhost.toml"] {
        let (made, example) = (fs::read(project.join(file)), fs::read(program::root().join("examples/greeter").join(file)));
        assert_eq!(made.expect("it is made"), example.expect("the example has it"), "{file}");
    }
}

#[tokio::test]
async fn a_new_project_passes_its_own_test_and_builds() {
    let folder = TempDir::new().expect("a temporary folder");
    Command::microhost(["new", "parcel-desk"]).within(folder.path()).run().await.succeeded();
    // Kept between runs, so that only the first compiles what it depends on.
    let target = program::target().join("e2e").join("projects");
    let tests = Command::new("cargo").args(["test"]).env("CARGO_TARGET_DIR", &target).within(&folder.path().join("parcel-desk"));
    let tested = tests.limit(BUILD).run().await.succeeded();
    let passed = tested.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    assert!(passed > 0, "it has a test: {tested}");
    let built =
        Command::microhost(["build", "parcel-desk"]).env("CARGO_TARGET_DIR", &target).within(folder.path()).limit(BUILD).run().await;
    let printed = built.succeeded();
    let component = printed.lines().last().expect("the component's path").trim();
    assert!(component.ends_with("parcel_desk.wasm") && folder.path().join(component).exists(), "{printed}");
}

#[tokio::test]
async fn new_overwrites_nothing_and_refuses_names_that_cannot_be() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("taken")).expect("it can be made");
    fs::write(folder.path().join("taken/kept"), "kept").expect("it can be written to");
    for name in ["taken", "Upper", "a b", "1st", "", "fn", "../out", "a/b", "-x-"] {
        let ended = Command::microhost(["new", "--", name]).within(folder.path()).run().await;
        assert!(matches!(ended.code, Some(2 | 3)), "{name:?}: {ended:?}");
        ended.failed();
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["taken"]);
    assert_eq!(fs::read_to_string(folder.path().join("taken/kept")).expect("it is kept"), "kept");
}

#[tokio::test]
async fn build_says_what_is_missing() {
    let folder = TempDir::new().expect("a temporary folder");
    let empty = Command::microhost(["build"]).within(folder.path()).run().await;
    assert_eq!(empty.code, Some(3), "{empty:?}");
    assert!(empty.failed().contains("Cargo.toml"));
    fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"a\"\nversion = \"0.1.0\"\n").expect("it can be written to");
    // A machine without Rust.
    let bare = Command::microhost(["build"]).env("PATH", folder.path()).within(folder.path()).run().await;
    assert_eq!(bare.code, Some(5), "{bare:?}");
    assert!(bare.failed().contains("rustup"));
}

#[tokio::test]
async fn the_example_runs_from_its_folder() {
    let _built = greeter();
    let start = e2e::host::Start::path(program::root().join("examples/greeter")).env("CARGO_TARGET_DIR", program::target().join("guests"));
    let host = start.ready().await;
    let reply = host.call("example.greeter.Greet/Hello", &serde_json::json!({"name": "Ada"})).ok().await;
    assert_eq!(reply["value"].as_str(), Some("Hello, Ada!"), "{reply}");
    let refused = host.call("example.greeter.Greet/Hello", &serde_json::json!({"name": ""})).fails().await;
    assert_eq!(refused.code, "invalid_argument");
    assert_ne!(reply, Value::Null);
}

#[test]
fn cargo_run_in_the_repository_means_the_program() {
    let ran = program::cargo(program::root())
        .args(["run", "--quiet", "--target-dir"])
        .arg(program::target())
        .args(["--", "--version"])
        .output()
        .expect("cargo can be started");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.starts_with("microhost "), "{said}{}", String::from_utf8_lossy(&ran.stderr));
}
