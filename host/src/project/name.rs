//! The name of a project, which stands in WIT, Rust, TOML and URLs alike and so must suit them all.

use super::ProjectError;

/// The longest name: it becomes part of file names and of DNS-like labels.
const MAX_LENGTH: usize = 63;

/// Words that mean something else in WIT (its keywords and types), in Rust (its keywords, its own
/// crates and those that the project depends on) or to cargo (its folders).
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "bool",
    "borrow",
    "box",
    "break",
    "build",
    "char",
    "const",
    "constructor",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "export",
    "exports",
    "extern",
    "f32",
    "f64",
    "false",
    "final",
    "flags",
    "fn",
    "for",
    "from",
    "func",
    "future",
    "gen",
    "if",
    "impl",
    "import",
    "in",
    "include",
    "incremental",
    "interface",
    "let",
    "list",
    "log",
    "loop",
    "macro",
    "map",
    "match",
    "microhost",
    "microhost-sdk",
    "mod",
    "move",
    "mut",
    "option",
    "override",
    "own",
    "package",
    "priv",
    "proc-macro",
    "pub",
    "record",
    "ref",
    "resource",
    "result",
    "return",
    "s16",
    "s32",
    "s64",
    "s8",
    "self",
    "static",
    "std",
    "stream",
    "string",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "tuple",
    "type",
    "typeof",
    "u16",
    "u32",
    "u64",
    "u8",
    "union",
    "unsafe",
    "unsized",
    "use",
    "variant",
    "virtual",
    "where",
    "while",
    "with",
    "world",
    "yield",
];

/// A name in each of the spellings that a project has it in.
#[derive(Debug)]
pub(super) struct Name {
    /// `shop-cart`, as the user gave it.
    pub kebab: String,
    /// `shop_cart`
    pub snake: String,
    /// `ShopCart`
    pub pascal: String,
}

impl Name {
    /// Takes `name` if everything can be called so.
    pub fn new(name: &str) -> Result<Name, ProjectError> {
        let refused = |why| ProjectError::Name { name: name.chars().take(MAX_LENGTH).collect(), why };
        if name.len() > MAX_LENGTH {
            return Err(refused("it has more than 63 letters"));
        }
        // WIT wants each word to begin with a letter.
        let word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !name.split('-').all(word) {
            return Err(refused("use lower-case words that begin with a letter, with `-` between them, for example shop-cart"));
        }
        if RESERVED.binary_search(&name).is_ok() {
            return Err(refused("it means something else in Rust, WIT or cargo"));
        }
        let pascal = name.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
        Ok(Name { kebab: name.to_owned(), snake: name.replace('-', "_"), pascal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_spelled_for_each_place() {
        let name = Name::new("shop-cart2").expect("a fine name");
        assert_eq!((name.snake.as_str(), name.pascal.as_str()), ("shop_cart2", "ShopCart2"));
    }

    #[test]
    fn names_that_some_tool_would_refuse_are_refused_first() {
        let long = "a".repeat(MAX_LENGTH + 1);
        for name in
            ["", "-", "a-", "a--b", "Shop", "shop_cart", "2shop", "shop-2", "../x", "a/b", "ä", "type", "core", "world", "log", &long]
        {
            assert!(Name::new(name).is_err(), "{name:?} was taken");
        }
    }

    #[test]
    fn the_reserved_words_are_sorted_for_the_search() {
        assert!(RESERVED.is_sorted());
    }
}
