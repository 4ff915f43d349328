//! Whether callers that write messages as bytes can do with another version's: by number in protobuf, by
//! name in JSON. Types alone do not tell, as names of parameters and cases stand in JSON.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde::{Deserialize, Serialize};

use crate::schema::Schema;

/// Something that callers reach and that has another type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The type that it had.
    pub before: String,
    /// The type that it has.
    pub after: String,
    /// The first difference, for people.
    pub why: String,
}

/// The descriptors of both versions.
pub(super) struct Wire {
    old: DescriptorPool,
    new: DescriptorPool,
    /// Messages that were compared: they may hold one another.
    seen: BTreeSet<(String, String)>,
    changes: Vec<Change>,
}

impl Wire {
    /// What is different in the messages of methods that both versions have, but for those named, whose
    /// types are told to be different already.
    pub(super) fn changes(old: &Schema, new: &Schema, told: &[Change]) -> Vec<Change> {
        let pool = |schema: &Schema| DescriptorPool::from_file_descriptor_set(schema.descriptors()).ok();
        // What is served has been shown by its descriptors; without them there is nothing to compare.
        let (Some(before), Some(after)) = (pool(old), pool(new)) else { return Vec::new() };
        let mut wire = Wire { old: before, new: after, seen: BTreeSet::new(), changes: Vec::new() };
        for name in old.names() {
            let (Some(service), Some(other)) = (wire.old.get_service_by_name(name), wire.new.get_service_by_name(name)) else { continue };
            for method in service.methods() {
                let path = format!("{name}/{}", method.name());
                let Some(same) = other.methods().find(|same| same.name() == method.name()) else { continue };
                if told.iter().all(|change| change.name != path) {
                    wire.messages(&method.input(), &same.input());
                    wire.messages(&method.output(), &same.output());
                }
            }
        }
        wire.changes
    }

    fn messages(&mut self, old: &MessageDescriptor, new: &MessageDescriptor) {
        if !self.seen.insert((old.full_name().to_owned(), new.full_name().to_owned())) {
            return;
        }
        for field in old.fields() {
            let Some(other) = new.get_field(field.number()) else {
                self.changed(old.full_name(), field_text(&field), "nothing".to_owned());
                continue;
            };
            if field_text(&field) != field_text(&other) || field.json_name() != other.json_name() {
                self.changed(old.full_name(), field_text(&field), field_text(&other));
                continue;
            }
            match (field.kind(), other.kind()) {
                (Kind::Message(old), Kind::Message(new)) => self.messages(&old, &new),
                (Kind::Enum(old), Kind::Enum(new)) => self.enums(&old, &new),
                _ => {}
            }
        }
    }

    fn enums(&mut self, old: &EnumDescriptor, new: &EnumDescriptor) {
        if !self.seen.insert((old.full_name().to_owned(), new.full_name().to_owned())) {
            return;
        }
        for value in old.values() {
            let other = new.get_value(value.number());
            if other.as_ref().is_none_or(|other| other.name() != value.name()) {
                let after = other.map_or_else(|| "nothing".to_owned(), |other| format!("{} = {}", other.name(), other.number()));
                self.changed(old.full_name(), format!("{} = {}", value.name(), value.number()), after);
            }
        }
    }

    fn changed(&mut self, name: &str, before: String, after: String) {
        let why = format!("messages have `{before}` in the running version, and `{after}` in the new one");
        self.changes.push(Change { name: name.to_owned(), before, after, why });
    }
}

/// A field without the name of its type: callers do not see that.
fn field_text(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(_) => "message".to_owned(),
        Kind::Enum(_) => "enum".to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    let many = if field.is_map() {
        "map "
    } else if field.is_list() {
        "repeated "
    } else {
        ""
    };
    format!("{many}{kind} {} = {}", field.name(), field.number())
}
