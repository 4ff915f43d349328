//! What the fuzz targets run, and what must hold of any input at all.
//!
//! `tests/fuzz` runs these for as long as one likes, `cargo test` for a moment on random input.

use super::api::{Codec, Schema};

const LIMIT: usize = 1 << 24;

/// Reads bytes as the requests of every method; what can be read can be read again once written.
pub fn message(schema: &Schema, codec: Codec, bytes: &[u8]) {
    for method in schema.services.iter().flat_map(|service| &service.methods) {
        let Ok(values) = method.decode(codec, bytes) else { continue };
        // Methods that echo their only parameter write what they were given.
        if method.input() != method.output() {
            continue;
        }
        for value in values {
            for other in Codec::ALL {
                let Ok(written) = method.encode(other, Some(value.clone()), LIMIT) else { continue };
                let again = method.decode(other, &written).expect("what was written is well-formed");
                assert_eq!(again.len(), 1);
            }
        }
    }
}

/// Reads bytes as a component; a schema that can be read can be described and kept.
pub fn component(bytes: &[u8]) {
    let Ok(schema) = Schema::of(bytes) else { return };
    let again = Schema::of(schema.package()).expect("what is kept can be read");
    assert_eq!(schema.proto(), again.proto());
    assert!(schema.openapi("fuzz").is_object());
    assert!(schema.descriptors().file.len() >= schema.proto().len());
}
