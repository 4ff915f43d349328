//! Takes orders. It keeps nothing itself, so that it can be replaced at any time: goods are in
//! `inventory`, money is in `payments`.

use exports::shop::orders::orders::{Cart, Confirmation, Error, Guest, Receipt};
use microhost_sdk::wit_bindgen::StreamReader;
use shop::inventory::stock;
use shop::payments::payment;

microhost_sdk::service!({ world: "shop:orders/shop" });

struct Orders;

impl Guest for Orders {
    async fn place(cart: Cart) -> Result<Confirmation, Error> {
        if cart.order.is_empty() {
            return Err(Error::InvalidArgument("order: expected a name".to_owned()));
        }
        // Another service, called as a function of our own; it calls a third one.
        let receipt = stock::sell(cart.order, cart.lines, cart.card).await?;
        log::info!(order:% = receipt.order; "placed");
        Ok(confirmation(receipt))
    }

    async fn track(order: String) -> StreamReader<Receipt> {
        // What the other service writes goes to our own caller, and we are out of its way.
        payment::watch(order).await
    }
}

fn confirmation(receipt: Receipt) -> Confirmation {
    let Receipt { order, charge, amount, .. } = receipt;
    Confirmation { order, charge, total: amount, note: "Thank you!".to_owned() }
}

impl From<stock::Error> for Error {
    fn from(error: stock::Error) -> Error {
        match error {
            stock::Error::InvalidArgument(why) => Error::InvalidArgument(why),
            stock::Error::NotFound(why) => Error::NotFound(why),
            stock::Error::FailedPrecondition(why) => Error::FailedPrecondition(why),
            stock::Error::Unavailable(why) => Error::Unavailable(why),
            stock::Error::DeadlineExceeded(why) => Error::DeadlineExceeded(why),
            stock::Error::Other(why) => Error::Other(why),
        }
    }
}

export!(Orders);

#[cfg(test)]
mod tests {
    use exports::shop::orders::orders::Money;
    use payment::State;

    use super::*;

    #[test]
    fn a_confirmation_tells_what_was_charged() {
        let amount = Money { currency: "EUR".to_owned(), units: 1290 };
        let receipt = Receipt { order: "a-1".to_owned(), charge: "ch-1".to_owned(), amount, state: State::Charged };
        let confirmation = confirmation(receipt);
        assert_eq!((confirmation.charge.as_str(), confirmation.total.units), ("ch-1", 1290));
    }
}
