//! What is wrong with a message, and where. The path is put together only while an error travels
//! outwards, so a good message pays nothing for it.

use crate::status::{Code, Status};

/// An error message quotes no more of the input than this.
const MAX_QUOTE: usize = 40;

/// The path and the reason; in a box, so that results stay small.
#[derive(Debug)]
pub(super) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    reason: String,
    /// From the inside out.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Field(String),
    Index(usize),
    Key(String),
}

impl Fault {
    fn new(code: Code, reason: impl Into<String>) -> Fault {
        Fault(Box::new(Inner { code, reason: reason.into(), path: Vec::new() }))
    }

    pub(super) fn invalid(reason: impl Into<String>) -> Fault {
        Fault::new(Code::InvalidArgument, reason)
    }

    /// `expected a bool, got "x"`
    pub(super) fn expected(what: &str, got: &str) -> Fault {
        Fault::invalid(format!("expected {what}, got {got}"))
    }

    pub(super) fn too_many(reason: impl Into<String>) -> Fault {
        Fault::new(Code::ResourceExhausted, reason)
    }

    /// The format of the message has no way to say it.
    pub(super) fn unsupported(reason: impl Into<String>) -> Fault {
        Fault::new(Code::Unimplemented, reason)
    }

    /// The value of a function's result is not of the type that the schema says.
    pub(super) fn mismatch() -> Fault {
        Fault::new(Code::Internal, "the value does not fit the type of the schema")
    }

    /// The fault lies within the field of this name.
    pub(super) fn at(mut self, field: &str) -> Fault {
        self.0.path.push(Step::Field(field.to_string()));
        self
    }

    /// The fault lies within the element at this place.
    pub(super) fn at_index(mut self, index: usize) -> Fault {
        self.0.path.push(Step::Index(index));
        self
    }

    /// The fault lies within the map's entry of this key.
    pub(super) fn at_key(mut self, key: &impl std::fmt::Display) -> Fault {
        self.0.path.push(Step::Key(key.to_string()));
        self
    }

    fn path(&self) -> String {
        let mut text = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                Step::Field(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
                Step::Key(key) => text.push_str(&format!("[{key}]")),
            }
        }
        text
    }

    pub(super) fn into_status(self) -> Status {
        let path = self.path();
        let Inner { code, reason, .. } = *self.0;
        let text = if path.is_empty() { reason } else { format!("{path}: {reason}") };
        if code == Code::Internal {
            return Status::new(code, "the service returned what its schema does not hold").because(text);
        }
        Status::new(code, text)
    }
}

/// `text` in quotes, its control characters visible, and cut where it is long.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What a range of numbers is called in an error: `a number from 0 to 255`.
pub(super) fn range(low: impl std::fmt::Display, high: impl std::fmt::Display) -> String {
    format!("a number from {low} to {high}")
}
