//! Who is known, and until when. The server lets values go when they are old, and says nothing to those who
//! watch (before 2.11), so whoever watches keeps time himself.
//!
//! Time counts for a lease only while the server is there: a server that is gone, hangs or has just come
//! back takes no renewals, and that is no sign that a host is dead.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::wire::{self, WireError};
use crate::registry::{Change, MAX_NODES, Node};

/// A node that is known.
#[derive(Debug)]
struct Held {
    node: Arc<Node>,
    /// Of the value that it came in: a renewal brings the same again, and need not be read.
    print: blake3::Hash,
    lease: Duration,
    until: Instant,
    /// The round in which it was last told.
    round: u64,
}

/// What has been put into the bucket, and has not been taken out or run out.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// By key.
    held: HashMap<String, Held>,
    /// Rises each time that the registry tells anew all there is.
    round: u64,
    /// Whether all there is has been told in this round.
    complete: bool,
    /// No lease runs out before.
    next: Option<Instant>,
}

impl Leases {
    /// The registry begins to tell all there is.
    pub(super) fn begin(&mut self) {
        self.round += 1;
        self.complete = false;
    }

    /// A value was put, `age` before `now`.
    pub(super) fn put(
        &mut self,
        key: &str,
        value: &[u8],
        lease: Duration,
        age: Duration,
        now: Instant,
    ) -> Result<Option<Change>, WireError> {
        let print = blake3::hash(value);
        if let Some(held) = self.held.get_mut(key) {
            let renewed = held.print == print;
            if !renewed {
                held.node = Arc::new(wire::decode(key, value)?);
                held.print = print;
            }
            // However old the value is: while the registry was lost, its node could not renew it.
            (held.lease, held.until, held.round) = (lease, now + lease, self.round);
            self.next = self.next.map(|next| next.min(now + lease));
            return Ok((!renewed || !self.complete).then(|| Change::Put(Arc::clone(&held.node))));
        }
        // Has run out already, and the server is about to let it go.
        let Some(left) = lease.checked_sub(age).filter(|left| !left.is_zero()) else { return Ok(None) };
        if self.held.len() >= MAX_NODES {
            return Ok(None);
        }
        let node = Arc::new(wire::decode(key, value)?);
        let until = now + left;
        self.held.insert(key.to_owned(), Held { node: Arc::clone(&node), print, lease, until, round: self.round });
        self.next = Some(self.next.map_or(until, |next| next.min(until)));
        Ok(Some(Change::Put(node)))
    }

    /// A node has said goodbye.
    pub(super) fn remove(&mut self, key: &str) -> Option<Change> {
        self.held.remove(key).map(|held| Change::Gone(held.node.id.clone()))
    }

    /// All there is has been told in this round. Nodes that were known before and were not told now have
    /// one lease more: the server may have lost them, and they have not had the time to come back.
    pub(super) fn complete(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        for held in self.held.values_mut().filter(|held| held.round != self.round) {
            held.until = now + held.lease;
            held.round = self.round;
            changes.push(Change::Put(Arc::clone(&held.node)));
        }
        self.complete = true;
        changes.push(Change::Complete);
        changes
    }

    /// Whether all there is has been told since the registry began anew.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Lets go whose lease had run out when the server last gave a sign of life.
    pub(super) fn lapse(&mut self, sign: Instant) -> Vec<Change> {
        if !self.complete || self.next.is_none_or(|next| next > sign) {
            return Vec::new();
        }
        let lapsed = self.held.extract_if(|_, held| held.until <= sign).map(|(_, held)| Change::Gone(held.node.id.clone())).collect();
        self.next = self.held.values().map(|held| held.until).min();
        lapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn value(id: &str, revision: u64) -> Vec<u8> {
        format!(r#"{{"id":"{id}","addresses":[],"revision":{revision}}}"#).into_bytes()
    }

    /// Leases with these nodes, all told, at this time.
    fn told(ids: &[&str]) -> (Leases, Instant) {
        let (mut leases, now) = (Leases::default(), Instant::now());
        leases.begin();
        for id in ids {
            assert!(put(&mut leases, id, 1, now).is_some());
        }
        assert_eq!(leases.complete(now), [Change::Complete]);
        (leases, now)
    }

    fn put(leases: &mut Leases, id: &str, revision: u64, now: Instant) -> Option<Change> {
        leases.put(id, &value(id, revision), LEASE, Duration::ZERO, now).expect("a node")
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_renewal_is_not_told_and_a_change_is() {
        let (mut leases, now) = told(&["a"]);
        assert_eq!(put(&mut leases, "a", 1, now + seconds(8)), None);
        assert!(leases.lapse(now + seconds(12)).is_empty(), "it was renewed");
        assert!(matches!(put(&mut leases, "a", 2, now + seconds(8)), Some(Change::Put(node)) if node.revision == 2));
    }

    #[test]
    fn a_node_that_does_not_renew_is_gone() {
        let (mut leases, now) = told(&["a", "b"]);
        put(&mut leases, "b", 1, now + seconds(5));
        assert!(leases.lapse(now + seconds(9)).is_empty());
        assert_eq!(leases.lapse(now + seconds(10)), [Change::Gone("a".into())]);
        assert_eq!(leases.next, Some(now + seconds(15)));
        assert_eq!(leases.lapse(now + seconds(15)), [Change::Gone("b".into())]);
        assert_eq!(leases.next, None);
    }

    #[test]
    fn nodes_stay_while_the_registry_is_away_and_for_a_lease_after_it() {
        let (mut leases, now) = told(&["a", "b"]);
        leases.begin();
        let back = now + seconds(100);
        assert!(leases.lapse(back).is_empty(), "not before all has been told");
        assert!(put(&mut leases, "b", 1, back).is_some(), "it is told again, though it is the same");
        let again = leases.complete(back);
        assert!(matches!(&again[..], [Change::Put(node), Change::Complete] if node.id == "a"), "{again:?}");
        put(&mut leases, "b", 1, back + seconds(9));
        assert_eq!(leases.lapse(back + seconds(10)), [Change::Gone("a".into())]);
    }

    #[test]
    fn what_has_run_out_before_the_watch_began_is_not_told() {
        let (mut leases, now) = (Leases::default(), Instant::now());
        leases.begin();
        assert_eq!(leases.put("a", &value("a", 1), LEASE, seconds(11), now).expect("a node"), None);
        assert!(leases.put("b", &value("b", 1), LEASE, seconds(4), now).expect("a node").is_some());
        leases.complete(now);
        assert_eq!(leases.lapse(now + seconds(6)), [Change::Gone("b".into())]);
    }

    #[test]
    fn nonsense_takes_no_node_away() {
        let (mut leases, now) = told(&["a"]);
        leases.put("a", b"nonsense", LEASE, Duration::ZERO, now + seconds(5)).expect_err("it is no node");
        assert_eq!(leases.remove("b"), None);
        assert_eq!(leases.lapse(now + seconds(10)), [Change::Gone("a".into())], "nor does it renew one");
    }
}
