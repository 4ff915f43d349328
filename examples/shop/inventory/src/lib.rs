//! Keeps the shelf, and sells from it: nothing leaves before it is paid.

mod shelf;

use exports::shop::inventory::stock::{Error, Guest, Item, Line, Receipt};
use microhost_sdk::spawn;
use microhost_sdk::wit_bindgen::StreamReader;
use shop::payments::payment;

microhost_sdk::service!({ world: "shop:inventory/inventory" });

struct Stock;

impl Guest for Stock {
    async fn items() -> Vec<Item> {
        shelf::items()
    }

    async fn sell(order: String, lines: Vec<Line>, card: String) -> Result<Receipt, Error> {
        if let Some(receipt) = shelf::sold(&order) {
            return Ok(receipt);
        }
        let price = shelf::take(&lines)?;
        // Another service, called as a function of our own.
        match payment::charge(order, price, card).await {
            Ok(receipt) => {
                log::info!(order:% = receipt.order, units = receipt.amount.units; "sold");
                shelf::sell(&receipt);
                Ok(receipt)
            }
            Err(error) => {
                for line in &lines {
                    shelf::put(line);
                }
                Err(error.into())
            }
        }
    }

    async fn restock(mut deliveries: StreamReader<Line>) -> u32 {
        let mut pieces = 0_u32;
        while let Some(line) = deliveries.next().await {
            pieces = pieces.saturating_add(shelf::put(&line));
        }
        pieces
    }

    async fn watch(sku: String) -> StreamReader<u32> {
        let (mut writer, levels) = wit_stream::new();
        spawn(async move {
            let mut told = None;
            while let Some(left) = shelf::left(&sku, told).await {
                told = Some(left);
                // The reader may have gone.
                if writer.write_one(left).await.is_some() {
                    return;
                }
            }
        });
        levels
    }
}

impl From<payment::Error> for Error {
    fn from(error: payment::Error) -> Error {
        match error {
            payment::Error::InvalidArgument(why) => Error::InvalidArgument(why),
            payment::Error::FailedPrecondition(why) => Error::FailedPrecondition(why),
            payment::Error::ResourceExhausted(why) | payment::Error::Unavailable(why) => Error::Unavailable(why),
            payment::Error::DeadlineExceeded(why) => Error::DeadlineExceeded(why),
            payment::Error::Other(why) => Error::Other(why),
        }
    }
}

export!(Stock);
