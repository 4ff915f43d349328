//! Says of itself whether it is well, as its environment wants it.

use std::env;

use microhost_sdk::proto::{Failure, Replies};

mod proto {
    microhost_sdk::include_proto!();
}

use proto::grpc::health::v1::health_check_response::ServingStatus;
use proto::grpc::health::v1::{Health, HealthCheckRequest, HealthCheckResponse, HealthServer};
use proto::test::pulse::v1::{Beaten, Pulse, PulseServer};

struct Heart;

impl Pulse for Heart {
    async fn beat(_: ()) -> Result<Beaten, Failure> {
        Ok(Beaten { version: env::var("VERSION").unwrap_or_default() })
    }
}

struct Doctor;

impl Health for Doctor {
    async fn check(_: HealthCheckRequest) -> Result<HealthCheckResponse, Failure> {
        let status = match env::var("HEALTH").as_deref() {
            Err(_) => ServingStatus::Serving,
            Ok("not-serving") => ServingStatus::NotServing,
            Ok("silent") => std::future::pending().await,
            Ok("trap") => panic!("not well enough to say so"),
            Ok(why) => return Err(Failure::internal(why)),
        };
        Ok(HealthCheckResponse { status: status.into() })
    }

    async fn watch(_: HealthCheckRequest, _: Replies<HealthCheckResponse>) -> Result<(), Failure> {
        Err(Failure::unimplemented("nobody watches it"))
    }
}

microhost_sdk::serve!(PulseServer<Heart>, HealthServer<Doctor>);
