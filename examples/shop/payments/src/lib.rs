//! Takes payments. The services are those of `proto/`; what is made of these files at build is the
//! module `proto`.

mod health;
mod ledger;
mod payments;

mod proto {
    microhost_sdk::include_proto!();
}

use health::Doctor;
use payments::Bank;
use proto::shop::health::v1::HealthServer;
use proto::shop::payments::v1::PaymentsServer;

microhost_sdk::serve!(PaymentsServer<Bank>, HealthServer<Doctor>);
