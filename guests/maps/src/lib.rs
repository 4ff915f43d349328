//! Maps there and back.

use std::collections::BTreeMap;

use exports::test::maps::maps::Guest;

microhost_sdk::service!({ world: "test:maps/guest" });

struct Maps;

impl Guest for Maps {
    fn echo(value: BTreeMap<String, u32>) -> BTreeMap<String, u32> {
        value
    }

    fn numbers(value: BTreeMap<u64, String>) -> BTreeMap<u64, String> {
        value
    }
}

export!(Maps);
