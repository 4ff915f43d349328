//! Calls that are made by the clock, not when others have been answered: callers do not wait for one another.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::Request;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::http::{Answer, Connection};
use crate::soon;

/// How often it is looked which calls are due.
const TICK: Duration = Duration::from_millis(2);

/// Calls at once. More are not made: a machine that does not bear the rate is to be slower, and not to fail.
const MAX_AT_ONCE: usize = 256;

/// Failures that are kept to be shown.
const MAX_TOLD: usize = 10;

/// A load that lasts until it is ended.
pub struct Load {
    answered: watch::Receiver<u64>,
    stop: oneshot::Sender<()>,
    driver: JoinHandle<Told>,
}

/// What became of its calls.
#[derive(Debug, Default)]
pub struct Told {
    /// Calls that were answered, well or not.
    pub calls: u64,
    /// Calls that were due and not made, for want of a machine that bears them.
    pub skipped: u64,
    /// Calls that failed.
    pub failed: u64,
    /// How the first of them did.
    pub failures: Vec<String>,
    /// The longest that one of them took.
    pub slowest: Duration,
    /// How long it lasted.
    pub lasted: Duration,
}

impl Told {
    /// Says on standard output what it was, and that none has failed.
    ///
    /// # Panics
    /// If one has.
    pub fn none_failed(&self, what: &str) {
        let rate = self.calls as f64 / self.lasted.as_secs_f64();
        println!("{what}: {} calls, {rate:.0} a second, {} skipped, the slowest {:?}", self.calls, self.skipped, self.slowest);
        assert_eq!(self.failed, 0, "of {} calls: {:#?}", self.calls, self.failures);
    }
}

impl Load {
    /// Makes so many calls a second, by turns on these connections of HTTP/2.
    pub fn begin(connections: Vec<Connection>, rate: u32, request: Request<Bytes>) -> Load {
        let (answer, answered) = watch::channel(0);
        let (stop, stopped) = oneshot::channel();
        let driver = tokio::spawn(drive(connections, rate, request, answer, stopped));
        Load { answered, stop, driver }
    }

    /// Waits until so many calls more have been answered.
    ///
    /// # Panics
    /// If they are not in time.
    pub async fn goes_on(&self, more: u64) {
        let mut answered = self.answered.clone();
        let until = *answered.borrow_and_update() + more;
        soon("calls that go on", answered.wait_for(|answered| *answered >= until)).await.expect("the load lasts");
    }

    /// Makes no more calls, and waits for those under way.
    ///
    /// # Panics
    /// If one has no answer in time.
    pub async fn end(self) -> Told {
        // It may have ended with a panic, which is told below.
        let _ = self.stop.send(());
        soon("the answers to all calls", self.driver).await.expect("the load does not panic")
    }
}

/// A call, to its answer and how long that took.
type UnderWay = Pin<Box<dyn Future<Output = (hyper::Result<Answer>, Duration)> + Send>>;

async fn drive(
    mut connections: Vec<Connection>,
    rate: u32,
    request: Request<Bytes>,
    answered: watch::Sender<u64>,
    mut stopped: oneshot::Receiver<()>,
) -> Told {
    let (began, mut told) = (Instant::now(), Told::default());
    let mut under_way: FuturesUnordered<UnderWay> = FuturesUnordered::new();
    let (mut tick, mut made, mut stopping) = (tokio::time::interval(TICK), 0_u64, false);
    let each = Duration::from_secs(1) / rate;
    while !(stopping && under_way.is_empty()) {
        tokio::select! {
            Some((result, took)) = under_way.next() => {
                told.calls += 1;
                answered.send_modify(|answered| *answered += 1);
                told.slowest = told.slowest.max(took);
                let failure = match result {
                    Ok(answer) if answer.status == 200 => continue,
                    Ok(answer) => format!("{} {} after {took:?}", answer.status, answer.text()),
                    Err(error) => format!("{error:?} after {took:?}"),
                };
                told.failed += 1;
                if told.failures.len() < MAX_TOLD {
                    told.failures.push(failure);
                }
            }
            _ = &mut stopped, if !stopping => stopping = true,
            _ = tick.tick(), if !stopping => {
                while began + each * u32::try_from(made + told.skipped).expect("a test ends") < Instant::now() {
                    if under_way.len() >= MAX_AT_ONCE {
                        told.skipped += 1;
                        continue;
                    }
                    let turn = usize::try_from(made).expect("a test ends") % connections.len();
                    let sent = Instant::now();
                    let answer = connections[turn].begin(request.clone()).await.expect("the host that is called stays");
                    made += 1;
                    under_way.push(Box::pin(async move { (answer.await, sent.elapsed()) }));
                }
            }
        }
    }
    Told { lasted: began.elapsed(), ..told }
}
