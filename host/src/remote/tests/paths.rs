//! Hosts with several addresses.

use super::*;

/// An address where nobody listens.
async fn closed() -> Address {
    listener().await.1
}

/// A host that echoes, and how many connections it has taken.
async fn answering() -> (Address, Arc<AtomicUsize>) {
    let (listener, address) = listener().await;
    (address, serve(listener))
}

fn serve(listener: TcpListener) -> Arc<AtomicUsize> {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            count.fetch_add(1, SeqCst);
            tokio::spawn(echo(socket));
        }
    });
    accepted
}

#[tokio::test]
async fn a_call_goes_by_the_first_address_that_answers_and_none_fails_for_the_others() {
    // The second one takes connections and says nothing, as a network does that drops packets.
    let (silent, hung) = listener().await;
    let (works, accepted) = answering().await;
    let calls = Calls::start(Patience::default());
    let channel = calls.remote.channel(&[closed().await, hung, works]).expect("of use");
    for _ in 0..3 {
        assert_eq!(call(&channel, "abc").await.expect("answered").body, "abc".into());
    }
    assert_eq!(accepted.load(SeqCst), 1, "what works is used from then on");
    drop(silent);
}

#[tokio::test]
async fn the_best_address_is_used_where_all_work() {
    let ((one, first), (other, second)) = (answering().await, answering().await);
    let calls = Calls::start(Patience::default());
    let channel = calls.remote.channel(&[one.clone(), other.clone()]).expect("of use");
    call(&channel, "abc").await.expect("answered");
    assert_eq!((first.load(SeqCst), second.load(SeqCst)), (1, 0));
    assert!(Arc::ptr_eq(&channel, &calls.remote.channel(&[one, other]).expect("of use")));
}

#[tokio::test]
async fn who_answers_at_no_address_has_not_seen_the_call_and_each_is_named() {
    let (one, other) = (closed().await, closed().await);
    let calls = Calls::start(Patience::default());
    let channel = calls.remote.channel(&[one.clone(), other.clone()]).expect("of use");
    let status = call(&channel, "abc").await.expect_err("nobody is there");
    assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
    let cause = status.cause().expect("a cause").to_string();
    assert!(cause.contains(&one.to_string()) && cause.contains(&other.to_string()), "{cause}");
}

#[tokio::test]
async fn a_deadline_ends_the_wait_for_any_of_the_addresses() {
    let (silent, hung) = listener().await;
    let calls = Calls::start(Patience::default());
    let channel = calls.remote.channel(&[hung, closed().await]).expect("of use");
    let deadline = Instant::now() + Duration::from_millis(50);
    let status = within(channel.call("/t.Test/Echo", request("a", Some(deadline)))).await.expect_err("too late");
    assert_eq!((status.code(), status.is_unseen()), (Code::DeadlineExceeded, true), "{status:?}");
    drop(silent);
}

#[tokio::test]
async fn an_address_that_is_better_is_used_again_when_it_works() {
    let better = closed().await;
    let Address::Tcp { port, .. } = better else { unreachable!("a port") };
    let (works, _) = answering().await;
    let calls = Calls::start(Patience::default());
    let channel = calls.remote.channel(&[better, works]).expect("of use");
    call(&channel, "abc").await.expect("answered");
    let accepted = serve(TcpListener::bind(("127.0.0.1", port)).await.expect("nobody has taken it"));
    within(async {
        while accepted.load(SeqCst) == 0 {
            call(&channel, "abc").await.expect("answered");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn addresses_of_no_use_here_are_passed_over() {
    let calls = Calls::start(Patience::default());
    let of_nats: Address = "nats:microhost.a.host.b".parse().expect("an address");
    assert!(calls.remote.channel(std::slice::from_ref(&of_nats)).is_none());
    let (works, _) = answering().await;
    let channel = calls.remote.channel(&[of_nats, works]).expect("of use");
    assert_eq!(call(&channel, "abc").await.expect("answered").body, "abc".into());
}
