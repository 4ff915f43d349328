//! Which protobuf package each WIT package becomes, and which name each named type.

use std::collections::{HashMap, HashSet};

use wit_parser::{PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

use super::model::File;
use super::names;
use super::read::Export;
use super::source::{Resolved, Source};

/// The names that WIT gives: they come first, made names take what is left.
pub(super) struct Names {
    pub(super) files: Vec<File>,
    /// The file of each package that is used.
    pub(super) packages: HashMap<PackageId, usize>,
    /// File and name, in kebab-case, of each named type.
    pub(super) types: HashMap<TypeId, (usize, String)>,
    /// The names of each file that are in use.
    pub(super) taken: Vec<HashSet<String>>,
    /// Types that come in several copies, and the first of them.
    pub(super) same: HashMap<TypeId, TypeId>,
}

/// A named type as found: by where it is defined, so that copies of an interface share their types.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Defined {
    package: PackageId,
    owner: String,
    name: String,
}

impl Names {
    pub(super) fn of(source: &Source, exports: &[Export<'_>]) -> Names {
        let resolve = &source.resolve;
        let mut found = Found { source, exports, order: Vec::new(), ids: HashMap::new(), same: HashMap::new(), seen: HashSet::new() };
        for export in exports {
            for function in &export.functions {
                for ty in function.params.iter().map(|parameter| parameter.ty).chain(function.result) {
                    found.visit(ty);
                }
            }
        }
        let used = exports.iter().map(|export| export.package).chain(found.order.iter().map(|defined| defined.package));
        let (files, packages) = files(resolve, used);

        let mut taken: Vec<HashSet<String>> = files.iter().map(|_| HashSet::new()).collect();
        for export in exports {
            taken[packages[&export.package]].insert(names::pascal(export.name));
        }
        let mut count: HashMap<(usize, String), usize> = HashMap::new();
        for defined in &found.order {
            *count.entry((packages[&defined.package], names::pascal(&defined.name))).or_default() += 1;
        }
        let mut types = HashMap::new();
        for defined in &found.order {
            let file = packages[&defined.package];
            let plain = names::pascal(&defined.name);
            let clash = taken[file].contains(&plain) || count[&(file, plain)] > 1;
            let kebab = if clash { format!("{}-{}", defined.owner, defined.name) } else { defined.name.clone() };
            let kebab = names::free(kebab, |name| taken[file].contains(&names::pascal(name)));
            taken[file].insert(names::pascal(&kebab));
            types.insert(found.ids[defined], (file, kebab));
        }
        Names { files, packages, types, taken, same: found.same }
    }
}

struct Found<'r> {
    source: &'r Source,
    exports: &'r [Export<'r>],
    order: Vec<Defined>,
    ids: HashMap<Defined, TypeId>,
    same: HashMap<TypeId, TypeId>,
    seen: HashSet<TypeId>,
}

impl Found<'_> {
    fn visit(&mut self, ty: Type) {
        let Resolved::Defined(id, kind) = self.source.resolved(ty) else { return };
        if !self.seen.insert(id) {
            return;
        }
        let named = match kind {
            TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => true,
            TypeDefKind::Tuple(_) | TypeDefKind::Result(_) => self.source.resolve.types[id].name.is_some(),
            _ => false,
        };
        if named && let Some(defined) = self.defined(id) {
            match self.ids.get(&defined) {
                Some(&first) => {
                    self.same.insert(id, first);
                    return;
                }
                None => {
                    self.ids.insert(defined.clone(), id);
                    self.order.push(defined);
                }
            }
        }
        match kind {
            TypeDefKind::Record(record) => record.fields.iter().for_each(|field| self.visit(field.ty)),
            TypeDefKind::Tuple(tuple) => tuple.types.iter().for_each(|ty| self.visit(*ty)),
            TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).for_each(|ty| self.visit(ty)),
            TypeDefKind::Result(result) => [result.ok, result.err].into_iter().flatten().for_each(|ty| self.visit(ty)),
            TypeDefKind::Map(key, value) => [*key, *value].into_iter().for_each(|ty| self.visit(ty)),
            TypeDefKind::Option(ty) | TypeDefKind::List(ty) | TypeDefKind::FixedLengthList(ty, _) => self.visit(*ty),
            TypeDefKind::Stream(Some(ty)) | TypeDefKind::Future(Some(ty)) => self.visit(*ty),
            _ => {}
        }
    }

    fn defined(&self, id: TypeId) -> Option<Defined> {
        let resolve = &self.source.resolve;
        let ty = &resolve.types[id];
        let name = ty.name.clone()?;
        let (package, owner) = match ty.owner {
            TypeOwner::Interface(interface) => {
                let interface = &resolve.interfaces[interface];
                (interface.package?, interface.name.clone().unwrap_or_else(|| "inline".into()))
            }
            TypeOwner::World(world) => (resolve.worlds[world].package?, resolve.worlds[world].name.clone()),
            TypeOwner::None => (self.exports.first()?.package, "inline".into()),
        };
        Some(Defined { package, owner, name })
    }
}

/// A file for each package. Of several versions of one package the newest has the plain name.
fn files(resolve: &Resolve, used: impl Iterator<Item = PackageId>) -> (Vec<File>, HashMap<PackageId, usize>) {
    let mut order: Vec<PackageId> = Vec::new();
    for package in used {
        if !order.contains(&package) {
            order.push(package);
        }
    }
    let mut files: Vec<File> =
        vec![File { name: "google/protobuf/empty.proto".into(), package: "google.protobuf".into(), wit: String::new() }];
    let mut packages = HashMap::new();
    for &id in &order {
        let name = &resolve.packages[id].name;
        let newer = order
            .iter()
            .map(|other| &resolve.packages[*other].name)
            .any(|other| other.namespace == name.namespace && other.name == name.name && other.version > name.version);
        let mut package = format!("{}.{}", names::snake(&name.namespace), names::snake(&name.name));
        if newer {
            let version = name.version.as_ref().map_or("0".to_string(), ToString::to_string);
            package.push_str(".v");
            package.extend(version.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }));
        }
        let package = names::free(package, |package| files.iter().any(|file| file.package == package));
        packages.insert(id, files.len());
        files.push(File { name: format!("{}.proto", package.replace('.', "/")), package, wit: name.to_string() });
    }
    (files, packages)
}
