//! What a service may call of other services, as the user writes it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// What a service may call: `shop.payments.Payment`, `shop.payments.Payment/Charge`, or `*` for
/// everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallGrant {
    /// The service's full name; none for every service.
    service: Option<Box<str>>,
    /// One of its methods; none for all.
    method: Option<Box<str>>,
}

impl CallGrant {
    /// Whether it allows to call a method such as `Charge` of `shop.payments.Payment`.
    pub fn covers(&self, service: &str, method: &str) -> bool {
        self.service.as_ref().is_none_or(|granted| **granted == *service) && self.method.as_ref().is_none_or(|granted| **granted == *method)
    }
}

impl fmt::Display for CallGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service.as_deref().unwrap_or("*"))?;
        self.method.as_ref().map_or(Ok(()), |method| write!(f, "/{method}"))
    }
}

impl FromStr for CallGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<CallGrant, String> {
        if text == "*" {
            return Ok(CallGrant { service: None, method: None });
        }
        let (service, method) = match text.split_once('/') {
            Some((service, method)) => (service, Some(method)),
            None => (text, None),
        };
        if let Some(named) = of_wit(text) {
            return Err(format!("{text:?} is WIT's name of it; write \"{named}\""));
        }
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !service.split('.').all(word) || !method.is_none_or(word) {
            return Err(format!(
                "expected a service such as shop.payments.Payment, one of its methods such as shop.payments.Payment/Charge, or *, got {text:?}"
            ));
        }
        Ok(CallGrant { service: Some(service.into()), method: method.map(Into::into) })
    }
}

/// The full name of the service that an interface in WIT's spelling is: `shop:payments/payment@1.2.0`
/// is `shop.payments.Payment`.
fn of_wit(interface: &str) -> Option<String> {
    let (package, rest) = interface.split_once('/')?;
    let (namespace, package) = package.split_once(':')?;
    let (name, version) = rest.split_once('@').unwrap_or((rest, ""));
    let kebab = |text: &str| !text.is_empty() && text.split('-').all(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if ![namespace, package, name].into_iter().all(kebab) || version.contains('/') {
        return None;
    }
    let capital =
        |word: &str| word.get(..1).unwrap_or_default().to_ascii_uppercase() + &word.get(1..).unwrap_or_default().to_ascii_lowercase();
    let pascal: String = name.split('-').map(capital).collect();
    Some(format!("{}.{}.{pascal}", namespace.replace('-', "_"), package.replace('-', "_")))
}

impl CallGrant {
    /// Reads a list of services that may come later, which is of whole services.
    pub(super) fn services<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CallGrant>, D::Error> {
        let late = Vec::<CallGrant>::deserialize(deserializer)?;
        late.iter().try_for_each(CallGrant::whole).map_err(serde::de::Error::custom)?;
        Ok(late)
    }

    /// Refuses a grant of one method where a whole service is meant.
    fn whole(&self) -> Result<(), String> {
        match (&self.service, &self.method) {
            (Some(service), Some(_)) => Err(format!("a service comes late as a whole: write \"{service}\" for \"{self}\"")),
            _ => Ok(()),
        }
    }

    /// Reads a service that may come later, or `*`.
    pub fn parse_late(text: &str) -> Result<CallGrant, String> {
        let grant: CallGrant = text.parse()?;
        grant.whole().map(|()| grant)
    }
}

impl<'de> Deserialize<'de> for CallGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CallGrant, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_a_service_a_method_or_everything() {
        let grant = |text: &str| text.parse::<CallGrant>().expect(text);
        for text in ["*", "shop.payments.Payment", "shop.payments.Payment/Charge"] {
            assert_eq!(grant(text).to_string(), text);
            assert!(grant(text).covers("shop.payments.Payment", "Charge"), "{text}");
        }
        assert!(!grant("shop.payments.Payment/Charge").covers("shop.payments.Payment", "Refund"));
        assert!(!grant("shop.payments.Payment").covers("shop.payments.Payments", "Charge"));
    }

    #[test]
    fn what_names_no_service_is_refused() {
        for text in ["", "/", "a/", "/a", "a//b", "a/b/c", "shop:payments/payment@1.0.0", "a b", "shop.*"] {
            assert!(text.parse::<CallGrant>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn wits_spelling_is_answered_with_the_services_name() {
        for (text, name) in [
            ("shop:payments/payment@1.0.0", "shop.payments.Payment"),
            ("shop:x/y", "shop.x.Y"),
            ("my-shop:stock-keeping/big-store", "my_shop.stock_keeping.BigStore"),
        ] {
            let why = text.parse::<CallGrant>().expect_err(text);
            assert!(why.ends_with(&format!("write \"{name}\"")), "{why}");
        }
    }

    #[test]
    fn a_service_comes_late_as_a_whole() {
        assert!(CallGrant::parse_late("shop.payments.Payment").is_ok() && CallGrant::parse_late("*").is_ok());
        let why = CallGrant::parse_late("shop.payments.Payment/Charge").expect_err("one method");
        assert!(why.contains("write \"shop.payments.Payment\""), "{why}");
    }
}
