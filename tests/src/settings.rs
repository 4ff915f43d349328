//! Text for `microhost.toml`.

use std::path::Path;

/// A service's section; `rest` are lines of it, and sections below it.
pub fn service(name: &str, component: &Path, rest: &str) -> String {
    // JSON's strings are TOML's basic strings, for the paths that tests have.
    let component = serde_json::Value::from(component.to_str().expect("the tests' paths are UTF-8"));
    format!("[service.{name}]\ncomponent = {component}\n{rest}\n")
}
