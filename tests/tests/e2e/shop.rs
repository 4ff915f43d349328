//! The shop in `examples/shop`: three services that call one another by typed imports, with the settings
//! that its README runs.

use std::fs;

use e2e::host::{Host, Start};
use e2e::{guests, program};
use serde_json::{Value, json};

const PLACE: &str = "shop.orders.Orders/Place";
const TRACK: &str = "shop.orders.Orders/Track";

/// The example's settings, with the components that were built for the tests.
fn settings() -> String {
    let text = fs::read_to_string(program::root().join("examples/shop/microhost.toml")).expect("the shop has settings");
    guests::shop().iter().fold(text, |text, (name, component)| {
        replaced(&text, &format!("component = {name:?}"), &format!("component = {:?}", component.display().to_string()))
    })
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} in {text}");
    text.replace(from, to)
}

async fn shop() -> Host {
    Start::settings(&settings()).ready().await
}

fn cart(order: &str, sku: &str, count: u32, card: &str) -> Value {
    json!({ "order": order, "lines": [{ "sku": sku, "count": count }], "card": card })
}

/// How many of an item are left.
async fn left(host: &Host, sku: &str) -> u64 {
    let items = host.call("shop.inventory.Stock/Items", &json!({})).ok().await;
    let item = items["value"].as_array().and_then(|items| items.iter().find(|item| item["sku"] == sku)).cloned();
    item.and_then(|item| item["left"].as_u64()).unwrap_or_else(|| panic!("no {sku} in {items}"))
}

#[tokio::test]
async fn an_order_goes_through_all_three_services() {
    let host = shop().await;
    let placed = host.call(PLACE, &cart("a-1", "mug", 2, "4111")).ok().await;
    let total = json!({ "currency": "EUR", "units": "2580" });
    assert_eq!(placed, json!({ "order": "a-1", "charge": "ch-1", "total": total, "note": "Thank you!" }));
    assert_eq!(host.call(PLACE, &cart("a-1", "mug", 2, "4111")).ok().await["charge"], "ch-1", "the same order is placed once");
    assert_eq!(left(&host, "mug").await, 18);
    // What one service charged, the other door of payments knows.
    let line = json!({ "order": "a-1", "amount": total });
    let (differences, _) = host.streams().await.all("shop.payments.v1.Payments/Reconcile", &[line]).await;
    assert_eq!(differences[0]["none"], true, "{differences:?}");
}

#[tokio::test]
async fn what_one_service_refuses_the_customer_is_told_and_nothing_is_taken() {
    let host = shop().await;
    for (cart, code, message) in [
        (cart("a-1", "teapot", 9, "4111"), "failed_precondition", "there are 3 of teapot left"),
        (cart("a-2", "fork", 1, "4111"), "not_found", "there is no item \"fork\""),
        (cart("a-3", "teapot", 1, ""), "failed_precondition", "the card was declined"),
    ] {
        let failure = host.call(PLACE, &cart).fails().await;
        assert_eq!((failure.code.as_str(), failure.message.as_str()), (code, message), "{failure:?}");
    }
    assert_eq!(left(&host, "teapot").await, 3);
}

#[tokio::test]
async fn a_stream_of_one_service_comes_through_another() {
    let host = shop().await;
    host.call(PLACE, &cart("a-1", "mug", 1, "4111")).ok().await;
    let mut streams = host.streams().await;
    let mut track = streams.open_done(TRACK, &[json!({ "order": "a-1" })]).await;
    assert_eq!(track.next().await.expect("what was")["state"], "STATE_CHARGED");
    let (settled, _) = host.streams().await.all("shop.payments.v1.Payments/Settle", &[json!({ "charge": "ch-1" })]).await;
    assert_eq!(settled[0]["settled"], 1, "{settled:?}");
    assert_eq!(track.next().await.expect("what is now")["state"], "STATE_SETTLED");
    assert_eq!(track.end().await.status, 0);

    let lines = [json!({ "sku": "mug", "count": 5 }), json!({ "sku": "fork", "count": 5 })];
    let (pieces, _) = host.streams().await.all("shop.inventory.Stock/Restock", &lines).await;
    assert_eq!((pieces[0]["value"].as_u64(), left(&host, "mug").await), (Some(5), 24));
}

#[tokio::test]
async fn without_its_grant_a_service_is_refused_with_what_to_write() {
    let host = Start::settings(&replaced(&settings(), "calls = [\"shop.payments.Payment/Charge\"]", "")).ready().await;
    let failure = host.call(PLACE, &cart("a-1", "mug", 1, "4111")).fails().await;
    assert_eq!(failure.code, "unavailable", "inventory does not run, and the others do: {failure:?}");
    let log = host.log().lines().join("\n");
    assert!(log.contains("shop.payments.Payment") && log.contains("[service.inventory.grants]"), "{log}");
}

#[tokio::test]
async fn orders_is_swapped_while_it_runs() {
    let host = shop().await;
    host.call(PLACE, &cart("a-1", "mug", 1, "4111")).ok().await;
    let mut streams = host.streams().await;
    let mut track = streams.open_done(TRACK, &[json!({ "order": "a-1" })]).await;
    assert!(track.next().await.is_some());
    let [(_, orders), ..] = guests::shop();
    host.admin(["swap".as_ref(), "orders".as_ref(), orders.as_os_str()]).run().await.succeeded();
    // The old version still tells, and the new one takes orders.
    assert_eq!(host.call(PLACE, &cart("a-2", "mug", 1, "4111")).ok().await["charge"], "ch-2");
    host.streams().await.all("shop.payments.v1.Payments/Settle", &[json!({ "charge": "ch-1" })]).await;
    assert_eq!(track.next().await.expect("what is now")["state"], "STATE_SETTLED");
}

#[test]
fn the_copies_of_an_interface_say_the_same() {
    let shop = program::root().join("examples/shop");
    let text = |path: &str| fs::read_to_string(shop.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    for (copy, own) in [
        ("inventory/wit/deps/shop-payments/payment.wit", "payments/wit/payment.wit"),
        ("orders/wit/deps/shop-payments/payment.wit", "payments/wit/payment.wit"),
        ("orders/wit/deps/shop-inventory/stock.wit", "inventory/wit/stock.wit"),
    ] {
        assert_eq!(text(copy), text(own), "{copy}");
    }
}
