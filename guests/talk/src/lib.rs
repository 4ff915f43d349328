//! A service of a `.proto` file with a method of each kind.

use microhost_sdk::context;
use microhost_sdk::proto::{Failure, Replies, Requests};

mod proto {
    microhost_sdk::include_proto!();
}

use proto::test::talk::v1::{Count, Line, Talk, TalkServer, Wish};

struct Parrot;

impl Talk for Parrot {
    async fn say(request: Line) -> Result<Line, Failure> {
        context::add_header("x-said", "yes")?;
        match request.text.as_str() {
            "fail" => Err(Failure::aborted("as you asked").with_detail(&request)),
            _ => Ok(request),
        }
    }

    async fn listen(request: Wish, replies: Replies<Line>) -> Result<(), Failure> {
        let line = request.line.ok_or_else(|| Failure::invalid_argument("line: not set"))?;
        context::add_header("x-times", request.times.to_string())?;
        for _ in 0..request.times {
            replies.send(line.clone()).await?;
        }
        context::add_trailer("x-told", request.times.to_string())?;
        match request.then_fail {
            None => Ok(()),
            Some(why) => Err(Failure::data_loss(why).with_detail(&line)),
        }
    }

    async fn tell(mut requests: Requests<Line>) -> Result<Count, Failure> {
        let mut count = Count::default();
        while let Some(line) = requests.next().await? {
            count.lines += 1;
            count.letters += line.text.chars().count() as u64;
        }
        Ok(count)
    }

    async fn chat(mut requests: Requests<Line>, replies: Replies<Line>) -> Result<(), Failure> {
        replies.begin();
        while let Some(line) = requests.next().await? {
            if line.text == "enough" {
                // The caller may have more to say; nobody listens.
                return Ok(());
            }
            replies.send(line).await?;
        }
        Ok(())
    }

    async fn nothing(_: ()) -> Result<(), Failure> {
        Ok(())
    }
}

microhost_sdk::serve!(TalkServer<Parrot>);
