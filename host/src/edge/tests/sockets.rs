//! Sockets of the machine, beside the network and instead of it.

use tokio::net::UnixStream;

use super::*;
use crate::rpc::{Event, Peer, StreamReply};
use crate::settings::Places;

fn listen(paths: &[&std::path::Path]) -> Listen {
    Listen { address: Places { tcp: None, unix: paths.iter().map(|path| (*path).to_owned()).collect() }, ..Listen::default() }
}

async fn send(path: &std::path::Path, request: Request<Bytes>) -> Answer {
    within(send_over(UnixStream::connect(path).await.expect("the edge accepts"), request)).await
}

#[tokio::test]
async fn a_socket_speaks_what_the_network_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = [folder.path().join("a.sock"), folder.path().join("b.sock")];
    let edge = TestEdge::open(PATIENCE, &listen(&[&paths[0], &paths[1]]));
    assert_eq!((edge.serving.address(), edge.serving.sockets()), (None, paths.to_vec()));
    for path in &paths {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let answer = send(path, post(version, "Echo", "application/json", &[], "{}")).await;
            assert_eq!((answer.status(), &answer.body[..]), (200, &b"{}"[..]), "{version:?}");
        }
        let answer = send(path, post(Version::HTTP_2, "Echo", "application/grpc+proto", &[("te", "trailers")], enveloped(0, b"x"))).await;
        assert_eq!((answer.trailer("grpc-status"), &answer.body[..]), ("0", &enveloped(0, b"x")[..]));
        // From here, as loopback is.
        assert_eq!(send(path, get("/_microhost/services")).await.status(), 200);
    }
    edge.all_closed().await;
}

#[tokio::test]
async fn who_calls_by_a_socket_is_known_by_user_and_process() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.sock");
    let edge = TestEdge::open(PATIENCE, &listen(&[&path]));
    let who = Arc::new(std::sync::Mutex::new(None));
    let heard = Arc::clone(&who);
    edge.stream("Who", Some(MethodKind::ServerStream), move |request| {
        *heard.lock().expect("no holder panics") = request.caller.peer;
        let events = futures::stream::iter([Event::End(Ok(HeaderMap::new()))]);
        Box::pin(std::future::ready(Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) })))
    });
    let request = Request::post("http://test/t.Stream/Who").version(Version::HTTP_2).header("content-type", "application/grpc");
    send(&path, request.header("te", "trailers").body(enveloped(0, b"").into()).expect("a valid request")).await;
    // SAFETY: both take nothing and cannot fail.
    let (user, process) = unsafe { (libc::geteuid(), libc::getpid()) };
    assert_eq!(*who.lock().expect("no holder panics"), Some(Peer::Unix { user, process: Some(process) }));
}

#[tokio::test]
async fn a_socket_is_gone_as_soon_as_no_call_is_taken_any_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.sock");
    let mut edge = TestEdge::open(PATIENCE, &listen(&[&path]));
    let socket = UnixStream::connect(&path).await.expect("the edge accepts");
    let call = tokio::spawn(send_over(socket, post(Version::HTTP_11, "Waits", "application/json", &[], "{}")));
    edge.moment().await;
    let drained = edge.serving.drain(LIMIT);
    let mut drained = std::pin::pin!(drained);
    assert!(futures::poll!(&mut drained).is_pending() && !path.exists());
    edge.go.add_permits(1);
    assert_eq!((within(drained).await, call.await.expect("no panic").status()), (true, 200));
}

#[tokio::test]
async fn the_socket_of_a_living_host_is_refused_and_that_of_a_dead_one_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("free"));
    let first = TestEdge::open(PATIENCE, &listen(&[&path]));
    let lanes = Lanes::start(NonZeroUsize::MIN).expect("lanes start");
    let overview = Arc::clone(&first.overview);
    let refused = serve(&listen(&[&path]), overview, None, &lanes).err().expect("it is in use").to_string();
    assert!(refused.contains("a host listens at") && refused.contains("--listen unix:PATH"), "{refused}");
    assert_eq!(send(&path, post(Version::HTTP_11, "Echo", "application/json", &[], "{}")).await.status(), 200);
    lanes.stop(LIMIT);
}
