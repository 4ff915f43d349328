//! README.md's tour, command by command as it is printed, in an empty folder.
//!
//! Three things differ from a reader's machine. The port is a free one instead of 8080. The log is
//! asked to be for people, as on a terminal. And what Cargo builds is kept between runs. The lines
//! that build the host itself are not run: the tests are what they build.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use e2e::command::{BUILD, Command};
use e2e::transcript::{Step, matches, steps};
use e2e::{program, soon, tools};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

/// The address that the tour prints.
const PRINTED: &str = "127.0.0.1:8080";

/// What a shell of the reader's would have set.
struct Reader {
    folder: TempDir,
    address: SocketAddr,
    path: OsString,
}

impl Reader {
    fn new() -> Reader {
        let address = SocketAddr::from(([127, 0, 0, 1], e2e::free_port()));
        let own = program::microhost().parent().expect("the program lies in a folder").to_owned();
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = [own, program::target().join("tools")].into_iter().chain(std::env::split_paths(&inherited));
        let path = std::env::join_paths(folders).expect("folders of a PATH make a PATH");
        Reader { folder: TempDir::new().expect("a temporary folder"), address, path }
    }

    fn here(&self, text: &str) -> String {
        text.replace(PRINTED, &self.address.to_string())
    }

    fn environment(&self) -> [(&'static str, OsString); 6] {
        [
            ("PATH", self.path.clone()),
            // Other tests' hosts are none of this one's affair.
            ("MICROHOST_ALONE", "true".into()),
            ("MICROHOST_LISTEN", self.address.to_string().into()),
            ("MICROHOST_AT", format!("http://{}", self.address).into()),
            ("MICROHOST_LOG_FORMAT", "text".into()),
            ("CARGO_TARGET_DIR", program::target().join("e2e").join("projects").into()),
        ]
    }

    /// Runs a command to its end and compares; both streams are one, as on a terminal.
    async fn run(&self, step: &Step) {
        let line = format!("{{ {} ; }} 2>&1", self.here(&step.command));
        let mut command = Command::new("bash").args(["-c", &line]).within(self.folder.path()).limit(BUILD);
        for (name, value) in self.environment() {
            command = command.env(name, value);
        }
        let ended = command.run().await;
        let expected: Vec<String> = step.output.iter().map(|line| self.here(line)).collect();
        let printed: Vec<&str> = ended.stdout.lines().collect();
        assert!(matches(&expected, &printed), "$ {}\nREADME.md has:\n{}\nit prints:\n{}", step.command, expected.join("\n"), ended.stdout);
        let refused = expected.first().is_some_and(|line| line.starts_with("error:"));
        assert_eq!(ended.code == Some(0), !refused, "$ {}\nended with {:?}", step.command, ended.code);
    }

    /// Starts a command and waits until it has printed what README.md has.
    async fn start(&self, step: &Step) -> Child {
        let line = format!("exec {} 2>&1", self.here(&step.command));
        let mut command = tokio::process::Command::new("bash");
        command.args(["-c", &line]).current_dir(self.folder.path()).envs(self.environment());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("there is a bash");
        let expected: Vec<String> = step.output.iter().map(|line| self.here(line)).collect();
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut printed: Vec<String> = Vec::new();
        let reading = tokio::time::timeout(BUILD, async {
            while !matches(&expected, &printed.iter().map(String::as_str).collect::<Vec<_>>()) {
                match lines.next_line().await {
                    Ok(Some(line)) => printed.push(line),
                    ended => return Err(ended),
                }
            }
            Ok(())
        })
        .await;
        assert!(
            matches!(reading, Ok(Ok(()))),
            "$ {}\nREADME.md has:\n{}\nit prints:\n{}",
            step.command,
            expected.join("\n"),
            printed.join("\n")
        );
        // Read on, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        child
    }
}

#[tokio::test]
async fn every_command_of_the_tour_does_what_is_printed() {
    let document = std::fs::read_to_string(program::root().join("README.md")).expect("there is a README.md");
    let steps = steps(&document);
    for command in ["microhost new", "microhost run", "curl", "microhost call", "grpcurl", "microhost inspect", "microhost gen"] {
        assert!(steps.iter().any(|step| step.command.starts_with(command)), "the tour shows {command}");
    }
    let grpcurl = tools::grpcurl().is_some();
    let reader = Reader::new();
    let mut running = Vec::new();
    for step in &steps {
        if step.background {
            running.push(reader.start(step).await);
        } else if grpcurl || !step.command.starts_with("grpcurl") {
            reader.run(step).await;
        }
    }
    for mut child in running {
        stop(&mut child).await;
    }
}

/// Ctrl-C, as the reader would.
async fn stop(child: &mut Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).expect("it still runs");
    // SAFETY: `kill` takes plain numbers; the id is that of a child not waited for yet.
    let sent = unsafe { libc::kill(id, libc::SIGINT) };
    assert_eq!(sent, 0, "cannot interrupt it");
    let status = soon("its end", child.wait()).await.expect("a child can be waited for");
    assert!(status.success(), "ended with {status}");
}

#[test]
fn the_papers_that_the_readme_links_to_are_there() {
    let document = std::fs::read_to_string(program::root().join("README.md")).expect("there is a README.md");
    let links = document.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()).filter(|link| !link.contains("://"));
    let missing: Vec<&str> = links.filter(|link| !Path::new(&program::root().join(link)).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
