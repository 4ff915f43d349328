//! Says of itself whether it is well, as its environment wants it, or a file that can change.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::{env, io};

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

/// What a file wants, beside which each question is noted by a dot.
fn asked(file: &str) -> io::Result<Option<String>> {
    let wanted = fs::read_to_string(file)?;
    OpenOptions::new().create(true).append(true).open(format!("{file}.asked"))?.write_all(b".")?;
    Ok(Some(wanted))
}

impl Health for Doctor {
    async fn check(_: HealthCheckRequest) -> Result<HealthCheckResponse, Failure> {
        let wanted = match env::var("HEALTH") {
            Ok(file) if file.starts_with('/') => asked(&file).map_err(|error| Failure::internal(error.to_string()))?,
            wanted => wanted.ok(),
        };
        let status = match wanted.as_deref() {
            None | Some("well") => ServingStatus::Serving,
            Some("not-serving") => ServingStatus::NotServing,
            Some("silent") => std::future::pending().await,
            Some("trap") => panic!("not well enough to say so"),
            Some(why) => return Err(Failure::internal(why)),
        };
        Ok(HealthCheckResponse { status: status.into() })
    }

    async fn watch(_: HealthCheckRequest, _: Replies<HealthCheckResponse>) -> Result<(), Failure> {
        Err(Failure::unimplemented("nobody watches it"))
    }
}

microhost_sdk::serve!(PulseServer<Heart>, HealthServer<Doctor>);
