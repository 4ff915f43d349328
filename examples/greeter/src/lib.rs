//! A service that greets. Its interface is `wit/world.wit`; microhost serves it over HTTP/JSON and
//! gRPC.

use exports::example::greeter::greet::{Error, Guest, Visitor, WelcomeCard};

microhost_sdk::service!({ world: "example:greeter/greeter" });

struct Greeter;

impl Guest for Greeter {
    async fn hello(name: String) -> Result<String, Error> {
        greeting("Hello", &name)
    }

    async fn welcome(visitor: Visitor) -> Result<WelcomeCard, Error> {
        let language = visitor.language.unwrap_or_else(|| "en".to_owned());
        let word = match language.as_str() {
            "en" => "Welcome",
            "de" => "Willkommen",
            "fr" => "Bienvenue",
            _ => return Err(Error::NotFound(format!("no welcome in the language {language:?}"))),
        };
        log::info!(language:%; "welcoming a visitor");
        Ok(WelcomeCard { text: greeting(word, &visitor.name)?, language })
    }
}

fn greeting(word: &str, name: &str) -> Result<String, Error> {
    match name.trim() {
        "" => Err(Error::InvalidArgument("the name is empty".to_owned())),
        name => Ok(format!("{word}, {name}!")),
    }
}

export!(Greeter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_greeted() {
        assert_eq!(greeting("Hello", " Ann ").expect("a name"), "Hello, Ann!");
    }

    #[test]
    fn an_empty_name_is_refused() {
        assert!(matches!(greeting("Hello", " "), Err(Error::InvalidArgument(_))));
    }
}
