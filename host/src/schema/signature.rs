//! What two components must agree on before one calls a function of the other: its type, told apart by
//! a fingerprint that costs nothing to compare, and shown to people where it differs.

use std::collections::HashMap;

use wit_parser::{Function, Type, TypeDefKind, TypeId};

use super::source::{Resolved, Source};

/// Stands for the type of a function: that of its parameters and of its result, with the names of
/// fields, cases and flags, and without the names of types and parameters. Whether the function is
/// `async` does not count: the host calls and links either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint as others are told it: the same for the same type in every host.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// The type of a function, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name and type of each parameter, types spelled out: `record { id: string }`.
    pub parameters: Vec<(String, String)>,
    /// The type of the result; none where there is none.
    pub result: Option<String>,
}

/// A type is spelled out to this length; what is longer ends in an ellipsis.
const MAX_TEXT: usize = 2000;

impl Signature {
    /// The first difference from what another component has, as a sentence about this one's `function`;
    /// `None` where there is none. `mine` and `theirs` say who is meant: `the import`, `shop.payments`.
    pub fn difference(&self, mine: &str, other: &Signature, theirs: &str) -> Option<String> {
        if self.parameters.len() != other.parameters.len() {
            return Some(format!(
                "{mine} takes {} parameters ({}), {theirs} takes {} ({})",
                self.parameters.len(),
                names(&self.parameters),
                other.parameters.len(),
                names(&other.parameters)
            ));
        }
        for ((name, ty), (_, other)) in self.parameters.iter().zip(&other.parameters) {
            if ty != other {
                return Some(format!("parameter `{name}` of {mine} is `{ty}`, that of {theirs} is `{other}`"));
            }
        }
        let text = |result: &Option<String>| result.as_ref().map_or_else(|| "nothing".to_owned(), |ty| format!("`{ty}`"));
        (self.result != other.result).then(|| format!("{mine} returns {}, {theirs} returns {}", text(&self.result), text(&other.result)))
    }
}

fn names(parameters: &[(String, String)]) -> String {
    parameters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Makes the fingerprints of one component's functions; each type is looked at once.
pub(super) struct Signer<'s> {
    source: &'s Source,
    digests: HashMap<TypeId, blake3::Hash>,
}

impl<'s> Signer<'s> {
    pub(super) fn new(source: &'s Source) -> Signer<'s> {
        Signer { source, digests: HashMap::new() }
    }

    pub(super) fn sign(&mut self, function: &Function) -> (Fingerprint, Signature) {
        let mut hasher = blake3::Hasher::new();
        for parameter in &function.params {
            hasher.update(self.digest(parameter.ty).as_bytes());
        }
        hasher.update(b"->");
        if let Some(result) = function.result {
            hasher.update(self.digest(result).as_bytes());
        }
        let bytes = *hasher.finalize().as_bytes();
        let (head, _) = bytes.split_first_chunk::<8>().expect("a digest has 32 bytes");
        let parameters = function.params.iter().map(|parameter| (parameter.name.clone(), self.text(parameter.ty))).collect();
        let signature = Signature { parameters, result: function.result.map(|ty| self.text(ty)) };
        (Fingerprint(u64::from_le_bytes(*head)), signature)
    }

    fn text(&self, ty: Type) -> String {
        let mut text = String::new();
        self.spell(ty, &mut text);
        text
    }

    fn digest(&mut self, ty: Type) -> blake3::Hash {
        let (id, kind) = match self.source.resolved(ty) {
            Resolved::Scalar(scalar) => return blake3::hash(format!("{scalar:?}").as_bytes()),
            Resolved::Defined(id, kind) => (id, kind),
        };
        if let Some(digest) = self.digests.get(&id) {
            return *digest;
        }
        let mut hasher = blake3::Hasher::new();
        let (word, members) = members(kind);
        hasher.update(word.as_bytes());
        for (name, ty) in members {
            // Names end where a byte comes that no name has.
            hasher.update(name.as_bytes()).update(&[0]);
            match ty {
                Some(ty) => hasher.update(self.digest(ty).as_bytes()),
                None => hasher.update(&[0]),
            };
        }
        let digest = hasher.finalize();
        self.digests.insert(id, digest);
        digest
    }

    fn spell(&self, ty: Type, text: &mut String) {
        if text.len() > MAX_TEXT {
            if !text.ends_with('…') {
                text.push('…');
            }
            return;
        }
        let kind = match self.source.resolved(ty) {
            Resolved::Scalar(scalar) => return text.push_str(&self.source.type_name(scalar)),
            Resolved::Defined(_, kind) => kind,
        };
        let (word, members) = members(kind);
        let (open, close) = if is_generic(kind) { ("<", ">") } else { (" { ", " }") };
        text.push_str(&word);
        if members.is_empty() {
            return;
        }
        text.push_str(open);
        for (place, (name, ty)) in members.into_iter().enumerate() {
            if place > 0 {
                text.push_str(", ");
            }
            text.push_str(&name);
            match (ty, kind) {
                (None, TypeDefKind::Result(_)) => text.push('_'),
                (None, _) => {}
                (Some(ty), TypeDefKind::Variant(_)) => {
                    text.push('(');
                    self.spell(ty, text);
                    text.push(')');
                }
                (Some(ty), TypeDefKind::Record(_)) => {
                    text.push_str(": ");
                    self.spell(ty, text);
                }
                (Some(ty), _) => self.spell(ty, text),
            }
        }
        text.push_str(close);
    }
}

/// Whether a type is written with its members in angle brackets.
fn is_generic(kind: &TypeDefKind) -> bool {
    !matches!(kind, TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_))
}

/// What a type is made of: its kind, and each member with its name, where it has one, and its type.
fn members(kind: &TypeDefKind) -> (String, Vec<(String, Option<Type>)>) {
    let unnamed = |types: &[Type]| types.iter().map(|ty| (String::new(), Some(*ty))).collect();
    match kind {
        TypeDefKind::Record(record) => ("record".into(), record.fields.iter().map(|field| (field.name.clone(), Some(field.ty))).collect()),
        TypeDefKind::Variant(variant) => ("variant".into(), variant.cases.iter().map(|case| (case.name.clone(), case.ty)).collect()),
        TypeDefKind::Enum(cases) => ("enum".into(), cases.cases.iter().map(|case| (case.name.clone(), None)).collect()),
        TypeDefKind::Flags(flags) => ("flags".into(), flags.flags.iter().map(|flag| (flag.name.clone(), None)).collect()),
        TypeDefKind::Tuple(tuple) => ("tuple".into(), unnamed(&tuple.types)),
        TypeDefKind::Option(ty) => ("option".into(), unnamed(&[*ty])),
        TypeDefKind::Result(result) => ("result".into(), vec![(String::new(), result.ok), (String::new(), result.err)]),
        TypeDefKind::List(ty) => ("list".into(), unnamed(&[*ty])),
        TypeDefKind::FixedLengthList(ty, length) => (format!("list of {length}"), unnamed(&[*ty])),
        TypeDefKind::Map(key, value) => ("map".into(), unnamed(&[*key, *value])),
        TypeDefKind::Stream(ty) => ("stream".into(), ty.iter().map(|ty| (String::new(), Some(*ty))).collect()),
        TypeDefKind::Future(ty) => ("future".into(), ty.iter().map(|ty| (String::new(), Some(*ty))).collect()),
        TypeDefKind::Type(ty) => ("type".into(), unnamed(&[*ty])),
        // What cannot be carried is refused before anybody asks for its type.
        TypeDefKind::Resource | TypeDefKind::Handle(_) | TypeDefKind::Unknown => ("resource".into(), Vec::new()),
    }
}
