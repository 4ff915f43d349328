//! `microhost inspect`: what a component offers and what it wants, without running any of it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use microhost::schema::{
    Field, Handled, HandledMessage, HandledMethod, HandledService, Import, Message, Method, MethodKind, Schema, Service,
};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::paint::visible;
use crate::source;

mod wants;

use wants::{Grant, Need};

/// Show what a component offers and what it wants
///
/// Prints its services with their messages, what cannot be served and why, what would have to be
/// granted, and its world as WIT. Nothing of the component is run.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost inspect service.wasm
  microhost inspect .                                  the project in this folder
  microhost inspect service.wasm --json | jq .imports")]
pub struct Inspect {
    /// A component (.wasm), or the folder of a project, which is built first
    #[arg(default_value = ".")]
    file: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Prints what is found.
    pub fn execute(self) -> Outcome {
        let (path, schema) = source::schema(&self.file)?;
        let wit = schema
            .wit()
            .map_err(|error| Failure::new(Exit::Refused, format!("cannot print the world of {}", path.display())).because(&error))?;
        if self.json {
            let found = json!({
                "component": path,
                "wit": wit,
                "services": schema.services.iter().map(|service| json!({
                    "name": service.name,
                    "interface": service.interface,
                    "docs": service.docs,
                    "methods": service.methods.iter().map(method_json).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
                "messages": schema.messages().map(message_json).collect::<Vec<_>>(),
                "handler": schema.handled.as_ref().map(handler_json),
                "http": schema.http,
                "refused": schema.refused.iter().map(|refused| json!({ "function": refused.function, "why": refused.why })).collect::<Vec<_>>(),
                "imports": schema.imports().iter().map(|import| import_json(import, &schema)).collect::<Vec<_>>(),
                "needs": schema.needs.iter().map(need_json).collect::<Vec<_>>(),
                "unmet": schema.unmet.iter().map(|unmet| json!({ "function": unmet.function, "why": unmet.why })).collect::<Vec<_>>(),
            });
            return output::print_json(&found);
        }
        let text = text(&source::name(&self.file), &schema, &wit);
        output::print(text.trim_end())
    }
}

fn method_json(method: &Method) -> Value {
    json!({
        "name": method.name,
        "function": method.function,
        "signature": method.signature,
        "docs": method.docs,
        "kind": method.kind.name(),
        "input": method.input(),
        "output": method.output(),
        "error": method.error(),
    })
}

fn handler_json(handled: &Handled) -> Value {
    let method = |method: &HandledMethod| {
        json!({
            "name": method.name,
            "docs": method.docs,
            "kind": method.kind.name(),
            "input": method.input(),
            "output": method.output(),
        })
    };
    let service = |service: &HandledService| json!({ "name": service.name, "docs": service.docs, "methods": service.methods.iter().map(method).collect::<Vec<_>>() });
    let field = |(number, name, json_name, kind): &(u32, String, String, String)| json!({ "name": name, "jsonName": json_name, "number": number, "type": kind });
    let message =
        |message: &HandledMessage| json!({ "name": message.name, "fields": message.fields.iter().map(field).collect::<Vec<_>>() });
    json!({
        "interface": handled.interface,
        "takesAnything": handled.takes_anything(),
        "services": handled.services.iter().map(service).collect::<Vec<_>>(),
        "messages": handled.messages().iter().map(message).collect::<Vec<_>>(),
    })
}

fn message_json(message: &Message) -> Value {
    let fields = message.fields.iter().zip(1..).map(|(field, number)| {
        json!({ "name": field.name, "jsonName": field.json_name, "number": number, "type": field.wit, "docs": field.docs })
    });
    json!({ "name": message.name, "docs": message.docs, "fields": fields.collect::<Vec<_>>() })
}

fn import_json(import: &Import, schema: &Schema) -> Value {
    let (state, grant) = match wants::need(import, schema) {
        Need::Nothing => ("provided", None),
        Need::Grant { how, .. } => ("grant", Some(how)),
        Need::Service => ("service", None),
        Need::Nobody => ("missing", None),
    };
    json!({ "name": import.name, "functions": import.functions, "state": state, "grant": grant })
}

fn need_json(need: &Service) -> Value {
    json!({
        "service": need.name,
        "interface": need.interface,
        "methods": need.methods.iter().map(method_json).collect::<Vec<_>>(),
        "grant": wants::calls(&need.name),
        "late": wants::late(&need.name),
    })
}

/// The same for people. Writing to a string cannot fail, so no result of it is looked at.
fn text(name: &str, schema: &Schema, wit: &str) -> String {
    let mut text = String::from("services\n");
    if schema.services.is_empty() && schema.handled.is_none() {
        text.push_str("  none: the component exports no interface of its own\n");
    }
    for service in &schema.services {
        let _ = writeln!(text, "  {}  ({})", service.name, if service.interface.is_empty() { "the world" } else { &service.interface });
        for method in &service.methods {
            let _ = writeln!(text, "    {}  {}", method.name, method.signature);
            let _ = writeln!(text, "      {}", messages_of(method.kind, method.input(), method.output()));
        }
    }
    if let Some(handled) = &schema.handled {
        handler(handled, &mut text);
    }
    if let Some(export) = &schema.http {
        let _ = writeln!(text, "\nHTTP\n  answers requests by {export}, under the route that `http` sets; / without");
    }
    messages(schema, &mut text);
    if !schema.refused.is_empty() {
        text.push_str("\nnot served\n");
        for refused in &schema.refused {
            let _ = writeln!(text, "  {}: {}", refused.function, refused.why);
        }
    }
    imports(name, schema, &mut text);
    // Last, as it is long: all of WASI that the component's language brings along is in it.
    text.push_str("\nworld\n");
    for line in wit.lines() {
        let _ = writeln!(text, "  {}", visible(line).trim_end());
    }
    text
}

/// What its handler serves.
fn handler(handled: &Handled, text: &mut String) {
    for service in &handled.services {
        let _ = writeln!(text, "  {}  ({})", visible(&service.name), handled.interface);
        for method in &service.methods {
            let _ = writeln!(text, "    {}", visible(&method.name));
            let _ = writeln!(text, "      {}", visible(&messages_of(method.kind, method.input(), method.output())));
        }
    }
    if handled.takes_anything() {
        let _ = writeln!(text, "  any that nothing else serves  ({})", handled.interface);
    }
}

/// What goes in and what comes out: `stream example.chat.Line -> example.chat.Summary`.
fn messages_of(kind: MethodKind, input: &str, output: &str) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!("{}{input} -> {}{output}", stream(kind.client_streams()), stream(kind.server_streams()))
}

fn messages(schema: &Schema, text: &mut String) {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for message in schema.messages().filter(|message| !message.fields.is_empty()) {
        let row = |(field, number): (&Field, u32)| format!("{number:>2}  {}  {}  {}", field.name, field.json_name, field.wit);
        rows.push((message.name.clone(), message.fields.iter().zip(1..).map(row).collect()));
    }
    for message in schema.handled.iter().flat_map(Handled::messages).filter(|message| !message.fields.is_empty()) {
        let fields = message.fields.iter().map(|(number, name, json_name, kind)| format!("{number:>2}  {name}  {json_name}  {kind}"));
        rows.push((message.name, fields.collect()));
    }
    if !rows.is_empty() {
        text.push_str("\nmessages: number, name in protobuf, name in JSON, type\n");
    }
    for (name, fields) in rows {
        let _ = writeln!(text, "  {}", visible(&name));
        for field in fields {
            let _ = writeln!(text, "    {}", visible(&field));
        }
    }
}

/// What it wants of others, under the name that it would have in the settings.
fn imports(name: &str, schema: &Schema, text: &mut String) {
    let mut grants: Vec<(&str, Grant)> = Vec::new();
    let (mut given, mut missing): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for import in schema.imports() {
        match wants::need(import, schema) {
            Need::Nothing => given.push(&import.name),
            Need::Grant { what, how } => grants.push((what, how)),
            Need::Service => {}
            Need::Nobody => missing.push(&import.name),
        }
    }
    grants.sort_unstable();
    grants.dedup();
    text.push_str("\nwants\n");
    for import in missing {
        let _ = writeln!(text, "  {import}  MISSING: this host does not provide it, so the component cannot run");
    }
    for unmet in &schema.unmet {
        let _ = writeln!(text, "  {}  CANNOT BE CALLED, so the component cannot run: {}", unmet.function, unmet.why);
    }
    for need in &schema.needs {
        let methods: Vec<&str> = need.methods.iter().map(|method| method.name.as_str()).collect();
        let _ = writeln!(text, "  the service {}  ({}): {}", need.name, need.interface, methods.join(", "));
        let (calls, late) = (wants::calls(&need.name), wants::late(&need.name));
        let _ = writeln!(text, "    to call it: {}, or {}", calls.setting, calls.flag);
        let _ = writeln!(text, "    to start before it is there: {}, or {}", late.setting, late.flag);
    }
    for (what, how) in &grants {
        let _ = writeln!(text, "  {what}: nothing, unless it is granted\n    by {}, or {}", how.setting, how.flag);
    }
    if !schema.needs.is_empty() || !grants.is_empty() {
        let _ = writeln!(text, "  settings stand in microhost.toml under [service.{}.grants], flags are of `microhost run`", visible(name));
    }
    if schema.imports().is_empty() {
        text.push_str("  nothing\n");
    } else if !given.is_empty() {
        let _ = writeln!(text, "  provided without a grant: {}", given.join(", "));
    }
}
