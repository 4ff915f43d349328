//! The service `shop.health.v1.Health`.

use microhost_sdk::proto::{Failure, Replies};

use crate::ledger::{self, MAX_CHARGES};
use crate::proto::shop::health::v1::{CheckReply, CheckRequest, Condition, Health};

pub struct Doctor;

impl Health for Doctor {
    async fn check(request: CheckRequest) -> Result<CheckReply, Failure> {
        examine(&request)
    }

    async fn watch(request: CheckRequest, replies: Replies<CheckReply>) -> Result<(), Failure> {
        let mut told = None;
        let mut place = 0;
        loop {
            let reply = examine(&request)?;
            if told != Some(reply.condition) {
                told = Some(reply.condition);
                replies.send(reply).await?;
            }
            ledger::happened(place).await;
            place += 1;
        }
    }
}

fn examine(request: &CheckRequest) -> Result<CheckReply, Failure> {
    if !matches!(request.part.as_str(), "" | "ledger") {
        return Err(Failure::not_found(format!("there is no part {:?}; the parts are: ledger", request.part)));
    }
    let charges = ledger::count();
    let condition = if charges < MAX_CHARGES { Condition::Well } else { Condition::Full };
    Ok(CheckReply { condition: condition.into(), charges: charges as u64 })
}
