//! The service `shop.payments.v1.Payments`.

use std::collections::HashMap;

use microhost_sdk::proto::{Failure, Replies, Requests};

use crate::ledger::{self, Charge};
use crate::proto::shop::payments::v1::difference::Kind;
use crate::proto::shop::payments::v1::{
    ChargeReply, ChargeRequest, Declined, Difference, Line, Money, PaymentEvent, Payments, SettleReply, Settlement, WatchRequest,
};

pub struct Bank;

/// Why an order is not charged.
pub enum Refused {
    Invalid(&'static str),
    Declined,
    Full,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Invalid(why) => Failure::invalid_argument(why),
            Refused::Declined => {
                let declined = Declined { reason: "card_empty".to_owned(), retry: false };
                Failure::failed_precondition("the card was declined").with_detail(&declined)
            }
            Refused::Full => Failure::resource_exhausted("the ledger is full"),
        }
    }
}

/// Charges a card for an order.
pub fn charge(order: String, amount: Option<Money>, card: &str) -> Result<Charge, Refused> {
    let amount = amount.filter(|amount| amount.units > 0 && !amount.currency.is_empty());
    let amount = amount.ok_or(Refused::Invalid("amount: expected a currency and more than 0 units"))?;
    if order.is_empty() {
        return Err(Refused::Invalid("order: expected a name"));
    }
    if card.is_empty() {
        return Err(Refused::Declined);
    }
    let charge = ledger::charge(order, amount).ok_or(Refused::Full)?;
    log::info!(order:% = charge.order, charge:% = charge.id; "charged");
    Ok(charge)
}

impl Payments for Bank {
    async fn charge(request: ChargeRequest) -> Result<ChargeReply, Failure> {
        let charge = charge(request.order, request.amount, &request.card)?;
        Ok(ChargeReply { charge: charge.id, state: charge.state.into() })
    }

    async fn watch(request: WatchRequest, replies: Replies<PaymentEvent>) -> Result<(), Failure> {
        // There may be nothing to tell for long; the caller is told at once that it is heard.
        replies.begin();
        for place in 0.. {
            let event = match ledger::event(place) {
                None if request.only_past => break,
                None => {
                    ledger::happened(place).await;
                    ledger::event(place)
                }
                event => event,
            };
            if let Some(event) = event.filter(|event| request.orders.is_empty() || request.orders.contains(&event.order)) {
                replies.send(event).await?;
            }
        }
        Ok(())
    }

    async fn settle(mut requests: Requests<Settlement>) -> Result<SettleReply, Failure> {
        let mut reply = SettleReply { settled: 0, unknown: Vec::new(), sums: HashMap::new() };
        while let Some(settlement) = requests.next().await? {
            match ledger::settle(&settlement.charge) {
                None => reply.unknown.push(settlement.charge),
                Some((_, false)) => {}
                Some((charge, true)) => {
                    reply.settled += 1;
                    *reply.sums.entry(charge.amount.currency).or_default() += charge.amount.units;
                }
            }
        }
        Ok(reply)
    }

    async fn reconcile(mut requests: Requests<Line>, replies: Replies<Difference>) -> Result<(), Failure> {
        while let Some(line) = requests.next().await? {
            let Some(amount) = line.amount else {
                // An error may follow messages: those sent before it arrive.
                return Err(Failure::invalid_argument(format!("the line of order {:?} has no amount", line.order)));
            };
            let kind = match ledger::of_order(&line.order) {
                None => Kind::Missing(true),
                Some(charge) if charge.amount == amount => Kind::None(true),
                Some(charge) => Kind::Charged(charge.amount),
            };
            replies.send(Difference { order: line.order, kind: Some(kind) }).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use microhost_sdk::Code;

    use super::*;
    use crate::proto::shop::payments::v1::State;

    /// What a call comes to that has nothing to wait for. Each test has a ledger of its own, as each
    /// has a thread.
    fn now<T>(call: impl Future<Output = T>) -> T {
        match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn money(units: i64) -> Money {
        Money { currency: "EUR".to_owned(), units }
    }

    fn charge(order: &str, units: i64) -> Result<ChargeReply, Failure> {
        let request = ChargeRequest { order: order.to_owned(), amount: Some(money(units)), card: "4111".to_owned() };
        now(Bank::charge(request))
    }

    #[test]
    fn an_order_is_charged_once() {
        let first = charge("a", 100).expect("charged");
        assert_eq!(charge("a", 100), Ok(first.clone()));
        assert_ne!(charge("b", 100).expect("charged").charge, first.charge);
    }

    #[test]
    fn what_is_wrong_with_a_charge_is_told() {
        assert_eq!(charge("a", 0).expect_err("nothing to pay").code(), Code::InvalidArgument);
        assert_eq!(charge("", 1).expect_err("no order").message(), "order: expected a name");
        let request = ChargeRequest { order: "a".to_owned(), amount: Some(money(1)), card: String::new() };
        let failure = now(Bank::charge(request)).expect_err("no card");
        assert_eq!(failure.details[0].type_name, "shop.payments.v1.Declined");
    }

    #[test]
    fn settling_sums_up_what_was_not_settled_before() {
        let ids: Vec<String> = [("a", 5), ("b", 7)].map(|(order, units)| charge(order, units).expect("charged").charge).into();
        let list = |ids: &[String]| Requests::of(ids.iter().map(|id| Settlement { charge: id.clone() }).collect::<Vec<_>>());
        now(Bank::settle(list(&ids[..1]))).expect("settled");
        let reply = now(Bank::settle(list(&[ids[0].clone(), ids[1].clone(), "ch-9".to_owned()]))).expect("settled");
        assert_eq!((reply.settled, reply.sums["EUR"], reply.unknown), (1, 7, vec!["ch-9".to_owned()]));

        let replies = Replies::kept();
        now(Bank::watch(WatchRequest { orders: vec!["a".to_owned()], only_past: true }, replies.clone())).expect("it ends");
        let states: Vec<State> = replies.sent().iter().map(PaymentEvent::state).collect();
        assert_eq!(states, [State::Charged, State::Settled]);
    }

    #[test]
    fn each_line_is_answered_and_an_error_may_follow() {
        charge("a", 5).expect("charged");
        let line = |order: &str, amount| Line { order: order.to_owned(), amount };
        let lines = [line("a", Some(money(5))), line("a", Some(money(6))), line("x", Some(money(1))), line("y", None)];
        let replies = Replies::kept();
        let failure = now(Bank::reconcile(Requests::of(lines), replies.clone())).expect_err("the last line is wrong");
        assert!(failure.message().contains("\"y\""), "{failure}");
        let kinds: Vec<Option<Kind>> = replies.sent().into_iter().map(|difference| difference.kind).collect();
        assert_eq!(kinds, [Some(Kind::None(true)), Some(Kind::Charged(money(5))), Some(Kind::Missing(true))]);
    }
}
