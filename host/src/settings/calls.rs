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
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !service.split('.').all(word) || !method.is_none_or(word) {
            return Err(format!(
                "expected a service such as shop.payments.Payment, one of its methods such as shop.payments.Payment/Charge, or *, got {text:?}"
            ));
        }
        Ok(CallGrant { service: Some(service.into()), method: method.map(Into::into) })
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
}
