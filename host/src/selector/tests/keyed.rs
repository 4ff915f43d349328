//! Calls with a key.

use std::collections::BTreeSet;

use super::*;

const HASH: &str = "hash-by = \"user-id\"\npolicy = \"round-robin\"";

fn of_key(candidates: &Candidates<Host>, key: usize) -> String {
    candidates.choose(Some(&format!("user-{key}")), &Tried::default()).expect("all are ready").value.id.clone()
}

#[test]
fn equal_keys_go_to_the_same_one_on_every_host() {
    let (one, other) = (build(&hosts(10), HASH), Candidates::build(hosts(10).into_iter().rev(), &rules(HASH), None));
    assert!((0..1000).all(|key| of_key(&one, key) == of_key(&other, key)));
}

#[test]
fn keys_are_spread_by_weight() {
    let hosts = [host("a", 100), host("b", 200), host("c", 700)];
    let candidates = build(&hosts, HASH);
    let mut counts = BTreeMap::new();
    (0..10_000).for_each(|key| *counts.entry(of_key(&candidates, key)).or_insert(0_i32) += 1);
    assert!((counts["a"] - 1000).abs() < 200 && (counts["b"] - 2000).abs() < 200, "{counts:?}");
}

#[test]
fn one_more_takes_about_its_share_of_the_keys_and_the_others_keep_theirs() {
    for count in [3, 10, 100] {
        let (before, after) = (build(&hosts(count), HASH), build(&hosts(count + 1), HASH));
        let moved = (0..10_000).filter(|key| of_key(&before, *key) != of_key(&after, *key)).count();
        let due = 10_000 / (count + 1);
        assert!(moved < due + due / 4 + 150, "{count}: {moved} for {due}");
    }
}

#[test]
fn the_keys_of_one_that_is_left_alone_go_to_all_others_and_come_back() {
    let (candidates, now) = (build(&hosts(5), HASH), Moment::now());
    let before: Vec<String> = (0..1000).map(|key| of_key(&candidates, key)).collect();
    break_target(&candidates, "3", now);
    let during: Vec<String> = (0..1000).map(|key| of_key(&candidates, key)).collect();
    let others: BTreeSet<&String> = before.iter().zip(&during).filter(|(before, _)| *before == "3").map(|(_, during)| during).collect();
    assert_eq!(others.into_iter().collect::<Vec<_>>(), ["0", "1", "2", "4"]);
    assert!(before.iter().zip(&during).all(|(before, during)| before == "3" || before == during));
}

#[test]
fn a_key_that_all_ask_for_does_not_drown_its_target() {
    let candidates = build(&hosts(10), HASH);
    let now = Moment::now();
    let choose = || candidates.choose_at(Some("all"), &Tried::default(), now).expect("all are ready");
    let calls: Vec<_> = (0..1000).map(|_| choose().begin_at(now)).collect();
    let most = candidates.targets().iter().map(|target| target.figures().in_flight).max();
    assert!(most <= Some(160), "{most:?}");
    drop(calls);
    let calls: Vec<_> = (0..8).map(|_| choose()).map(|choice| (choice.value.id.clone(), choice.begin_at(now))).collect();
    assert!(calls.iter().all(|(id, _)| *id == calls[0].0), "few calls stay together");
}

#[test]
fn calls_without_a_key_go_by_the_policy() {
    let candidates = build(&hosts(4), HASH);
    let counts = counted(&candidates, 400, Moment::now());
    assert!(counts.values().all(|count| *count == 100), "{counts:?}");
    let without = build(&hosts(4), POLICIES[1]);
    let ids: BTreeSet<String> = (0..4).map(|_| of_key(&without, 1)).collect();
    assert_eq!(ids.len(), 4, "a key says nothing where nothing is hashed by");
}

#[test]
fn another_try_of_a_key_goes_to_another_one() {
    let candidates = build(&hosts(3), HASH);
    for key in 0..100 {
        let (mut tried, mut ids) = (Tried::default(), BTreeSet::new());
        for _ in 0..3 {
            let choice = candidates.choose(Some(&key.to_string()), &tried).expect("all are ready");
            tried.add(&choice);
            ids.insert(choice.value.id.clone());
        }
        assert_eq!(ids.len(), 3);
    }
}
