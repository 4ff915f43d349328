//! The interface `shop:payments/payment`: the same charges, for services that import it.

use microhost_sdk::spawn;
use microhost_sdk::wit_bindgen::StreamReader;

use crate::exports::shop::payments::payment::{Error, Guest, Money, Receipt, State};
use crate::ledger;
use crate::payments::{self, Refused};
use crate::proto::shop::payments::v1 as proto;
use crate::wit_stream;

pub struct Till;

impl Guest for Till {
    async fn charge(order: String, amount: Money, card: String) -> Result<Receipt, Error> {
        let amount = proto::Money { currency: amount.currency, units: amount.units };
        let charge = payments::charge(order, Some(amount), &card)?;
        Ok(receipt(charge))
    }

    async fn watch(order: String) -> StreamReader<Receipt> {
        let (mut writer, receipts) = wit_stream::new();
        spawn(async move {
            let mut place = 0;
            loop {
                ledger::happened(place).await;
                if let Some(charge) = ledger::change(place).filter(|charge| charge.order == order) {
                    let settled = charge.state == proto::State::Settled;
                    // The reader may have gone.
                    if writer.write_one(receipt(charge)).await.is_some() || settled {
                        return;
                    }
                }
                place += 1;
            }
        });
        receipts
    }
}

fn receipt(charge: ledger::Charge) -> Receipt {
    let ledger::Charge { id, order, amount, state } = charge;
    let state = if state == proto::State::Settled { State::Settled } else { State::Charged };
    Receipt { order, charge: id, amount: Money { currency: amount.currency, units: amount.units }, state }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        match refused {
            Refused::Invalid(why) => Error::InvalidArgument(why.to_owned()),
            Refused::Declined => Error::FailedPrecondition("the card was declined".to_owned()),
            Refused::Full => Error::ResourceExhausted("the ledger is full".to_owned()),
        }
    }
}
