//! Picks what of a component is served, and what it needs of others, and says why the rest is not.

use wit_parser::{Function, Handle, InterfaceId, PackageId, Type, TypeDefKind, WorldItem, WorldKey};

use super::flow::{Element, Ending, Input, Output};
use super::source::Source;
use super::{Import, Origin, Refused};

/// Types that nest deeper are refused; wasmtime has the same bound.
const MAX_DEPTH: usize = 100;
/// protobuf keeps the field numbers from 19,000 on for itself.
const MAX_FIELDS: usize = 18_999;

/// An export that becomes a service.
pub(super) struct Export<'r> {
    /// `example:greeter/greet@0.1.0`
    pub(super) export: String,
    pub(super) package: PackageId,
    /// `greet`
    pub(super) name: &'r str,
    pub(super) docs: Option<&'r str>,
    pub(super) functions: Vec<&'r Function>,
}

impl Source {
    /// What the component imports.
    pub(super) fn imports(&self) -> Vec<Import> {
        let import = |(key, item): (&WorldKey, &WorldItem)| {
            let name = self.resolve.name_world_key(key);
            match item {
                WorldItem::Interface { id, .. } => {
                    let interface = &self.resolve.interfaces[*id];
                    let functions = interface.functions.keys().cloned().collect();
                    Some(Import { name, origin: self.origin(key, *id), functions })
                }
                WorldItem::Function(function) => Some(Import { name, origin: Origin::World, functions: vec![function.name.clone()] }),
                WorldItem::Type { .. } => None,
            }
        };
        self.resolve.worlds[self.world].imports.iter().filter_map(import).collect()
    }

    /// The export that takes any call, where there is one.
    pub(super) fn handler(&self) -> Option<String> {
        let mut exports = self.resolve.worlds[self.world].exports.keys().map(|key| self.resolve.name_world_key(key));
        exports.find(|export| super::handled::is_handler(export))
    }

    fn origin(&self, key: &WorldKey, interface: InterfaceId) -> Origin {
        let package = self.resolve.interfaces[interface].package.map(|id| &self.resolve.packages[id].name);
        match (key, package) {
            (WorldKey::Name(_), _) | (_, None) => Origin::World,
            (_, Some(package)) if package.namespace == "wasi" => Origin::Wasi,
            (_, Some(package)) if package.namespace == "microhost" && package.name == "service" => Origin::Host,
            _ => Origin::Service,
        }
    }

    /// The export that takes HTTP requests, the newer one where there are two.
    pub(super) fn http(&self) -> Option<String> {
        let exports = || self.resolve.worlds[self.world].exports.keys().map(|key| self.resolve.name_world_key(key));
        let find = |name: &str| exports().find(|export| export.strip_prefix(name).is_some_and(|version| version.starts_with('@')));
        find("wasi:http/handler").or_else(|| find("wasi:http/incoming-handler"))
    }

    /// The exports to serve, and the functions that cannot be.
    pub(super) fn exports(&self) -> (Vec<Export<'_>>, Vec<Refused>) {
        let mut served = Vec::new();
        let mut refused = Vec::new();
        let mut loose = Vec::new();
        // A component does not keep the name of its world: what is decoded is `root:component/root`.
        let package = &self.resolve.packages[self.package()].name;
        let named = !(package.namespace == "root" && package.name == "component");
        for (key, item) in &self.resolve.worlds[self.world].exports {
            let export = self.resolve.name_world_key(key);
            match (key, item) {
                (WorldKey::Interface(_), WorldItem::Interface { id, .. }) => {
                    let interface = &self.resolve.interfaces[*id];
                    if self.origin(key, *id) != Origin::Service {
                        continue;
                    }
                    let (Some(package), Some(name)) = (interface.package, interface.name.as_deref()) else { continue };
                    let functions = self.carried(&export, interface.functions.values(), &mut refused);
                    let docs = interface.docs.contents.as_deref();
                    served.push(Export { export, package, name, docs, functions });
                }
                (_, WorldItem::Interface { id, .. }) if named => {
                    let interface = &self.resolve.interfaces[*id];
                    let WorldKey::Name(name) = key else { continue };
                    let functions = self.carried(&export, interface.functions.values(), &mut refused);
                    served.push(Export { export, package: self.package(), name, docs: interface.docs.contents.as_deref(), functions });
                }
                (_, WorldItem::Interface { id, .. }) => {
                    let functions = self.resolve.interfaces[*id].functions.values();
                    refused.extend(
                        functions.map(|function| Refused { function: format!("{export}#{}", function.name), why: NO_PACKAGE.into() }),
                    );
                }
                (_, WorldItem::Function(function)) if named => loose.push(function),
                (_, WorldItem::Function(function)) => {
                    refused.push(Refused { function: function.name.clone(), why: NO_PACKAGE.into() });
                }
                (_, WorldItem::Type { .. }) => {}
            }
        }
        if !loose.is_empty() {
            let world = &self.resolve.worlds[self.world];
            let functions = self.carried("", loose.into_iter(), &mut refused);
            let docs = world.docs.contents.as_deref();
            served.push(Export { export: String::new(), package: self.package(), name: &world.name, docs, functions });
        }
        served.retain(|export| !export.functions.is_empty());
        (served, refused)
    }

    /// The interfaces of other services that are imported, and their functions that cannot be called.
    pub(super) fn needs(&self) -> (Vec<Export<'_>>, Vec<Refused>) {
        let (mut needs, mut unmet) = (Vec::new(), Vec::new());
        for (key, item) in &self.resolve.worlds[self.world].imports {
            let WorldItem::Interface { id, .. } = item else { continue };
            let interface = &self.resolve.interfaces[*id];
            if self.origin(key, *id) != Origin::Service {
                continue;
            }
            let (Some(package), Some(name)) = (interface.package, interface.name.as_deref()) else { continue };
            let export = self.resolve.name_world_key(key);
            let functions = self.carried(&export, interface.functions.values(), &mut unmet);
            needs.push(Export { export, package, name, docs: interface.docs.contents.as_deref(), functions });
        }
        needs.retain(|need| !need.functions.is_empty());
        (needs, unmet)
    }

    fn carried<'r>(&self, export: &str, functions: impl Iterator<Item = &'r Function>, refused: &mut Vec<Refused>) -> Vec<&'r Function> {
        let mut carried = Vec::new();
        for function in functions {
            match self.refusal(function) {
                None => carried.push(function),
                Some(why) => {
                    let function = if export.is_empty() { function.name.clone() } else { format!("{export}#{}", function.name) };
                    refused.push(Refused { function, why });
                }
            }
        }
        carried
    }

    /// Why the function cannot be served.
    fn refusal(&self, function: &Function) -> Option<String> {
        if function.kind.resource().is_some() {
            return Some("it belongs to a resource, and a resource cannot leave its instance; export a plain function".into());
        }
        if function.params.len() > MAX_FIELDS {
            return Some(format!("it has more than {MAX_FIELDS} parameters"));
        }
        let (input, (output, error)) = match (self.input(function), self.output(function)) {
            (Ok(input), Ok(output)) => (input, output),
            (Err(why), _) | (_, Err(why)) => return Some(why),
        };
        let mut places: Vec<(String, Type)> = Vec::new();
        match input {
            Input::Values => {
                places.extend(function.params.iter().map(|parameter| (format!("parameter `{}`", parameter.name), parameter.ty)))
            }
            Input::Flow(_, Element::Of(ty)) => places.push((format!("parameter `{}`", function.params[0].name), ty)),
            Input::Flow(_, Element::Chunk) => {}
        }
        let mut result = |ty: Option<Type>| places.extend(ty.map(|ty| ("the result".to_string(), ty)));
        match output {
            Output::Value(ty) => result(ty),
            Output::Flow(_, element, ending) => {
                if let Element::Of(ty) = element {
                    result(Some(ty));
                }
                result(ending.and_then(|Ending(error)| error));
            }
        }
        result(error.flatten());
        for (place, ty) in places {
            if let Err(why) = self.carries(ty, MAX_DEPTH) {
                return Some(format!("{place} {why}"));
            }
        }
        None
    }

    /// Whether a type can be carried; with the reason where not.
    fn carries(&self, ty: Type, depth: usize) -> Result<(), String> {
        let id = match ty {
            Type::Id(id) => id,
            Type::ErrorContext => return Err("holds an `error-context`, which cannot leave its instance".into()),
            _ => return Ok(()),
        };
        let Some(depth) = depth.checked_sub(1) else { return Err(format!("nests deeper than {MAX_DEPTH} types")) };
        let crowd = |count: usize| match count > MAX_FIELDS {
            true => Err(format!("holds `{}` of more than {MAX_FIELDS} members", self.type_name(ty))),
            false => Ok(()),
        };
        match &self.resolve.types[id].kind {
            TypeDefKind::Resource | TypeDefKind::Handle(Handle::Own(_) | Handle::Borrow(_)) => {
                Err(format!("holds the resource `{}`, which cannot leave its instance; pass a key or a record", self.type_name(ty)))
            }
            TypeDefKind::Future(_) => Err(format!(
                "holds `{}`: a future is carried only as the one parameter or as the whole result of a function",
                self.type_name(ty)
            )),
            TypeDefKind::Stream(_) => Err(format!(
                "holds `{}`: a stream is carried only as the one parameter or as the whole result of a function; pass a list",
                self.type_name(ty)
            )),
            TypeDefKind::Unknown => Err("holds a type that is not known".into()),
            TypeDefKind::Flags(flags) => crowd(flags.flags.len()),
            TypeDefKind::Enum(cases) => crowd(cases.cases.len()),
            TypeDefKind::Record(record) => {
                crowd(record.fields.len())?;
                record.fields.iter().try_for_each(|field| self.carries(field.ty, depth))
            }
            TypeDefKind::Tuple(tuple) => {
                crowd(tuple.types.len())?;
                tuple.types.iter().try_for_each(|ty| self.carries(*ty, depth))
            }
            TypeDefKind::Variant(variant) => {
                crowd(variant.cases.len())?;
                variant.cases.iter().filter_map(|case| case.ty).try_for_each(|ty| self.carries(ty, depth))
            }
            TypeDefKind::Result(result) => [result.ok, result.err].into_iter().flatten().try_for_each(|ty| self.carries(ty, depth)),
            TypeDefKind::Map(key, value) => {
                self.carries(*key, depth)?;
                self.carries(*value, depth)
            }
            TypeDefKind::Option(ty) | TypeDefKind::List(ty) | TypeDefKind::FixedLengthList(ty, _) | TypeDefKind::Type(ty) => {
                self.carries(*ty, depth)
            }
        }
    }
}

const NO_PACKAGE: &str =
    "the world itself exports it, and a component keeps neither the name nor the package of its world; export an interface of a package";
