//! Where a host says that it is: tried by itself, and told anew when it is elsewhere.

use e2e::cluster;
use e2e::host::{Host, Start};
use e2e::soon;

/// What `microhost services` says of a host's own addresses, waited for until it says this.
async fn says(host: &Host, text: &str) {
    soon(text, async { while !host.admin(["services"]).run().await.succeeded().contains(text) {} }).await;
}

#[tokio::test]
async fn a_host_that_is_told_to_advertise_the_address_of_another_says_so() {
    let cluster = cluster::unique("astray");
    let other = Start::guest("back").among(&cluster).ready().await;
    let host = Start::guest("echo").among(&cluster).arg("--advertise").arg(other.url()).ready().await;
    let warning = host.logged("another host answers where --advertise says").await.to_string();
    assert!(warning.contains(&other.url()), "{warning}");
    says(&host, &format!("{} does not lead the host to itself, and others are told of it", other.url())).await;
}

#[tokio::test]
async fn a_host_that_does_not_reach_itself_from_behind_a_translation_of_addresses_says_so_once() {
    let host = Start::guest("back").among(&cluster::unique("hairpin")).arg("--advertise").arg("http://127.0.0.1:1").ready().await;
    let warning = host.logged("does not reach itself where --advertise says").await.to_string();
    assert!(warning.contains("usual") && warning.contains("http://127.0.0.1:1/_microhost/node"), "{warning}");
    says(&host, "http://127.0.0.1:1 does not lead the host to itself, and others are told of it").await;
    let said = host.log().lines().iter().filter(|line| line.contains("does not reach itself")).count();
    assert_eq!(said, 1);
}

#[tokio::test]
async fn a_host_that_reaches_itself_says_nothing() {
    let host = Start::guest("back").among(&cluster::unique("here")).arg("--log-level").arg("debug").ready().await;
    host.logged("this host reaches itself at its address").await;
    assert!(!host.admin(["services"]).run().await.succeeded().contains("does not lead"), "{:?}", host.log().lines());
}
