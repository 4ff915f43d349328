//! Calls as any HTTP client makes them: the Connect protocol's unary form, which is a plain POST.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde_json::{Value, json};

use crate::host::Host;
use crate::http::{Answer, Version, request, send};

/// A unary call in JSON, not sent yet.
pub struct Call<'a> {
    host: &'a Host,
    version: Version,
    request: Request<Bytes>,
}

impl Host {
    /// A call of `endpoint`, `demo.echo.Echo/Echo`, by JSON over HTTP/1.1.
    pub fn call(&self, endpoint: &str, body: &Value) -> Call<'_> {
        let mut request = request("POST", self.address, &format!("/{endpoint}"), body.to_string());
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        Call { host: self, version: Version::One, request }
    }

    /// A GET of a path.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.address, Version::One, request("GET", self.address, path, "")).await
    }
}

impl Call<'_> {
    /// Adds a header; one that is there already is replaced.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().expect("the tests write valid header names");
        let value = HeaderValue::from_bytes(value.as_ref()).expect("the tests write valid header values");
        self.request.headers_mut().insert(name, value);
        self
    }

    /// Sends other bytes instead of the JSON.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Uses another version of HTTP.
    #[must_use]
    pub fn over(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The request itself, to be sent otherwise.
    pub fn into_request(self) -> Request<Bytes> {
        self.request
    }

    /// Sends it.
    pub async fn answer(self) -> Answer {
        send(self.host.address, self.version, self.request).await
    }

    /// Sends it; it has to succeed.
    ///
    /// # Panics
    /// If it does not.
    pub async fn ok(self) -> Value {
        let path = self.request.uri().path().to_owned();
        let answer = self.answer().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Sends it; it has to fail.
    ///
    /// # Panics
    /// If it succeeds, or the error's form is not Connect's.
    pub async fn fails(self) -> Failure {
        let path = self.request.uri().path().to_owned();
        let answer = self.answer().await;
        assert_ne!(answer.status, 200, "{path} should fail: {}", answer.text());
        Failure::of(&answer)
    }
}

/// A call's end in an error.
#[derive(Debug)]
pub struct Failure {
    /// The HTTP status.
    pub http: u16,
    /// The code's name: `not_found`.
    pub code: String,
    /// The message.
    pub message: String,
    /// The details, as they came.
    pub details: Value,
    /// The headers.
    pub headers: HeaderMap,
}

impl Failure {
    /// Reads a Connect error.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn of(answer: &Answer) -> Failure {
        assert_eq!(answer.header("content-type"), "application/json", "an error of a unary call is JSON: {answer:?}");
        let body = answer.json();
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = text("code");
        assert!(!code.is_empty(), "an error has a code: {body}");
        let details = body.get("details").cloned().unwrap_or(json!([]));
        Failure { http: answer.status.as_u16(), code, message: text("message"), details, headers: answer.headers.clone() }
    }
}
