//! Tells which services there are, and says of itself what it is told to.

use exports::test::registry::registry::{Guest, Place};
use microhost_sdk::registry::{self, Change, Health, Kind, Offer};
use microhost_sdk::wit_bindgen::StreamReader;
use microhost_sdk::{Status, spawn};

microhost_sdk::service!({
    world: "test:registry/guest",
    with: { "microhost:service/types@0.1.0": microhost_sdk::types },
});

fn place(offer: Offer) -> Place {
    let kind = |kind| match kind {
        Kind::Unary => "unary",
        Kind::ServerStream => "server-stream",
        Kind::ClientStream => "client-stream",
        Kind::Bidirectional => "bidirectional",
    };
    Place {
        node: offer.node,
        host: offer.host,
        here: offer.here,
        ready: offer.ready,
        addresses: offer.addresses,
        version: offer.version,
        labels: offer.labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        methods: offer.methods.into_iter().map(|method| format!("{} {}", method.name, kind(method.kind))).collect(),
    }
}

fn told(change: Change) -> String {
    match change {
        Change::Put(offer) => format!("put {} {}ready", offer.node, if offer.ready { "" } else { "not " }),
        Change::Gone { node, .. } => format!("gone {node}"),
        Change::Complete => "complete".to_owned(),
    }
}

fn own() -> Vec<String> {
    registry::labels().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn denied(error: registry::Error) -> Status {
    Status::permission_denied(error.to_string())
}

struct Registry;

impl Guest for Registry {
    async fn list() -> Result<Vec<String>, Status> {
        let services = registry::list().map_err(denied)?;
        Ok(services.into_iter().map(|service| format!("{} {}/{}", service.name, service.ready, service.nodes)).collect())
    }

    async fn look_up(service: String) -> Result<Vec<Place>, Status> {
        Ok(registry::look_up(&service).map_err(denied)?.into_iter().map(place).collect())
    }

    async fn watch(service: Option<String>) -> StreamReader<String> {
        let (mut writer, reader) = wit_stream::new();
        let changes = match &service {
            Some(service) => registry::watch(service),
            None => registry::watch_all(),
        };
        spawn(async move {
            match changes {
                Ok(mut changes) => {
                    while let Some(change) = changes.next().await {
                        if writer.write_one(told(change)).await.is_some() {
                            return;
                        }
                    }
                }
                Err(error) => drop(writer.write_one(error.to_string()).await),
            }
        });
        reader
    }

    async fn watch_often(times: u32) -> Result<(), Status> {
        let watches: Result<Vec<_>, _> = (0..times).map(|_| registry::watch_all()).collect();
        watches.map(drop).map_err(|error| Status::resource_exhausted(error.to_string()))
    }

    async fn label(name: String, value: String) -> Result<Vec<String>, Status> {
        registry::set_label(name, value).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(own())
    }

    async fn unlabel(name: String) -> Vec<String> {
        registry::remove_label(&name);
        own()
    }

    async fn report(unwell: Option<String>) {
        registry::report_health(unwell.map_or(Health::Serving, Health::NotServing));
    }

    async fn die() {
        panic!("as you asked");
    }
}

export!(Registry);
