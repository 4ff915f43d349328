//! Tries what WASI has, and reports what was denied.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io};

use exports::test::wasi::probe::{Guest, Outcome};

microhost_sdk::service!({ world: "test:wasi/guest" });

impl<T: Display, E: Display> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Outcome {
        match result {
            Ok(value) => Outcome { done: true, text: value.to_string() },
            Err(error) => Outcome { done: false, text: error.to_string() },
        }
    }
}

fn names(path: &str) -> io::Result<String> {
    let names: io::Result<Vec<String>> = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    Ok(names?.join(" "))
}

struct Wasi;

impl Guest for Wasi {
    /// As `NAME=value`, by name, with spaces between.
    fn environment() -> Outcome {
        let sorted: BTreeMap<String, String> = env::vars().collect();
        let text: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Outcome { done: true, text: text.join(" ") }
    }

    fn arguments() -> Outcome {
        Outcome { done: true, text: env::args().collect::<Vec<_>>().join(" ") }
    }

    fn stdin() -> Outcome {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text).into()
    }

    fn clock() -> Outcome {
        SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).into()
    }

    fn random() -> Outcome {
        // The hasher's keys are drawn from the host's random numbers.
        Outcome { done: true, text: RandomState::new().hash_one(0).to_string() }
    }

    fn read_file(path: String) -> Outcome {
        fs::read_to_string(path).into()
    }

    fn write_file(path: String, text: String) -> Outcome {
        fs::write(path, text).map(|()| "written").into()
    }

    fn list_folder(path: String) -> Outcome {
        names(&path).into()
    }

    fn connect(address: String) -> Outcome {
        TcpStream::connect(address).map(|_| "connected").into()
    }

    fn listen(address: String) -> Outcome {
        TcpListener::bind(address).map(|_| "listening").into()
    }

    fn lookup(host: String) -> Outcome {
        (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" ")).into()
    }
}

export!(Wasi);
