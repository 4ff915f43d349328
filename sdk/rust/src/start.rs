//! What is set up when an instance starts.

use std::panic;

use crate::log::{Level, write};

/// Connects logs and panics to the host. [`service!`](crate::service) sees to it that it runs when
/// an instance starts; there is no need to call it.
///
/// It asks nothing of the host, because there is no call yet.
pub extern "C" fn start() {
    // A service may have set a hook or a logger of its own before; the first one stays.
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("the panic has no message");
        let location = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        write(Level::Error, &format!("panicked: {message}"), &[("location", &location)]);
    }));
    #[cfg(feature = "log")]
    crate::log::facade::install();
    #[cfg(feature = "tracing")]
    crate::log::spans::install();
}

/// Connects the crate that it stands in to the host when an instance starts.
///
/// The constructor stands in the service's own crate because a linker drops one of a library that
/// nothing refers to.
#[doc(hidden)]
#[macro_export]
macro_rules! __at_start {
    () => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static START: extern "C" fn() = $crate::start;
        };
    };
}
