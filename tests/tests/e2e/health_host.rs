//! A host of which a part hangs: it says so as long as it can, and others forget it.

use e2e::host::{Host, Start};
use e2e::volume::Volume;
use e2e::{cluster, guests, settings, soon, thread};

/// A host with the service that is called, and with a short lease; `rest` is of its settings.
fn back(cluster: &str, rest: &str) -> Start {
    let text = settings::service("back", &guests::guest("back"), rest) + "[cluster]\nlease = \"3s\"\n";
    Start::settings(&text).among(cluster)
}

/// A host that knows it.
async fn observer(cluster: &str, back: &Host) -> Host {
    let observer = back_like(cluster).arg("--peer").arg(back.url()).ready().await;
    knows(&observer, true).await;
    observer
}

fn back_like(cluster: &str) -> Start {
    Start::guest("front").among(cluster).arg("--late").arg("test.back.Back").arg("--allow-call").arg("test.back.Back")
}

/// Waits until a host knows the service, or no longer does.
async fn knows(observer: &Host, wanted: bool) {
    soon(if wanted { "that it is known" } else { "that it is forgotten" }, async {
        loop {
            let services = observer.admin(["services", "--json"]).run().await.json();
            if services.as_array().expect("a list").iter().any(|service| service["name"] == "back") == wanted {
                return;
            }
        }
    })
    .await;
}

async fn ready(host: &Host) -> u16 {
    host.get("/_microhost/health/ready").await.status.as_u16()
}

#[tokio::test]
async fn a_host_with_a_lane_that_hangs_is_not_live_and_forgotten_until_it_goes_on() {
    let cluster = cluster::unique("lane");
    let back = back(&cluster, "").ready().await;
    let observer = observer(&cluster, &back).await;
    let Some(still) = thread::still(back.id(), "lane-0") else { return };
    knows(&observer, false).await;
    // Over the door, which is on no lane.
    let health = back.admin(["health"]).run().await;
    assert!(health.code == Some(1) && health.stdout.contains("lane 0"), "{health:#?}");
    drop(still);
    knows(&observer, true).await;
    assert_eq!((ready(&back).await, back.get("/_microhost/health/live").await.status.as_u16()), (200, 200));
    assert_eq!(back.admin(["health"]).run().await.code, Some(0));
}

#[tokio::test]
async fn a_host_whose_disk_hangs_is_not_ready_and_forgotten_until_it_answers() {
    let Some(volume) = Volume::new() else { return };
    let cluster = cluster::unique("disk");
    let folder = volume.path().to_str().expect("a path of the test's own");
    let grants = format!("grants = {{ folders = {{ \"/data\" = {{ path = {folder:?}, write = true }} }} }}");
    let back = back(&cluster, &grants).ready().await;
    let observer = observer(&cluster, &back).await;
    assert_eq!(ready(&back).await, 200);
    let frozen = volume.freeze();
    knows(&observer, false).await;
    assert_eq!((ready(&back).await, back.get("/_microhost/health/live").await.status.as_u16()), (503, 200));
    let health = back.admin(["health"]).run().await;
    assert!(health.code == Some(1) && health.stdout.contains(folder), "{health:#?}");
    drop(frozen);
    knows(&observer, true).await;
    assert_eq!(ready(&back).await, 200);
}
