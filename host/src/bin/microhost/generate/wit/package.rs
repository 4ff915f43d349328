//! Services as interfaces of one WIT package.

use std::fmt::Write as _;

use microhost::schema::comment;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor, ServiceDescriptor};

use super::names::{kebab, written};
use super::types::{Types, documented};

/// What was made of the files.
pub(super) struct Made {
    /// The package; none where nothing of it can be said.
    pub(super) text: Option<String>,
    /// The methods that are left out, with the reason.
    pub(super) refused: Vec<String>,
    /// What callers of the `.proto` would not understand of a service of this WIT.
    pub(super) notes: Vec<String>,
}

/// The WIT of the services in these files. Writing to a string cannot fail, so no result of it is
/// looked at.
pub(super) fn make(pool: &DescriptorPool, files: &[String]) -> Made {
    let services: Vec<ServiceDescriptor> =
        pool.services().filter(|service| files.iter().any(|file| file == service.parent_file().name())).collect();
    let package = services.first().map(|service| service.package_name().to_owned()).unwrap_or_default();
    let mut types = Types::default();
    let mut refused = Vec::new();
    let mut interfaces = Vec::new();
    for service in &services {
        let methods: Vec<String> = service
            .methods()
            .filter_map(|method| match types.check(&method.input()).and_then(|()| types.check(&method.output())) {
                Ok(()) => match function(&method, &mut types) {
                    Ok(function) => Some(function),
                    Err(why) => {
                        refused.push(format!("{}: {why}", method.full_name()));
                        None
                    }
                },
                Err(why) => {
                    refused.push(format!("{}: {why}", method.full_name()));
                    None
                }
            })
            .collect();
        if !methods.is_empty() {
            let docs = comment(&service.parent_file(), service.path());
            interfaces.push((kebab(service.name()), docs, methods));
        }
    }
    if interfaces.is_empty() {
        return Made { text: None, refused, notes: Vec::new() };
    }
    let name = package_name(&package);
    for service in &services {
        let served = format!("{}.{}", served_package(&name), service.name());
        if served != service.full_name() {
            types.notes.insert(0, format!("{} is served as {served}", service.full_name()));
        }
    }
    let text = text(&name, &interfaces, &types, &refused);
    Made { text: Some(text), refused, notes: types.notes }
}

fn text(name: &str, interfaces: &[(String, Option<String>, Vec<String>)], types: &Types, refused: &[String]) -> String {
    let mut out = String::new();
    for note in &types.notes {
        let _ = writeln!(out, "// Not the same on the wire as the .proto: {note}.");
    }
    for refused in refused {
        let _ = writeln!(out, "// Left out: {refused}.");
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "package {name};");
    let shared = if interfaces.iter().any(|(name, ..)| name == "types") { "messages" } else { "types" };
    if !types.texts.is_empty() {
        let _ = writeln!(out, "\ninterface {shared} {{");
        for (place, text) in types.texts.iter().enumerate() {
            if place > 0 {
                out.push('\n');
            }
            indented(text, &mut out);
        }
        out.push_str("}\n");
    }
    let names = types.names();
    for (interface, docs, methods) in interfaces {
        let _ = write!(
            out,
            "\n{}interface {} {{\n  use microhost:service/types@0.1.0.{{status}};\n",
            documented("", docs.clone()),
            written(interface)
        );
        let used: Vec<&str> = names.iter().map(String::as_str).filter(|name| methods.iter().any(|method| mentions(method, name))).collect();
        if !used.is_empty() {
            let _ = writeln!(out, "  use {shared}.{{{}}};", used.join(", "));
        }
        for method in methods {
            out.push('\n');
            indented(method, &mut out);
        }
        out.push_str("}\n");
    }
    out.push_str("\nworld service {\n");
    for (interface, ..) in interfaces {
        let _ = writeln!(out, "  export {};", written(interface));
    }
    out.push_str("}\n");
    out
}

fn indented(text: &str, out: &mut String) {
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("  {line}").trim_end());
    }
}

/// Whether a function is of a type, by its whole name.
fn mentions(function: &str, name: &str) -> bool {
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '%';
    let signature = function.lines().last().unwrap_or_default();
    signature.split_once('(').is_some_and(|(_, types)| types.split(|letter| !part(letter)).any(|word| word == name))
}

/// A method as a function. What fails becomes the status of the call.
fn function(method: &MethodDescriptor, types: &mut Types) -> Result<String, String> {
    let (input, output) = (method.input(), method.output());
    let parameter = match (method.is_client_streaming(), input.fields().len()) {
        (true, 0) => return Err(format!("it takes a stream of {}, which has no fields", input.full_name())),
        (true, _) => format!("requests: stream<{}>", side(&input, method, types)),
        (false, 0) => String::new(),
        (false, _) => format!("request: {}", side(&input, method, types)),
    };
    let result = match (method.is_server_streaming(), output.fields().len()) {
        (true, 0) => return Err(format!("it returns a stream of {}, which has no fields", output.full_name())),
        (true, _) => format!("tuple<stream<{}>, future<result<_, status>>>", side(&output, method, types)),
        (false, 0) => "_".to_owned(),
        (false, _) => side(&output, method, types),
    };
    let docs = documented("", comment(&method.parent_service().parent_file(), method.path()));
    Ok(format!("{docs}{}: async func({parameter}) -> result<{result}, status>;\n", written(&kebab(method.name()))))
}

/// The type of a request or reply; one that is no record gets a message around it.
fn side(message: &MessageDescriptor, method: &MethodDescriptor, types: &mut Types) -> String {
    if !Types::is_record(message) {
        types.notes.push(format!("{} is a field of the message of {}", message.full_name(), method.full_name()));
    }
    types.message(message)
}

/// `shop.payments.v1` → `shop:payments-v1`.
fn package_name(package: &str) -> String {
    match package.split_once('.') {
        Some((first, rest)) => format!("{}:{}", written(&kebab(first)), written(&kebab(rest))),
        None if package.is_empty() => "local:service".to_owned(),
        None => format!("local:{}", written(&kebab(package))),
    }
}

/// The protobuf package that a WIT package is served as.
fn served_package(name: &str) -> String {
    name.replace('%', "").replace(':', ".").replace('-', "_")
}
