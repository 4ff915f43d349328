//! From a path, a settings file and flags to what the host is asked to run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use microhost::app::{Entrance, Load};
use microhost::project::{self, Source};
use microhost::settings::{Admin, HostName, Limits, Listen, Service, Settings, SettingsError, Tls};

use super::{AdminArgs, Overrides};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::source;

/// What is run, and where it listens.
pub struct Plan {
    /// Where and how to listen.
    pub listen: Listen,
    /// How commands reach the host.
    pub door: Entrance,
    /// What commands call it.
    pub host: Option<HostName>,
    /// What to load.
    pub services: Vec<Load>,
}

/// What the command line says of where to listen.
#[derive(Default)]
pub struct Place {
    /// The address; that of the settings where there is none.
    pub address: Option<SocketAddr>,
    /// The files to speak TLS with, relative to the current folder; those of the settings where there
    /// are none.
    pub tls: Option<Tls>,
    /// How commands are to reach the host; as in the settings where nothing is said.
    pub admin: AdminArgs,
}

/// Reads what `path` stands for, and builds what has to be built.
pub fn make(path: &Path, listen: Place, name: Option<String>, overrides: &Overrides) -> Outcome<Plan> {
    let (settings, base) = match project::locate(path)? {
        Source::Component(file) => (only(name_of(&file), file), PathBuf::new()),
        Source::Project(folder) => (only(name_of(&folder), folder), PathBuf::new()),
        Source::Settings(file) => {
            let base = file.parent().map(Path::to_owned).unwrap_or_default();
            (Settings::read(&file).map_err(refused)?, base)
        }
    };
    let mut listen_at = settings.listen;
    if let Some(address) = listen.address {
        listen_at.address = address;
    }
    let of_settings = listen_at.tls.map(|tls| Tls { certificate: base.join(tls.certificate), key: base.join(tls.key) });
    listen_at.tls = listen.tls.or(of_settings);

    let (door, host) = entrance(settings.admin, &base, listen.admin);

    let mut services = settings.service;
    if services.is_empty() {
        services.insert(name_of(&base), Service::default());
    }
    if let Some(name) = name {
        services = renamed(services, name)?;
    }
    let mut loads = Vec::with_capacity(services.len());
    for (name, service) in services {
        loads.push(load(name, service, &base, overrides)?);
    }
    Ok(Plan { listen: listen_at, door, host, services: loads })
}

/// How commands reach the host. A flag wins over the settings, also over its opposite there.
fn entrance(settings: Admin, base: &Path, flags: AdminArgs) -> (Entrance, Option<HostName>) {
    let door = match (flags.admin_socket, settings.socket) {
        _ if flags.no_admin => Entrance::Shut,
        (Some(path), _) => Entrance::At(path),
        _ if !settings.enabled => Entrance::Shut,
        (None, Some(path)) => Entrance::At(base.join(path)),
        (None, None) => Entrance::Usual,
    };
    (door, flags.admin_name.or(settings.name))
}

fn load(name: String, service: Service, base: &Path, overrides: &Overrides) -> Outcome<Load> {
    // Without a name it is the project around the settings file.
    let place = base.join(service.component.unwrap_or_default());
    let component = source::component(if place.as_os_str().is_empty() { Path::new(".") } else { &place })?;
    let mut grants = service.grants;
    for folder in grants.folders.values_mut() {
        folder.path = base.join(&folder.path);
    }
    grants.environment.extend(overrides.env.iter().cloned());
    grants.folders.extend(overrides.dir.iter().cloned().map(|mount| (mount.guest, mount.folder)));
    grants.http.extend(overrides.allow_http.iter().cloned());
    Ok(Load {
        name,
        component,
        isolation: overrides.isolation.map_or(service.isolation, Into::into),
        safe: service.safe,
        handles: service.handles,
        http: service.http,
        limits: limits(service.limits, overrides).map_err(refused)?,
        grants,
    })
}

fn limits(mut limits: Limits, overrides: &Overrides) -> Result<Limits, SettingsError> {
    for assignment in &overrides.limit {
        limits.set(assignment)?;
    }
    if let Some(instances) = overrides.instances {
        limits.instances = instances.get();
    }
    limits.check()?;
    Ok(limits)
}

/// Settings that name one service and nothing else.
fn only(name: String, component: PathBuf) -> Settings {
    let service = Service { component: Some(component), ..Service::default() };
    Settings { service: BTreeMap::from([(name, service)]), ..Settings::default() }
}

fn renamed(services: BTreeMap<String, Service>, name: String) -> Outcome<BTreeMap<String, Service>> {
    if services.len() > 1 {
        let names: Vec<&str> = services.keys().map(String::as_str).collect();
        return Err(Failure::new(Exit::Usage, "--name is for a run of one service")
            .note(format!("here are {}: {}", names.len(), names.join(", ")))
            .advise("the names in the settings file: [service.NAME]"));
    }
    Ok(services.into_values().map(|service| (name.clone(), service)).collect())
}

/// What a file or folder is called, without `.wasm`; a path such as `.` is followed first.
fn name_of(path: &Path) -> String {
    let whole = if path.file_name().is_some() {
        path.to_owned()
    } else {
        path.canonicalize().or_else(|_| std::env::current_dir()).unwrap_or_default()
    };
    let name = if whole.extension().is_some_and(|extension| extension == "wasm") { whole.file_stem() } else { whole.file_name() };
    name.map_or_else(|| "service".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn refused(error: SettingsError) -> Failure {
    Failure::from(anyhow::Error::from(error)).advise("docs/settings.md lists every key")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use microhost::settings::Isolation;

    use super::*;
    use crate::run::Sharing;

    /// A folder with two components and a settings file.
    fn folder(settings: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["a.wasm", "b.wasm"] {
            fs::write(folder.path().join(name), b"\0asm").expect("a file");
        }
        fs::write(folder.path().join("microhost.toml"), settings).expect("a file");
        folder
    }

    fn plan(path: &Path, overrides: &Overrides) -> Plan {
        make(path, Place::default(), None, overrides).unwrap_or_else(|failure| panic!("{}", failure.text(crate::output::Paint::none())))
    }

    #[test]
    fn a_component_is_named_after_its_file() {
        let folder = folder("");
        let plan = plan(&folder.path().join("a.wasm"), &Overrides::default());
        assert_eq!((plan.services.len(), plan.services[0].name.as_str()), (1, "a"));
        assert_eq!(plan.listen, Listen::default());
    }

    #[test]
    fn paths_in_the_file_are_relative_to_it() {
        let folder = folder(
            "[listen]\ntls = { certificate = \"c.pem\", key = \"/k.pem\" }\n\
             [service.x]\ncomponent = \"b.wasm\"\ngrants = { folders = { \"/data\" = { path = \"data\" } } }\n",
        );
        let plan = plan(folder.path(), &Overrides::default());
        assert_eq!(plan.services[0].component, folder.path().join("b.wasm"));
        assert_eq!(plan.services[0].grants.folders["/data"].path, folder.path().join("data"));
        let tls = plan.listen.tls.expect("TLS is set");
        assert_eq!((tls.certificate, tls.key), (folder.path().join("c.pem"), PathBuf::from("/k.pem")));
    }

    #[test]
    fn flags_win_over_the_file_for_every_service() {
        let folder = folder(
            "[service.x]\ncomponent = \"a.wasm\"\nlimits = { memory = \"1MiB\", queue = 7 }\ngrants = { environment = { A = \"file\", B = \"file\" } }\n\
             [service.y]\ncomponent = \"b.wasm\"\nisolation = \"shared\"\n",
        );
        let overrides = Overrides {
            env: vec![("A".into(), "flag".into())],
            limit: vec!["memory=2MiB".into()],
            isolation: Some(Sharing::Request),
            ..Overrides::default()
        };
        let plan = plan(&folder.path().join("microhost.toml"), &overrides);
        let [x, y] = &plan.services[..] else { panic!("two services") };
        assert_eq!((x.limits.memory, x.limits.queue, y.limits.memory), (2 << 20, 7, 2 << 20));
        assert_eq!((x.isolation, y.isolation), (Isolation::Request, Isolation::Request));
        assert_eq!((x.grants.environment["A"].as_str(), x.grants.environment["B"].as_str()), ("flag", "file"));
    }

    #[test]
    fn certificates_of_the_command_line_win_and_are_relative_to_the_current_folder() {
        let folder = folder("[listen]\ntls = { certificate = \"c.pem\", key = \"k.pem\" }\n[service.x]\ncomponent = \"a.wasm\"\n");
        let tls = Tls { certificate: "mine.pem".into(), key: "mine.key".into() };
        let place = Place { tls: Some(tls.clone()), ..Place::default() };
        let plan = make(folder.path(), place, None, &Overrides::default()).ok().expect("a plan");
        assert_eq!(plan.listen.tls, Some(tls));
    }

    #[test]
    fn one_name_for_two_services_is_a_mistake_of_usage() {
        let folder = folder("[service.x]\ncomponent = \"a.wasm\"\n[service.y]\ncomponent = \"b.wasm\"\n");
        let failure = make(folder.path(), Place::default(), Some("z".into()), &Overrides::default()).err().expect("a failure");
        assert_eq!(failure.exit(), Exit::Usage);
    }

    #[test]
    fn a_wrong_key_is_refused_with_its_line() {
        let folder = folder("[service.x]\ncomponet = \"a.wasm\"\n");
        let failure = make(folder.path(), Place::default(), None, &Overrides::default()).err().expect("a failure");
        let text = failure.text(crate::output::Paint::none());
        assert!(failure.exit() == Exit::Refused && text.contains("line 2") && text.contains("did you mean `component`?"), "{text}");
    }

    #[test]
    fn the_papers_list_every_limit() {
        let papers = include_str!("../../../../../docs/settings.md");
        for (name, about) in Limits::help() {
            let default = about.rsplit_once('(').and_then(|(_, default)| default.strip_suffix(')')).expect("help ends with the default");
            let row = format!("\n| `{name}` | {default} | ");
            assert!(papers.contains(&row), "docs/settings.md has no row {row:?}");
        }
    }
}
