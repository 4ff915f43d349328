//! The code of one service: a trait, what serves an implementation of it, and a client.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_build::{Comments, Method, Service, ServiceGenerator};

/// Where a service's descriptors are in the code.
pub struct Place {
    /// The name of the constant, at the top.
    pub constant: String,
    /// How many modules below the top the service is.
    pub depth: usize,
}

/// The services to make code of, by full name; others are imported and left out.
pub struct Services(pub BTreeMap<String, Place>);

impl ServiceGenerator for Services {
    fn generate(&mut self, service: Service, out: &mut String) {
        let name = &service.proto_name;
        let full = if service.package.is_empty() { name.clone() } else { format!("{}.{name}", service.package) };
        let Some(place) = self.0.get(&full) else { return };
        // Writing to a string cannot fail, and so its result is not looked at below.
        let _ = Code { service: &service, full: &full, place }.write(out);
    }
}

struct Code<'s> {
    service: &'s Service,
    full: &'s str,
    place: &'s Place,
}

fn comments(comments: &Comments, out: &mut String) {
    comments.append_with_indent(0, out);
}

impl Code<'_> {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        self.service_trait(out)?;
        self.server(out)?;
        self.client(out)
    }

    fn service_trait(&self, out: &mut String) -> std::fmt::Result {
        comments(&self.service.comments, out);
        writeln!(out, "pub trait {}: 'static {{", self.service.name)?;
        for method in &self.service.methods {
            comments(&method.comments, out);
            let (input, output) = (&method.input_type, &method.output_type);
            let request = match method.client_streaming {
                true => format!("requests: ::microhost_sdk::proto::Requests<{input}>"),
                false => format!("request: {input}"),
            };
            let (replies, output) = match method.server_streaming {
                true => (format!(", replies: ::microhost_sdk::proto::Replies<{output}>"), "()"),
                false => (String::new(), output.as_str()),
            };
            writeln!(
                out,
                "fn {}({request}{replies}) -> impl ::core::future::Future<Output = ::core::result::Result<{output}, ::microhost_sdk::proto::Failure>>;",
                method.name
            )?;
        }
        writeln!(out, "}}")
    }

    fn server(&self, out: &mut String) -> std::fmt::Result {
        let (name, full) = (&self.service.name, self.full);
        let descriptors = format!("{}{}", "super::".repeat(self.place.depth), self.place.constant);
        writeln!(
            out,
            "/// Serves an implementation of [`{name}`]: `microhost_sdk::serve!({name}Server<Mine>);`\n\
             pub struct {name}Server<T>(::core::marker::PhantomData<T>);\n\
             impl<T: {name}> ::microhost_sdk::proto::Service for {name}Server<T> {{\n\
             const NAME: &'static str = {full:?};\n\
             const DESCRIPTORS: ::microhost_sdk::proto::Descriptors = {descriptors};\n\
             async fn call(head: ::microhost_sdk::handler::Head, message: ::std::vec::Vec<u8>) \
             -> ::core::result::Result<::std::vec::Vec<u8>, ::microhost_sdk::proto::Failure> {{\n\
             match head.method.as_str() {{"
        )?;
        for method in self.service.methods.iter().filter(|method| !method.client_streaming && !method.server_streaming) {
            writeln!(out, "{:?} => ::microhost_sdk::proto::serve::call(message, T::{}).await,", method.proto_name, method.name)?;
        }
        writeln!(
            out,
            "_ => {{ let _ = message; ::core::result::Result::Err(::microhost_sdk::proto::serve::unknown(&head)) }}\n}}\n}}\n\
             async fn open(head: ::microhost_sdk::handler::Head, requests: ::microhost_sdk::handler::Requests, \
             replies: ::microhost_sdk::handler::Replies) -> ::core::result::Result<(), ::microhost_sdk::proto::Failure> {{\n\
             match head.method.as_str() {{"
        )?;
        for method in &self.service.methods {
            let function = kind(method);
            writeln!(
                out,
                "{:?} => ::microhost_sdk::proto::serve::{function}(requests, replies, T::{}).await,",
                method.proto_name, method.name
            )?;
        }
        writeln!(
            out,
            "_ => {{ let _ = (requests, replies); ::core::result::Result::Err(::microhost_sdk::proto::serve::unknown(&head)) }}\n}}\n}}\n}}"
        )
    }

    fn client(&self, out: &mut String) -> std::fmt::Result {
        let (name, full) = (&self.service.name, self.full);
        writeln!(
            out,
            "/// Calls {full} through a [`Transport`](::microhost_sdk::proto::Transport).\n\
             #[derive(Clone, Debug)]\n\
             pub struct {name}Client<T>(T);\n\
             impl<T: ::microhost_sdk::proto::Transport> {name}Client<T> {{\n\
             /// A client that calls through `transport`.\n\
             pub fn new(transport: T) -> Self {{ Self(transport) }}"
        )?;
        for method in &self.service.methods {
            comments(&method.comments, out);
            let (input, output, path) = (&method.input_type, &method.output_type, &method.proto_name);
            let receiver = format!("::microhost_sdk::proto::Receiver<{output}, T::Receiving>");
            let (request, result) = match (method.client_streaming, method.server_streaming) {
                (false, false) => (format!(", request: &{input}"), output.clone()),
                (false, true) => (format!(", request: &{input}"), receiver),
                (true, _) => (String::new(), format!("(::microhost_sdk::proto::Sender<{input}, T::Sending>, {receiver})")),
            };
            let argument = if method.client_streaming { "" } else { ", request" };
            writeln!(
                out,
                "pub async fn {}(&self{request}) -> ::core::result::Result<{result}, ::microhost_sdk::proto::Failure> {{\n\
                 ::microhost_sdk::proto::client::{}(&self.0, {full:?}, {path:?}{argument}).await\n}}",
                method.name,
                kind(method)
            )?;
        }
        writeln!(out, "}}")
    }
}

/// The SDK's functions for a kind of method are called after it.
fn kind(method: &Method) -> &'static str {
    match (method.client_streaming, method.server_streaming) {
        (false, false) => "unary",
        (true, false) => "client_stream",
        (false, true) => "server_stream",
        (true, true) => "bidi_stream",
    }
}
