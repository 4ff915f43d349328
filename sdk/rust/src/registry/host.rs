//! The registry as the host has it.

#[cfg(target_family = "wasm")]
pub(super) use component::{Changes, labels, list, look_up, remove_label, report_health, set_label, watch};
#[cfg(not(target_family = "wasm"))]
pub(super) use nowhere::{Changes, labels, list, look_up, remove_label, report_health, set_label, watch};

pub(super) use bindings::microhost::service::registry as wit;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package microhost:sdk-registry;

            world registry {
                import microhost:service/registry@0.1.0;
            }
        ",
        path: ["wit"],
        generate_all,
    });
}

#[cfg(target_family = "wasm")]
mod component {
    use std::collections::BTreeMap;

    use wit_bindgen::rt::async_support::{StreamReader, StreamResult};

    use super::wit;
    use crate::registry::{Change, Error, Health, Kind, LabelError, Method, Offer, Service};

    /// Changes that are read at once if they are there: a read costs more than a change.
    const READ_AHEAD: usize = 16;

    impl From<wit::Kind> for Kind {
        fn from(kind: wit::Kind) -> Kind {
            match kind {
                wit::Kind::Unary => Kind::Unary,
                wit::Kind::ServerStream => Kind::ServerStream,
                wit::Kind::ClientStream => Kind::ClientStream,
                wit::Kind::Bidirectional => Kind::Bidirectional,
            }
        }
    }

    impl From<wit::Offer> for Offer {
        fn from(offer: wit::Offer) -> Offer {
            let method = |method: wit::Method| Method { name: method.name, kind: method.kind.into(), safe: method.safe };
            Offer {
                service: offer.service,
                name: offer.name,
                node: offer.node,
                host: offer.host,
                here: offer.here,
                addresses: offer.addresses,
                zone: offer.zone,
                version: offer.version,
                wit: offer.wit,
                weight: offer.weight,
                ready: offer.ready,
                labels: of(offer.labels),
                methods: offer.methods.into_iter().map(method).collect(),
            }
        }
    }

    impl From<wit::Change> for Change {
        fn from(change: wit::Change) -> Change {
            match change {
                wit::Change::Put(offer) => Change::Put(offer.into()),
                wit::Change::Gone(wit::Gone { service, node }) => Change::Gone { service, node },
                wit::Change::Complete => Change::Complete,
            }
        }
    }

    fn of(labels: Vec<wit::Label>) -> BTreeMap<String, String> {
        labels.into_iter().map(|label| (label.name, label.value)).collect()
    }

    pub fn list() -> Result<Vec<Service>, Error> {
        let service = |summary: wit::Summary| {
            let wit::Summary { service, names, versions, nodes, ready } = summary;
            Service { name: service, called: names, versions, nodes, ready }
        };
        Ok(wit::list()?.into_iter().map(service).collect())
    }

    pub fn look_up(service: &str) -> Result<Vec<Offer>, Error> {
        Ok(wit::look_up(service)?.into_iter().map(Offer::from).collect())
    }

    pub fn watch(service: Option<&str>) -> Result<Changes, Error> {
        Ok(Changes { ready: Vec::new(), rest: Some(wit::watch(service)?) })
    }

    pub fn labels() -> BTreeMap<String, String> {
        of(wit::labels())
    }

    pub fn set_label(name: String, value: String) -> Result<(), LabelError> {
        Ok(wit::set_label(&wit::Label { name, value })?)
    }

    pub fn remove_label(name: &str) {
        wit::remove_label(name);
    }

    pub fn report_health(health: Health) {
        wit::report_health(&match health {
            Health::Serving => wit::Health::Serving,
            Health::NotServing(why) => wit::Health::NotServing(why),
        });
    }

    /// What a watch tells.
    pub struct Changes {
        /// What was read and not taken yet, the next one last.
        ready: Vec<wit::Change>,
        rest: Option<StreamReader<wit::Change>>,
    }

    impl Changes {
        pub async fn next(&mut self) -> Option<Change> {
            loop {
                if let Some(change) = self.ready.pop() {
                    return Some(change.into());
                }
                let reader = self.rest.as_mut()?;
                let mut buffer = std::mem::take(&mut self.ready);
                buffer.reserve(READ_AHEAD);
                let (result, mut read) = reader.read(buffer).await;
                read.reverse();
                self.ready = read;
                if result == StreamResult::Dropped {
                    self.rest = None;
                }
            }
        }
    }
}

/// What is asked where there is no host.
#[cfg(not(target_family = "wasm"))]
mod nowhere {
    use std::collections::BTreeMap;

    use crate::registry::{Change, Error, Health, LabelError, Offer, Service};

    pub fn list() -> Result<Vec<Service>, Error> {
        Ok(Vec::new())
    }

    pub fn look_up(_: &str) -> Result<Vec<Offer>, Error> {
        Ok(Vec::new())
    }

    pub fn watch(_: Option<&str>) -> Result<Changes, Error> {
        Ok(Changes { complete: false })
    }

    pub fn labels() -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    pub fn set_label(_: String, _: String) -> Result<(), LabelError> {
        Ok(())
    }

    pub fn remove_label(_: &str) {}

    pub fn report_health(_: Health) {}

    /// That nobody is there, and then no more.
    pub struct Changes {
        complete: bool,
    }

    impl Changes {
        pub async fn next(&mut self) -> Option<Change> {
            (!std::mem::replace(&mut self.complete, true)).then_some(Change::Complete)
        }
    }
}
