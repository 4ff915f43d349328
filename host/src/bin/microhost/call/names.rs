//! From what the user typed to the service and method that it means.

use microhost::settings::nearest;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// A service that a host offers, with its methods as far as the host tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The full name: `example.greeter.Greet`.
    pub service: String,
    /// The names of its methods.
    pub methods: Vec<String>,
}

impl Offered {
    /// Every server's own services, which nobody looks for when he asks what there is.
    fn is_plumbing(&self) -> bool {
        self.service.starts_with("grpc.")
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
pub fn resolve<'a>(offered: &'a [Offered], service: &str, method: &str) -> Outcome<(&'a str, &'a str)> {
    let fitting: Vec<(Fit, &Offered)> = offered.iter().filter_map(|one| Some((fit(&one.service, service)?, one))).collect();
    let Some(best) = fitting.iter().map(|(fit, _)| *fit).min() else {
        return Err(no_service(offered, service));
    };
    let meant: Vec<&Offered> = fitting.into_iter().filter(|(fit, _)| *fit == best).map(|(_, one)| one).collect();
    let wanted = plain(method);
    let found: Vec<(&str, &str)> = meant
        .iter()
        .flat_map(|one| one.methods.iter().map(|name| (one.service.as_str(), name.as_str())))
        .filter(|(_, name)| plain(name) == wanted)
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(no_method(&meant, method)),
        _ => Err(found.iter().fold(
            Failure::new(Exit::Refused, format!("{service:?} fits several services")).advise("the full name of one of them"),
            |failure, (service, method)| failure.note(format!("{service} {method}")),
        )),
    }
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
    let failure = shown.iter().fold(failure, |failure, one| failure.note(format!("{}: {}", one.service, one.methods.join(", "))));
    match near {
        Some(near) => failure.advise(near.clone()),
        None => failure.advise("one of these names"),
    }
}

fn no_method(meant: &[&Offered], given: &str) -> Failure {
    let all: Vec<(String, &str)> = meant.iter().flat_map(|one| one.methods.iter()).map(|name| (plain(name), name.as_str())).collect();
    let near = nearest(&plain(given), all.iter().map(|(plain, _)| plain.as_str()));
    let near = near.and_then(|near| all.iter().find(|(plain, _)| plain == near));
    let names: Vec<&str> = meant.iter().map(|one| one.service.as_str()).collect();
    let failure =
        meant.iter().fold(Failure::new(Exit::Refused, format!("{} has no method {given:?}", names.join(" or "))), |failure, one| {
            failure.note(format!("{}: {}", one.service, one.methods.join(", ")))
        });
    match near {
        Some((_, near)) => failure.advise(*near),
        None => failure.advise("one of these methods"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    fn offered() -> Vec<Offered> {
        let one =
            |service: &str, methods: &[&str]| Offered { service: service.into(), methods: methods.iter().map(|m| (*m).into()).collect() };
        vec![
            one("example.greeter.Greet", &["Hello", "SayGoodbye"]),
            one("example.greeter.Admin", &["Reset"]),
            one("shop.payments.Payment", &["Charge"]),
            one("old.payments.Payment", &["Charge", "Refund"]),
            one("grpc.health.v1.Health", &["Check", "Watch"]),
        ]
    }

    fn text(result: Outcome<(&str, &str)>) -> String {
        result.expect_err("a failure").text(Paint::plain())
    }

    #[test]
    fn every_spelling_of_a_name_is_understood() {
        let offered = offered();
        for service in
            ["example.greeter.Greet", "greet", "Greet", "greeter.Greet", "greeter", "example:greeter/greet@0.1.0", "example:greeter/greet"]
        {
            for method in ["SayGoodbye", "say-goodbye", "sayGoodbye", "say_goodbye"] {
                let meant = resolve(&offered, service, method)
                    .unwrap_or_else(|failure| panic!("{service} {method}: {}", failure.text(Paint::plain())));
                assert_eq!(meant, ("example.greeter.Greet", "SayGoodbye"));
            }
        }
    }

    #[test]
    fn a_name_of_several_services_means_the_one_that_has_the_method() {
        assert!(matches!(resolve(&offered(), "payment", "refund"), Ok(("old.payments.Payment", "Refund"))));
        assert!(matches!(resolve(&offered(), "greeter", "reset"), Ok(("example.greeter.Admin", "Reset"))));
    }

    #[test]
    fn an_ambiguous_name_lists_what_it_fits() {
        let text = text(resolve(&offered(), "payment", "charge"));
        assert!(text.contains("shop.payments.Payment Charge") && text.contains("old.payments.Payment Charge"), "{text}");
    }

    #[test]
    fn a_wrong_service_lists_what_there_is_and_the_nearest() {
        let text = text(resolve(&offered(), "greter", "hello"));
        assert!(
            text.contains("shop.payments.Payment: Charge") && text.contains("try: example.greeter.") && !text.contains("grpc.health"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_method_lists_what_there_is_and_the_nearest() {
        let text = text(resolve(&offered(), "greet", "helo"));
        assert_eq!(text, "error: example.greeter.Greet has no method \"helo\"\n  example.greeter.Greet: Hello, SayGoodbye\n  try: Hello\n");
    }
}
