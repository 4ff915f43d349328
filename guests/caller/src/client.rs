//! A generated client against the service `payments` of the shop.

use microhost_sdk::proto::{Failure, Host};
use serde::Serialize;

use crate::proto::shop::payments::v1::difference::Kind;
use crate::proto::shop::payments::v1::{ChargeRequest, Line, Money, PaymentsClient, Settlement, WatchRequest};

/// What came of a call of each method.
#[derive(Serialize)]
pub struct Outcome {
    charge: String,
    declined: Vec<String>,
    settled: u32,
    sum: i64,
    agrees: Vec<bool>,
    states: Vec<i32>,
}

fn money(units: i64) -> Option<Money> {
    Some(Money { currency: "EUR".to_owned(), units })
}

/// Charges, settles, compares and watches.
pub async fn shop() -> Result<Outcome, Failure> {
    let client = PaymentsClient::new(Host::new().metadata("x-shop", "caller"));
    let order = |order: &str, card: &str| ChargeRequest { order: order.to_owned(), amount: money(5), card: card.to_owned() };
    let charge = client.charge(&order("a", "4111")).await?.charge;
    let declined = match client.charge(&order("b", "")).await {
        Ok(_) => Vec::new(),
        Err(failure) => failure.details.into_iter().map(|detail| detail.type_name).collect(),
    };

    let (mut sender, receiver) = client.settle().await?;
    for charge in [&charge, "ch-99"] {
        sender.send(&Settlement { charge: charge.to_owned() }).await?;
    }
    drop(sender);
    let settled = receiver.only().await?;

    let (mut sender, mut receiver) = client.reconcile().await?;
    let mut agrees = Vec::new();
    for units in [5, 6] {
        sender.send(&Line { order: "a".to_owned(), amount: money(units) }).await?;
        let difference = receiver.next().await?.ok_or_else(|| Failure::internal("no answer to a line"))?;
        agrees.push(matches!(difference.kind, Some(Kind::None(_))));
    }
    drop(sender);

    let mut states = Vec::new();
    let mut events = client.watch(&WatchRequest { orders: Vec::new(), only_past: true }).await?;
    while let Some(event) = events.next().await? {
        states.push(event.state);
    }
    let sum = settled.sums.get("EUR").copied().unwrap_or_default();
    Ok(Outcome { charge, declined, settled: settled.settled, sum, agrees, states })
}
