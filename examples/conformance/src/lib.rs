//! The service that Connect's conformance suite calls: it answers as each request says, and tells what
//! it saw of the call. The service is that of `proto/`; what is made of it at build is the module
//! `proto`.

mod answers;
mod limit;
mod metadata;
mod seen;

mod proto {
    microhost_sdk::include_proto!();
}

use answers::Obedient;
use limit::CallersLimit;
use proto::connectrpc::conformance::v1::ConformanceServiceServer;

microhost_sdk::serve!(CallersLimit<ConformanceServiceServer<Obedient>>);
