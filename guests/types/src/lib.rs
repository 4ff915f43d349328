//! Every type there and back, and errors of every shape.

use exports::test::types::errors::{Failure, Kind, Problem};
use exports::test::types::{echo, echo_async, errors};
use microhost_sdk::{Code, Status};
use test::types::kinds::{Form, Hue, Permits, Spot, Whole, WideSet, Woods};

microhost_sdk::service!({
    world: "test:types/guest",
    with: { "microhost:service/types@0.1.0": microhost_sdk::types },
    generate_all,
});

struct Types;

/// Functions that return their argument.
macro_rules! same {
    ($($name:ident: $type:ty,)*) => {
        $(fn $name(value: $type) -> $type {
            value
        })*
    };
}

/// The same as `async fn`.
macro_rules! same_async {
    ($(async $name:ident: $type:ty,)*) => {
        $(async fn $name(value: $type) -> $type {
            value
        })*
    };
}

impl echo::Guest for Types {
    same! {
        bool: bool,
        s8: i8,
        u8: u8,
        s16: i16,
        u16: u16,
        s32: i32,
        u32: u32,
        s64: i64,
        u64: u64,
        f32: f32,
        f64: f64,
        char: char,
        text: String,
        bytes: Vec<u8>,
        numbers: Vec<u32>,
        texts: Vec<String>,
        nested: Vec<Vec<String>>,
        points: Vec<Spot>,
        maybe: Option<u32>,
        maybe_text: Option<String>,
        maybe_maybe: Option<Option<u32>>,
        maybe_list: Option<Vec<u8>>,
        outcome: Option<Result<u32, String>>,
        outcome_unit: Option<Result<(), ()>>,
        outcome_ok: Option<Result<u32, ()>>,
        outcome_error: Option<Result<(), String>>,
        pair: (u32, String),
        colour: Hue,
        rights: Permits,
        wide: WideSet,
        shape: Form,
        tree: Vec<Woods>,
        point: Spot,
        everything: Whole,
    }

    fn two(a: u32, b: String) -> (String, u32) {
        (b, a)
    }

    fn none() {}
}

impl echo_async::Guest for Types {
    same_async! {
        async text: String,
        async bytes: Vec<u8>,
        async point: Spot,
        async everything: Whole,
        async shape: Form,
        async u64: u64,
    }

    async fn none() {}
}

impl errors::Guest for Types {
    fn variant(which: Failure) -> Result<String, Failure> {
        Err(which)
    }

    async fn variant_async(which: Failure) -> Result<String, Failure> {
        Err(which)
    }

    fn enum_(which: Kind) -> Result<String, Kind> {
        Err(which)
    }

    fn record(number: u32, text: String) -> Result<String, Problem> {
        Err(Problem { number, text })
    }

    fn text(text: String) -> Result<String, String> {
        Err(text)
    }

    fn unit() -> Result<(), ()> {
        Err(())
    }

    fn unit_of_value() -> Result<String, ()> {
        Err(())
    }

    fn status(code: Code, message: String) -> Result<String, Status> {
        Err(Status::new(code, message))
    }

    async fn perhaps(fail: bool) -> Result<u32, Failure> {
        if fail { Err(Failure::NotFound) } else { Ok(7) }
    }
}

export!(Types);
