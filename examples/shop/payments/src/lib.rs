//! Takes payments, through two doors: the services of `proto/`, for everybody who has the files, and the
//! interface of `wit/`, which other services of the shop import.

mod health;
mod ledger;
mod payments;
mod till;

mod proto {
    microhost_sdk::include_proto!();
}

use health::Doctor;
use payments::Bank;
use proto::shop::health::v1::HealthServer;
use proto::shop::payments::v1::PaymentsServer;
use till::Till;

microhost_sdk::service!({ world: "shop:payments/payments" });

export!(Till);
microhost_sdk::serve!(PaymentsServer<Bank>, HealthServer<Doctor>);
