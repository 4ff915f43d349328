//! The pages by which a balancer or an orchestrator asks how the host is. They are open to all, so they tell
//! names and no reasons: those may be of a service's own words.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use url::form_urlencoded;

use super::{ApiBody, Overview, Phase, Snapshot, json, problem};

/// How long a part of the host may take to answer. Whoever asks may well be less patient, and takes no answer
/// for a bad one, too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the host is to be started again, as a part of it hangs.
pub(super) async fn live(overview: &Overview) -> Response<ApiBody> {
    let alive = match overview.vitals.get() {
        Some(vitals) => vitals.alive(PATIENCE).await,
        None => Ok(()),
    };
    match alive {
        Ok(()) => json(StatusCode::OK, &json!({ "status": "live" })),
        Err(why) => json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "hangs", "why": why })),
    }
}

/// Whether calls are welcome: of the host, or of the service that the query names.
pub(super) async fn ready(overview: &Arc<Overview>, head: &Parts) -> Response<ApiBody> {
    let mut query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let service = match query.next() {
        None => None,
        Some((name, value)) if name == "service" => Some(value),
        Some((name, _)) => return problem(StatusCode::BAD_REQUEST, &format!("unknown {name:?} in the query; it takes service")),
    };
    let able = match overview.vitals.get() {
        Some(vitals) => vitals.able(PATIENCE).await,
        None => Ok(()),
    };
    let snapshot = overview.health.snapshot();
    let status = |ready: bool| if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match service {
        None => {
            let state = if able.is_err() && snapshot.is_ready() { "unable" } else { snapshot.phase.name() };
            json(status(able.is_ok() && snapshot.is_ready()), &host(&snapshot, state))
        }
        Some(service) => match serves(&snapshot, &service) {
            Some(serves) => {
                let ready = serves && able.is_ok();
                json(status(ready), &json!({ "service": service, "status": if ready { "serving" } else { "not_serving" } }))
            }
            None => problem(StatusCode::NOT_FOUND, &format!("no service {service:?} is known")),
        },
    }
}

/// Whether a service serves, by its name in the settings or a full name; `None` for one that is not known.
fn serves(snapshot: &Snapshot, name: &str) -> Option<bool> {
    match snapshot.standings.get(name) {
        Some(standing) => Some(snapshot.phase != Phase::Draining && standing.is_well()),
        None if snapshot.failed.contains(name) => Some(false),
        None => snapshot.serving(name),
    }
}

fn host(snapshot: &Snapshot, state: &str) -> serde_json::Value {
    let services: serde_json::Map<_, _> =
        snapshot.services.iter().map(|(name, serving)| (name.clone(), json!(if *serving { "serving" } else { "not_serving" }))).collect();
    json!({
        "status": state,
        "services": services,
        "failed": snapshot.failed,
        "unwell": snapshot.unwell().collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use http_body_util::BodyExt;

    use super::*;
    use crate::admin::Standing;

    /// A host of which nothing answers, or nothing but its disks hangs.
    struct Ill {
        alive: bool,
    }

    impl super::super::Vitals for Ill {
        fn alive(&self, _: Duration) -> BoxFuture<'_, Result<(), String>> {
            let alive = if self.alive { Ok(()) } else { Err("lane 0 hangs".to_owned()) };
            Box::pin(std::future::ready(alive))
        }

        fn able(&self, _: Duration) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(std::future::ready(Err("a disk hangs".to_owned())))
        }
    }

    fn overview() -> Arc<Overview> {
        let overview = Overview::new(Arc::default(), Arc::default(), Arc::default());
        overview.health.enter(Phase::Ready);
        let unwell = Standing { said: Some("secret".into()), ..Standing::default() };
        overview.health.replace("a", [].into_iter(), ["x.A"].into_iter(), unwell);
        overview.health.replace("b", [].into_iter(), ["x.B"].into_iter(), Standing::default());
        overview.health.miss("c", true);
        Arc::new(overview)
    }

    async fn told(overview: &Arc<Overview>, query: &str) -> (u16, String) {
        let (head, ()) = http::Request::get(format!("/_microhost/health/ready{query}")).body(()).expect("valid").into_parts();
        let response = ready(overview, &head).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("it is whole").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_host_is_ready_whatever_a_service_says_and_each_service_by_itself() {
        let overview = overview();
        let (status, text) = told(&overview, "").await;
        assert!(status == 200 && text.contains("\"unwell\":[\"a\"]") && !text.contains("secret"), "{text}");
        for (service, expected) in [("a", 503), ("x.A", 503), ("b", 200), ("x.B", 200), ("c", 503), ("d", 404)] {
            assert_eq!(told(&overview, &format!("?service={service}")).await.0, expected, "{service}");
        }
        assert_eq!(told(&overview, "?servce=a").await.0, 400);
        overview.health.enter(Phase::Draining);
        assert_eq!((told(&overview, "").await.0, told(&overview, "?service=b").await.0), (503, 503));
    }

    #[tokio::test]
    async fn a_host_whose_disk_hangs_is_live_and_not_ready_and_one_that_hangs_is_neither() {
        for alive in [true, false] {
            let overview = overview();
            overview.look_after(Arc::new(Ill { alive }));
            assert_eq!(live(&overview).await.status() == StatusCode::OK, alive);
            let (status, text) = told(&overview, "").await;
            assert!(status == 503 && text.contains("unable"), "{text}");
            assert_eq!(told(&overview, "?service=b").await.0, 503);
        }
    }
}
