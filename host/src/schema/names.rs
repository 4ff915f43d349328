//! Names from WIT's kebab-case to those of protobuf and JSON, so that every output agrees on them.

/// `say-hello` → `SayHello`.
pub(super) fn pascal(kebab: &str) -> String {
    let mut out = String::with_capacity(kebab.len());
    for word in kebab.split('-') {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    }
    out
}

/// `say-hello` → `say_hello`.
pub(super) fn snake(kebab: &str) -> String {
    kebab.chars().map(|letter| if letter == '-' { '_' } else { letter.to_ascii_lowercase() }).collect()
}

/// `say-hello` → `SAY_HELLO`.
pub(super) fn screaming(kebab: &str) -> String {
    snake(kebab).to_ascii_uppercase()
}

/// `say_hello` → `sayHello`, by the rule that protoc applies to field names.
pub(super) fn json(snake: &str) -> String {
    let mut out = String::with_capacity(snake.len());
    let mut raise = false;
    for letter in snake.chars() {
        if letter == '_' {
            raise = true;
        } else {
            out.push(if raise { letter.to_ascii_uppercase() } else { letter });
            raise = false;
        }
    }
    out
}

/// A name that `taken` does not refuse: `name` itself, else the first free one of `name2`, `name3`, …
pub(super) fn free(name: String, mut taken: impl FnMut(&str) -> bool) -> String {
    if !taken(&name) {
        return name;
    }
    (2u32..).map(|number| format!("{name}{number}")).find(|candidate| !taken(candidate)).expect("there are more numbers than names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kebab_case_becomes_the_case_of_each_place() {
        assert_eq!(pascal("say-hello"), "SayHello");
        assert_eq!(pascal("HTTP-get2-x"), "HttpGet2X");
        assert_eq!(snake("HTTP-get"), "http_get");
        assert_eq!(screaming("not-found"), "NOT_FOUND");
        assert_eq!(json("say_hello_1b"), "sayHello1b");
        assert_eq!(json("f0"), "f0");
    }

    #[test]
    fn a_taken_name_gets_the_next_free_number() {
        let taken = ["A".to_string(), "A2".to_string()];
        assert_eq!(free("A".into(), |name| taken.iter().any(|t| t == name)), "A3");
        assert_eq!(free("B".into(), |name| taken.iter().any(|t| t == name)), "B");
    }
}
