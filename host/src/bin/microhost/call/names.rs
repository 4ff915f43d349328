//! From what the user typed to the service and method that it means.

use microhost::schema::MethodKind;
use microhost::settings::nearest;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// A service that a host offers, with its methods as far as the host tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The full name: `example.greeter.Greet`.
    pub service: String,
    /// Its methods.
    pub methods: Vec<Method>,
}

/// A method that a host offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The name: `Hello`.
    pub name: String,
    /// Which side sends more than one message.
    pub kind: MethodKind,
}

impl Offered {
    /// The methods for an error message: `Hello, Watch`.
    fn listed(&self) -> String {
        self.methods.iter().map(|method| method.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Every server's own services, which nobody looks for when he asks what there is.
    fn is_plumbing(&self) -> bool {
        self.service.starts_with("grpc.")
    }
}

/// The service and method of a command line, and the messages after them.
///
/// They are two arguments, or one with a slash between them; a slash belongs to a service's name in
/// WIT's spelling too (`example:greeter/greet`), which is told by its colon.
pub fn split<'a>(first: &'a str, rest: &'a [String]) -> Outcome<(&'a str, &'a str, &'a [String])> {
    if let Some((service, method)) = first.rsplit_once('/')
        && (!service.contains(':') || service.contains('/'))
        && !service.is_empty()
        && !method.is_empty()
    {
        return Ok((service.trim_start_matches('/'), method, rest));
    }
    match rest.split_first() {
        Some((method, messages)) => Ok((first, method, messages)),
        None => {
            Err(Failure::new(Exit::Usage, format!("which method of {first:?}?")).advise(format!("microhost call {first} METHOD [JSON]...")))
        }
    }
}

/// How well a name fits; the lower, the better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// `example.greeter.Greet`
    Exact,
    /// `example:greeter/greet@0.1.0`
    Spelling,
    /// `greet`, `greeter.Greet`
    End,
    /// `greeter`: a package, for any service in it
    Package,
}

/// The service and method that are meant.
///
/// Case, hyphens and underscores do not count, so a function's name in WIT is as good as its
/// method's. A name that fits several services means the one that has the method.
pub fn resolve<'a>(offered: &'a [Offered], service: &str, method: &str) -> Outcome<(&'a str, &'a Method)> {
    let fitting: Vec<(Fit, &Offered)> = offered.iter().filter_map(|one| Some((fit(&one.service, service)?, one))).collect();
    let Some(best) = fitting.iter().map(|(fit, _)| *fit).min() else {
        return Err(no_service(offered, service));
    };
    let meant: Vec<&Offered> = fitting.into_iter().filter(|(fit, _)| *fit == best).map(|(_, one)| one).collect();
    let wanted = plain(method);
    let found: Vec<(&str, &Method)> = meant
        .iter()
        .flat_map(|one| one.methods.iter().map(|method| (one.service.as_str(), method)))
        .filter(|(_, method)| plain(&method.name) == wanted)
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(no_method(&meant, method)),
        _ => Err(found.iter().fold(
            Failure::new(Exit::Refused, format!("{service:?} fits several services")).advise("the full name of one of them"),
            |failure, (service, method)| failure.note(format!("{service} {}", method.name)),
        )),
    }
}

/// Whether a full name may be what was typed.
pub fn fits(full: &str, given: &str) -> bool {
    fit(full, given).is_some()
}

fn fit(full: &str, given: &str) -> Option<Fit> {
    if full == given {
        return Some(Fit::Exact);
    }
    let (full, given) = (words(full), words(given));
    let (_, package) = full.split_last()?;
    if full == given {
        Some(Fit::Spelling)
    } else if full.ends_with(&given) {
        Some(Fit::End)
    } else if package.ends_with(&given) {
        Some(Fit::Package)
    } else {
        None
    }
}

/// The parts of a name, in protobuf's or WIT's spelling.
fn words(name: &str) -> Vec<String> {
    let unversioned = name.split('@').next().unwrap_or_default();
    unversioned.split(['.', ':', '/']).map(plain).collect()
}

/// `say-hello`, `sayHello`, `say_hello` and `SayHello` are one name.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn no_service(offered: &[Offered], given: &str) -> Failure {
    let shown: Vec<&Offered> = offered.iter().filter(|one| !one.is_plumbing()).collect();
    let failure = Failure::new(Exit::Refused, format!("no service {given:?}"));
    if shown.is_empty() {
        return failure.note("the host serves nothing");
    }
    let wanted = plain(given);
    let short = shown.iter().flat_map(|one| words(&one.service).into_iter().rev().take(2).map(move |word| (word, one))).collect::<Vec<_>>();
    let near = nearest(&wanted, short.iter().map(|(word, _)| word.as_str()));
    let near = near.and_then(|near| short.iter().find(|(word, _)| word == near)).map(|(_, one)| &one.service);
    let failure = shown.iter().fold(failure, |failure, one| failure.note(format!("{}: {}", one.service, one.listed())));
    match near {
        Some(near) => failure.advise(near.clone()),
        None => failure.advise("one of these names"),
    }
}

fn no_method(meant: &[&Offered], given: &str) -> Failure {
    let all: Vec<(String, &str)> =
        meant.iter().flat_map(|one| &one.methods).map(|method| (plain(&method.name), method.name.as_str())).collect();
    let near = nearest(&plain(given), all.iter().map(|(plain, _)| plain.as_str()));
    let near = near.and_then(|near| all.iter().find(|(plain, _)| plain == near));
    let names: Vec<&str> = meant.iter().map(|one| one.service.as_str()).collect();
    let failure =
        meant.iter().fold(Failure::new(Exit::Refused, format!("{} has no method {given:?}", names.join(" or "))), |failure, one| {
            failure.note(format!("{}: {}", one.service, one.listed()))
        });
    match near {
        Some((_, near)) => failure.advise(*near),
        None => failure.advise("one of these methods"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::Paint;

    fn offered() -> Vec<Offered> {
        let method = |name: &&str| Method { name: (*name).into(), kind: MethodKind::Unary };
        let one = |service: &str, methods: &[&str]| Offered { service: service.into(), methods: methods.iter().map(method).collect() };
        vec![
            one("example.greeter.Greet", &["Hello", "SayGoodbye"]),
            one("example.greeter.Admin", &["Reset"]),
            one("shop.payments.Payment", &["Charge"]),
            one("old.payments.Payment", &["Charge", "Refund"]),
            one("grpc.health.v1.Health", &["Check", "Watch"]),
        ]
    }

    /// The names alone.
    fn resolved<'a>(offered: &'a [Offered], service: &str, method: &str) -> Outcome<(&'a str, &'a str)> {
        resolve(offered, service, method).map(|(service, method)| (service, method.name.as_str()))
    }

    fn text(result: Outcome<(&str, &str)>) -> String {
        result.expect_err("a failure").text(Paint::none())
    }

    #[test]
    fn service_and_method_are_two_arguments_or_one() {
        let rest = ["Hello".to_owned(), "{}".to_owned()];
        for (first, rest, service, messages) in [
            ("greet", &rest[..], "greet", 1),
            ("a.Greet/Hello", &rest[1..], "a.Greet", 1),
            ("/a.Greet/Hello", &rest[1..], "a.Greet", 1),
            ("example:greeter/greet", &rest[..], "example:greeter/greet", 1),
            ("example:greeter/greet@0.1.0/Hello", &[], "example:greeter/greet@0.1.0", 0),
        ] {
            let (meant, method, left) = split(first, rest).ok().expect("names");
            assert_eq!((meant, method, left.len()), (service, "Hello", messages), "{first}");
        }
        for first in ["greet", "greet/", "/greet"] {
            assert_eq!(split(first, &[]).err().map(|failure| failure.exit()), Some(Exit::Usage), "{first}");
        }
    }

    #[test]
    fn every_spelling_of_a_name_is_understood() {
        let offered = offered();
        for service in
            ["example.greeter.Greet", "greet", "Greet", "greeter.Greet", "greeter", "example:greeter/greet@0.1.0", "example:greeter/greet"]
        {
            for method in ["SayGoodbye", "say-goodbye", "sayGoodbye", "say_goodbye"] {
                let meant = resolved(&offered, service, method)
                    .unwrap_or_else(|failure| panic!("{service} {method}: {}", failure.text(Paint::none())));
                assert_eq!(meant, ("example.greeter.Greet", "SayGoodbye"));
            }
        }
    }

    #[test]
    fn a_name_of_several_services_means_the_one_that_has_the_method() {
        assert!(matches!(resolved(&offered(), "payment", "refund"), Ok(("old.payments.Payment", "Refund"))));
        assert!(matches!(resolved(&offered(), "greeter", "reset"), Ok(("example.greeter.Admin", "Reset"))));
    }

    #[test]
    fn an_ambiguous_name_lists_what_it_fits() {
        let text = text(resolved(&offered(), "payment", "charge"));
        assert!(text.contains("shop.payments.Payment Charge") && text.contains("old.payments.Payment Charge"), "{text}");
    }

    #[test]
    fn a_wrong_service_lists_what_there_is_and_the_nearest() {
        let text = text(resolved(&offered(), "greter", "hello"));
        assert!(
            text.contains("shop.payments.Payment: Charge") && text.contains("try: example.greeter.") && !text.contains("grpc.health"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_method_lists_what_there_is_and_the_nearest() {
        let text = text(resolved(&offered(), "greet", "helo"));
        assert_eq!(text, "error: example.greeter.Greet has no method \"helo\"\n  example.greeter.Greet: Hello, SayGoodbye\n  try: Hello\n");
    }
}
