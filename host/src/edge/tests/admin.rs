//! What a host tells of itself, over the wire: health, reflection, metrics.

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::*;

async fn channel(edge: &TestEdge) -> tonic::transport::Channel {
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{}", edge.address())).expect("valid");
    within(endpoint.connect()).await.expect("the edge accepts")
}

fn descriptors() -> FileDescriptorSet {
    let method = MethodDescriptorProto {
        name: Some("Echo".into()),
        input_type: Some(".t.In".into()),
        output_type: Some(".t.Out".into()),
        ..Default::default()
    };
    let message = |name: &str| DescriptorProto { name: Some(name.into()), ..Default::default() };
    let file = FileDescriptorProto {
        name: Some("t.proto".into()),
        package: Some("t".into()),
        message_type: vec![message("In"), message("Out")],
        service: vec![ServiceDescriptorProto { name: Some("Test".into()), method: vec![method], ..Default::default() }],
        syntax: Some("proto3".into()),
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }
}

async fn reflect(edge: &TestEdge, request: MessageRequest) -> MessageResponse {
    let mut client = ServerReflectionClient::new(channel(edge).await);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut replies = within(client.server_reflection_info(futures::stream::iter([request]))).await.expect("a stream").into_inner();
    let reply: ServerReflectionResponse = within(replies.message()).await.expect("a reply").expect("a reply");
    reply.message_response.expect("a response")
}

#[tokio::test]
async fn reflection_follows_what_is_served() {
    let edge = TestEdge::start();
    let names = async || match reflect(&edge, MessageRequest::ListServices(String::new())).await {
        MessageResponse::ListServicesResponse(list) => list.service.into_iter().map(|service| service.name).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert!(!names().await.contains(&"t.Test".to_owned()));
    edge.overview.catalog.set("test", descriptors()).expect("valid");
    let now = names().await;
    for service in ["t.Test", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(now.contains(&service.to_owned()), "{now:?}");
    }
    match reflect(&edge, MessageRequest::FileContainingSymbol("t.Test.Echo".into())).await {
        MessageResponse::FileDescriptorResponse(files) => {
            let file = FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).expect("a descriptor");
            assert_eq!(file, descriptors().file[0]);
        }
        other => panic!("{other:?}"),
    }
    edge.overview.catalog.remove("test");
    assert!(!names().await.contains(&"t.Test".to_owned()));
}

#[tokio::test]
async fn health_is_checked_in_every_protocol() {
    let edge = TestEdge::start();
    let mut client = HealthClient::new(channel(&edge).await);
    for (service, expected) in
        [("", Ok(ServingStatus::Serving)), ("t.Test", Ok(ServingStatus::Serving)), ("t.None", Err(tonic::Code::NotFound))]
    {
        let reply = within(client.check(HealthCheckRequest { service: service.into() })).await;
        assert_eq!(reply.map(|reply| reply.into_inner().status()).map_err(|status| status.code()), expected, "{service:?}");
    }
    let request = Request::post("/grpc.health.v1.Health/Check").header("host", "t").header("content-type", "application/json");
    let answer = edge.send(request.body("{\"service\":\"t.Test\"}".into()).expect("valid")).await;
    assert_eq!((answer.status(), answer.json()["status"].as_str()), (200, Some("SERVING")));
}

#[tokio::test]
async fn a_watcher_of_health_hears_of_changes_and_of_the_end() {
    let edge = TestEdge::start();
    let mut client = HealthClient::new(channel(&edge).await);
    let mut states = within(client.watch(HealthCheckRequest { service: "t.Later".into() })).await.expect("a stream").into_inner();
    let mut next = async || within(states.message()).await.expect("no error").map(|state| state.status());
    assert_eq!(next().await, Some(ServingStatus::ServiceUnknown));
    edge.overview.health.set("t.Later", true);
    assert_eq!(next().await, Some(ServingStatus::Serving));
    edge.overview.health.set("t.Later", false);
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    assert!(within(edge.serving.drain(LIMIT)).await);
    assert_eq!((next().await, next().await), (Some(ServingStatus::NotServing), None));
}

#[tokio::test]
async fn the_pages_are_served() {
    let edge = TestEdge::start();
    edge.overview.catalog.set("test", descriptors()).expect("valid");
    edge.send(post(Version::HTTP_11, "Fail", "application/json", &[], "aborted")).await;
    let metrics = edge.send(get("/_microhost/metrics")).await;
    let text = String::from_utf8(metrics.body.to_vec()).expect("text");
    assert!(text.contains("microhost_calls_total{service=\"t.Test\",endpoint=\"Fail\",code=\"aborted\"} 1"), "{text}");
    let services = edge.send(get("/_microhost/services")).await.json();
    let echo = &services["services"][0]["methods"][0];
    assert_eq!((echo["name"].as_str(), echo["input"].as_str(), echo["output"].as_str()), (Some("Echo"), Some("t.In"), Some("t.Out")));
    assert_eq!(edge.send(get("/_microhost/health/ready")).await.status(), 200);
    edge.overview.health.enter(Phase::Starting);
    assert_eq!(edge.send(get("/_microhost/health/ready")).await.status(), 503);
    assert_eq!(edge.send(get("/_microhost/health/live")).await.status(), 200);
}

/// Answers as an endpoint of every kind, whatever is called.
struct All;

impl rpc::Gateway for All {
    fn endpoint(&self, service: &str, method: &str) -> Served {
        let endpoint = Endpoint { service: service.into(), method: method.into(), safe: false, kind: None };
        Served { endpoint, handler: Arc::new(Echo), stats: Arc::default(), max_request: MAX_REQUEST }
    }
}

#[tokio::test]
async fn a_gateway_for_all_the_rest_leaves_the_host_its_own() {
    let edge = TestEdge::start();
    edge.overview.router.set_gateway("all", &[], Arc::new(All)).expect("free");
    let post = |path: &'static str| {
        let mut request = post(Version::HTTP_11, "", "application/json", &[], "{}");
        *request.uri_mut() = path.parse().expect("valid");
        edge.send(request)
    };
    assert_eq!(post("/any.Service/Method").await.body, "{}");
    assert_eq!(post("/grpc.health.v1.Health/Check").await.body, "{\"status\":\"SERVING\"}");
    assert_eq!(post("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").await.status(), 404);
    assert_eq!(post("/_microhost/metrics").await.status(), 405);
    let metrics = edge.send(get("/_microhost/metrics")).await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"), "{metrics:?}");
    assert!(matches!(reflect(&edge, MessageRequest::ListServices(String::new())).await, MessageResponse::ListServicesResponse(_)));
}
