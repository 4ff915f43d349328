//! Deadlines as the protocols write them.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};

use crate::status::{Code, Status};

const CONNECT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");

/// Digits of `connect-timeout-ms` (the Connect protocol, "Timeout").
const CONNECT_DIGITS: usize = 10;

/// Digits of `grpc-timeout` (gRPC, "PROTOCOL-HTTP2", "TimeoutValue").
const GRPC_DIGITS: usize = 8;

/// The deadline of a Connect request, if it sets one.
pub(super) fn connect(headers: &HeaderMap) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.get(CONNECT) else { return Ok(None) };
    let millis = digits(value.as_bytes(), CONNECT_DIGITS).ok_or_else(|| {
        Status::new(
            Code::InvalidArgument,
            format!("connect-timeout-ms is not a whole number of at most {CONNECT_DIGITS} digits: {value:?}"),
        )
    })?;
    Ok(deadline(Duration::from_millis(millis)))
}

/// The deadline of a gRPC or gRPC-Web request, if it sets one.
pub(super) fn grpc(headers: &HeaderMap) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.get(GRPC) else { return Ok(None) };
    let bad = || {
        Status::new(
            Code::InvalidArgument,
            format!("grpc-timeout is not a number of at most {GRPC_DIGITS} digits and a unit, one of H, M, S, m, u, n: {value:?}"),
        )
    };
    let (unit, number) = value.as_bytes().split_last().ok_or_else(bad)?;
    let number = digits(number, GRPC_DIGITS).ok_or_else(bad)?;
    Ok(deadline(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return Err(bad()),
    }))
}

/// A time so far ahead that the clock cannot name it is none at all.
fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

fn digits(text: &[u8], most: usize) -> Option<u64> {
    if text.is_empty() || text.len() > most {
        return None;
    }
    text.iter().try_fold(0, |number: u64, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn left(read: fn(&HeaderMap) -> Result<Option<Instant>, Status>, name: HeaderName, value: &'static str) -> Result<Duration, Code> {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        let before = Instant::now();
        read(&headers).map(|deadline| deadline.expect("set").duration_since(before)).map_err(|status| status.code())
    }

    #[test]
    fn every_unit_of_grpc_is_read() {
        for (value, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("6000000u", Duration::from_secs(6)),
            ("10000000n", Duration::from_millis(10)),
        ] {
            let left = left(grpc, GRPC, value).expect(value);
            assert!(left >= expected && left < expected + Duration::from_secs(1), "{value}: {left:?}");
        }
    }

    #[test]
    fn connect_takes_ten_digits() {
        assert!(left(connect, CONNECT, "9999999999").expect("ten digits") >= Duration::from_millis(9_999_999_999));
        assert_eq!(left(connect, CONNECT, "10000000000"), Err(Code::InvalidArgument));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for value in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S", "+1S"] {
            assert_eq!(left(grpc, GRPC, value), Err(Code::InvalidArgument), "{value:?}");
        }
        for value in ["", "-1", "1.5", "1s", "0x1"] {
            assert_eq!(left(connect, CONNECT, value), Err(Code::InvalidArgument), "{value:?}");
        }
    }
}
