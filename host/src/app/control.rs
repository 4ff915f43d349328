//! The host as the admin API sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::{DEFAULT_GRACE, Host, Load, NotRunning, Running, Swap, SwapError, Watch, Why};
use crate::admin::change::{Change, SwapOrder, Swapped, TurnOrder};
use crate::admin::view::{Description, EndpointView, FieldView, ImportView, MessageView, RefusedView, ServiceView, State};
use crate::admin::{Control, Standing};
use crate::schema::{Handled, Schema};
use crate::settings::{Grants, Isolation, Share};
use crate::status::{Code, Status};

impl Control for Host {
    fn services(&self) -> Vec<ServiceView> {
        let mut views: Vec<ServiceView> = self.running().iter().map(|running| self.view(running)).collect();
        views.extend(self.missing().into_iter().map(|NotRunning { load, why }| failed(&load, why)));
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    fn describe(&self, name: &str) -> Option<Description> {
        if let Some(running) = self.running().iter().find(|running| running.load.name == name) {
            return Some(self.description(running));
        }
        let NotRunning { load, why } = self.missing().into_iter().find(|missing| missing.load.name == name)?;
        Some(described(failed(&load, why), &load))
    }

    fn change(self: Arc<Host>, service: String, change: Change) -> BoxFuture<'static, Result<Swapped, Status>> {
        Box::pin(async move {
            let changed = match change {
                Change::Swap(order) => self.swap(swap_of(service, order)?).await,
                Change::Promote(TurnOrder { grace_ms }) => self.promote(&service, grace(grace_ms)).await,
                Change::Rollback(TurnOrder { grace_ms }) => self.rollback(&service, grace(grace_ms)).await,
            };
            changed.map_err(Status::from)
        })
    }
}

/// An order of the API as the app takes it.
fn swap_of(service: String, order: SwapOrder) -> Result<Swap, Status> {
    let SwapOrder { component, grants: texts, canary, grace_ms, force, watch } = order;
    let invalid = |why: String| Status::new(Code::InvalidArgument, why);
    let mut grants = Grants::default();
    for text in texts {
        grants.add(&text).map_err(|why| invalid(format!("the grant {text:?}: {why}")))?;
    }
    // The host's own folder is not that of whoever asks.
    let relative = grants.folders.values().map(|folder| &folder.path).chain([&component]).find(|path| !path.is_absolute());
    if let Some(path) = relative {
        return Err(invalid(format!("{} is not an absolute path", path.display())));
    }
    if let Some(share) = canary.filter(|share| *share == Share::NONE || *share == Share::ALL) {
        return Err(invalid(format!("a canary has more than none of the calls and less than all, got {share}")));
    }
    let watch = watch.map(|watch| Watch { max_error_rate: watch.max_error_rate, time: Duration::from_millis(watch.time_ms) });
    Ok(Swap { service, component, settings: None, grants, canary, grace: grace(grace_ms), force, watch })
}

fn grace(millis: Option<u64>) -> Duration {
    millis.map_or(DEFAULT_GRACE, Duration::from_millis)
}

impl From<SwapError> for Status {
    fn from(error: SwapError) -> Status {
        let code = match error.why {
            Why::Unknown { .. } => Code::NotFound,
            Why::Busy => Code::Aborted,
            _ => Code::FailedPrecondition,
        };
        Status::new(code, error.to_string())
    }
}

impl Host {
    fn view(&self, running: &Running) -> ServiceView {
        let schema = running.service.schema();
        let missing: Vec<&str> =
            schema.needs.iter().filter(|need| self.directory().offering(&need.name).is_none()).map(|need| need.name.as_str()).collect();
        let waits = (!missing.is_empty()).then(|| format!("nobody offers {} yet", missing.join(", ")));
        let unwell = self.overview.health.snapshot().standings.get(&running.load.name).and_then(Standing::why);
        let (state, why) = match (unwell, waits) {
            (Some(unwell), waits) => (State::Unwell, Some([Some(unwell), waits].into_iter().flatten().collect::<Vec<_>>().join("; "))),
            (None, Some(waits)) => (State::Waiting, Some(waits)),
            (None, None) => (State::Serving, None),
        };
        let since = Some(humantime::format_rfc3339_seconds(running.since).to_string());
        let canary = self.tried(&running.load.name);
        ServiceView { version: running.version().map(str::to_owned), why, since, canary, ..blank(&running.load.name, state) }
    }

    fn description(&self, running: &Running) -> Description {
        let schema = running.service.schema();
        let imports = schema.needs.iter().map(|need| ImportView {
            interface: need.interface.clone(),
            service: need.name.clone(),
            functions: need.methods.iter().map(|method| method.function.clone()).collect(),
            by: self.directory().offering(&need.name),
        });
        let gateway = match running.service.is_gateway() {
            true if running.load.handles.is_empty() => vec!["*".to_owned()],
            true => running.load.handles.clone(),
            false => Vec::new(),
        };
        Description {
            endpoints: endpoints(running),
            messages: messages(schema),
            refused: schema
                .refused
                .iter()
                .map(|refused| RefusedView { function: refused.function.clone(), why: refused.why.clone() })
                .collect(),
            http: running.service.http_route().map(ToString::to_string),
            gateway,
            imports: imports.collect(),
            versions: self.versions(&running.load.name),
            ..described(self.view(running), &running.load)
        }
    }
}

/// A service of which no more than this is known.
fn blank(name: &str, state: State) -> ServiceView {
    let name = name.to_owned();
    ServiceView { name, version: None, state, why: None, since: None, canary: None, instances: 0, calls: 0, errors: 0, under_way: 0 }
}

fn failed(load: &Load, why: String) -> ServiceView {
    ServiceView { version: load.version.clone(), why: Some(why), ..blank(&load.name, State::Failed) }
}

/// What the settings say of a service.
fn described(service: ServiceView, load: &Load) -> Description {
    let isolation = match load.isolation {
        Isolation::Shared => "shared",
        Isolation::Request => "request",
    };
    Description {
        service,
        component: load.component.display().to_string(),
        isolation: isolation.to_owned(),
        endpoints: Vec::new(),
        messages: Vec::new(),
        refused: Vec::new(),
        http: None,
        gateway: Vec::new(),
        imports: Vec::new(),
        grants: granted(&load.grants),
        limits: load.limits.shown(),
        versions: None,
    }
}

fn endpoints(running: &Running) -> Vec<EndpointView> {
    let schema = running.service.schema();
    let is_safe = |service: &str, method: &str| running.load.safe.iter().any(|safe| safe.split_once('/') == Some((service, method)));
    let typed = schema.services.iter().flat_map(|service| service.methods.iter().map(move |method| (service, method)));
    let typed = typed.map(|(service, method)| EndpointView {
        service: service.name.clone(),
        method: method.name.clone(),
        kind: method.kind.name().to_owned(),
        safe: is_safe(&service.name, &method.name),
        signature: Some(method.signature.clone()),
        input: method.input().to_owned(),
        output: method.output().to_owned(),
        docs: method.docs.clone(),
    });
    let handled = schema.handled.iter().flat_map(|handled| &handled.services);
    let handled = handled.flat_map(|service| service.methods.iter().map(move |method| (service, method)));
    let handled = handled.map(|(service, method)| EndpointView {
        service: service.name.clone(),
        method: method.name.clone(),
        kind: method.kind.name().to_owned(),
        safe: is_safe(&service.name, &method.name),
        signature: None,
        input: method.input().to_owned(),
        output: method.output().to_owned(),
        docs: method.docs.clone(),
    });
    typed.chain(handled).collect()
}

fn messages(schema: &Schema) -> Vec<MessageView> {
    let typed = schema.messages().map(|message| MessageView {
        name: message.name.clone(),
        fields: message
            .fields
            .iter()
            .zip(1..)
            .map(|(field, number)| FieldView {
                number,
                name: field.name.clone(),
                json_name: field.json_name.clone(),
                kind: field.wit.clone(),
            })
            .collect(),
    });
    let handled = schema.handled.iter().flat_map(Handled::messages).map(|message| MessageView {
        name: message.name,
        fields: message.fields.into_iter().map(|(number, name, json_name, kind)| FieldView { number, name, json_name, kind }).collect(),
    });
    typed.chain(handled).filter(|message| !message.fields.is_empty()).collect()
}

/// What a service is allowed. Of the environment the names alone: what they stand for may be secret.
fn granted(grants: &Grants) -> BTreeMap<String, Vec<String>> {
    let folder = |(guest, folder): (&String, &crate::settings::Folder)| {
        format!("{} -> {guest}{}", folder.path.display(), if folder.write { " (rw)" } else { "" })
    };
    let all = [
        ("environment", grants.environment.keys().cloned().collect()),
        ("folders", grants.folders.iter().map(folder).collect()),
        ("http", grants.http.iter().map(ToString::to_string).collect()),
        ("sockets", grants.sockets.then(|| "all".to_owned()).into_iter().collect()),
        ("registry", grants.registry.then(|| "all".to_owned()).into_iter().collect()),
        ("calls", grants.calls.iter().map(ToString::to_string).collect()),
        ("late", grants.late.iter().map(ToString::to_string).collect()),
    ];
    all.into_iter()
        .filter(|(_, granted): &(_, Vec<String>)| !granted.is_empty())
        .map(|(kind, granted)| (kind.to_owned(), granted))
        .collect()
}
