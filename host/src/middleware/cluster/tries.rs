//! A call that is tried until it is answered: where its callee is, elsewhere where that fails, for as
//! long as the rules and the caller's deadline allow.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::HeaderMap;

use super::hedge::race;
use super::now;
use super::retry::{Verdict, over, pause, verdict};
use super::source::Source;
use super::watched::Watch;
use super::way::{Candidates, Method, Way};
use crate::middleware::local;
use crate::rpc::{Form, Messages, Reply, Request, Route, StreamReply, StreamRequest};
use crate::selector::{Moment, Tried};
use crate::settings::Failing;
use crate::status::{Code, Status};

/// Tries of a call that may meet nobody beside those that count, as where many hosts have gone at once. Source:
/// gRPC's transparent retries (A6), which have no bound where a call has not left its client.
const SPARE: u32 = 8;

/// A call with all that it may go to.
pub(super) struct Tries {
    pub(super) way: Arc<Way>,
    pub(super) method: Arc<Method>,
    pub(super) path: Arc<str>,
    /// What answers here, which is asked first.
    pub(super) here: Option<Route>,
}

impl Tries {
    /// Makes a unary call.
    pub(super) async fn call(self, mut request: Request) -> Result<Reply, Status> {
        request.idempotent |= self.method.safe || self.method.failing.idempotent;
        let (total, idempotent) = (request.deadline, request.idempotent);
        let failing = &self.method.failing;
        let (mut places, mut again) = self.begin(request.form, &request.headers, total);
        let mut request = Some(request);
        // The request itself is for the last try, and a copy for each one before.
        let mut take = |last: bool| if last { request.take() } else { request.clone() };
        let mut now = again.began;
        while let Some(place) = places.next() {
            let Some(own) = take(places.is_last()) else { break };
            let first = attempt(place, &self.path, own, over(failing, idempotent, places.left, now, total));
            let answer = match failing.hedge_after {
                Some(after) if idempotent => {
                    let second = || {
                        let place = again.hedge(&mut places)?;
                        let until = over(failing, idempotent, places.left, super::now(), total);
                        Some(attempt(place, &self.path, take(places.is_last())?, until))
                    };
                    race(after, first, second).await
                }
                _ => first.await,
            };
            match answer {
                Ok(reply) => return Ok(reply),
                Err(status) => now = again.after(status, idempotent, &mut places).await?,
            }
        }
        Err(self.way.nobody())
    }

    /// Opens a call with streams, which goes elsewhere only where nobody has seen it.
    pub(super) async fn open(self, request: StreamRequest) -> Result<StreamReply, Status> {
        let StreamRequest { form, headers, deadline, caller, idempotent, plan, messages } = request;
        let (mut places, mut again) = self.begin(form, &headers, deadline);
        let mut source = Source::new(messages);
        while let Some(place) = places.next() {
            let request = |messages: Messages| StreamRequest {
                form,
                headers: headers.clone(),
                deadline,
                caller: caller.clone(),
                idempotent,
                plan: plan.clone(),
                messages,
            };
            if places.is_last() {
                return begin(place, &self.path, request(source.give())).await;
            }
            let (messages, back) = source.lend();
            let status = match begin(place, &self.path, request(messages)).await {
                Ok(reply) => return Ok(reply),
                Err(status) => status,
            };
            if verdict(&status, false) == Verdict::Final {
                return Err(status);
            }
            let Some(returned) = back.messages().await else { return Err(status) };
            source = returned;
            again.after(status, false, &mut places).await?;
        }
        Err(self.way.nobody())
    }

    fn begin(&self, form: Form, headers: &HeaderMap, total: Option<Instant>) -> (Places<'_>, Again<'_>) {
        let began = now();
        self.way.budget.called(began);
        self.way.stats.calls.fetch_add(1, Relaxed);
        let failing = &self.method.failing;
        let candidates = self.method.candidates(form);
        let key = candidates.rules().hash_by().and_then(|name| headers.get(name)?.to_str().ok()).map(str::to_owned);
        let (here, tried) = (self.here.clone(), Tried::default());
        let spare = if failing.tries > 1 { SPARE } else { 0 };
        let places = Places { way: &self.way, candidates, here, key, tried, left: failing.tries, spare };
        (places, Again { way: &self.way, path: &self.path, failing, began, total, pauses: 0 })
    }
}

/// Where one try goes.
enum Place<'a> {
    Here(Route),
    There(Watch<'a>),
}

/// The places that a call goes to, one after the other.
struct Places<'a> {
    way: &'a Way,
    candidates: &'a Candidates,
    here: Option<Route>,
    /// What equal calls have in common that are to go to the same place.
    key: Option<String>,
    tried: Tried,
    /// How many more tries there may be.
    left: u32,
    /// How many of those that met nobody do not count.
    spare: u32,
}

impl<'a> Places<'a> {
    /// The next one: those that were not tried come first.
    fn next(&mut self) -> Option<Place<'a>> {
        self.left = self.left.checked_sub(1)?;
        if let Some(route) = self.here.take() {
            return Some(Place::Here(route));
        }
        let now = Moment::now();
        let choice = self.candidates.choose_at(self.key.as_deref(), &self.tried, now)?;
        let target = choice.target();
        self.tried.add(target);
        Some(Place::There(Watch::begin(self.way, &target.value, choice.begin_at(now))))
    }

    /// Whether there is one that was not tried.
    fn has_other(&self) -> bool {
        self.tried.count() < self.candidates.summary().open
    }

    /// Whether the try that has begun is the last one, whatever becomes of it.
    fn is_last(&self) -> bool {
        self.left == 0 && !self.may_spare()
    }

    /// Whether a try may be made that does not count, for one that met nobody.
    fn may_spare(&self) -> bool {
        self.spare > 0 && self.has_other()
    }

    fn spare(&mut self) {
        if self.left == 0 && self.may_spare() {
            (self.spare, self.left) = (self.spare - 1, 1);
        }
    }
}

/// Whether and when a call is tried again.
struct Again<'a> {
    way: &'a Way,
    path: &'a str,
    failing: &'a Failing,
    began: Instant,
    /// When its caller stops waiting.
    total: Option<Instant>,
    /// How often it was waited for.
    pauses: u32,
}

impl Again<'_> {
    /// Waits until a call whose try has failed may be tried again, and tells when that is.
    ///
    /// Fails with the status of the try where it may not.
    async fn after(&mut self, status: Status, idempotent: bool, places: &mut Places<'_>) -> Result<Instant, Status> {
        let (verdict, mut now) = (verdict(&status, idempotent), now());
        let in_time = |at: Instant| self.total.is_none_or(|total| at < total);
        let hopeless = match verdict {
            Verdict::Final => true,
            Verdict::Others => !places.has_other(),
            Verdict::Elsewhere | Verdict::Later => false,
        };
        // Where nobody was there nothing is added to anybody's work, and after an outage nothing may be left.
        let free = status.code() == Code::Unavailable && status.is_unseen();
        if free {
            places.spare();
        }
        if hopeless || places.left == 0 || !in_time(now) || !(free || self.may(now)) {
            return Err(status);
        }
        tracing::debug!(path = self.path, tries_left = places.left, %status, "a call is tried again");
        if verdict == Verdict::Later || !places.has_other() {
            let pause = pause(self.failing, self.pauses);
            if !in_time(now + pause) {
                return Err(status);
            }
            self.pauses += 1;
            tokio::time::sleep(pause).await;
            now = super::now();
        }
        self.way.stats.retries.fetch_add(1, Relaxed);
        Ok(now)
    }

    /// The place for a try beside one that has no answer yet: on another node, or nowhere.
    fn hedge<'a>(&mut self, places: &mut Places<'a>) -> Option<Place<'a>> {
        if places.left == 0 || !places.has_other() || !self.may(now()) {
            return None;
        }
        self.way.stats.hedges.fetch_add(1, Relaxed);
        places.next()
    }

    fn may(&self, now: Instant) -> bool {
        let may = self.way.budget.take(now);
        if !may {
            self.way.stats.over_budget.fetch_add(1, Relaxed);
        }
        may
    }
}

/// One try of a unary call, which is over at `until`.
async fn attempt(place: Place<'_>, path: &str, mut request: Request, until: Option<Instant>) -> Result<Reply, Status> {
    request.deadline = until;
    match place {
        Place::Here(route) => local::call(route, request).await,
        Place::There(watch) => {
            let answer = watch.channel().call(path, request).await;
            watch.ended(answer.as_ref().err());
            answer
        }
    }
}

/// One try of a call with streams, up to where its reply begins.
async fn begin(place: Place<'_>, path: &str, request: StreamRequest) -> Result<StreamReply, Status> {
    match place {
        Place::Here(route) => local::begin(route, request).await,
        Place::There(watch) => match watch.channel().open(path, request).await {
            Ok(reply) => Ok(watch.follow(reply)),
            Err(status) => {
                watch.ended(Some(&status));
                Err(status)
            }
        },
    }
}
