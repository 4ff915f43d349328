//! The fuzz targets' work on random and on damaged input, for a moment.

use super::random::{self, Random};
use super::{component, entry, package, zoo};
use crate::schema::Codec;

const ROUNDS: usize = 2000;

/// Some bytes changed, cut out or doubled.
fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
}

#[test]
fn damaged_messages_are_refused_or_read_and_never_harm() {
    let schema = zoo();
    let mut random = Random(1);
    for function in ["echo-scalars", "echo-nested"] {
        let methods = schema.services.iter().flat_map(|service| &service.methods);
        let method = methods.clone().find(|method| method.function == function).expect("the function is there");
        for round in 0..ROUNDS {
            let codec = Codec::ALL[round % Codec::ALL.len()];
            let value = random::value(&mut random, &method.types, method.types.message(method.plan.request));
            let result = match method.plan.fallible {
                true => super::api::Value::Variant(0, Some(Box::new(value))),
                false => value,
            };
            // A key with a NUL is what BSON cannot say.
            let Ok(bytes) = method.encode(codec, Some(result), 1 << 20) else { continue };
            let mut bytes = bytes.to_vec();
            damage(&mut random, &mut bytes);
            entry::message(&schema, codec, &bytes);
        }
    }
}

#[test]
fn random_bytes_are_refused_or_read_and_never_harm() {
    let schema = zoo();
    let mut random = Random(2);
    for _ in 0..ROUNDS {
        let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.next() as u8).collect();
        for codec in Codec::ALL {
            entry::message(&schema, codec, &bytes);
        }
        entry::component(&bytes);
    }
}

#[test]
fn damaged_components_are_refused_or_read_and_never_harm() {
    let wit = include_str!("../testdata/zoo.wit");
    let mut random = Random(3);
    for whole in [package(wit), component(wit)] {
        for _ in 0..ROUNDS {
            let mut bytes = whole.clone();
            damage(&mut random, &mut bytes);
            entry::component(&bytes);
        }
    }
}
