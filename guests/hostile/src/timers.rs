//! Waits for very many timers at once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use microhost_sdk::spawn;
use microhost_sdk::time::sleep;

/// How many have run out, once all have.
pub async fn wait(count: u32, ms: u32) -> u32 {
    let (time, over) = (Duration::from_millis(ms.into()), Rc::new(Cell::new(0)));
    for _ in 0..count {
        let over = Rc::clone(&over);
        spawn(async move {
            sleep(time).await;
            over.set(over.get() + 1);
        });
    }
    while over.get() < count {
        sleep(time).await;
    }
    over.get()
}
