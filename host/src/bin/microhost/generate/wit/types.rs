//! Messages and enums as WIT types, and what of them is another thing on the wire: WIT numbers fields
//! by their places, and knows no numbers of its own.

use microhost::schema::comment;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Syntax};

use super::names::{case, kebab, written};

/// protobuf's message without fields; a case without payload is one on the wire.
const EMPTY: &str = "google.protobuf.Empty";

/// The types of a package.
#[derive(Default)]
pub(super) struct Types {
    /// Full name and WIT name of what is written, in this order.
    known: Vec<(String, String)>,
    /// The WIT of each, in the order in which they were finished.
    pub(super) texts: Vec<String>,
    /// What callers of the `.proto` would not understand.
    pub(super) notes: Vec<String>,
    /// The messages around the one that is being looked at.
    around: Vec<String>,
}

/// Why something cannot be said.
type Refusal = String;

impl Types {
    /// The WIT names of all types.
    pub(super) fn names(&self) -> Vec<String> {
        self.known.iter().map(|(_, name)| written(name)).collect()
    }

    /// Whether a message is written as a record, so that it is a request or reply as it is.
    pub(super) fn is_record(message: &MessageDescriptor) -> bool {
        message.fields().len() > 0 && only_oneof(message).is_none()
    }

    /// Whether all of a message can be said in WIT.
    pub(super) fn check(&mut self, message: &MessageDescriptor) -> Result<(), Refusal> {
        let name = message.full_name();
        if self.around.iter().any(|around| around == name) {
            return Err(format!("{name} holds itself, and a WIT type cannot"));
        }
        if name == "google.protobuf.Any" {
            return Err(format!("{name} holds a message of any type, and a WIT type is known beforehand"));
        }
        if message.extension_ranges().len() > 0 {
            return Err(format!("{name} can be extended, and a WIT record cannot"));
        }
        self.around.push(name.to_owned());
        let outcome = message.fields().try_for_each(|field| self.check_field(&field));
        self.around.pop();
        outcome
    }

    fn check_field(&mut self, field: &FieldDescriptor) -> Result<(), Refusal> {
        if field.is_group() {
            return Err(format!("{} is a group, which WIT has nothing for", field.full_name()));
        }
        match field.kind() {
            Kind::Message(entry) if field.is_map() => match entry.map_entry_value_field().kind() {
                Kind::Message(value) => self.check(&value),
                Kind::Enum(cases) => check_enum(&cases),
                _ => Ok(()),
            },
            Kind::Message(inner) if inner.full_name() == EMPTY && field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) => {
                Ok(())
            }
            Kind::Message(inner) if inner.fields().len() == 0 => {
                Err(format!("{} is of {}, which has no fields, and a WIT record has at least one", field.full_name(), inner.full_name()))
            }
            Kind::Message(inner) => self.check(&inner),
            Kind::Enum(cases) => check_enum(&cases),
            _ => Ok(()),
        }
    }

    /// The WIT name of a message that was checked; it is written if it is not yet.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> String {
        if let Some(name) = self.find(message.full_name()) {
            return name;
        }
        let name = self.claim(message.full_name(), message.package_name());
        let docs = comment(&message.parent_file(), message.path());
        let text = match only_oneof(message) {
            Some(oneof) => self.variant(&name, docs, &oneof, true),
            None => self.record(&name, docs, message),
        };
        self.texts.push(text);
        written(&name)
    }

    fn find(&self, full: &str) -> Option<String> {
        self.known.iter().find(|(known, _)| known == full).map(|(_, name)| written(name))
    }

    /// Takes a free name for a type.
    fn claim(&mut self, full: &str, package: &str) -> String {
        let short = full.strip_prefix(package).map_or(full, |rest| rest.trim_start_matches('.'));
        // `status` is how every function fails.
        let taken = |name: &str| name == "status" || self.known.iter().any(|(_, known)| known == name);
        let mut name = kebab(short);
        if taken(&name) {
            name = kebab(full);
        }
        let plain = name.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{plain}{number}");
            number += 1;
        }
        self.known.push((full.to_owned(), name.clone()));
        name
    }

    fn record(&mut self, name: &str, docs: Option<String>, message: &MessageDescriptor) -> String {
        if message.package_name() == "google.protobuf" {
            self.notes.push(format!("{} has a JSON of its own, and a record is an object", message.full_name()));
        }
        let mut text = documented("", docs);
        text.push_str(&format!("record {} {{\n", written(name)));
        let mut place = 0;
        let mut oneofs: Vec<OneofDescriptor> = Vec::new();
        for field in message.fields() {
            if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                if oneofs.contains(&oneof) {
                    continue;
                }
                place += 1;
                self.notes.push(format!("the oneof {} of {} is a message of its own", oneof.name(), message.full_name()));
                let inner = self.claim(&format!("{}.{}", message.full_name(), oneof.name()), message.package_name());
                let variant = self.variant(&inner, comment(&oneof.parent_file(), oneof.path()), &oneof, false);
                self.texts.push(variant);
                text.push_str(&format!("  {}: option<{}>,\n", written(&kebab(oneof.name())), written(&inner)));
                oneofs.push(oneof);
                continue;
            }
            place += 1;
            self.number(&field, place);
            let ty = self.field(&field);
            text.push_str(&documented("  ", comment(&field.parent_file(), field.path())));
            text.push_str(&format!("  {}: {ty},\n", written(&kebab(field.name()))));
        }
        text.push_str("}\n");
        text
    }

    /// A variant; one that is only a part of a message is another one on the wire in any case.
    fn variant(&mut self, name: &str, docs: Option<String>, oneof: &OneofDescriptor, is_whole: bool) -> String {
        let mut text = documented("", docs);
        text.push_str(&format!("variant {} {{\n", written(name)));
        for (place, field) in (1..).zip(oneof.fields()) {
            if is_whole {
                self.number(&field, place);
            }
            text.push_str(&documented("  ", comment(&field.parent_file(), field.path())));
            let case = written(&kebab(field.name()));
            match field.kind() {
                Kind::Message(inner) if inner.full_name() == EMPTY => text.push_str(&format!("  {case},\n")),
                kind => {
                    let ty = self.kind(&field, kind);
                    text.push_str(&format!("  {case}({ty}),\n"));
                }
            }
        }
        text.push_str("}\n");
        text
    }

    /// Notes a field whose number is not its place.
    fn number(&mut self, field: &FieldDescriptor, place: u32) {
        if field.number() != place {
            let (name, number) = (field.full_name(), field.number());
            self.notes.push(format!("{name} has the number {number}, and would have {place} by its place"));
        }
    }

    fn field(&mut self, field: &FieldDescriptor) -> String {
        if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            return format!("map<{}, {}>", self.kind(&key, key.kind()), self.kind(&value, value.kind()));
        }
        let one = self.kind(field, field.kind());
        let has_presence = match field.parent_file().syntax() {
            Syntax::Proto2 => field.cardinality() == Cardinality::Optional,
            Syntax::Proto3 => field.supports_presence(),
        };
        match field.cardinality() {
            Cardinality::Repeated => format!("list<{one}>"),
            // An enum that is not set has no case in WIT.
            _ if has_presence || matches!(field.kind(), Kind::Enum(_)) => format!("option<{one}>"),
            _ => one,
        }
    }

    fn kind(&mut self, field: &FieldDescriptor, kind: Kind) -> String {
        let fixed = |this: &mut Types, ty: &str, plain: &str| {
            this.notes.push(format!("{} is written as {plain}, not as {kind:?}", field.full_name()));
            ty.to_owned()
        };
        match &kind {
            Kind::Double => "f64".to_owned(),
            Kind::Float => "f32".to_owned(),
            Kind::Int32 => "s32".to_owned(),
            Kind::Int64 => "s64".to_owned(),
            Kind::Uint32 => "u32".to_owned(),
            Kind::Uint64 => "u64".to_owned(),
            Kind::Sint32 | Kind::Sfixed32 => fixed(self, "s32", "int32"),
            Kind::Sint64 | Kind::Sfixed64 => fixed(self, "s64", "int64"),
            Kind::Fixed32 => fixed(self, "u32", "uint32"),
            Kind::Fixed64 => fixed(self, "u64", "uint64"),
            Kind::Bool => "bool".to_owned(),
            Kind::String => "string".to_owned(),
            Kind::Bytes => "list<u8>".to_owned(),
            Kind::Message(message) => self.message(message),
            Kind::Enum(cases) => self.cases(cases),
        }
    }

    fn cases(&mut self, cases: &EnumDescriptor) -> String {
        if let Some(name) = self.find(cases.full_name()) {
            return name;
        }
        let name = self.claim(cases.full_name(), cases.package_name());
        let mut text = documented("", comment(&cases.parent_file(), cases.path()));
        text.push_str(&format!("enum {} {{\n", written(&name)));
        let mut place = 0;
        for value in cases.values().filter(|value| !is_unspecified(value.number(), value.name())) {
            place += 1;
            if value.number() != place {
                self.notes.push(format!("{} has the number {}, and would have {place} by its place", value.full_name(), value.number()));
            }
            text.push_str(&documented("  ", comment(&cases.parent_file(), value.path())));
            text.push_str(&format!("  {},\n", written(&case(cases.name(), value.name()))));
        }
        text.push_str("}\n");
        self.texts.push(text);
        written(&name)
    }
}

/// The number that stands for a forgotten field, which WIT has no case for.
fn is_unspecified(number: i32, name: &str) -> bool {
    number == 0 && (name.ends_with("UNSPECIFIED") || name.ends_with("UNKNOWN") || name.ends_with("NONE"))
}

fn check_enum(cases: &EnumDescriptor) -> Result<(), Refusal> {
    let numbers: Vec<i32> = cases.values().map(|value| value.number()).collect();
    if numbers.iter().enumerate().any(|(place, number)| numbers[..place].contains(number)) {
        return Err(format!("{} has two names for one number, and a WIT enum has one", cases.full_name()));
    }
    if cases.values().all(|value| is_unspecified(value.number(), value.name())) {
        return Err(format!("{} has no case but the unspecified one", cases.full_name()));
    }
    Ok(())
}

/// The oneof of a message that is nothing else: a variant on the wire as it is.
fn only_oneof(message: &MessageDescriptor) -> Option<OneofDescriptor> {
    message.oneofs().find(|oneof| !oneof.is_synthetic() && oneof.fields().len() == message.fields().len())
}

/// A comment of WIT's, before what it is about.
pub(super) fn documented(indent: &str, docs: Option<String>) -> String {
    docs.iter().flat_map(|docs| docs.lines()).map(|line| format!("{indent}/// {line}").trim_end().to_owned() + "\n").collect()
}
