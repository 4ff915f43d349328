//! Clients made by others, which `tests/run` installs.

use std::path::{Path, PathBuf};

use crate::program::target;

/// The first of these files that exists. In CI a tool has to be there; elsewhere its test says
/// what it lacks and ends.
fn tool(name: &str, places: &[PathBuf], install: &str) -> Option<PathBuf> {
    if let Some(found) = places.iter().find(|place| place.exists()) {
        return Some(found.clone());
    }
    let missing = format!("{name} is missing, looked for {places:?}; tests/run installs it, or: {install}");
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("not tested: {missing}");
    None
}

/// A Python that has `grpcio`, `grpcio-reflection` and `grpcio-tools`, and `msgpack`, `cbor2` and `pymongo`.
pub fn python() -> Option<PathBuf> {
    let folder = target().join("venv");
    let install =
        format!("python3 -m venv {0} && {0}/bin/pip install grpcio grpcio-reflection grpcio-tools msgpack cbor2 pymongo", folder.display());
    tool("a Python with grpcio", &[folder.join("bin").join("python")], &install)
}

/// Node, and the folder that has Connect's packages for it.
pub fn node() -> Option<(PathBuf, PathBuf)> {
    let folder = target().join("tools").join("node-packages");
    let packages = folder.join("node_modules");
    let install = format!("cp tests/tests/e2e/node/package*.json {0} && npm ci --prefix {0}", folder.display());
    tool("Connect for Node", &[packages.join("@connectrpc").join("connect-node")], &install)?;
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // A folder of that name is no program.
    let places = std::env::split_paths(&paths).map(|place| place.join("node")).filter(|place| !place.is_dir());
    let places: Vec<PathBuf> = places.collect();
    Some((tool("Node", &places, "apt-get install nodejs npm")?, folder))
}

/// A NATS server.
pub fn nats_server() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Debian installs it where only root looks.
    let folders = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    let places: Vec<PathBuf> = folders.map(|folder| folder.join("nats-server")).collect();
    tool("nats-server", &places, "apt-get install nats-server")
}

/// grpcurl, which needs Go; without Go its test says so and ends, in CI too.
pub fn grpcurl() -> Option<PathBuf> {
    let folder = target().join("tools");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    let mut places = vec![folder.join("grpcurl")];
    places.extend(on_path.iter().map(|place| place.join("grpcurl")));
    let go = on_path.iter().any(|place| place.join("go").exists()) || Path::new("/usr/local/go/bin/go").exists();
    if !go && !places.iter().any(|place| place.exists()) {
        eprintln!("not tested: grpcurl needs Go to be built, and Go is not on the PATH");
        return None;
    }
    tool("grpcurl", &places, &format!("GOBIN={} go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest", folder.display()))
}
