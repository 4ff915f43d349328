//! How a component becomes a service: what it imports is checked and linked, and what it exports is found.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::types::{self, ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Linker};

use super::abi::Width;
use super::call::Target;
use super::directory::{Directory, NeedError};
use super::disk::Disk;
use super::engine::GuestEngine;
use super::function::Function;
use super::handler::{self, Exported};
use super::hold::Held;
use super::http::{Door, Gate};
use super::imports;
use super::load::Loaded;
use super::peers;
use super::pool::{Parts, Pool};
use super::service::{Figures, Service, Way};
use super::state::State;
use crate::lanes::Lanes;
use crate::middleware::Client;
use crate::registry::Outlook;
use crate::rpc::{Channel, Endpoint};
use crate::schema::Schema;
use crate::settings::{Grants, HttpRoute, Isolation, Limits};

/// The interfaces for which the headers of a request are kept: one tells a guest of them, the other
/// passes the trace among them on.
const HEADERS: [&str; 2] = ["microhost:service/context", "microhost:service/rpc"];

/// What a service is started with.
pub struct Plan {
    /// Its name in logs and figures.
    pub name: String,
    /// Its bounds.
    pub limits: Limits,
    /// What it is allowed.
    pub grants: Grants,
    /// How calls share instances.
    pub isolation: Isolation,
    /// Endpoints free of side effects: `example.greeter.Greet/Hello`.
    pub safe: Vec<String>,
    /// Where it answers plain HTTP, if its component does; `/` unless set.
    pub http: Option<HttpRoute>,
    /// Where it is counted: as the version before it, if there was one.
    pub figures: Figures,
}

/// A component that cannot be started as a service.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It imports what this host does not have.
    #[error("{name} imports what nothing provides: {}; it was not started", .imports.join(", "))]
    Imports {
        /// The service.
        name: String,
        /// The interfaces that are missing.
        imports: Vec<String>,
    },
    /// What it imports of other services cannot be had.
    #[error("{name} needs what it cannot have:\n{}", .needs.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Needs {
        /// The service.
        name: String,
        /// The imports that cannot be had, with reasons.
        needs: Vec<NeedError>,
    },
    /// An import exists and has another type, or lacks a function.
    #[error("{name} does not fit this host: {why}")]
    Link {
        /// The service.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// It exports nothing that can be called.
    #[error("{name} exports nothing that can be served{}", reasons(.refused))]
    Nothing {
        /// The service.
        name: String,
        /// The functions that cannot be served, with reasons.
        refused: Vec<String>,
    },
    /// A setting names an endpoint that is not there.
    #[error("{name} has no endpoint {endpoint:?}, which its setting `safe` names; it has {}", .known.join(", "))]
    Safe {
        /// The service.
        name: String,
        /// The endpoint of the setting.
        endpoint: String,
        /// The endpoints there are.
        known: Vec<String>,
    },
    /// A setting gives a route to a component that takes no requests.
    #[error(
        "{name} has the setting http = \"{route}\", and its component exports neither wasi:http/incoming-handler nor wasi:http/handler"
    )]
    NoHttp {
        /// The service.
        name: String,
        /// The route of the setting.
        route: HttpRoute,
    },
    /// A granted folder is missing or cannot be opened.
    #[error("{name}: {why}")]
    Grant {
        /// The service.
        name: String,
        /// What is wrong.
        why: String,
    },
}

fn reasons(refused: &[String]) -> String {
    if refused.is_empty() { "; export an interface from its world".to_owned() } else { format!(": {}", refused.join("; ")) }
}

/// Links components. One for a host: what all share is linked once.
pub struct Starter {
    wasi: Linker<State>,
    engine: Engine,
    lanes: Lanes,
    channel: Arc<dyn Channel>,
    directory: Arc<Directory>,
    outlook: Arc<Outlook>,
}

impl Starter {
    /// Prepares the linking of components for this engine, to run on these lanes. They call others by
    /// the channel, and what they import of others is checked against the directory. Which services
    /// there are, the outlook tells them.
    pub fn new(
        engine: &GuestEngine,
        lanes: &Lanes,
        channel: Arc<dyn Channel>,
        directory: Arc<Directory>,
        outlook: Arc<Outlook>,
    ) -> Result<Starter, super::engine::EngineError> {
        let wasi = imports::wasi(engine.get()).map_err(super::engine::EngineError)?;
        Ok(Starter { wasi, engine: engine.get().clone(), lanes: lanes.clone(), channel, directory, outlook })
    }

    /// Where services run.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Links a component, and makes it a service that has no instance yet. Nothing of the component
    /// has run when this fails. Blocks for as long as it takes to count what is in the folders that the
    /// service may write to.
    pub fn start(&self, plan: Plan, loaded: Loaded) -> Result<Service, StartError> {
        let Plan { name, limits, grants, isolation, safe, http, figures } = plan;
        let Loaded { component, schema, .. } = loaded;
        for folder in grants.folders.values() {
            if !folder.path.is_dir() {
                return Err(StartError::Grant { name, why: format!("the granted folder {} is no folder", folder.path.display()) });
            }
        }
        if let Some(unmet) = schema.unmet.first() {
            let why = format!("it imports {}, which cannot be called: {}", unmet.function, unmet.why);
            return Err(StartError::Link { name, why });
        }
        if let Err(needs) = self.directory.check(&name, &schema, &grants) {
            return Err(StartError::Needs { name, needs });
        }
        let shared: Arc<str> = name.as_str().into();
        let disk = Disk::of(&shared, &limits, &grants, figures.disk.as_ref(), &figures.service, self.lanes.heavy());
        let disk = disk.map_err(|error| StartError::Grant { name: name.clone(), why: error.to_string() })?;
        let figures = Figures { disk: disk.as_ref().map(|disk| Arc::clone(disk.ledger())), ..figures };
        let pre = self.link(&name, &component, &schema, disk.as_ref())?;
        let peers = Client::new(Arc::clone(&shared), &grants.calls, limits.outgoing_calls, Arc::clone(&self.channel));
        let (mut exports, functions) = self.functions(&component, &schema);
        let handles = self.handler(&name, &component, &schema, &mut exports)?;
        let door = Door::of(&pre);
        if let (None, Some(export)) = (&door, &schema.http) {
            let why = format!("its export {export} is of a version that this host does not call; it calls those of WASI 0.2 and 0.3");
            return Err(StartError::Link { name, why });
        }
        let exclusive = door.as_ref().map(Door::exclusive);
        let route = match (exclusive, http) {
            (None, Some(route)) => return Err(StartError::NoHttp { name, route }),
            (_, route) => route.unwrap_or_default(),
        };
        // Calls of other services pass the trace on.
        let keeps_headers =
            !schema.needs.is_empty() || schema.imports().iter().any(|import| HEADERS.iter().any(|name| import.name.starts_with(name)));
        if exports.is_empty() && door.is_none() {
            let refused = schema.refused.iter().map(|refused| format!("{}: {}", refused.function, refused.why)).collect();
            return Err(StartError::Nothing { name, refused });
        }
        let pool = Pool::new(Parts {
            name: Arc::clone(&shared),
            pre,
            exports,
            door,
            limits,
            grants,
            isolation,
            lanes: self.lanes.clone(),
            stats: Arc::clone(&figures.service),
            peers,
            outlook: Arc::clone(&self.outlook),
        });
        let is_safe = |service: &str, method: &str| safe.iter().any(|safe| safe.split_once('/') == Some((service, method)));
        let mut endpoints: Vec<(Endpoint, Way)> = Vec::with_capacity(functions.len());
        for found in functions {
            let (service, method) = (Arc::clone(&found.target.service), Arc::clone(&found.target.method));
            let kind = Some(schema.services[found.at.0].methods[found.at.1].kind);
            let endpoint = Endpoint { safe: is_safe(&service, &method), service, method, kind };
            let function =
                Function { schema: Arc::clone(&schema), at: found.at, target: found.target, width: found.width, pool: Arc::clone(&pool) };
            endpoints.push((endpoint, Way::Function(Arc::new(function))));
        }
        let exported = handles.map(|(call, open)| {
            let stats = Arc::clone(&figures.gateway);
            Arc::new(Exported { schema: Arc::clone(&schema), pool: Arc::clone(&pool), call, open, stats })
        });
        let mut gateway = None;
        if let (Some(handled), Some(exported)) = (&schema.handled, exported) {
            for (service_at, service) in handled.services.iter().enumerate() {
                for (method_at, method) in service.methods.iter().enumerate() {
                    let endpoint = Endpoint {
                        service: service.name.as_str().into(),
                        method: method.name.as_str().into(),
                        safe: is_safe(&service.name, &method.name),
                        kind: Some(method.kind),
                    };
                    let method = exported.endpoint(&service.name, &method.name, Some((service_at, method_at)));
                    endpoints.push((endpoint, Way::Method(Arc::new(method))));
                }
            }
            if handled.takes_anything() {
                gateway = Some(exported);
            }
        }
        let known: Vec<String> = endpoints.iter().map(|(endpoint, _)| format!("{}/{}", endpoint.service, endpoint.method)).collect();
        if let Some(endpoint) = safe.into_iter().find(|safe| !known.contains(safe)) {
            return Err(StartError::Safe { name, endpoint, known });
        }
        let http = exclusive.map(|exclusive| (route, Gate::new(&shared, exclusive, &pool, keeps_headers)));
        Ok(Service { name: shared, schema, pool, endpoints, gateway, http, figures, held: Held::default() })
    }

    /// The functions of the handler, where the component exports it.
    fn handler(
        &self,
        name: &str,
        component: &Component,
        schema: &Schema,
        exports: &mut Vec<ComponentExportIndex>,
    ) -> Result<Option<(handler::Export, handler::Export)>, StartError> {
        let Some(handled) = &schema.handled else { return Ok(None) };
        let mut find = |function: &str| {
            let (index, ty) = self.export(component, &handled.interface, function).ok_or_else(|| StartError::Link {
                name: name.to_owned(),
                why: format!("its export {} lacks the function {function}", handled.interface),
            })?;
            exports.push(index);
            Ok(handler::Export { place: exports.len() - 1, exclusive: !ty.async_(), width: Width::of(&ty) })
        };
        Ok(Some((find("call")?, find("open")?)))
    }

    fn link(
        &self,
        name: &str,
        component: &Component,
        schema: &Arc<Schema>,
        disk: Option<&Arc<Disk>>,
    ) -> Result<wasmtime::component::InstancePre<State>, StartError> {
        let failed = |error: wasmtime::Error| StartError::Link { name: name.to_owned(), why: format!("{error:#}") };
        let ty = component.component_type();
        let missing: Vec<String> = ty
            .imports(&self.engine)
            .filter(|(import, item)| !import.starts_with("wasi:") && !imports::is_known(import) && self.needs_somebody(&item.ty))
            .filter(|(import, _)| !schema.needs.iter().any(|need| need.interface == *import))
            .map(|(import, _)| import.to_owned())
            .collect();
        if !missing.is_empty() {
            return Err(StartError::Imports { name: name.to_owned(), imports: missing });
        }
        let mut linker = self.wasi.clone();
        imports::host(&mut linker, &ty, &self.engine).map_err(failed)?;
        self.link_peers(&mut linker, &ty, schema).map_err(failed)?;
        if let Some(disk) = disk {
            disk.link(&mut linker).map_err(failed)?;
        }
        linker.instantiate_pre(component).map_err(failed)
    }

    /// Defines what the component imports of other services.
    fn link_peers(&self, linker: &mut Linker<State>, ty: &types::Component, schema: &Arc<Schema>) -> wasmtime::Result<()> {
        for (need_at, need) in schema.needs.iter().enumerate() {
            let Some(ComponentItem::ComponentInstance(instance)) = ty.get_import(&self.engine, &need.interface).map(|found| found.ty)
            else {
                continue;
            };
            let mut link = linker.instance(&need.interface)?;
            for (method_at, method) in need.methods.iter().enumerate() {
                if let Some(ComponentItem::ComponentFunc(ty)) = instance.get_export(&self.engine, &method.function).map(|found| found.ty) {
                    peers::define(&mut link, &ty, schema, (need_at, method_at))?;
                }
            }
        }
        Ok(())
    }

    /// Whether an import has to be provided: an interface of types alone has not.
    fn needs_somebody(&self, item: &ComponentItem) -> bool {
        match item {
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(&self.engine).any(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
            }
            ComponentItem::Type(_) => false,
            _ => true,
        }
    }

    /// The functions of the schema, found among the component's exports.
    fn functions(&self, component: &Component, schema: &Schema) -> (Vec<ComponentExportIndex>, Vec<Found>) {
        let (mut exports, mut functions) = (Vec::new(), Vec::new());
        for (service_at, service) in schema.services.iter().enumerate() {
            let name: Arc<str> = service.name.as_str().into();
            for (method_at, method) in service.methods.iter().enumerate() {
                let Some((index, ty)) = self.export(component, &service.interface, &method.function) else { continue };
                let target = Target {
                    service: Arc::clone(&name),
                    method: method.name.as_str().into(),
                    export: exports.len(),
                    exclusive: !ty.async_(),
                    by_host: false,
                };
                functions.push(Found { at: (service_at, method_at), target: Arc::new(target), width: Width::of(&ty) });
                exports.push(index);
            }
        }
        (exports, functions)
    }

    fn export(&self, component: &Component, interface: &str, function: &str) -> Option<(ComponentExportIndex, ComponentFunc)> {
        let ty = component.component_type();
        // The functions that the world itself exports belong to no interface.
        let (index, item) = if interface.is_empty() {
            (component.get_export_index(None, function)?, ty.get_export(&self.engine, function)?.ty)
        } else {
            let instance = component.get_export_index(None, interface)?;
            let ComponentItem::ComponentInstance(instance_ty) = ty.get_export(&self.engine, interface)?.ty else { return None };
            (component.get_export_index(Some(&instance), function)?, instance_ty.get_export(&self.engine, function)?.ty)
        };
        match item {
            ComponentItem::ComponentFunc(ty) => Some((index, ty)),
            _ => None,
        }
    }
}

/// A function of the schema, found in the component.
struct Found {
    /// Its service's and its own place in the schema.
    at: (usize, usize),
    target: Arc<Target>,
    width: Width,
}
