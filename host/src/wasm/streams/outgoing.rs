//! What a guest wrote, as messages of the reply: small ones together, large ones without a copy.

use super::Wire;
use crate::rpc::{Payload, RunWriter};
use crate::schema::Value;
use crate::status::{Code, Status};
use crate::wasm::abi::{Element, TooLarge};

/// A message longer than this goes by itself.
const SMALL: usize = 4 << 10;

/// The most that a small message's head adds, for the room that is made for a run at once.
const HEAD: usize = 4;

/// Messages that are made, in the order of their elements.
pub struct Outgoing<'w> {
    wire: &'w dyn Wire,
    run: RunWriter,
    ready: Vec<Payload>,
    bytes: usize,
}

impl<'w> Outgoing<'w> {
    /// No messages yet; there may be so many small ones, with elements of so many bytes in all.
    pub fn new(wire: &'w dyn Wire, count: usize, bytes: usize) -> Outgoing<'w> {
        let run = RunWriter::with_capacity(count, bytes + if bytes > 0 { count * HEAD } else { 0 });
        Outgoing { wire, run, ready: Vec::new(), bytes: 0 }
    }

    /// Adds the message of an element.
    pub fn add(&mut self, element: Element<'_>) -> Result<(), Status> {
        match element {
            Element::Bytes(bytes) => match self.wire.head(bytes.len()).transpose()? {
                Some(head) => self.small(head.bytes(), bytes),
                None => self.value(Value::Bytes(bytes.to_vec())),
            },
            Element::Large(large) => match self.wire.head(large.len()).transpose()? {
                Some(head) => {
                    self.large(large.behind(&head).into());
                    Ok(())
                }
                None => self.value(Value::Bytes(large.into_vec())),
            },
            Element::Value(Ok(value)) => self.value(value),
            Element::Value(Err(too_large)) => Err(too_large.into()),
        }
    }

    fn value(&mut self, value: Value) -> Result<(), Status> {
        match self.wire.message(value)? {
            Payload::Bytes(message) if message.len() <= SMALL => self.small(&[], &message),
            message => {
                self.large(message);
                Ok(())
            }
        }
    }

    fn small(&mut self, first: &[u8], rest: &[u8]) -> Result<(), Status> {
        self.bytes += first.len() + rest.len();
        match self.run.push(first, rest) {
            true => Ok(()),
            false => Err(Status::new(Code::ResourceExhausted, "a message of the reply is over 4 GiB")),
        }
    }

    fn large(&mut self, message: Payload) {
        self.end_run();
        self.bytes += message.size();
        self.ready.push(message);
    }

    fn end_run(&mut self) {
        let Some(mut run) = self.run.take() else { return };
        let message = if run.messages() == 1 { run.next().map(Payload::Bytes) } else { Some(Payload::Run(run)) };
        self.ready.extend(message);
    }

    /// The messages, and how many bytes they have.
    pub fn finish(mut self) -> (Vec<Payload>, usize) {
        self.end_run();
        (self.ready, self.bytes)
    }
}

impl From<TooLarge> for Status {
    fn from(_: TooLarge) -> Status {
        Status::new(Code::ResourceExhausted, "a message of the reply takes more than the limit host-call")
    }
}
