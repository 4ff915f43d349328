//! The schema as `.proto` files, with the WIT's own words as comments.

use super::descriptor::{dependencies, messages_of, oneof_name};
use super::model::{Card, EMPTY_FILE, Enum, Field, Kind, Message, Shape, Types};
use super::{Method, Schema};

/// Name and text of each file, dependencies first, without protobuf's own.
pub(super) fn files(schema: &Schema) -> Vec<(String, String)> {
    let print = |&file: &usize| {
        let mut printer = Printer { schema, file, out: String::new() };
        printer.file();
        (schema.types.files[file].name.clone(), printer.out)
    };
    schema.files.iter().filter(|file| **file != EMPTY_FILE).map(print).collect()
}

struct Printer<'s> {
    schema: &'s Schema,
    file: usize,
    out: String,
}

impl Printer<'_> {
    fn types(&self) -> &Types {
        &self.schema.types
    }

    fn line(&mut self, indent: &str, line: &str) {
        self.out.push_str(indent);
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn docs(&mut self, indent: &str, docs: Option<&str>) {
        for line in docs.into_iter().flat_map(str::lines) {
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            self.line(indent, format!("// {line}").trim_end());
        }
    }

    fn file(&mut self) {
        let schema = self.schema;
        let own = self.file;
        let file = &schema.types.files[own];
        self.line("", &format!("// {}, as microhost serves it.", file.wit));
        self.line("", "syntax = \"proto3\";");
        self.line("", "");
        self.line("", &format!("package {};", file.package));
        let imports = dependencies(&schema.types, &schema.services, own);
        if !imports.is_empty() {
            self.line("", "");
        }
        for import in imports {
            self.line("", &format!("import \"{}\";", schema.types.files[import].name));
        }
        for service in schema.services.iter().filter(|service| service.file == own) {
            self.line("", "");
            self.docs("", service.docs.as_deref());
            self.line("", &format!("service {} {{", service.name.rsplit('.').next().unwrap_or_default()));
            for (index, method) in service.methods.iter().enumerate() {
                if index > 0 {
                    self.line("", "");
                }
                self.method(method);
            }
            self.line("", "}");
        }
        for message in messages_of(&schema.types, own) {
            self.line("", "");
            self.message(message);
        }
        for cases in schema.types.enums.iter().filter(|cases| cases.file == own) {
            self.line("", "");
            self.enumeration(cases);
        }
    }

    fn method(&mut self, method: &Method) {
        self.docs("  ", method.docs.as_deref());
        let request = self.message_name(method.plan.request);
        let reply = self.message_name(method.plan.reply);
        let stream = |streams: bool| if streams { "stream " } else { "" };
        let (takes, returns) = (stream(method.kind.client_streams()), stream(method.kind.server_streams()));
        self.line("  ", &format!("rpc {}({takes}{request}) returns ({returns}{reply});", method.name));
    }

    fn message(&mut self, message: &Message) {
        self.docs("", message.docs.as_deref());
        if message.fields.is_empty() {
            self.line("", &format!("message {} {{}}", message.short()));
            return;
        }
        self.line("", &format!("message {} {{", message.short()));
        let indent = if message.shape == Shape::Variant { "    " } else { "  " };
        if message.shape == Shape::Variant {
            self.line("  ", &format!("oneof {} {{", oneof_name(message)));
        }
        for (number, field) in (1u32..).zip(&message.fields) {
            self.docs(indent, field.docs.as_deref());
            let line = self.field(number, field);
            self.line(indent, &line);
        }
        if message.shape == Shape::Variant {
            self.line("  ", "}");
        }
        self.line("", "}");
    }

    fn field(&self, number: u32, field: &Field) -> String {
        let mut line = match (field.card, field.kind) {
            (Card::Map { keyed: true }, Kind::Message(entry)) => {
                let entry = self.types().message(entry);
                let names: Vec<String> = entry.fields.iter().map(|field| self.kind(field.kind)).collect();
                format!("map<{}>", names.join(", "))
            }
            (Card::Repeated(_) | Card::Flags | Card::Map { .. }, kind) => format!("repeated {}", self.kind(kind)),
            (Card::Optional, kind) => format!("optional {}", self.kind(kind)),
            (Card::Single | Card::Unit, kind) => self.kind(kind),
        };
        line.push_str(&format!(" {} = {number};", field.name));
        line
    }

    fn enumeration(&mut self, cases: &Enum) {
        self.docs("", cases.docs.as_deref());
        self.line("", &format!("enum {} {{", cases.name.rsplit('.').next().unwrap_or_default()));
        self.line("  ", &format!("{} = 0;", cases.unspecified));
        for (number, value) in (1u32..).zip(&cases.values) {
            self.docs("  ", value.docs.as_deref());
            self.line("  ", &format!("{} = {number};", value.name));
        }
        self.line("", "}");
    }

    fn kind(&self, kind: Kind) -> String {
        match kind {
            Kind::Bool => "bool".into(),
            Kind::U8 | Kind::U16 | Kind::U32 => "uint32".into(),
            Kind::U64 => "uint64".into(),
            Kind::S8 | Kind::S16 | Kind::S32 => "int32".into(),
            Kind::S64 => "int64".into(),
            Kind::F32 => "float".into(),
            Kind::F64 => "double".into(),
            Kind::Char | Kind::String => "string".into(),
            Kind::Bytes | Kind::FixedBytes(_) => "bytes".into(),
            Kind::Enum(index) => self.name(&self.types().enumeration(index).name, self.types().enumeration(index).file),
            Kind::Message(index) => self.message_name(index),
        }
    }

    fn message_name(&self, index: usize) -> String {
        let message = self.types().message(index);
        self.name(&message.name, message.file)
    }

    /// A type's name as this file may write it: short for its own, with a leading dot where an outer
    /// part of this file's package could be taken for the name's first part.
    fn name(&self, full: &str, file: usize) -> String {
        if file == self.file {
            return full.rsplit('.').next().unwrap_or(full).to_string();
        }
        let first = full.split('.').next().unwrap_or(full);
        let hidden = self.types().files[self.file].package.split('.').skip(1).any(|part| part == first);
        if hidden { format!(".{full}") } else { full.to_string() }
    }
}
