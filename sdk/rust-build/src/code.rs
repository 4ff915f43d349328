//! The whole of the code: messages by prost, services by us, in the modules of their packages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_build::Module;

use crate::service::{Place, Services};
use crate::{Error, Sources, descriptors};

const SDK: &str = "::microhost_sdk::proto";

/// On every item of the top: a service uses of the code what it needs, and what it does not must not
/// trouble its author; nor is the code his to lay out.
const GIVEN: &str = "#[rustfmt::skip]\n#[allow(dead_code, reason = \"a service uses what it needs of this\")]\n";

pub fn generate(sources: &Sources) -> Result<String, Error> {
    let mut root = String::new();
    let mut places = BTreeMap::new();
    for file in sources.files.file.iter().filter(|file| !file.service.is_empty() && sources.own.iter().any(|own| own == file.name())) {
        let bytes = descriptors::of(file, &sources.files);
        let constant = format!("DESCRIPTORS_{}", places.len());
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            root,
            "{GIVEN}const {constant}: {SDK}::Descriptors = {SDK}::Descriptors {{ digest: {:#x}, bytes: b\"{}\" }};\n",
            descriptors::digest(&bytes),
            bytes.escape_ascii()
        );
        places.insert(file.package().to_owned() + "/" + file.name(), constant);
    }
    let services = sources.files.file.iter().flat_map(|file| {
        let constant = places.get(&(file.package().to_owned() + "/" + file.name()));
        file.service.iter().filter_map(move |service| {
            let full = if file.package().is_empty() { service.name().to_owned() } else { format!("{}.{}", file.package(), service.name()) };
            Some((full, Place { constant: constant?.clone(), depth: Module::from_protobuf_package_name(file.package()).len() }))
        })
    });
    let mut config = prost_build::Config::new();
    config
        .prost_path(format!("{SDK}::prost"))
        .prost_types_path(format!("{SDK}::types"))
        .enable_type_names()
        .service_generator(Box::new(Services(services.collect())));
    // Protobuf's own files among them: prost has to know their messages, and makes no code of them.
    let requests = sources.files.file.iter().map(|file| (Module::from_protobuf_package_name(file.package()), file.clone())).collect();
    let mut modules: Vec<(Module, String)> =
        config.generate(requests).map_err(|error| Error::Code(error.to_string()))?.into_iter().collect();
    modules.sort();
    let mut tree = Tree::default();
    for (module, code) in modules {
        tree.at(module.parts()).code.push_str(&code);
    }
    tree.write(&mut root, 0);
    let parsed = syn::parse_file(&root).map_err(|error| Error::Code(error.to_string()))?;
    clash(&parsed.items, "")?;
    Ok(format!("// Made by microhost of {}: do not edit.\n\n{}", sources.own.join(", "), prettyplease::unparse(&parsed)))
}

/// The modules of packages, which nest as packages do.
#[derive(Default)]
struct Tree {
    code: String,
    below: BTreeMap<String, Tree>,
}

impl Tree {
    fn at<'p>(&mut self, parts: impl Iterator<Item = &'p str>) -> &mut Tree {
        parts.fold(self, |tree, part| tree.below.entry(part.to_owned()).or_default())
    }

    fn write(&self, out: &mut String, depth: usize) {
        out.push_str(&self.code);
        for (name, tree) in &self.below {
            if depth == 0 {
                out.push_str(GIVEN);
            }
            let name = if syn::parse_str::<syn::Ident>(name).is_ok() { name.clone() } else { format!("r#{name}") };
            let _ = write!(out, "pub mod {name} {{\n");
            tree.write(out, depth + 1);
            out.push_str("}\n");
        }
    }
}

/// Fails where a service's trait, server or client has the name of a message.
fn clash(items: &[syn::Item], package: &str) -> Result<(), Error> {
    let mut names: BTreeMap<String, bool> = BTreeMap::new();
    for item in items {
        let (name, of_service) = match item {
            syn::Item::Struct(item) => (&item.ident, is_of_service(&item.attrs)),
            syn::Item::Enum(item) => (&item.ident, false),
            syn::Item::Trait(item) => (&item.ident, true),
            syn::Item::Mod(item) => {
                let inner = if package.is_empty() { item.ident.to_string() } else { format!("{package}.{}", item.ident) };
                clash(item.content.as_ref().map_or(&[], |(_, items)| items), &inner)?;
                continue;
            }
            _ => continue,
        };
        let other = names.insert(name.to_string(), of_service);
        if other.is_some_and(|other| other || of_service) {
            let name = name.to_string();
            let service = name.trim_end_matches("Server").trim_end_matches("Client").to_owned();
            return Err(Error::Name { package: package.to_owned(), service, name });
        }
    }
    Ok(())
}

/// Messages derive, what is made for a service does not.
fn is_of_service(attributes: &[syn::Attribute]) -> bool {
    !attributes.iter().any(|attribute| attribute.path().is_ident("derive"))
}
