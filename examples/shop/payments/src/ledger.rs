//! The charges, and what has happened to them. They are in the memory of the instance and gone with
//! it: an example, and no bank.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::SystemTime;

use crate::proto::shop::payments::v1::{Money, PaymentEvent, State};

/// The ledger takes no more charges than this.
pub const MAX_CHARGES: usize = 10_000;

/// A charge of one order.
#[derive(Clone)]
pub struct Charge {
    pub id: String,
    pub order: String,
    pub amount: Money,
    pub state: State,
}

/// All charges, in the order in which they came.
#[derive(Default)]
struct Ledger {
    charges: Vec<Charge>,
    by_order: HashMap<String, usize>,
    /// What happened, at most twice to each charge: it as it was then, and when.
    events: Vec<(Charge, SystemTime)>,
    /// Calls that wait for the next event.
    waiting: Vec<Waker>,
}

thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

impl Ledger {
    fn tell(&mut self, index: usize) {
        self.events.push((self.charges[index].clone(), SystemTime::now()));
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// The charge of an order; a new one where there is none yet, and none where the ledger is full.
pub fn charge(order: String, amount: Money) -> Option<Charge> {
    LEDGER.with_borrow_mut(|ledger| {
        if let Some(&index) = ledger.by_order.get(&order) {
            return Some(ledger.charges[index].clone());
        }
        let index = ledger.charges.len();
        if index == MAX_CHARGES {
            return None;
        }
        let charge = Charge { id: format!("ch-{}", index + 1), order: order.clone(), amount, state: State::Charged };
        ledger.charges.push(charge.clone());
        ledger.by_order.insert(order, index);
        ledger.tell(index);
        Some(charge)
    })
}

/// Settles the charge of this name, if there is one; tells whether it had not been settled before.
pub fn settle(id: &str) -> Option<(Charge, bool)> {
    LEDGER.with_borrow_mut(|ledger| {
        let index = ledger.charges.iter().position(|charge| charge.id == id)?;
        let charge = &mut ledger.charges[index];
        let settles = charge.state == State::Charged;
        if settles {
            charge.state = State::Settled;
            ledger.tell(index);
        }
        Some((ledger.charges[index].clone(), settles))
    })
}

/// The charge of an order.
pub fn of_order(order: &str) -> Option<Charge> {
    LEDGER.with_borrow(|ledger| ledger.by_order.get(order).map(|&index| ledger.charges[index].clone()))
}

/// How many charges there are.
pub fn count() -> usize {
    LEDGER.with_borrow(|ledger| ledger.charges.len())
}

/// The event at a place, which may not have happened yet.
pub fn event(place: usize) -> Option<PaymentEvent> {
    LEDGER.with_borrow(|ledger| {
        let (charge, at) = ledger.events.get(place)?;
        let Charge { id, order, amount, state } = charge.clone();
        Some(PaymentEvent { order, charge: id, state: state.into(), amount: Some(amount), at: Some((*at).into()) })
    })
}

/// The charge that the event at a place happened to, as it was then.
pub fn change(place: usize) -> Option<Charge> {
    LEDGER.with_borrow(|ledger| ledger.events.get(place).map(|(charge, _)| charge.clone()))
}

/// Waits until the event at a place has happened.
pub async fn happened(place: usize) {
    poll_fn(|cx| {
        LEDGER.with_borrow_mut(|ledger| {
            if place < ledger.events.len() {
                return Poll::Ready(());
            }
            ledger.waiting.retain(|waker| !waker.will_wake(cx.waker()));
            ledger.waiting.push(cx.waker().clone());
            Poll::Pending
        })
    })
    .await;
}
