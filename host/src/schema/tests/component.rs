//! Schemas of whole components, and of what is kept of them.

use super::{component, package, schema};
use crate::schema::{Import, Origin, Schema};

/// All that a schema says.
fn outcome(schema: &Schema) -> String {
    format!("{:?}\n{:?}\n{:?}\n{}", schema.proto(), schema.refused, schema.imports(), schema.openapi("it"))
}

#[test]
fn what_is_kept_of_a_component_makes_the_same_schema() {
    let component = component(include_str!("../testdata/zoo.wit"));
    let schema = Schema::of(&component).expect("the component has a schema");
    let again = Schema::of(schema.package()).expect("its package has one too");
    assert_eq!(outcome(&schema), outcome(&again));
    assert!(schema.package().len() < component.len());
    assert_eq!(schema.wit().expect("it can be printed"), again.wit().expect("it can be printed"));
}

#[test]
fn a_component_serves_what_its_wit_says() {
    let wit = include_str!("../testdata/zoo.wit");
    let component = Schema::of(&component(wit)).expect("the component has a schema");
    let written = schema(wit);
    let plain = |schema: &Schema| {
        let files: String = schema.proto().into_iter().map(|(_, text)| text).collect();
        let mut lines: Vec<String> =
            files.lines().filter(|line| !line.trim_start().starts_with("//") && !line.trim().is_empty()).map(str::to_string).collect();
        // A component may list its exports, and so what they use, in another order.
        lines.sort();
        lines
    };
    assert_eq!(plain(&component), plain(&written));
    assert!(component.wit().expect("it can be printed").contains("record scalars"));
}

#[test]
fn what_the_world_itself_exports_is_served_only_where_its_name_is_known() {
    let wit = "package test:loose@2.0.0; world the-world {
        export greet: func(name: string) -> string;
        export inner: interface { ping: func(); }
    }";
    let written = schema(wit);
    let names: Vec<&str> = written.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["test.loose.Inner", "test.loose.TheWorld"]);
    let component = Schema::of(&component(wit)).expect("the component has a schema");
    assert!(component.services.is_empty());
    let refused: Vec<&str> = component.refused.iter().map(|refused| refused.function.as_str()).collect();
    assert_eq!(refused, ["greet", "inner#ping"]);
    assert!(component.refused[0].why.contains("export an interface of a package"), "{}", component.refused[0].why);
}

#[test]
fn imports_say_who_can_provide_them() {
    let wit = "package test:needs;
        world w {
            import microhost:service/log@0.1.0;
            import wasi:clocks/wall-clock@0.2.0;
            import other:shop/pay@1.0.0;
            import loose: func();
            export microhost:service/log@0.1.0;
            export wasi:clocks/wall-clock@0.2.0;
        }
        package microhost:service@0.1.0 { interface log { write: func(line: string); } }
        package wasi:clocks@0.2.0 { interface wall-clock { now: func() -> u64; } }
        package other:shop@1.0.0 { interface pay { pay: func(); } }";
    let schema = schema(wit);
    let import = |name: &str, origin: Origin, function: &str| Import { name: name.into(), origin, functions: vec![function.into()] };
    assert_eq!(
        schema.imports(),
        [
            import("microhost:service/log@0.1.0", Origin::Host, "write"),
            import("wasi:clocks/wall-clock@0.2.0", Origin::Wasi, "now"),
            import("other:shop/pay@1.0.0", Origin::Service, "pay"),
            import("loose", Origin::World, "loose"),
        ]
    );
    // The host's and WASI's interfaces are no services of the component.
    assert!(schema.services.is_empty() && schema.refused.is_empty());
}

#[test]
fn two_versions_of_a_package_have_a_protobuf_package_each() {
    let wit = "package test:both;
        world w { export a:b/api@1.0.0; export a:b/api@2.0.0-rc.1; export c:d/user; }
        package a:b@1.0.0 { interface api { record item { id: u32 } get: func() -> item; } }
        package a:b@2.0.0-rc.1 { interface api { record item { id: u64 } get: func() -> item; } }
        package c:d { interface user { use a:b/api@1.0.0.{item}; both: func(item: item) -> list<item>; } }";
    let schema = schema(wit);
    let names: Vec<&str> = schema.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["a.b.v1_0_0.Api", "a.b.Api", "c.d.User"]);
    let files: Vec<String> = schema.proto().into_iter().map(|(name, _)| name).collect();
    assert_eq!(files, ["a/b/v1_0_0.proto", "a/b.proto", "c/d.proto"]);
    let method = &schema.services[2].methods[0];
    assert_eq!((method.input(), method.output()), ("a.b.v1_0_0.Item", "c.d.UserBothResponse"));
    prost_reflect::DescriptorPool::from_file_descriptor_set(schema.descriptors()).expect("the descriptors hold together");
}

#[test]
fn names_that_would_clash_are_told_apart() {
    let wit = "package test:clash;
        interface greet {
            record greet { a-1: u32, a1: u32, as-2: u32 }
            enum foo { bar-baz, a-1, a1 }
            enum foo-bar { baz }
            variant pick { case, other(foo-bar) }
            record greet-hello-request { x: foo }
            hello: func(g: greet, p: pick) -> greet;
            hello-1: func(r: greet-hello-request);
            hello1: func();
        }
        world w { export greet; }";
    let schema = schema(wit);
    prost_reflect::DescriptorPool::from_file_descriptor_set(schema.descriptors()).expect("the descriptors hold together");
    let names: Vec<&str> = schema.services[0].methods.iter().map(|method| method.name.as_str()).collect();
    assert_eq!(names, ["Hello", "Hello1", "Hello12"]);
    let text = &schema.proto()[0].1;
    for line in [
        "message GreetGreet {",
        "message GreetHelloRequest2 {",
        "oneof case2 {",
        "FOO_BAR_BAZ = 1;",
        "FOO_BAR_BAZ2 = 1;",
        "uint32 a12 = 2;",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn what_is_no_component_has_no_schema() {
    for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"PK\x03\x04", &[0xff; 100]] {
        let error = Schema::of(bytes).expect_err("the bytes are no component").to_string();
        assert!(error.contains("no component"), "{error}");
    }
    let whole = package("package a:b; interface i { f: func(); } world w { export i; }");
    assert!(Schema::of(&whole[..whole.len() / 2]).is_err());
    let worldless = package("package a:b; interface i { f: func(); }");
    assert!(Schema::of(&worldless).expect_err("there is no world").to_string().contains("has no world"));
}

/// A component that imports a function of one parameter, of `depth` options around a `u32`.
fn deep(depth: u64) -> Vec<u8> {
    fn leb(mut number: u64, out: &mut Vec<u8>) {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
    fn section(id: u8, body: Vec<u8>, out: &mut Vec<u8>) {
        out.push(id);
        leb(body.len() as u64, out);
        out.extend(body);
    }
    let mut types = Vec::new();
    leb(depth + 1, &mut types);
    types.extend([0x6b, 0x79]);
    for inner in 0..depth - 1 {
        types.push(0x6b);
        signed(inner, &mut types);
    }
    types.extend([0x40, 1, 1, b'p']);
    signed(depth - 1, &mut types);
    types.extend([1, 0]);
    let mut import = vec![1, 0, 1, b'f', 1];
    leb(depth, &mut import);
    let mut out = b"\0asm\x0d\0\x01\0".to_vec();
    section(7, types, &mut out);
    section(10, import, &mut out);
    out
}

/// An index, which is signed where a type may stand.
fn signed(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x40 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[test]
fn types_that_nest_without_end_are_refused() {
    assert!(Schema::of(&deep(10)).is_ok());
    for depth in [1000, 400_000] {
        let error = Schema::of(&deep(depth)).expect_err("the type is too deep").to_string();
        assert!(error.contains("type nesting is too deep"), "{error}");
    }
}
