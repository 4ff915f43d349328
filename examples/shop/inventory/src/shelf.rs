//! The goods. They are in the memory of the instance and gone with it: an example, and no warehouse.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::exports::shop::inventory::stock::{Error, Item, Line, Money, Receipt};

#[derive(Default)]
struct Shelf {
    items: Vec<Item>,
    /// What was sold, by order.
    sold: HashMap<String, Receipt>,
    /// Calls that wait for a change.
    waiting: Vec<Waker>,
}

thread_local! {
    static SHELF: RefCell<Shelf> = RefCell::new(Shelf {
        items: [("mug", 1290, 20), ("teapot", 4900, 3), ("spoon", 350, 100)].map(|(sku, units, left)| item(sku, units, left)).into(),
        ..Shelf::default()
    });
}

fn item(sku: &str, units: i64, left: u32) -> Item {
    Item { sku: sku.to_owned(), price: Money { currency: "EUR".to_owned(), units }, left }
}

/// All items.
pub fn items() -> Vec<Item> {
    SHELF.with_borrow(|shelf| shelf.items.clone())
}

/// What was sold to an order.
pub fn sold(order: &str) -> Option<Receipt> {
    SHELF.with_borrow(|shelf| shelf.sold.get(order).cloned())
}

/// Notes what was sold to an order.
pub fn sell(receipt: &Receipt) {
    SHELF.with_borrow_mut(|shelf| shelf.sold.insert(receipt.order.clone(), receipt.clone()));
}

/// Takes goods off the shelf, all of them or none; what they cost.
pub fn take(lines: &[Line]) -> Result<Money, Error> {
    if lines.is_empty() || lines.iter().any(|line| line.count == 0) {
        return Err(Error::InvalidArgument("lines: expected goods, and more than 0 of each".to_owned()));
    }
    SHELF.with_borrow_mut(|shelf| {
        let mut items = shelf.items.clone();
        let mut units = 0_i64;
        for Line { sku, count } in lines {
            let item = items.iter_mut().find(|item| item.sku == *sku);
            let item = item.ok_or_else(|| Error::NotFound(format!("there is no item {sku:?}")))?;
            let left = item.left.checked_sub(*count);
            item.left = left.ok_or_else(|| Error::FailedPrecondition(format!("there are {} of {sku} left", item.left)))?;
            units += item.price.units * i64::from(*count);
        }
        shelf.items = items;
        shelf.waiting.drain(..).for_each(Waker::wake);
        Ok(Money { currency: "EUR".to_owned(), units })
    })
}

/// Puts goods on the shelf; how many pieces, none where it has no place for such.
pub fn put(Line { sku, count }: &Line) -> u32 {
    SHELF.with_borrow_mut(|shelf| match shelf.items.iter_mut().find(|item| item.sku == *sku) {
        None => 0,
        Some(item) => {
            item.left = item.left.saturating_add(*count);
            shelf.waiting.drain(..).for_each(Waker::wake);
            *count
        }
    })
}

/// What is left of an item, once that is another number than `before`; none where there is no such item.
pub async fn left(sku: &str, before: Option<u32>) -> Option<u32> {
    poll_fn(|cx| {
        SHELF.with_borrow_mut(|shelf| {
            let Some(item) = shelf.items.iter().find(|item| item.sku == sku) else { return Poll::Ready(None) };
            if Some(item.left) != before {
                return Poll::Ready(Some(item.left));
            }
            shelf.waiting.retain(|waker| !waker.will_wake(cx.waker()));
            shelf.waiting.push(cx.waker().clone());
            Poll::Pending
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, count: u32) -> Line {
        Line { sku: sku.to_owned(), count }
    }

    fn left_of(sku: &str) -> u32 {
        items().iter().find(|item| item.sku == sku).expect("there is one").left
    }

    #[test]
    fn goods_are_taken_together_or_not_at_all() {
        assert_eq!(take(&[line("mug", 2), line("spoon", 4)]).expect("enough").units, 2 * 1290 + 4 * 350);
        assert!(matches!(take(&[line("mug", 1), line("teapot", 9)]), Err(Error::FailedPrecondition(_))));
        assert!(matches!(take(&[line("mug", 1), line("fork", 1)]), Err(Error::NotFound(_))));
        assert!(matches!(take(&[]), Err(Error::InvalidArgument(_))));
        assert_eq!((left_of("mug"), left_of("teapot"), left_of("spoon")), (18, 3, 96));
    }

    #[test]
    fn only_what_has_a_place_is_put_on_the_shelf() {
        assert_eq!((put(&line("mug", 5)), put(&line("fork", 5))), (5, 0));
        assert_eq!(left_of("mug"), 25);
    }
}
