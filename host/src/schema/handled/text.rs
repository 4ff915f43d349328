//! Descriptors as `.proto` files again, with the comments that were kept. What nobody needs to call a
//! service is left out: custom options and extensions.

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, ServiceDescriptor, Syntax};

use super::comments::comment;

/// The text of one file.
pub(super) fn file(file: &FileDescriptor) -> String {
    let mut printer = Printer { file: file.clone(), out: String::new(), indent: 0 };
    printer.file();
    printer.out
}

/// The type of a field with its label, names in full.
pub(super) fn field_type(field: &FieldDescriptor) -> String {
    let kind = |kind: Kind| spelled(&kind, |full, _| full.to_owned());
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            format!("map<{}, {}>", kind(entry.map_entry_key_field().kind()), kind(entry.map_entry_value_field().kind()))
        }
        one if field.is_list() => format!("repeated {}", kind(one)),
        one => kind(one),
    }
}

struct Printer {
    file: FileDescriptor,
    out: String,
    indent: usize,
}

impl Printer {
    fn line(&mut self, text: &str) {
        if !text.is_empty() {
            self.out.push_str(&"  ".repeat(self.indent));
            self.out.push_str(text);
        }
        self.out.push('\n');
    }

    fn open(&mut self, text: &str) {
        self.line(text);
        self.indent += 1;
    }

    fn close(&mut self) {
        self.indent -= 1;
        self.line("}");
    }

    fn comment(&mut self, path: &[i32]) {
        let Some(text) = comment(&self.file, path) else { return };
        for line in text.lines() {
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            self.line(format!("// {line}").trim_end());
        }
    }

    fn file(&mut self) {
        let file = self.file.clone();
        let proto = file.file_descriptor_proto();
        match file.syntax() {
            Syntax::Proto2 => self.line("syntax = \"proto2\";"),
            Syntax::Proto3 => self.line("syntax = \"proto3\";"),
        }
        if !proto.package().is_empty() {
            self.line("");
            self.line(&format!("package {};", proto.package()));
        }
        if !proto.dependency.is_empty() {
            self.line("");
        }
        for (place, import) in (0i32..).zip(&proto.dependency) {
            let public = if proto.public_dependency.contains(&place) { "public " } else { "" };
            self.line(&format!("import {public}\"{import}\";"));
        }
        for service in file.services() {
            self.line("");
            self.service(&service);
        }
        for message in file.messages() {
            self.line("");
            self.message(&message);
        }
        for cases in file.enums() {
            self.line("");
            self.cases(&cases);
        }
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        self.comment(service.path());
        self.open(&format!("service {} {{", service.name()));
        for (place, method) in service.methods().enumerate() {
            if place > 0 {
                self.line("");
            }
            self.comment(method.path());
            let side = |streams: bool, message: MessageDescriptor| {
                format!("{}{}", if streams { "stream " } else { "" }, self.name(message.full_name(), message.package_name()))
            };
            let input = side(method.is_client_streaming(), method.input());
            let output = side(method.is_server_streaming(), method.output());
            self.line(&format!("rpc {}({input}) returns ({output});", method.name()));
        }
        self.close();
    }

    fn message(&mut self, message: &MessageDescriptor) {
        self.comment(message.path());
        self.open(&format!("message {} {{", message.name()));
        let mut written = Vec::new();
        for field in message.fields() {
            match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                None => self.field(&field, false),
                Some(oneof) if written.contains(&oneof) => {}
                Some(oneof) => {
                    self.comment(oneof.path());
                    self.open(&format!("oneof {} {{", oneof.name()));
                    oneof.fields().for_each(|field| self.field(&field, true));
                    self.close();
                    written.push(oneof);
                }
            }
        }
        let ranges: Vec<String> =
            message.reserved_ranges().map(|range| numbers(i64::from(range.start), i64::from(range.end) - 1)).collect();
        self.reserved(&ranges, message.reserved_names().map(str::to_owned).collect());
        for nested in message.child_messages().filter(|nested| !nested.is_map_entry()) {
            self.line("");
            self.message(&nested);
        }
        for nested in message.child_enums() {
            self.line("");
            self.cases(&nested);
        }
        self.close();
    }

    fn field(&mut self, field: &FieldDescriptor, in_oneof: bool) {
        self.comment(field.path());
        let proto2 = self.file.syntax() == Syntax::Proto2;
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = self.kind(&entry.map_entry_value_field().kind());
                format!("map<{}, {value}>", self.kind(&entry.map_entry_key_field().kind()))
            }
            kind => {
                let label = match field.is_list() {
                    true => "repeated ",
                    false if field.is_required() => "required ",
                    false if !in_oneof && (proto2 || field.field_descriptor_proto().proto3_optional()) => "optional ",
                    false => "",
                };
                format!("{label}{}", self.kind(&kind))
            }
        };
        let mut options = Vec::new();
        if field.json_name() != json_name(field.name()) {
            options.push(format!("json_name = \"{}\"", field.json_name().escape_default()));
        }
        if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            options.push("deprecated = true".to_owned());
        }
        let options = if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
        self.line(&format!("{kind} {} = {}{options};", field.name(), field.number()));
    }

    fn cases(&mut self, cases: &EnumDescriptor) {
        self.comment(cases.path());
        self.open(&format!("enum {} {{", cases.name()));
        if cases.enum_descriptor_proto().options.as_ref().is_some_and(|options| options.allow_alias()) {
            self.line("option allow_alias = true;");
        }
        for value in cases.values() {
            self.comment(value.path());
            self.line(&format!("{} = {};", value.name(), value.number()));
        }
        let ranges: Vec<String> = cases.reserved_ranges().map(|range| numbers((*range.start()).into(), (*range.end()).into())).collect();
        self.reserved(&ranges, cases.reserved_names().map(str::to_owned).collect());
        self.close();
    }

    fn reserved(&mut self, ranges: &[String], names: Vec<String>) {
        if !ranges.is_empty() {
            self.line(&format!("reserved {};", ranges.join(", ")));
        }
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.escape_default())).collect();
            self.line(&format!("reserved {};", names.join(", ")));
        }
    }

    fn kind(&self, kind: &Kind) -> String {
        spelled(kind, |full, package| self.name(full, package))
    }

    /// A name as this file may write it: without its package where that is the file's own, else from
    /// the root, so that no nearer name is taken for it.
    fn name(&self, full: &str, package: &str) -> String {
        match full.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')) {
            Some(short) if package == self.file.package_name() && !self.hides(short) => short.to_owned(),
            _ => format!(".{full}"),
        }
    }

    /// Whether a message of this file has a type of its own by the first part of this name.
    fn hides(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or(name);
        fn within(message: &MessageDescriptor, first: &str) -> bool {
            message.child_messages().any(|child| child.name() == first || within(&child, first))
                || message.child_enums().any(|child| child.name() == first)
        }
        self.file.messages().any(|message| within(&message, first))
    }
}

/// A type as protobuf writes it; `name` writes the name of a message or enum, given its package too.
fn spelled(kind: &Kind, name: impl Fn(&str, &str) -> String) -> String {
    let scalar = match kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
        Kind::Fixed32 => "fixed32",
        Kind::Fixed64 => "fixed64",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Message(message) => return name(message.full_name(), message.package_name()),
        Kind::Enum(cases) => return name(cases.full_name(), cases.package_name()),
    };
    scalar.to_owned()
}

fn numbers(first: i64, last: i64) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// The name in JSON that protoc gives a field that asks for no other.
fn json_name(name: &str) -> String {
    crate::schema::names::json(name)
}
