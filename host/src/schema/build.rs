//! From WIT types to messages: what docs/mapping.md says, made once at load.

use std::collections::{HashMap, HashSet};

use wit_parser::{Function, Type, TypeDefKind, TypeId};

use super::files::Names;
use super::flow::Element;
use super::model::{Card, EMPTY, EMPTY_FILE, Enum, EnumValue, Field, Kind, Message, Shape, Types};
use super::names;
use super::read::Export;
use super::source::{Resolved, Source};

/// The name of a message that a structure gives is cut here and told apart by a hash.
const MAX_NAME: usize = 80;

/// Builds the messages of the exports, one after the other.
pub(super) struct Builder<'r> {
    source: &'r Source,
    names: Names,
    types: Types,
    /// What each type became, in each file that uses it; a named type has only the one file.
    made: HashMap<(usize, TypeId), Kind>,
    /// The messages around what is not one element, in each file.
    wrapped: HashMap<(usize, TypeId), Kind>,
    /// Messages without a WIT name, by file and wished name: equal ones are made once.
    structural: HashMap<(usize, String), Vec<usize>>,
    labels: HashMap<TypeId, String>,
}

impl<'r> Builder<'r> {
    pub(super) fn new(source: &'r Source, exports: &[Export<'r>]) -> Builder<'r> {
        let mut names = Names::of(source, exports);
        let types = Types { files: std::mem::take(&mut names.files), ..Types::default() };
        let mut builder = Builder {
            source,
            names,
            types,
            made: HashMap::new(),
            wrapped: HashMap::new(),
            structural: HashMap::new(),
            labels: HashMap::new(),
        };
        let empty = builder.push(EMPTY_FILE, "Empty".into(), Shape::Record, None, Vec::new());
        assert_eq!(empty, EMPTY, "the first message is the empty one");
        builder
    }

    pub(super) fn finish(self) -> Types {
        self.types
    }

    pub(super) fn file_of(&self, export: &Export<'_>) -> usize {
        self.names.packages[&export.package]
    }

    /// The full name of the export's service.
    pub(super) fn service_name(&self, export: &Export<'_>) -> String {
        format!("{}.{}", self.types.files[self.file_of(export)].package, names::pascal(export.name))
    }

    /// The request message, and whether its fields are the parameters.
    pub(super) fn request(&mut self, export: &Export<'_>, function: &Function) -> (usize, bool) {
        if let [parameter] = function.params.as_slice()
            && let Some(record) = self.record(self.file_of(export), parameter.ty)
        {
            return (record, false);
        }
        let file = self.file_of(export);
        let fields = function.params.iter().map(|parameter| self.field(file, &parameter.name, parameter.ty, None)).collect();
        let name = self.free(file, format!("{}{}Request", names::pascal(export.name), names::pascal(&function.name)));
        (self.push(file, name, Shape::Record, None, fields), true)
    }

    /// The reply message of a result; without one, an empty message.
    pub(super) fn reply(&mut self, export: &Export<'_>, function: &Function, result: Option<Type>) -> usize {
        let file = self.file_of(export);
        if let Some(record) = result.and_then(|ty| self.record(file, ty)) {
            return record;
        }
        let name = format!("{}{}Response", names::pascal(export.name), names::pascal(&function.name));
        self.holder(file, name, result)
    }

    /// The message of an error type: its own, or one that holds it.
    pub(super) fn error(&mut self, export: &Export<'_>, function: &Function, ty: Type) -> usize {
        let file = self.file_of(export);
        if let Resolved::Defined(_, TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Tuple(_) | TypeDefKind::Result(_)) =
            self.source.resolved(ty)
            && let Kind::Message(message) = self.kind(file, ty)
        {
            return message;
        }
        let name = format!("{}{}Error", names::pascal(export.name), names::pascal(&function.name));
        self.holder(file, name, Some(ty))
    }

    /// The message that carries one element of a stream.
    pub(super) fn element(&mut self, export: &Export<'_>, function: &Function, suffix: &str, element: Element) -> usize {
        let file = self.file_of(export);
        if let Element::Of(ty) = element
            && let Some(record) = self.record(file, ty)
        {
            return record;
        }
        let name = format!("{}{}{suffix}", names::pascal(export.name), names::pascal(&function.name));
        match element {
            Element::Of(ty) => self.holder(file, name, Some(ty)),
            Element::Chunk => {
                let field = self.named_field("value", "stream<u8>".into(), None, Kind::Bytes, Card::Single);
                let name = self.free(file, name);
                self.push(file, name, Shape::Wrapper, None, vec![field])
            }
        }
    }

    /// A message of one field `value`, or of none.
    fn holder(&mut self, file: usize, name: String, ty: Option<Type>) -> usize {
        let fields: Vec<Field> = ty.map(|ty| self.field(file, "value", ty, None)).into_iter().collect();
        let shape = if fields.is_empty() { Shape::Record } else { Shape::Wrapper };
        let name = self.free(file, name);
        self.push(file, name, shape, None, fields)
    }

    fn record(&mut self, file: usize, ty: Type) -> Option<usize> {
        let Resolved::Defined(_, TypeDefKind::Record(_)) = self.source.resolved(ty) else { return None };
        match self.kind(file, ty) {
            Kind::Message(message) => Some(message),
            _ => None,
        }
    }

    fn field(&mut self, file: usize, name: &str, ty: Type, docs: Option<String>) -> Field {
        let (kind, card) = self.slot(file, ty);
        self.named_field(name, self.source.type_name(ty), docs, kind, card)
    }

    fn named_field(&self, name: &str, wit: String, docs: Option<String>, kind: Kind, card: Card) -> Field {
        Field { name: names::snake(name), json_name: String::new(), wit, docs, kind, card }
    }

    /// How a field of this type is carried.
    fn slot(&mut self, file: usize, ty: Type) -> (Kind, Card) {
        if let Resolved::Defined(id, kind) = self.source.resolved(ty) {
            match kind {
                TypeDefKind::Option(inner) => return (self.kind(file, *inner), Card::Optional),
                TypeDefKind::List(inner) if !self.is_u8(*inner) => return (self.kind(file, *inner), Card::Repeated(None)),
                TypeDefKind::FixedLengthList(inner, length) if !self.is_u8(*inner) => {
                    return (self.kind(file, *inner), Card::Repeated(Some(*length)));
                }
                TypeDefKind::Flags(_) => return (self.enumeration(id), Card::Flags),
                TypeDefKind::Map(key, value) => {
                    let entry = self.entry(file, id, *key, *value);
                    // protobuf's maps have no floats, bytes, enums or messages for keys.
                    let keyed = match self.types.messages[entry].fields[0] {
                        Field { card: Card::Single, kind, .. } => {
                            !matches!(kind, Kind::F32 | Kind::F64 | Kind::Bytes | Kind::FixedBytes(_) | Kind::Enum(_) | Kind::Message(_))
                        }
                        _ => false,
                    };
                    return (Kind::Message(entry), Card::Map { keyed });
                }
                _ => {}
            }
        }
        (self.kind(file, ty), Card::Single)
    }

    fn is_u8(&self, ty: Type) -> bool {
        matches!(self.source.resolved(ty), Resolved::Scalar(Type::U8))
    }

    /// How one element of this type is carried; what is not one element gets a message around it.
    fn kind(&mut self, file: usize, ty: Type) -> Kind {
        let (id, kind) = match self.source.resolved(ty) {
            Resolved::Scalar(scalar) => return scalar_kind(scalar),
            Resolved::Defined(id, kind) => (id, kind),
        };
        match kind {
            TypeDefKind::List(inner) if self.is_u8(*inner) => Kind::Bytes,
            TypeDefKind::FixedLengthList(inner, length) if self.is_u8(*inner) => Kind::FixedBytes(*length),
            TypeDefKind::Enum(_) => self.enumeration(id),
            TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Tuple(_) | TypeDefKind::Result(_) => self.structure(file, id),
            _ => {
                if let Some(&kind) = self.wrapped.get(&(file, id)) {
                    return kind;
                }
                let field = self.field(file, "value", ty, None);
                let label = self.label(ty);
                let kind = Kind::Message(self.shared(file, label, Shape::Wrapper, None, vec![field]));
                self.wrapped.insert((file, id), kind);
                kind
            }
        }
    }

    /// The message of a record, variant, tuple or result.
    fn structure(&mut self, file: usize, id: TypeId) -> Kind {
        let id = self.names.same.get(&id).copied().unwrap_or(id);
        let name = self.names.types.get(&id).cloned();
        let file = name.as_ref().map_or(file, |(file, _)| *file);
        if let Some(&kind) = self.made.get(&(file, id)) {
            return kind;
        }
        let ty = &self.source.resolve.types[id];
        let docs = ty.docs.contents.clone();
        let (shape, fields): (Shape, Vec<Field>) = match &ty.kind {
            TypeDefKind::Record(record) => {
                let field = |field: &wit_parser::Field| self.field(file, &field.name, field.ty, field.docs.contents.clone());
                (Shape::Record, record.fields.iter().map(field).collect())
            }
            TypeDefKind::Tuple(tuple) => {
                let field = |(place, ty): (usize, &Type)| self.field(file, &format!("f{place}"), *ty, None);
                (Shape::Record, tuple.types.iter().enumerate().map(field).collect())
            }
            TypeDefKind::Variant(variant) => {
                let case = |case: &wit_parser::Case| self.case(file, &case.name, case.ty, case.docs.contents.clone());
                (Shape::Variant, variant.cases.iter().map(case).collect())
            }
            TypeDefKind::Result(result) => {
                let fields = vec![self.case(file, "ok", result.ok, None), self.case(file, "error", result.err, None)];
                (Shape::Variant, fields)
            }
            _ => unreachable!("only structures come here"),
        };
        let message = match name {
            Some((file, kebab)) => self.push(file, names::pascal(&kebab), shape, docs, fields),
            None => {
                let label = self.label(Type::Id(id));
                self.shared(file, label, shape, docs, fields)
            }
        };
        self.made.insert((file, id), Kind::Message(message));
        Kind::Message(message)
    }

    fn case(&mut self, file: usize, name: &str, ty: Option<Type>, docs: Option<String>) -> Field {
        let (kind, card, wit) = match ty {
            Some(ty) => (self.kind(file, ty), Card::Single, self.source.type_name(ty)),
            None => (Kind::Message(EMPTY), Card::Unit, "_".into()),
        };
        self.named_field(name, wit, docs, kind, card)
    }

    fn entry(&mut self, file: usize, id: TypeId, key: Type, value: Type) -> usize {
        let key = self.field(file, "key", key, None);
        let kind = self.kind(file, value);
        let value = self.named_field("value", self.source.type_name(value), None, kind, Card::Single);
        let label = format!("{}Entry", self.label(Type::Id(id)));
        self.shared(file, label, Shape::Entry, None, vec![key, value])
    }

    /// The enum of an `enum` or of `flags`.
    fn enumeration(&mut self, id: TypeId) -> Kind {
        let id = self.names.same.get(&id).copied().unwrap_or(id);
        let (file, kebab) = self.names.types[&id].clone();
        if let Some(&kind) = self.made.get(&(file, id)) {
            return kind;
        }
        let ty = &self.source.resolve.types[id];
        let cases: Vec<(&str, Option<String>)> = match &ty.kind {
            TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| (case.name.as_str(), case.docs.contents.clone())).collect(),
            TypeDefKind::Flags(flags) => flags.flags.iter().map(|flag| (flag.name.as_str(), flag.docs.contents.clone())).collect(),
            _ => unreachable!("only enums and flags come here"),
        };
        // Values of an enum share their names with all of the package, in the languages that
        // protobuf comes from, and may not differ by underscores alone.
        let prefix = names::screaming(&kebab);
        let mut bare: HashSet<String> = HashSet::from(["UNSPECIFIED".into()]);
        let unspecified = self.free(file, format!("{prefix}_UNSPECIFIED"));
        let mut values = Vec::with_capacity(cases.len());
        for (case, docs) in cases {
            let plain = names::screaming(case);
            let name = names::free(format!("{prefix}_{plain}"), |name| {
                let same = name[prefix.len()..].replace('_', "");
                self.names.taken[file].contains(name) || bare.contains(&same)
            });
            bare.insert(name[prefix.len()..].replace('_', ""));
            self.names.taken[file].insert(name.clone());
            values.push(EnumValue { name, case: case.to_string(), docs });
        }
        let name = format!("{}.{}", self.types.files[file].package, names::pascal(&kebab));
        self.types.enums.push(Enum { name, file, docs: ty.docs.contents.clone(), unspecified, values });
        let kind = Kind::Enum(self.types.enums.len() - 1);
        self.made.insert((file, id), kind);
        kind
    }

    /// A message that its structure names: one that is there already, or a new one.
    fn shared(&mut self, file: usize, label: String, shape: Shape, docs: Option<String>, fields: Vec<Field>) -> usize {
        let key = (file, label);
        let same = |message: &Message| {
            let equal = |(a, b): (&Field, &Field)| a.name == b.name && a.kind == b.kind && a.card == b.card;
            message.shape == shape && message.fields.len() == fields.len() && message.fields.iter().zip(&fields).all(equal)
        };
        let known = self.structural.get(&key).and_then(|known| known.iter().find(|&&index| same(&self.types.messages[index])));
        if let Some(&index) = known {
            return index;
        }
        let name = self.free(file, key.1.clone());
        let index = self.push(file, name, shape, docs, fields);
        self.structural.entry(key).or_default().push(index);
        index
    }

    fn push(&mut self, file: usize, name: String, shape: Shape, docs: Option<String>, mut fields: Vec<Field>) -> usize {
        name_in_json(&mut fields);
        let mut lookup: Vec<(Box<str>, u32)> = Vec::with_capacity(fields.len() * 2);
        for (place, field) in (0u32..).zip(&fields) {
            lookup.push((field.json_name.as_str().into(), place));
            if field.name != field.json_name {
                lookup.push((field.name.as_str().into(), place));
            }
        }
        lookup.sort();
        let name = format!("{}.{name}", self.types.files[file].package);
        self.types.messages.push(Message { name, docs, fields, file, shape, lookup });
        self.types.messages.len() - 1
    }

    fn free(&mut self, file: usize, name: String) -> String {
        let name = names::free(name, |name| self.names.taken[file].contains(name));
        self.names.taken[file].insert(name.clone());
        name
    }

    /// What a type without a name is called: `ListU32`, `OptionPerson`.
    fn label(&mut self, ty: Type) -> String {
        let (id, kind) = match self.source.resolved(ty) {
            Resolved::Scalar(scalar) => return scalar_label(scalar).into(),
            Resolved::Defined(id, kind) => (id, kind),
        };
        let same = self.names.same.get(&id).copied().unwrap_or(id);
        if let Some((_, kebab)) = self.names.types.get(&same) {
            let name = names::pascal(kebab);
            return if matches!(kind, TypeDefKind::Flags(_)) { format!("Flags{name}") } else { name };
        }
        if let Some(label) = self.labels.get(&id) {
            return label.clone();
        }
        let label = match kind {
            TypeDefKind::List(inner) if self.is_u8(*inner) => "Bytes".into(),
            TypeDefKind::List(inner) => format!("List{}", self.label(*inner)),
            TypeDefKind::FixedLengthList(inner, length) => format!("List{length}{}", self.label(*inner)),
            TypeDefKind::Option(inner) => format!("Option{}", self.label(*inner)),
            TypeDefKind::Result(result) => {
                let mut side = |ty: Option<Type>| ty.map_or("Empty".to_string(), |ty| self.label(ty));
                format!("Result{}{}", side(result.ok), side(result.err))
            }
            TypeDefKind::Map(key, value) => format!("Map{}{}", self.label(*key), self.label(*value)),
            TypeDefKind::Tuple(tuple) => {
                let parts: String = tuple.types.iter().map(|ty| self.label(*ty)).collect();
                format!("Tuple{parts}")
            }
            _ => unreachable!("every other type has a name"),
        };
        let label =
            if label.len() > MAX_NAME { format!("{}{}", &label[..MAX_NAME], &blake3::hash(label.as_bytes()).to_hex()[..8]) } else { label };
        self.labels.insert(id, label.clone());
        label
    }
}

/// Gives the fields their JSON names. Fields whose names differ by underscores alone, which
/// protobuf forbids, are told apart by a number.
fn name_in_json(fields: &mut [Field]) {
    let mut used: HashSet<String> = HashSet::with_capacity(fields.len());
    for field in fields {
        field.name = names::free(std::mem::take(&mut field.name), |name| used.contains(&names::json(name)));
        field.json_name = names::json(&field.name);
        used.insert(field.json_name.clone());
    }
}

fn scalar_kind(scalar: Type) -> Kind {
    match scalar {
        Type::Bool => Kind::Bool,
        Type::U8 => Kind::U8,
        Type::U16 => Kind::U16,
        Type::U32 => Kind::U32,
        Type::U64 => Kind::U64,
        Type::S8 => Kind::S8,
        Type::S16 => Kind::S16,
        Type::S32 => Kind::S32,
        Type::S64 => Kind::S64,
        Type::F32 => Kind::F32,
        Type::F64 => Kind::F64,
        Type::Char => Kind::Char,
        Type::String => Kind::String,
        Type::ErrorContext | Type::Id(_) => unreachable!("refused or resolved before"),
    }
}

fn scalar_label(scalar: Type) -> &'static str {
    match scalar {
        Type::Bool => "Bool",
        Type::U8 => "U8",
        Type::U16 => "U16",
        Type::U32 => "U32",
        Type::U64 => "U64",
        Type::S8 => "S8",
        Type::S16 => "S16",
        Type::S32 => "S32",
        Type::S64 => "S64",
        Type::F32 => "F32",
        Type::F64 => "F64",
        Type::Char => "Char",
        Type::String => "String",
        Type::ErrorContext | Type::Id(_) => unreachable!("refused or resolved before"),
    }
}
