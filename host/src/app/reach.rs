//! Tries the addresses that this host tells: one that leads nowhere, or to somebody else, costs whoever
//! calls it, and its own user is the last to notice.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::addresses::Listening;
use crate::admin::view::AddressView;
use crate::registry::fetch::{self, Answer};
use crate::settings::Address;

/// How often the addresses of the machine are looked at, and how soon an address is tried again that did
/// not lead here.
const LOOK: Duration = Duration::from_secs(2);

/// After how many looks each address is tried again.
const AGAIN: u32 = 30;

/// Tries in vain before an address counts as one that does not lead here: a machine may be busy.
const TRIES: u32 = 2;

/// Who answers at an address: the id of a node, or why nobody does.
pub type Asked = BoxFuture<'static, Result<String, String>>;

/// Asks who is at an address.
pub fn ask(address: Address) -> Asked {
    Box::pin(async move {
        match fetch::once(&address, None, Duration::ZERO).await {
            Ok(Answer::Node(node)) => Ok(node.id.clone()),
            Ok(Answer::Unchanged | Answer::Leaving) => Err("the host there is leaving".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// What came of trying an address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It has not been tried yet.
    New,
    /// It leads here.
    Here,
    /// It leads nowhere, for this reason.
    Nowhere(String),
    /// It leads to the host of this id.
    Elsewhere(String),
}

/// An address, and what is known of it.
struct Tried {
    address: Address,
    advertised: bool,
    verdict: Verdict,
    /// Tries in vain since it last led here.
    failed: u32,
    /// Looks since it was tried.
    looks: u32,
    trying: bool,
}

/// The addresses of a host, and how they stand.
pub struct Reach {
    listening: Listening,
    id: String,
    all: Vec<Tried>,
    told: watch::Sender<Vec<AddressView>>,
}

impl Reach {
    /// That of the host of this id, which has tried nothing yet.
    pub fn new(listening: Listening, id: &str) -> Reach {
        let mut reach = Reach { listening, id: id.to_owned(), all: Vec::new(), told: watch::Sender::default() };
        reach.look();
        reach
    }

    /// Where the host is to be reached, the best first, now and as it changes.
    pub fn watch(&self) -> watch::Receiver<Vec<AddressView>> {
        self.told.subscribe()
    }

    /// Tries the addresses by `ask`, and follows those of the machine, until nobody watches.
    pub async fn follow(mut self, ask: impl Fn(Address) -> Asked) {
        let mut tries: JoinSet<(Address, Result<String, String>)> = JoinSet::new();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = self.told.clone();
        loop {
            tokio::select! {
                () = told.closed() => return,
                _ = look.tick() => {
                    if self.listening.may_change() {
                        self.look();
                    }
                    for tried in &mut self.all {
                        tried.looks += 1;
                        // By NATS nobody but this host is reached, and whether it is there shows on every call.
                        if tried.is_by_nats() {
                            continue;
                        }
                        let due = tried.verdict == Verdict::New || tried.failed == 1 || tried.looks >= AGAIN;
                        if due && !std::mem::replace(&mut tried.trying, true) {
                            let (address, asked) = (tried.address.clone(), ask(tried.address.clone()));
                            tries.spawn(async move { (address, asked.await) });
                        }
                    }
                }
                Some(Ok((address, answer))) = tries.join_next() => self.tried(&address, answer),
            }
        }
    }

    /// Takes in the addresses as they are now.
    fn look(&mut self) {
        let now = self.listening.addresses();
        if !self.all.is_empty() && now.iter().eq(self.all.iter().map(|tried| &tried.address)) {
            return;
        }
        if !self.all.is_empty() {
            let now: Vec<String> = now.iter().map(ToString::to_string).collect();
            tracing::info!(addresses = now.join(","), "the addresses of this machine have changed, and others are told");
        }
        let mut before = std::mem::take(&mut self.all);
        self.all = now
            .into_iter()
            .map(|address| match before.iter().position(|tried| tried.address == address) {
                Some(at) => before.swap_remove(at),
                None => {
                    let advertised = self.listening.is_advertised(&address);
                    Tried { address, advertised, verdict: Verdict::New, failed: 0, looks: 0, trying: false }
                }
            })
            .collect();
        self.tell();
    }

    /// Takes in who answered at an address.
    fn tried(&mut self, address: &Address, answer: Result<String, String>) {
        // The machine may not have it any more.
        let Some(tried) = self.all.iter_mut().find(|tried| tried.address == *address) else { return };
        (tried.trying, tried.looks) = (false, 0);
        let verdict = match answer {
            Ok(id) if id == self.id => Verdict::Here,
            Ok(id) => Verdict::Elsewhere(id),
            Err(why) => Verdict::Nowhere(why),
        };
        tried.failed = if verdict == Verdict::Here { 0 } else { tried.failed.saturating_add(1) };
        if (1..TRIES).contains(&tried.failed) {
            return;
        }
        let before = std::mem::replace(&mut tried.verdict, verdict);
        if std::mem::discriminant(&before) != std::mem::discriminant(&tried.verdict) {
            tried.say(&before);
        }
        self.tell();
    }

    /// Tells where the host is to be reached, if that is anything new.
    fn tell(&self) {
        let mut all: Vec<&Tried> = self.all.iter().collect();
        // NATS stays the last resort, also after what only this host does not reach.
        all.sort_by_key(|tried| (tried.is_by_nats() && !tried.advertised, tried.why().is_some()));
        let all: Vec<AddressView> = all.into_iter().map(Tried::view).collect();
        self.told.send_if_modified(|told| {
            let changed = *told != all;
            if changed {
                *told = all;
            }
            changed
        });
    }
}

impl Tried {
    fn is_by_nats(&self) -> bool {
        matches!(self.address, Address::Nats(_))
    }

    /// Whether others are told. Where it is known to lead to another host, only if the user insists.
    fn is_told(&self) -> bool {
        self.advertised || !matches!(self.verdict, Verdict::Elsewhere(_))
    }

    fn why(&self) -> Option<String> {
        match &self.verdict {
            Verdict::New | Verdict::Here => None,
            Verdict::Nowhere(why) => Some(why.clone()),
            Verdict::Elsewhere(id) => Some(format!("another host answers there, {id:?}")),
        }
    }

    fn view(&self) -> AddressView {
        AddressView { address: self.address.to_string(), told: self.is_told(), why: self.why() }
    }

    /// Says what has become of it.
    fn say(&self, before: &Verdict) {
        let address = &self.address;
        match &self.verdict {
            Verdict::New => {}
            Verdict::Here if *before == Verdict::New => tracing::debug!(%address, "this host reaches itself at its address"),
            Verdict::Here => tracing::info!(%address, "this host reaches itself at its address again"),
            Verdict::Nowhere(why) if self.advertised => tracing::warn!(
                %address,
                why,
                "this host does not reach itself where --advertise says that it is. From behind address translation that is usual, and others may reach it all the same; else they find no way here: try {address}/_microhost/node from another machine"
            ),
            Verdict::Nowhere(why) => tracing::warn!(
                %address,
                why,
                "this host does not reach itself at an address that it has: others are told it last. Where they cannot reach it either, --advertise URL tells them another one"
            ),
            Verdict::Elsewhere(id) if self.advertised => tracing::warn!(
                %address,
                other = id,
                "another host answers where --advertise says that this one is: calls for this one may go there. --advertise URL has to be the way to this host alone, and to none behind the same balancer"
            ),
            Verdict::Elsewhere(id) => tracing::warn!(
                %address,
                other = id,
                "another host answers at an address that this one has, so others are not told of it; --advertise URL tells them another one"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Who answers where, and how often it was asked.
    type Net = Arc<Mutex<(HashMap<String, String>, u32)>>;

    const OWN: &str = "own";
    const BOUND: &str = "http://10.0.0.1:80";

    fn net(who: &[(&str, &str)]) -> Net {
        let who = who.iter().map(|(at, id)| ((*at).to_owned(), (*id).to_owned())).collect();
        Arc::new(Mutex::new((who, 0)))
    }

    /// Follows the addresses of a host that listens at 10.0.0.1.
    fn follow(net: &Net, cluster: &str) -> watch::Receiver<Vec<AddressView>> {
        let cluster = toml::from_str(cluster).expect("settings");
        let bound = Some("10.0.0.1:80".parse().expect("an address"));
        let reach = Reach::new(Listening::new(&cluster, bound, false, Vec::new(), None), OWN);
        let told = reach.watch();
        let net = Arc::clone(net);
        tokio::spawn(reach.follow(move |address| {
            let mut net = net.lock().expect("no holder panics");
            net.1 += 1;
            let answer = net.0.get(&address.to_string()).cloned().ok_or_else(|| "no route".to_owned());
            Box::pin(async move { answer })
        }));
        told
    }

    fn view(address: &str, told: bool, why: Option<&str>) -> AddressView {
        AddressView { address: address.into(), told, why: why.map(str::to_owned) }
    }

    async fn becomes(told: &mut watch::Receiver<Vec<AddressView>>, expected: &[AddressView]) {
        told.wait_for(|told| told == expected).await.expect("it goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_leads_here_is_told_and_tried_seldom() {
        let net = net(&[(BOUND, OWN)]);
        let told = follow(&net, "");
        tokio::time::sleep(LOOK * (AGAIN - 1)).await;
        assert_eq!((&*told.borrow(), net.lock().expect("no holder panics").1), (&vec![view(BOUND, true, None)], 1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_leads_nowhere_is_told_last_and_first_again_when_it_leads_here() {
        let net = net(&[("http://b:2", OWN)]);
        let mut told = follow(&net, "advertise = [\"http://a:1\", \"http://b:2\"]");
        becomes(&mut told, &[view("http://b:2", true, None), view("http://a:1", true, Some("no route"))]).await;
        net.lock().expect("no holder panics").0.insert("http://a:1".into(), OWN.into());
        becomes(&mut told, &[view("http://a:1", true, None), view("http://b:2", true, None)]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_leads_to_another_host_is_not_told_unless_the_user_insists() {
        const WHY: Option<&str> = Some("another host answers there, \"b\"");
        let mut told = follow(&net(&[(BOUND, "b")]), "");
        becomes(&mut told, &[view(BOUND, false, WHY)]).await;
        let mut told = follow(&net(&[("http://a:1", "b")]), "advertise = [\"http://a:1\"]");
        becomes(&mut told, &[view("http://a:1", true, WHY)]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_try_in_vain_says_nothing() {
        let net = net(&[]);
        let told = follow(&net, "");
        while net.lock().expect("no holder panics").1 == 0 {
            tokio::task::yield_now().await;
        }
        net.lock().expect("no holder panics").0.insert(BOUND.into(), OWN.into());
        tokio::time::sleep(LOOK * 3).await;
        assert_eq!((&*told.borrow(), net.lock().expect("no holder panics").1), (&vec![view(BOUND, true, None)], 2));
    }
}
