//! A service that needs what it offers.

use exports::test::circle::round::Guest;
use test::circle::round;

microhost_sdk::service!({ world: "test:circle/guest" });

struct Circle;

impl Guest for Circle {
    async fn turn(deep: u32) -> Result<u32, String> {
        if deep == 0 { Ok(0) } else { round::turn(deep - 1).await.map(|reached| reached + 1) }
    }

    fn turn_plain(deep: u32) -> Result<u32, String> {
        if deep == 0 { Ok(0) } else { round::turn_plain(deep - 1).map(|reached| reached + 1) }
    }

    async fn fall() -> u32 {
        round::fall().await + 1
    }
}

export!(Circle);
