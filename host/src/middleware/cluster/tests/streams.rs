//! Streams, which are never opened twice where anybody may have seen them.

use super::*;

async fn open(shop: &Shop, messages: &[&'static str]) -> Result<Vec<String>, Status> {
    let messages: Vec<Result<Payload, Status>> = messages.iter().map(|message| Ok((*message).into())).collect();
    let request = StreamRequest {
        form: Form::Encoded(Codec::Proto),
        headers: HeaderMap::new(),
        deadline: None,
        caller: Caller::default(),
        // Not even then.
        idempotent: true,
        plan: None,
        messages: Box::pin(stream::iter(messages)),
    };
    let reply = shop.cluster.open("/shop.Stock/Get", request).await?;
    let events: Vec<Event> = reply.events.collect().await;
    Ok(events.into_iter().filter_map(|event| if let Event::Message(message) = event { Some(text(message)) } else { None }).collect())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_saw_is_opened_elsewhere_with_all_its_messages() {
    let shop = Shop::with(&["a", "b", "c"], "").await;
    shop.hosts["a"].does(Does::Refuses);
    shop.hosts["b"].does(Does::Sheds);
    for _ in 0..10 {
        assert_eq!(open(&shop, &["x", "y", "z"]).await.expect("c takes it"), ["c", "x", "y", "z"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_somebody_may_have_seen_is_not_opened_again() {
    let shop = Shop::with(&["a", "b", "c"], "").await;
    shop.all_do(Does::Breaks(10));
    assert_eq!(open(&shop, &["x"]).await.expect_err("it breaks").code(), Code::Unavailable);
    assert_eq!(shop.sum(|host| &host.seen), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_tried_so_often_and_no_more() {
    for (does, tries) in [(Does::Sheds, 2), (Does::Refuses, 4)] {
        let shop = Shop::with(&["a", "b", "c", "d"], "tries = 2").await;
        shop.all_do(does);
        open(&shop, &["x"]).await.expect_err("nobody takes it");
        assert_eq!(shop.sum(|host| &host.came), tries, "tries that meet nobody do not count: {does:?}");
    }
}
