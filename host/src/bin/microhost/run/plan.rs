//! From paths, settings files and flags to what the host is asked to run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use microhost::app::{Entrance, Load};
use microhost::project::{self, Cancel, ProjectError, Source};
use microhost::settings::{Admin, Calls, Cluster, GRACE, HostName, Limits, Listen, Places, Service, Settings, SettingsError, Tls};

use super::{AdminArgs, ClusterArgs, Overrides};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::paint::visible;
use crate::{output, source};

/// What is run, and where it listens.
pub struct Plan {
    /// Where and how to listen.
    pub listen: Listen,
    /// How it finds other hosts.
    pub cluster: Cluster,
    /// How calls of services fail well.
    pub calls: Calls,
    /// How commands reach the host.
    pub door: Entrance,
    /// How long calls that run may take to end once it is told to stop.
    pub grace: Duration,
    /// What commands call it.
    pub host: Option<HostName>,
    /// Whether one service that cannot start ends the run.
    pub strict: bool,
    /// What to load.
    pub services: Vec<Wanted>,
}

/// A service that is to run.
#[derive(Clone)]
pub struct Wanted {
    /// What is loaded; its component may be a folder still, whose project has to be built.
    load: Load,
    /// Where it was named: a path of the command line, or a table of a settings file.
    place: String,
}

impl Wanted {
    /// What logs and figures call it.
    pub fn name(&self) -> &str {
        &self.load.name
    }

    /// What is loaded once it is built.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Tells that its project is built next, where it is one of several: what their tools print does not
    /// say which of them it is about.
    pub fn announce<'w>(&self, all: impl Iterator<Item = &'w Wanted>) {
        let is_project = |wanted: &Wanted| wanted.load.component.is_dir();
        if is_project(self) && all.filter(|wanted| is_project(wanted)).count() > 1 {
            output::tell(format!("building {}", visible(self.name())));
        }
    }

    /// Builds the project, where there is one; what that takes is told as it comes.
    pub fn built(&self, cancel: Option<&Cancel>) -> Result<Load, ProjectError> {
        let component = project::component(&self.load.component, &mut |step| output::tell(step), cancel)?;
        Ok(Load { component, ..self.load.clone() })
    }
}

/// What the command line says of the host.
#[derive(Default)]
pub struct Place {
    /// The address and the sockets, relative to the current folder; those of the settings where nothing is said.
    pub listen: Option<Places>,
    /// The files to speak TLS with, relative to the current folder; those of the settings where there
    /// are none.
    pub tls: Option<Tls>,
    /// How commands are to reach the host; as in the settings where nothing is said.
    pub admin: AdminArgs,
    /// How it is to find other hosts; as in the settings where nothing is said.
    pub cluster: ClusterArgs,
    /// How long calls that run may take to end; as in the settings where nothing is said.
    pub grace: Option<Duration>,
}

/// Reads what the paths stand for, and joins it into one host.
pub fn make(paths: &[PathBuf], place: &Place, name: Option<String>, overrides: &Overrides) -> Outcome<Plan> {
    let mut plan = Plan {
        listen: Listen::default(),
        cluster: Cluster::default(),
        calls: Calls::default(),
        door: Entrance::Usual,
        grace: GRACE,
        host: None,
        strict: false,
        services: Vec::new(),
    };
    let mut admins: Vec<(PathBuf, Admin)> = Vec::new();
    let mut listens: Vec<(PathBuf, Listen)> = Vec::new();
    let mut calls: Vec<(PathBuf, Calls)> = Vec::new();
    let mut clusters: Vec<(PathBuf, Cluster)> = Vec::new();
    let mut graces: Vec<(PathBuf, Duration)> = Vec::new();
    for path in paths {
        match project::locate(path)? {
            Source::Component(found) | Source::Project(found) => {
                let load = load(source::name(&found), Service::default(), &found, Path::new(""), overrides)?;
                plan.services.push(Wanted { load, place: found.display().to_string() });
            }
            Source::Settings(file) => {
                let settings = Settings::read(&file).map_err(refused)?;
                let base = file.parent().map(Path::to_owned).unwrap_or_default();
                plan.strict |= settings.strict;
                listens.extend(settings.listen.map(|listen| (file.clone(), at(listen, &base, place))));
                calls.extend((settings.calls != Calls::default()).then_some((file.clone(), settings.calls)));
                clusters.extend(settings.cluster.map(|cluster| (file.clone(), cluster.at(&base))));
                graces.extend(settings.grace.map(|grace| (file.clone(), grace)));
                admins.extend(settings.admin.map(|admin| (file.clone(), admin.at(&base))));
                plan.services.extend(services(settings.service, &file, &base, overrides)?);
            }
        }
    }
    plan.listen = one(listens, "a table [listen]", "; where only the addresses differ, --listen ADDRESS is enough")?
        .unwrap_or_else(|| at(Listen::default(), Path::new(""), place));
    plan.calls = one(calls, "a table [calls]", "")?.unwrap_or_default();
    plan.cluster = place.cluster.over(one(clusters, "a table [cluster]", "")?.unwrap_or_default());
    plan.grace = match place.grace {
        Some(grace) => grace,
        None => one(graces, "the key `grace`", ", or say --grace TIME")?.unwrap_or(GRACE),
    };
    (plan.door, plan.host) = entrance(one(admins, "a table [admin]", "")?.unwrap_or_default(), &place.admin);
    if let Some(name) = name {
        rename(&mut plan.services, name)?;
    }
    distinct(&plan.services)?;
    Ok(plan)
}

/// How commands reach the host. A flag wins over the settings, also over its opposite there.
fn entrance(settings: Admin, flags: &AdminArgs) -> (Entrance, Option<HostName>) {
    let door = match (&flags.admin_socket, settings.socket) {
        _ if flags.no_admin => Entrance::Shut,
        (Some(path), _) => Entrance::At(path.clone()),
        _ if !settings.enabled => Entrance::Shut,
        (None, Some(path)) => Entrance::At(path),
        (None, None) => Entrance::Usual,
    };
    (door, flags.admin_name.clone().or(settings.name))
}

/// The services of a settings file; the project around it where it names none.
fn services(named: BTreeMap<String, Service>, file: &Path, base: &Path, overrides: &Overrides) -> Outcome<Vec<Wanted>> {
    if named.is_empty() {
        let load = load(source::name(base), Service::default(), &here(base.to_owned()), base, overrides)?;
        return Ok(vec![Wanted { load, place: file.display().to_string() }]);
    }
    let wanted = |(name, mut service): (String, Service)| {
        let place = format!("{}, [service.{name}]", file.display());
        // Without a component it is the project around the settings file.
        let component = here(base.join(service.component.take().unwrap_or_default()));
        Ok(Wanted { load: load(name, service, &component, base, overrides)?, place })
    };
    named.into_iter().map(wanted).collect()
}

/// A path that is the current folder where it is empty.
fn here(path: PathBuf) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

fn load(name: String, service: Service, component: &Path, base: &Path, overrides: &Overrides) -> Outcome<Load> {
    let mut grants = service.grants;
    for folder in grants.folders.values_mut() {
        folder.path = base.join(&folder.path);
    }
    overrides.grants.add_to(&mut grants);
    Ok(Load {
        name,
        component: component.to_owned(),
        version: service.version,
        isolation: overrides.isolation.map_or(service.isolation, Into::into),
        safe: service.safe,
        handles: service.handles,
        http: service.http,
        weight: service.weight,
        labels: service.labels,
        health: service.health,
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

/// Where to listen by the settings, with what the command line says of it in its place.
fn at(mut listen: Listen, base: &Path, place: &Place) -> Listen {
    listen.address = place.listen.clone().unwrap_or_else(|| listen.address.at(base));
    let of_settings = listen.tls.map(|tls| Tls { certificate: base.join(tls.certificate), key: base.join(tls.key) });
    listen.tls = place.tls.clone().or(of_settings);
    listen
}

/// What all settings files agree on that say it; `what` is how they do.
fn one<T: PartialEq>(said: Vec<(PathBuf, T)>, what: &str, advice: &str) -> Outcome<Option<T>> {
    let mut said = said.into_iter();
    let Some((first, value)) = said.next() else { return Ok(None) };
    match said.find(|(_, other)| *other != value) {
        None => Ok(Some(value)),
        Some((other, _)) => Err(Failure::new(Exit::Refused, format!("two settings files have {what}, and not the same"))
            .note(first.display().to_string())
            .note(other.display().to_string())
            .advise(format!("leave it in one of them{advice}"))),
    }
}

fn rename(services: &mut [Wanted], name: String) -> Outcome {
    if let [only] = services {
        only.load.name = name;
        return Ok(());
    }
    let names: Vec<&str> = services.iter().map(Wanted::name).collect();
    Err(Failure::new(Exit::Usage, "--name is for a run of one service")
        .note(format!("here are {}: {}", names.len(), names.join(", ")))
        .advise("the names in the settings file: [service.NAME]"))
}

/// Refuses two services of one name: its grants, figures and endpoints would be those of either.
fn distinct(services: &[Wanted]) -> Outcome {
    let mut places: BTreeMap<&str, &str> = BTreeMap::new();
    for wanted in services {
        if let Some(other) = places.insert(wanted.name(), &wanted.place) {
            return Err(Failure::new(Exit::Refused, format!("two services are called {}", wanted.name()))
                .note(other)
                .note(&wanted.place)
                .advise("give one of them another name: [service.NAME] with its component in a settings file, or another file name"));
        }
    }
    Ok(())
}

fn refused(error: SettingsError) -> Failure {
    Failure::from(anyhow::Error::from(error)).advise("docs/settings.md lists every key")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;

    use microhost::settings::Isolation;

    use super::*;
    use crate::run::Sharing;
    use crate::run::grants::GrantFlags;

    /// A folder with two components and a settings file.
    fn folder(settings: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["a.wasm", "b.wasm"] {
            fs::write(folder.path().join(name), b"\0asm").expect("a file");
        }
        fs::write(folder.path().join("microhost.toml"), settings).expect("a file");
        folder
    }

    fn joined(paths: &[PathBuf], name: Option<&str>, overrides: &Overrides) -> Outcome<Plan> {
        make(paths, &Place::default(), name.map(str::to_owned), overrides)
    }

    fn plan(path: &Path, overrides: &Overrides) -> Plan {
        joined(&[path.to_owned()], None, overrides).unwrap_or_else(|failure| panic!("{}", failure.text(crate::paint::Paint::none())))
    }

    fn told(failure: Outcome<Plan>) -> (Exit, String) {
        let failure = failure.err().expect("a failure");
        (failure.exit(), failure.text(crate::paint::Paint::none()))
    }

    #[test]
    fn a_component_is_named_after_its_file() {
        let folder = folder("");
        let plan = plan(&folder.path().join("a.wasm"), &Overrides::default());
        assert_eq!((plan.services.len(), plan.services[0].name()), (1, "a"));
        assert_eq!(plan.listen, Listen::default());
    }

    #[test]
    fn paths_in_the_file_are_relative_to_it() {
        let folder = folder(
            "[listen]\naddress = \"unix:a.sock\"\ntls = { certificate = \"c.pem\", key = \"/k.pem\" }\n\
             [service.x]\ncomponent = \"b.wasm\"\ngrants = { folders = { \"/data\" = { path = \"data\" } } }\n",
        );
        let plan = plan(folder.path(), &Overrides::default());
        assert_eq!(plan.services[0].load.component, folder.path().join("b.wasm"));
        assert_eq!(plan.services[0].load.grants.folders["/data"].path, folder.path().join("data"));
        assert_eq!(plan.listen.address.unix, [folder.path().join("a.sock")]);
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
            grants: GrantFlags { env: vec![("A".into(), "flag".into())], ..GrantFlags::default() },
            limit: vec!["memory=2MiB".into()],
            isolation: Some(Sharing::Request),
            ..Overrides::default()
        };
        let plan = plan(&folder.path().join("microhost.toml"), &overrides);
        let [x, y] = &plan.services[..] else { panic!("two services") };
        let (x, y) = (&x.load, &y.load);
        assert_eq!((x.limits.memory, x.limits.queue, y.limits.memory), (2 << 20, 7, 2 << 20));
        assert_eq!((x.isolation, y.isolation), (Isolation::Request, Isolation::Request));
        assert_eq!((x.grants.environment["A"].as_str(), x.grants.environment["B"].as_str()), ("flag", "file"));
    }

    #[test]
    fn certificates_of_the_command_line_win_and_are_relative_to_the_current_folder() {
        let folder = folder(
            "[listen]\naddress = \"unix:a.sock\"\ntls = { certificate = \"c.pem\", key = \"k.pem\" }\n[service.x]\ncomponent = \"a.wasm\"\n",
        );
        let tls = Tls { certificate: "mine.pem".into(), key: "mine.key".into() };
        let place = Place { tls: Some(tls.clone()), ..Place::default() };
        let plan = make(&[folder.path().to_owned()], &place, None, &Overrides::default()).ok().expect("a plan");
        assert_eq!(plan.listen.tls, Some(tls));
    }

    #[test]
    fn one_name_for_two_services_is_a_mistake_of_usage() {
        let folder = folder("[service.x]\ncomponent = \"a.wasm\"\n[service.y]\ncomponent = \"b.wasm\"\n");
        let (exit, _) = told(joined(&[folder.path().to_owned()], Some("z"), &Overrides::default()));
        assert_eq!(exit, Exit::Usage);
        let plan = joined(&[folder.path().join("a.wasm")], Some("z"), &Overrides::default()).ok().expect("a plan");
        assert_eq!(plan.services[0].name(), "z");
    }

    #[test]
    fn components_folders_and_settings_are_joined_into_one_host() {
        let one =
            folder("strict = true\n[listen]\naddress = \"127.0.0.1:7\"\n[service.x]\ncomponent = \"a.wasm\"\nversion = \"2026-11\"\n");
        let other = folder("");
        fs::write(other.path().join("Cargo.toml"), "").expect("a file");
        let paths = [one.path().join("b.wasm"), one.path().to_owned(), other.path().to_owned()];
        let plan = joined(&paths, None, &Overrides::default()).ok().expect("a plan");
        let project = other.path().file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(plan.services.iter().map(Wanted::name).collect::<Vec<_>>(), ["b", "x", project]);
        assert_eq!(plan.services[1].load.version.as_deref(), Some("2026-11"));
        assert!(plan.strict && plan.listen.address.tcp.is_some_and(|address| address.port() == 7));
    }

    #[test]
    fn two_services_of_one_name_are_refused_with_both_places() {
        let folder = folder("[service.a]\ncomponent = \"b.wasm\"\n");
        let file = folder.path().join("microhost.toml");
        let (exit, text) = told(joined(&[folder.path().join("a.wasm"), file.clone()], None, &Overrides::default()));
        assert_eq!(exit, Exit::Refused);
        for part in
            ["two services are called a", &format!("{}, [service.a]", file.display()), &folder.path().join("a.wasm").display().to_string()]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn settings_files_that_listen_differently_need_a_word_of_the_command_line() {
        let listen = |port: u16| format!("[listen]\naddress = \"127.0.0.1:{port}\"\n[service.of-{port}]\ncomponent = \"a.wasm\"\n");
        let (one, other) = (folder(&listen(1)), folder(&listen(2)));
        let paths = [one.path().to_owned(), other.path().to_owned()];
        let (exit, text) = told(joined(&paths, None, &Overrides::default()));
        assert!(exit == Exit::Refused && text.contains("--listen") && text.contains(&other.path().display().to_string()), "{text}");
        let place = Place { listen: Some(SocketAddr::from(([127, 0, 0, 1], 3)).into()), ..Place::default() };
        let plan = make(&paths, &place, None, &Overrides::default()).ok().expect("a plan");
        assert_eq!((plan.listen.address.tcp.map(|address| address.port()), plan.services.len()), (Some(3), 2));
    }

    #[test]
    fn settings_files_that_give_calls_another_time_to_end_need_a_word_of_the_command_line() {
        let grace = |time: &str| format!("grace = \"{time}\"\n[service.of-{time}]\ncomponent = \"a.wasm\"\n");
        let (one, other, third) = (folder(&grace("0s")), folder(&grace("1m")), folder(""));
        let one_of = plan(one.path(), &Overrides::default());
        assert_eq!((one_of.grace, plan(third.path(), &Overrides::default()).grace), (Duration::ZERO, GRACE));
        let paths = [one.path().to_owned(), other.path().to_owned()];
        let (exit, text) = told(joined(&paths, None, &Overrides::default()));
        assert!(exit == Exit::Refused && text.contains("`grace`") && text.contains("--grace TIME"), "{text}");
        let place = Place { grace: Some(Duration::from_secs(2)), ..Place::default() };
        let plan = make(&paths, &place, None, &Overrides::default()).ok().expect("a plan");
        assert_eq!(plan.grace, Duration::from_secs(2));
    }

    #[test]
    fn a_wrong_key_is_refused_with_its_line() {
        let folder = folder("[service.x]\ncomponet = \"a.wasm\"\n");
        let (exit, text) = told(joined(&[folder.path().to_owned()], None, &Overrides::default()));
        assert!(exit == Exit::Refused && text.contains("line 2") && text.contains("did you mean `component`?"), "{text}");
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
