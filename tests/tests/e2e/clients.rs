//! gRPC clients that nobody here wrote: Python's grpcio and grpcurl.

use std::path::Path;

use e2e::command::Command;
use e2e::guests::guest;
use e2e::host::{Host, Start};
use e2e::{program, settings, tools};
use serde_json::Value;
use tempfile::TempDir;

use crate::messages::hello_json;

/// Runs one of the scripts beside this file; it prints `ok` when all it checks holds.
pub async fn script(python: &Path, name: &str, args: &[&str]) {
    let path = program::root().join("tests/tests/e2e/python").join(name);
    let ended = Command::new(python).args([path.as_os_str()]).args(args).run().await;
    assert_eq!(ended.stdout.trim(), "ok", "{ended:#?}");
}

/// A host with an echo and something to fail by.
async fn host() -> Host {
    let text = settings::service("echo", &guest("echo"), "")
        + &settings::service("types", &guest("types"), "")
        + &settings::service("context", &guest("context"), "")
        + &settings::service("sleeper", &guest("sleeper"), "");
    Start::settings(&text).ready().await
}

#[tokio::test]
async fn pythons_grpcio_calls_by_what_reflection_tells() {
    let Some(python) = tools::python() else { return };
    let host = host().await;
    script(&python, "reflection.py", &[&host.address.to_string()]).await;
}

#[tokio::test]
async fn a_python_client_generated_from_gen_proto_calls_every_kind_of_type() {
    let Some(python) = tools::python() else { return };
    let host = host().await;
    let folder = TempDir::new().expect("a temporary folder");
    for name in ["types", "echo", "sleeper", "context"] {
        let component = guest(name);
        Command::microhost(["gen".as_ref(), "proto".as_ref(), component.as_os_str(), "-o".as_ref(), "proto".as_ref()])
            .within(folder.path())
            .run()
            .await
            .succeeded();
    }
    let out = folder.path().to_str().expect("a temporary path is UTF-8");
    let protos = ["proto/test/types.proto", "proto/test/echo.proto", "proto/test/sleeper.proto", "proto/test/context.proto"];
    let protoc = Command::new(&python).args(["-m", "grpc_tools.protoc", "-I", "proto", "--python_out", out, "--grpc_python_out", out]);
    let mut all: Vec<String> = protos.iter().map(|&proto| proto.to_owned()).collect();
    // What the host's own WIT gives rise to is imported by the rest.
    let shared = folder.path().join("proto/microhost");
    if shared.exists() {
        all.extend(files(&shared).iter().map(|path| path.strip_prefix(folder.path()).expect("below it").display().to_string()));
    }
    protoc.args(all).within(folder.path()).run().await.succeeded();
    // Python has a package of the name `test` itself, which only a package of ours comes before.
    std::fs::write(folder.path().join("test/__init__.py"), "").expect("the stubs' folder can be written to");
    script(&python, "generated.py", &[&host.address.to_string(), out]).await;
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn grpcurl(grpcurl: &Path, args: &[&str]) -> e2e::command::Ended {
    Command::new(grpcurl).args(["-plaintext", "-max-time", "10"]).args(args).run().await
}

#[tokio::test]
async fn grpcurl_lists_describes_and_calls() {
    let Some(program) = tools::grpcurl() else { return };
    let host = host().await;
    let address = host.address.to_string();
    let list = grpcurl(&program, &[&address, "list"]).await.succeeded();
    for service in ["test.echo.Echo", "test.types.Echo", "test.types.Errors", "grpc.health.v1.Health"] {
        assert!(list.lines().any(|line| line == service), "{service} in {list}");
    }
    let methods = grpcurl(&program, &[&address, "list", "test.echo.Echo"]).await.succeeded();
    assert!(methods.contains("test.echo.Echo.EchoPlain"), "{methods}");
    let described = grpcurl(&program, &[&address, "describe", "test.echo.Echo"]).await.succeeded();
    assert!(described.contains("rpc Echo ( .test.echo.Message ) returns ( .test.echo.Message );"), "{described}");
    for message in ["test.types.Whole", "test.types.Form"] {
        grpcurl(&program, &[&address, "describe", message]).await.succeeded();
    }
    let reply: Value =
        grpcurl(&program, &["-emit-defaults", "-d", &hello_json().to_string(), &address, "test.echo.Echo/Echo"]).await.json();
    assert_eq!(reply, hello_json());
}

#[tokio::test]
async fn grpcurl_sees_statuses_and_health() {
    let Some(program) = tools::grpcurl() else { return };
    let host = host().await;
    let address = host.address.to_string();
    let ended = grpcurl(&program, &["-d", r#"{"which":{"permissionDenied":"keep out"}}"#, &address, "test.types.Errors/Variant"]).await;
    assert_eq!(ended.code, Some(64 + 7), "{ended:?}");
    assert!(ended.stderr.contains("PermissionDenied") && ended.stderr.contains("keep out"), "{ended:?}");
    let health = grpcurl(&program, &["-d", r#"{"service":"test.echo.Echo"}"#, &address, "grpc.health.v1.Health/Check"]).await.json();
    assert_eq!(health["status"], "SERVING");
}
