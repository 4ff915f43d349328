//! The WIT of a component, or of a package that was kept of one.

use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{Function, PackageId, Resolve, Type, TypeDefKind, TypeId, WorldId};

use super::SchemaError;

/// The WIT of a component.
pub(super) struct Source {
    /// The bytes were the package of a component, not the component.
    pub(super) is_package: bool,
    pub(super) resolve: Resolve,
    pub(super) world: WorldId,
}

/// Runs a part of wit-component. It panics on some components whose names contradict each other, and
/// a component comes from outside.
fn guarded<T>(done: &str, work: impl FnOnce() -> anyhow::Result<T>) -> Result<T, SchemaError> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(error)) => Err(SchemaError(format!("the component's WIT cannot be {done}: {error:#}"))),
        Err(_) => Err(SchemaError(format!("the component's WIT cannot be {done}: it contradicts itself"))),
    }
}

impl Source {
    /// Decodes a component or a WIT package of one world.
    pub(super) fn decode(bytes: &[u8]) -> Result<Source, SchemaError> {
        match bytes.get(..8) {
            Some(b"\0asm\x0d\0\x01\0") => {}
            Some(b"\0asm\x01\0\0\0") => {
                return Err(SchemaError("the file is a core module and no component; build it for the target wasm32-wasip2".into()));
            }
            _ => return Err(SchemaError("the file is no component: it does not begin like one".into())),
        }
        let decoded = guarded("read", || wit_component::decode(bytes))?;
        match decoded {
            DecodedWasm::Component(resolve, world) => Ok(Source { is_package: false, resolve, world }),
            DecodedWasm::WitPackage(resolve, package) => {
                let worlds = &resolve.packages[package].worlds;
                match worlds.values().next() {
                    Some(&world) if worlds.len() == 1 => Ok(Source { is_package: true, resolve, world }),
                    None => Err(SchemaError("the WIT package has no world, so it says of no component what it exports".into())),
                    Some(_) => Err(SchemaError(format!(
                        "the WIT package has several worlds ({}); keep one",
                        worlds.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
                    ))),
                }
            }
        }
    }

    /// The package of the component's world, from which [`Source::decode`] makes the same again.
    pub(super) fn encode(&self) -> Result<Vec<u8>, SchemaError> {
        guarded("kept", || wit_component::encode(&self.resolve, self.package()))
    }

    /// The world and all that it refers to, as WIT text.
    pub(super) fn print(&self) -> Result<String, SchemaError> {
        let package = self.package();
        let others: Vec<PackageId> = self.resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != package).collect();
        guarded("printed", || {
            let mut printer = WitPrinter::default();
            printer.print(&self.resolve, package, &others)?;
            Ok(printer.output.to_string())
        })
    }

    pub(super) fn package(&self) -> PackageId {
        self.resolve.worlds[self.world].package.expect("a decoded world belongs to a package")
    }

    /// The type as WIT writes it.
    pub(super) fn type_name(&self, ty: Type) -> String {
        let mut printer = WitPrinter::default();
        match printer.print_type_name(&self.resolve, &ty) {
            Ok(()) => printer.output.to_string(),
            Err(_) => "a type without name".into(),
        }
    }

    /// The function as WIT writes it: `hello: async func(name: string) -> string`.
    pub(super) fn signature(&self, function: &Function) -> String {
        let parameters: Vec<String> =
            function.params.iter().map(|parameter| format!("{}: {}", parameter.name, self.type_name(parameter.ty))).collect();
        let word = if function.kind.is_async() { "async " } else { "" };
        let result = function.result.map_or(String::new(), |ty| format!(" -> {}", self.type_name(ty)));
        format!("{}: {word}func({}){result}", function.name, parameters.join(", "))
    }

    /// The type itself, whatever names it goes by.
    pub(super) fn resolved(&self, ty: Type) -> Resolved<'_> {
        let mut ty = ty;
        loop {
            match ty {
                Type::Id(id) => match &self.resolve.types[id].kind {
                    TypeDefKind::Type(inner) => ty = *inner,
                    kind => return Resolved::Defined(id, kind),
                },
                scalar => return Resolved::Scalar(scalar),
            }
        }
    }
}

/// A type without aliases.
pub(super) enum Resolved<'r> {
    Scalar(Type),
    Defined(TypeId, &'r TypeDefKind),
}
