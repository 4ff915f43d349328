//! Hosts that answer well, badly and not at all, over real sockets.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;

use futures::StreamExt;
use http_body_util::Full;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::registry::conformance::{large, node};
use crate::trust;

/// What anything may take before a test gives up on it.
const LIMIT: Duration = Duration::from_secs(30);

const WAIT: Duration = Duration::from_millis(100);

/// What a host answers, one after the other; the last one again and again.
type Script = Arc<Mutex<VecDeque<Response<Full<Bytes>>>>>;

/// A request as a host got it, and which connection it came by.
type Asked = (usize, http::request::Parts);

fn script(answers: impl IntoIterator<Item = Response<Full<Bytes>>>) -> Script {
    Arc::new(Mutex::new(answers.into_iter().collect()))
}

fn answer(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).expect("valid")
}

fn told(node: &Node) -> Response<Full<Bytes>> {
    answer(200, serde_json::to_vec(node).expect("JSON"))
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(socket: S, number: usize, script: &Script, asked: &mpsc::UnboundedSender<Asked>) {
    let service = service_fn(|request: Request<Incoming>| {
        let _ = asked.send((number, request.into_parts().0));
        let mut script = script.lock().expect("no holder panics");
        let answer = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        async { Ok::<_, Infallible>(answer.expect("a script has an answer")) }
    });
    // Tests end connections as they like.
    let _ = server::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

/// A host that answers by a script, one connection at a time.
struct Scripted {
    address: Address,
    asked: mpsc::UnboundedReceiver<Asked>,
    task: JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    async fn start(script: Script) -> Scripted {
        Scripted::at(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), script)
    }

    fn at(listener: TcpListener, script: Script) -> Scripted {
        let address = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("an address");
        let (sender, asked) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (socket, _) = listener.accept().await.expect("it accepts");
                serve(socket, number, &script, &sender).await;
            }
        });
        Scripted { address, asked, task }
    }

    async fn asked(&mut self) -> Asked {
        timeout(LIMIT, self.asked.recv()).await.expect("it is asked in time").expect("it runs")
    }
}

async fn next(answers: &mut (impl Stream<Item = Result<Told, RegistryError>> + Unpin)) -> Result<Answer, RegistryError> {
    let told = timeout(LIMIT, answers.next()).await.expect("an answer in time").expect("there is no end");
    told.map(|told| told.answer)
}

#[tokio::test]
async fn whom_else_a_host_knows_is_heard_and_said_to_be_known() {
    let page = |peers: &str| {
        let mut page = serde_json::to_value(node("a", 1)).expect("JSON");
        page["peers"] = serde_json::from_str(peers).expect("JSON");
        answer(200, page.to_string())
    };
    let told =
        [page(r#"{"revision":3,"hosts":[{"id":"b","address":"http://b:1"}]}"#), page(r#"{"revision":4}"#), page("7"), answer(304, "")];
    let mut host = Scripted::start(script(told)).await;
    let mut answers = Box::pin(follow(host.address.clone(), WAIT, HeaderMap::new));
    let mut heard = Vec::new();
    for _ in 0..3 {
        let told = timeout(LIMIT, answers.next()).await.expect("an answer in time").expect("no end").expect("it answers");
        heard.push(told.others.map(|others| others.heard().map(|(id, address)| format!("{id} {address}")).collect::<Vec<_>>()));
    }
    assert_eq!(heard, [Some(vec!["b http://b:1".to_owned()]), Some(vec![]), None]);
    next(&mut answers).await.expect("it answers");
    let mut paths = Vec::new();
    for _ in 0..4 {
        paths.push(host.asked().await.1.uri.to_string());
    }
    let after = |peers: &str| format!("/_microhost/node?id=a&after=1&wait=0.1{peers}");
    assert_eq!(paths, [PATH.to_owned(), after("&peers=3"), after("&peers=4"), after("")]);
}

#[tokio::test]
async fn changes_come_over_one_connection_and_say_what_is_known() {
    let (first, second) = (node("a b", 1), node("a b", 2));
    let mut host = Scripted::start(script([told(&first), answer(304, ""), told(&second), answer(410, "")])).await;
    let headers = || HeaderMap::from_iter([(PEER, "b http://127.0.0.1:9".parse().expect("valid"))]);
    let mut answers = Box::pin(follow(host.address.clone(), WAIT, headers));
    assert_eq!(next(&mut answers).await, Ok(Answer::Node(Arc::new(first))));
    assert_eq!(next(&mut answers).await, Ok(Answer::Unchanged));
    assert_eq!(next(&mut answers).await, Ok(Answer::Node(Arc::new(second))));
    assert_eq!(next(&mut answers).await, Ok(Answer::Leaving));
    let mut paths = Vec::new();
    for _ in 0..4 {
        let (connection, head) = host.asked().await;
        assert!(connection == 0 && head.headers[PEER] == "b http://127.0.0.1:9");
        assert_eq!(format!("http://{}", head.headers[HOST].to_str().expect("text")), host.address.to_string());
        paths.push(head.uri.to_string());
    }
    let after = |revision| format!("/_microhost/node?id=a%20b&after={revision}&wait=0.1");
    assert_eq!(paths, [PATH.to_owned(), after(1), after(1), after(2)]);
}

#[tokio::test]
async fn a_host_that_closes_its_connections_is_asked_over_new_ones() {
    let close = |mut response: Response<Full<Bytes>>| {
        response.headers_mut().insert("connection", "close".parse().expect("valid"));
        response
    };
    let mut host = Scripted::start(script([close(told(&node("a", 1))), close(told(&node("a", 2)))])).await;
    let mut answers = Box::pin(follow(host.address.clone(), WAIT, HeaderMap::new));
    for revision in [1, 2] {
        assert!(matches!(next(&mut answers).await, Ok(Answer::Node(node)) if node.revision == revision));
    }
    assert_eq!((host.asked().await.0, host.asked().await.0), (0, 1));
}

#[tokio::test]
async fn a_host_is_found_again_when_it_is_back_and_tells_all_anew() {
    let place = std::net::SocketAddr::from(([127, 0, 0, 1], e2e::free_port()));
    let mut answers = Box::pin(follow(format!("http://{place}").parse().expect("an address"), WAIT, HeaderMap::new));
    assert!(matches!(next(&mut answers).await, Err(RegistryError::Unreachable(..))));
    let host = Scripted::at(TcpListener::bind(place).await.expect("still free"), script([told(&node("a", 7))]));
    loop {
        match next(&mut answers).await {
            Ok(answer) => break assert!(matches!(answer, Answer::Node(node) if node.revision == 7)),
            Err(error) => assert!(error.to_string().contains(&host.address.to_string()), "{error}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_node_is_refused_with_the_reason() {
    let elsewhere = Response::builder().status(307).header("location", "http://127.0.0.1:1/").body(Full::default()).expect("valid");
    let deep = format!("{{\"id\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (answer, reason) in [
        (elsewhere, "nobody is followed elsewhere"),
        (answer(404, "<html>"), "is it a microhost?"),
        (answer(403, r#"{"error":"another\u001b[31m cluster"}"#), r"another\u{1b}[31m cluster"),
        (answer(500, vec![b'x'; MAX_REFUSAL * 2]), "is it a microhost?"),
        (answer(200, "nonsense"), "it tells no node"),
        (answer(200, deep), "it tells no node"),
        (answer(200, vec![b' '; MAX_NODE + 1]), "more than 4194304 bytes"),
        (told(&node("", 1)), "1 to 128 bytes"),
        (told(&node(&"x".repeat(MAX_ID + 1), 1)), "1 to 128 bytes"),
    ] {
        let host = Scripted::start(script([answer])).await;
        let error = timeout(LIMIT, once(&host.address, None, WAIT)).await.expect("in time").expect_err(reason);
        assert!(matches!(&error, RegistryError::Refused(..)) && error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("an address");
    let asked = Instant::now();
    let error = once(&address, None, MAX_WAIT).await.expect_err("nobody answers");
    assert!(matches!(error, RegistryError::Unreachable(..)) && asked.elapsed() < PATIENCE * 3, "{error}");
}

#[tokio::test]
async fn a_large_node_arrives_whole_over_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let listener = UnixListener::bind(&path).expect("free");
    let (expected, (sender, _asked)) = (large("a", 300 << 10), mpsc::unbounded_channel());
    let script = script([told(&expected)]);
    let host = tokio::spawn(async move { serve(listener.accept().await.expect("it accepts").0, 0, &script, &sender).await });
    let answer = timeout(LIMIT, once(&Address::Unix(path), None, WAIT)).await.expect("in time").expect("it answers");
    assert!(answer == Answer::Node(Arc::new(expected)));
    host.abort();
}

#[tokio::test]
async fn a_host_is_asked_by_tls_if_its_certificate_is_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("they fit");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address: Address = format!("https://{}", listener.local_addr().expect("bound")).parse().expect("an address");
    let (sender, _asked) = mpsc::unbounded_channel();
    let script = script([told(&node("a", 1))]);
    let host = tokio::spawn(async move {
        loop {
            // A handshake that fails is the point of one of the connections.
            if let Ok(socket) = acceptor.accept(listener.accept().await.expect("it accepts").0).await {
                serve(socket, 0, &script, &sender).await;
            }
        }
    });
    let trusting = |roots: rustls::RootCertStore| trust::with_roots(Arc::new(roots), &[b"http/1.1"]).expect("a config");
    let mut roots = rustls::RootCertStore::empty();
    let nobody = trusting(roots.clone());
    roots.add(certificate).expect("valid");
    let mut answers = Box::pin(follow_by(Some(nobody), address.clone(), WAIT, HeaderMap::new));
    assert!(matches!(next(&mut answers).await, Err(RegistryError::Unreachable(..))));
    let mut answers = Box::pin(follow_by(Some(trusting(roots)), address, WAIT, HeaderMap::new));
    assert_eq!(next(&mut answers).await, Ok(Answer::Node(Arc::new(node("a", 1)))));
    host.abort();
}
