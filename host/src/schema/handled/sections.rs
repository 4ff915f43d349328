//! The custom sections by which a component brings its descriptors, wherever in it they are: in a
//! core module, where a linker puts them, or in the component itself, where a tool adds them.

use wasmparser::{Parser, Payload};

use crate::schema::SchemaError;

/// Messages `google.protobuf.FileDescriptorSet`, one after the other.
const DESCRIPTORS: &str = "microhost:descriptors";
/// The full names of the services that the handler serves, one a line; without, all that the
/// descriptors hold.
const SERVICES: &str = "microhost:services";

/// The longest sections, all of one name together, in bytes.
const MAX_SECTIONS: usize = 8 << 20;
/// A component names no more services than this.
const MAX_SERVICES: usize = 1_000;

/// What the sections hold.
#[derive(Debug, Default)]
pub(in crate::schema) struct Sections {
    /// A `FileDescriptorSet`: joining the bytes of several joins their files.
    pub(super) descriptors: Vec<u8>,
    services: Vec<u8>,
}

impl Sections {
    /// Sections that hold this.
    #[cfg(test)]
    pub(super) fn new(descriptors: &[u8], services: &[u8]) -> Sections {
        Sections { descriptors: descriptors.to_vec(), services: services.to_vec() }
    }

    /// Reads the sections of a component, or of a package that was kept of one.
    pub(in crate::schema) fn read(component: &[u8]) -> Result<Sections, SchemaError> {
        let mut found = Sections::default();
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(|error| SchemaError(format!("the component's sections cannot be read: {error}")))?;
            let Payload::CustomSection(section) = payload else { continue };
            let into = match section.name() {
                DESCRIPTORS => &mut found.descriptors,
                SERVICES => &mut found.services,
                _ => continue,
            };
            if into.len() + section.data().len() > MAX_SECTIONS {
                return Err(SchemaError(format!("the component's sections {:?} are over {MAX_SECTIONS} bytes", section.name())));
            }
            into.extend_from_slice(section.data());
        }
        Ok(found)
    }

    /// Writes the sections behind a binary that ends with a whole section, as every valid one does.
    pub(in crate::schema) fn append(&self, binary: &mut Vec<u8>) {
        for (name, data) in [(DESCRIPTORS, &self.descriptors), (SERVICES, &self.services)] {
            if data.is_empty() {
                continue;
            }
            let mut section = Vec::with_capacity(data.len() + name.len() + 1);
            length(name.len(), &mut section);
            section.extend_from_slice(name.as_bytes());
            section.extend_from_slice(data);
            // The id of custom sections, in a component as in a core module.
            binary.push(0);
            length(section.len(), binary);
            binary.append(&mut section);
        }
    }

    /// The services that are named, each once.
    pub(super) fn names(&self) -> Result<Vec<&str>, String> {
        let text = std::str::from_utf8(&self.services).map_err(|_| format!("the section {SERVICES:?} is not UTF-8"))?;
        let mut names: Vec<&str> = Vec::new();
        for name in text.lines().map(str::trim).filter(|name| !name.is_empty()) {
            if names.contains(&name) {
                continue;
            }
            if names.len() == MAX_SERVICES {
                return Err(format!("the section {SERVICES:?} names more than {MAX_SERVICES} services"));
            }
            names.push(name);
        }
        if self.descriptors.is_empty() && !names.is_empty() {
            return Err(format!("the section {SERVICES:?} names services, and there is no section {DESCRIPTORS:?}"));
        }
        Ok(names)
    }
}

/// A number in WebAssembly's LEB128.
fn length(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
