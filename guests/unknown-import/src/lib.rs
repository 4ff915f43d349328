//! Imports what nobody has.

use exports::test::unknown::unknown::Guest;

wit_bindgen::generate!({ world: "guest", generate_all });

struct Unknown;

impl Guest for Unknown {
    fn use_() -> u32 {
        acme::missing::thing::fetch("key")
    }
}

export!(Unknown);
