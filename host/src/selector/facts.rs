//! What has to be known of a target to choose among several.

use std::collections::BTreeMap;

use crate::registry::{Offer, USUAL_WEIGHT};

/// What is known of a target.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The id of its node.
    pub node: &'a str,
    /// The name of the service within the node; with the node it tells targets apart.
    pub service: &'a str,
    /// How many calls it is to get, beside others with the same weight; none for 0.
    pub weight: u32,
    /// Takes calls now.
    pub ready: bool,
    /// Where its node stands.
    pub zone: Option<&'a str>,
    /// Its version.
    pub version: Option<&'a str>,
    /// What is said of it; the first that has a name says what it means.
    pub labels: [&'a BTreeMap<String, String>; 2],
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl Default for Facts<'_> {
    fn default() -> Self {
        Facts { node: "", service: "", weight: USUAL_WEIGHT, ready: true, zone: None, version: None, labels: [&NO_LABELS; 2] }
    }
}

impl Facts<'_> {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&String> {
        self.labels.iter().find_map(|labels| labels.get(name))
    }
}

/// Something that can be chosen.
pub trait Listed {
    /// What is known of it; the same at each call.
    fn facts(&self) -> Facts<'_>;
}

impl Listed for Offer {
    fn facts(&self) -> Facts<'_> {
        let (node, service) = (&self.node, self.service());
        Facts {
            node: &node.id,
            service: &service.name,
            weight: service.weight,
            ready: service.ready,
            zone: node.zone.as_deref(),
            version: service.version.as_deref(),
            labels: [&service.labels, &node.labels],
        }
    }
}
