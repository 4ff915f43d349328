//! Who reaches a host's admin API: the user that it runs as, by its socket, and whoever has the token.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::http::{Answer, Connection, Version, request, send};
use e2e::{guests, settings, soon};
use tempfile::TempDir;
use tokio::net::UnixStream;

const API: &str = "/_microhost/admin/services";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o777
}

/// A request over the listener, from this machine.
async fn over_tcp(host: &Host, method: &str, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = request(method, host.address, path, "");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    send(host.address, Version::One, request).await
}

/// A host with a token, and one without.
async fn with_token() -> Host {
    let text = settings::service("echo", &guests::guest("echo"), "");
    Start::settings(&(text + "[listen]\naddress = \"127.0.0.1:0\"\nadmin-token = \"open-sesame\"\n")).ready().await
}

#[tokio::test]
async fn the_socket_and_its_folder_are_the_user_s_alone() {
    let host = Host::of("echo").await;
    let socket = host.socket();
    assert_eq!((mode(socket.parent().expect("a folder")), mode(&socket)), (0o700, 0o600));
    let stream = soon("a connection", UnixStream::connect(&socket)).await.expect("the host listens");
    let mut connection = Connection::over(stream, Version::One).await.expect("HTTP/1.1");
    let answer = soon("an answer", connection.send(request("GET", host.address, API, ""))).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.json()[0]["name"]), (200, &"echo".into()), "{answer:?}");
}

/// What a host and a command do where the folder of the sockets is not to be trusted.
async fn refused(runtime: &Path, why: &str) {
    let host = Start::guest("echo").env("XDG_RUNTIME_DIR", runtime).ready().await;
    // Nobody asked for the socket, so the host serves without.
    let warning = host.logged("cannot reach this host").await;
    assert!(warning.to_string().contains(why), "{warning}");
    let (code, said) = Start::guest("echo").env("XDG_RUNTIME_DIR", runtime).arg("--admin-name").arg("shop").refused().await;
    assert!(code == 3 && said.contains(why), "{code}: {said}");
    let command = Command::microhost(["services"]).env("XDG_RUNTIME_DIR", runtime).env("TMPDIR", runtime).run().await;
    assert!(command.code == Some(3) && command.stderr.contains(why), "{command:?}");
}

#[tokio::test]
async fn a_folder_with_wide_rights_is_refused_with_what_to_do() {
    let runtime = TempDir::new().expect("a temporary folder");
    let folder = runtime.path().join("microhost");
    fs::create_dir(&folder).expect("it can be made");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("it is ours");
    refused(runtime.path(), &format!("chmod 700 {}", folder.display())).await;
}

#[tokio::test]
async fn a_folder_that_somebody_else_made_is_refused() {
    let runtime = TempDir::new().expect("a temporary folder");
    let folder = runtime.path().join("microhost");
    fs::create_dir(&folder).expect("it can be made");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("it is ours");
    // The user `nobody` of every Linux.
    match chown(&folder, Some(65_534), None) {
        Ok(()) => refused(runtime.path(), "belongs to user 65534").await,
        Err(error) => eprintln!("a folder of somebody else's is not tried: giving one away needs root ({error})"),
    }
}

#[tokio::test]
async fn a_link_in_the_folder_s_place_is_refused() {
    let (runtime, elsewhere) = (TempDir::new().expect("a temporary folder"), TempDir::new().expect("a temporary folder"));
    symlink(elsewhere.path(), runtime.path().join("microhost")).expect("a link");
    refused(runtime.path(), "is no folder").await;
}

#[tokio::test]
async fn the_socket_is_where_it_is_asked_for_or_nowhere() {
    let folder = TempDir::new().expect("a temporary folder");
    let path: PathBuf = folder.path().join("door");
    let host = Start::guest("echo").arg("--admin-socket").arg(&path).ready().await;
    assert_eq!(mode(&path), 0o600, "in a folder that others may look into, too");
    let socket = path.to_str().expect("a temporary path is UTF-8");
    assert!(Command::microhost(["services", "--host", socket]).run().await.succeeded().contains("echo"));
    host.stop().await;
    assert!(!path.exists());
    let none = Start::guest("echo").arg("--no-admin").ready().await;
    assert!(!none.socket().exists());
    let text = settings::service("echo", &guests::guest("echo"), "[admin]\nenabled = false\n");
    assert!(!Start::settings(&text).ready().await.socket().exists());
    let named = Start::settings(&settings::service("echo", &guests::guest("echo"), "[admin]\nsocket = \"here.sock\"\n")).ready().await;
    assert!(named.folder().join("here.sock").exists(), "relative to the settings file");
}

#[tokio::test]
async fn a_place_that_cannot_be_had_is_told_before_anything_is_served() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "mine").expect("it can be written to");
    for (path, why) in
        [(file.clone(), "is no socket"), (folder.path().join("none/a.sock"), "none"), (folder.path().join("x".repeat(200)), "at most")]
    {
        let (code, said) = Start::guest("echo").arg("--admin-socket").arg(&path).refused().await;
        assert!(code == 3 && said.contains(why) && said.contains("--admin-socket"), "{code}: {said}");
    }
    assert_eq!(fs::read_to_string(&file).expect("it is left"), "mine");
}

#[tokio::test]
async fn over_the_listener_the_api_opens_by_the_token_alone() {
    let (closed, open) = (Host::of("echo").await, with_token().await);
    let bearer = [("authorization", "Bearer open-sesame")];
    for headers in [&[][..], &bearer] {
        let answer = over_tcp(&closed, "GET", API, headers).await;
        assert_eq!(answer.status, 403, "no token is set, so nothing opens it: {answer:?}");
        assert!(answer.text().contains("admin-token"), "{answer:?}");
    }
    for headers in [&[][..], &[("authorization", "Bearer open-sesam")], &[("authorization", "Basic open-sesame")]] {
        let answer = over_tcp(&open, "GET", API, headers).await;
        assert_eq!(answer.status, 401, "this machine is not enough: {answer:?}");
        assert!(!answer.text().contains("echo"), "{answer:?}");
    }
    let answer = over_tcp(&open, "GET", API, &bearer).await;
    assert_eq!((answer.status.as_u16(), &answer.json()[0]["name"]), (200, &"echo".into()), "{answer:?}");
    let stats = over_tcp(&open, "GET", "/_microhost/admin/stats", &bearer).await.json();
    assert_eq!(stats["services"][0]["name"], "echo", "{stats}");
}

#[tokio::test]
async fn commands_reach_a_host_by_its_url_and_token() {
    let host = with_token().await;
    let url = host.url();
    let by_url = |args: &[&str]| Command::microhost(args).args(["--host", &url]);
    assert!(by_url(&["services"]).env("MICROHOST_TOKEN", "open-sesame").run().await.succeeded().contains("echo"));
    assert!(by_url(&["describe", "echo", "--token", "open-sesame"]).run().await.succeeded().contains("test.echo.Echo"));
    for token in [None, Some("wrong")] {
        let command = by_url(&["services"]).args(token.iter().flat_map(|token| ["--token", *token]));
        let ended = command.run().await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains("--token"), "{ended:?}");
    }
    // Whoever reads along does not hold up the host's end.
    let mut follow = by_url(&["logs", "-f", "--token", "open-sesame"]).talk();
    assert!(follow.line().await.contains("ready"));
    host.stop().await;
    assert_eq!(follow.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_page_in_a_browser_reads_nothing_of_a_host_on_this_machine() {
    let (closed, open) = (Host::of("echo").await, with_token().await);
    let pages: [&[(&str, &str)]; 4] = [
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        // A name of the page's own that leads to this machine.
        &[("host", "rebound.evil.example:8080")],
    ];
    for page in pages {
        for path in ["/_microhost/services", "/_microhost/metrics", API, "/_microhost/admin/services/echo/rollback"] {
            for method in ["GET", "POST"] {
                let (shut, locked) = (over_tcp(&closed, method, path, page).await, over_tcp(&open, method, path, page).await);
                let refused = |answer: &Answer| matches!(answer.status.as_u16(), 401 | 403 | 405) && !answer.text().contains("echo.Echo");
                assert!(refused(&shut) && refused(&locked), "{method} {path} {page:?}: {shut:?} {locked:?}");
                assert!(shut.header("access-control-allow-origin").is_empty(), "{shut:?}");
            }
        }
    }
    // Balancers ask for health by whatever name they know.
    for page in pages {
        assert_eq!(over_tcp(&closed, "GET", "/_microhost/health/live", page).await.status, 200);
    }
}

#[tokio::test]
async fn the_api_says_what_there_is_and_what_it_takes() {
    let host = with_token().await;
    let bearer = [("authorization", "Bearer open-sesame")];
    for (method, path, status, part) in [
        ("GET", "nothing", 404, "/_microhost/admin/logs"),
        ("GET", "services/ecko", 404, "did you mean echo?"),
        ("GET", "logs?level=loud", 400, "error, warn, info"),
        ("GET", "logs?levle=info", 400, "level"),
        ("GET", "logs?lines=-1", 400, "a number of lines"),
        ("GET", "stats?service=ecko", 404, "echo"),
        ("DELETE", "services/echo", 405, "GET"),
        ("GET", "services/%ff", 400, "UTF-8"),
    ] {
        let answer = over_tcp(&host, method, &format!("/_microhost/admin/{path}"), &bearer).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let problem = answer.json();
        assert!(problem["code"].is_string() && problem["message"].as_str().is_some_and(|text| text.contains(part)), "{path}: {problem}");
    }
}
