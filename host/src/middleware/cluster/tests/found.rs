//! Who is called.

use super::*;

#[tokio::test]
async fn a_service_of_this_host_is_called_first_and_others_where_it_takes_no_more() {
    let shop = Shop::with(&["a", "b"], "backoff = \"1ms\"").await;
    shop.serve("shop.Stock", "Put", "a");
    for _ in 0..10 {
        assert_eq!(shop.call("Put").await.expect("served here"), "a");
    }
    assert_eq!(shop.hosts["b"].came.load(Relaxed), 0);
    shop.hosts["a"].does(Does::Sheds);
    assert_eq!(shop.call("Put").await.expect("served elsewhere"), "b");
}

#[tokio::test]
async fn this_host_is_not_called_by_its_own_address() {
    let shop = Shop::with(&[OWN], "").await;
    let status = shop.call("Get").await.expect_err("it does not serve it any longer");
    assert_eq!((status.code(), shop.sum(|host| &host.came)), (Code::Unavailable, 0));
}

#[tokio::test]
async fn all_hosts_are_called_where_this_one_is_none_the_better() {
    let shop = Shop::with(&[OWN, "b"], "local-first = false").await;
    shop.serve("shop.Stock", "Get", OWN);
    for _ in 0..100 {
        shop.call("Get").await.expect("both serve it");
    }
    assert!(shop.hosts.values().all(|host| host.came.load(Relaxed) > 0));
}

#[tokio::test]
async fn an_unwell_service_of_this_host_leaves_its_calls_to_others() {
    let mut own = node(OWN, "shop.Stock");
    own.services[0].ready = false;
    let shop = Shop::of(vec![own.clone(), node("b", "shop.Stock")], "").await;
    shop.serve("shop.Stock", "Get", OWN);
    assert_eq!(shop.call("Get").await.expect("b is well"), "b");
    let alone = Shop::of(vec![own.clone()], "").await;
    alone.serve("shop.Stock", "Get", OWN);
    assert_eq!(alone.call("Get").await.expect("nobody else is there"), OWN);
    let mut other = node("b", "shop.Stock");
    other.services[0].ready = false;
    let unwell = Shop::of(vec![own, other], "").await;
    unwell.serve("shop.Stock", "Get", OWN);
    assert_eq!(unwell.call("Get").await.expect("the other one is no better"), OWN);
}

#[tokio::test]
async fn where_none_is_ready_all_are_called() {
    let mut nodes = [node("a", "shop.Stock"), node("b", "shop.Stock")];
    nodes.iter_mut().for_each(|node| node.services[0].ready = false);
    let shop = Shop::of(nodes.to_vec(), "").await;
    for _ in 0..100 {
        shop.call("Get").await.expect("one that is not well is better than none");
    }
    assert!(shop.hosts.values().all(|host| host.came.load(Relaxed) > 0));
}

#[tokio::test]
async fn a_node_that_comes_is_called_and_one_that_is_not_ready_is_not() {
    let shop = Shop::with(&["a", "b"], "").await;
    let ready = |id: &str, ready| {
        let mut node = node(id, "shop.Stock");
        node.revision = 2;
        node.services[0].ready = ready;
        node
    };
    shop.call("Get").await.expect("both are ready");
    shop.tell(vec![ready("a", false), ready("b", true)]).await;
    let came = shop.hosts["a"].came.load(Relaxed);
    for _ in 0..20 {
        assert_eq!(shop.call("Get").await.expect("b is ready"), "b");
    }
    assert_eq!(shop.hosts["a"].came.load(Relaxed), came);
}

#[tokio::test]
async fn who_calls_in_vain_is_told_what_is_known() {
    let mut node = node("a", "shop.Stock");
    node.name = Some("berlin-1".into());
    node.services[0].weight = 0;
    let shop = Shop::of(vec![node], "").await;
    let status = shop.call("Get").await.expect_err("it is given no calls");
    assert!(status.code() == Code::Unavailable && status.is_unseen() && status.message().contains("berlin-1"), "{status}");
    let status = shop.call_within("/shop.Orders/Get", None).await.expect_err("nobody has it");
    assert!(status.code() == Code::Unavailable && status.message().contains("shop.Orders"), "{status}");
    let shop = Shop::with(&["a"], "").await;
    assert_eq!(shop.call("Take").await.expect_err("no such method").code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_service_that_was_called_and_that_nobody_offers_any_longer_is_unavailable() {
    let shop = Shop::with(&["a", "b"], "").await;
    shop.call("Get").await.expect("both offer it");
    let without = |id: &str| Node { revision: 2, ..node(id, "shop.Orders") };
    shop.tell(vec![without("a"), without("b")]).await;
    let status = shop.call("Get").await.expect_err("nobody offers it");
    assert!(status.code() == Code::Unavailable && status.message().contains("shop.Stock"), "{status}");
}

#[tokio::test]
async fn who_meets_nobody_is_told_what_he_called() {
    let shop = Shop::with(&["a"], "").await;
    shop.all_do(Does::Refuses);
    let status = shop.call("Get").await.expect_err("it is gone");
    assert!(status.code() == Code::Unavailable && status.message().starts_with("shop.Stock/Get: "), "{status}");
    assert!(status.is_unseen());
}

#[tokio::test]
async fn a_new_method_is_called_where_it_is() {
    let mut newer = node("b", "shop.Stock");
    newer.services[0].interfaces[0].methods[0].name = "Take".into();
    let shop = Shop::of(vec![node("a", "shop.Stock"), newer], "").await;
    for _ in 0..10 {
        assert_eq!(shop.call("Take").await.expect("b has it"), "b");
        assert_eq!(shop.call("Get").await.expect("a has it"), "a");
    }
}

#[tokio::test]
async fn a_method_that_no_host_has_is_looked_for_once() {
    let shop = Shop::with(&["a", "b"], "").await;
    let way = shop.cluster.ways.to("shop.Stock").expect("offered");
    for n in 0..2_000 {
        assert!(way.method(&format!("No{n}"), shop.cluster.ways.known()).is_none());
    }
    assert_eq!(way.kept(), 1_000, "what callers say does not fill the memory");
    assert_eq!(shop.call("Get").await.map(|_| ()).map_err(|status| status.code()), Ok(()));
}

#[tokio::test]
async fn one_node_of_many_that_changes_leaves_the_others_as_they_were() {
    let shop = Shop::with(&["a", "b", "c"], "").await;
    let before = shop.cluster.ways.to("shop.Stock").expect("offered");
    let mut newer = node("b", "shop.Stock");
    newer.revision = 2;
    let nodes = shop.view.nodes().by_id.values().map(|node| Node::clone(node)).filter(|node| node.id != "b").chain([newer]).collect();
    shop.tell(nodes).await;
    let after = shop.cluster.ways.to("shop.Stock").expect("offered");
    assert_eq!(after.shared(&before), 2);
}

#[tokio::test]
async fn a_gateway_elsewhere_takes_what_nobody_serves_by_name() {
    let mut gateway = node("g", "*");
    gateway.services[0].interfaces[0].methods.clear();
    let shop = Shop::of(vec![gateway, node("a", "shop.Stock")], "[\"shop.Orders/Get\"]\ntries = 1").await;
    assert_eq!(shop.call("Get").await.expect("by name"), "a");
    assert_eq!(shop.call_within("/shop.Orders/Get", None).await.expect("by the gateway"), "g");
    shop.hosts["g"].does(Does::Refuses);
    let came = shop.hosts["g"].came.load(Relaxed);
    shop.call_within("/shop.Orders/Get", None).await.expect_err("it is gone");
    assert_eq!(shop.hosts["g"].came.load(Relaxed), came + 1, "the settings of a method hold for it");
    shop.serve("shop.Orders", "Get", "a");
    assert_eq!(shop.call_within("/shop.Orders/Get", None).await.expect("by name, here"), "a");
}

#[tokio::test]
async fn a_typed_caller_gets_those_who_have_its_type() {
    let typed = |id: &str, fingerprint| {
        let mut node = node(id, "shop.Stock");
        node.services[0].interfaces[0].methods[0].fingerprint = Some(fingerprint);
        node
    };
    let shop = Shop::of(vec![typed("a", 1), typed("b", 2)], "").await;
    let way = shop.cluster.ways.to("shop.Stock").expect("offered");
    let method = way.method("Get", shop.cluster.ways.known()).expect("served");
    let ready = |fingerprint| method.of_type(fingerprint).summary().ready;
    assert_eq!((ready(1), ready(2), ready(3)), (1, 1, 2));
}
