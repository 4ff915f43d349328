//! Connecting to the host that listens at a subject.

use std::io;

use async_nats::{Message, StatusCode, Subject, Subscriber};
use futures::StreamExt as _;

use super::frame::{self, Frame, Kind};
use super::stream::{Ends, Tunnel};
use super::{Link, MAX_OPENED, Tunnels, WINDOW, broken, place};
use crate::settings;

/// Bytes of another host's reason to refuse that are told.
const MAX_REASON: usize = 200;

impl Tunnels {
    /// Connects to the host that listens at a subject, by the first server that knows of it. It takes as long
    /// as that host takes: the caller has a limit for it.
    pub async fn open(&self, to: &settings::Subject) -> io::Result<Tunnel> {
        if !to.is_of(&self.cluster) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{to} is of another cluster than {}", self.cluster)));
        }
        let mut last = io::Error::new(io::ErrorKind::Unsupported, "this host has no NATS server: give it --cluster nats://HOST");
        for server in &self.servers {
            let opening = async { self.open_by(Link::to(server).await?, to).await };
            match opening.await {
                Ok(tunnel) => return Ok(tunnel),
                Err(error) => last = io::Error::new(error.kind(), format!("{}: {error}", server.name())),
            }
        }
        Err(last)
    }

    async fn open_by(&self, link: Link, to: &settings::Subject) -> io::Result<Tunnel> {
        let too_many =
            || io::Error::new(io::ErrorKind::QuotaExceeded, format!("this host has made {MAX_OPENED} connections by NATS already"));
        let place = place(&self.opened).ok_or_else(too_many)?;
        let own = Subject::from(self.line()?);
        let mut incoming = link.client.subscribe(own.clone()).await.map_err(io::Error::other)?;
        let open = frame::write(Kind::Open, 0, &WINDOW.to_be_bytes());
        link.client.publish_with_reply(to.to_string(), own.clone(), open).await.map_err(io::Error::other)?;
        let (other, window) = self.answer(&mut incoming).await?;
        Tunnel::new(link, Ends { own, incoming, other, window }, place)
    }

    /// Where the other host takes what is sent to it, and its room.
    async fn answer(&self, incoming: &mut Subscriber) -> io::Result<(Subject, u32)> {
        let Message { reply, payload, status, .. } = incoming.next().await.ok_or_else(|| broken("the client of NATS has ended"))?;
        if status == Some(StatusCode::NO_RESPONDERS) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens at the subject: the host has gone"));
        }
        let strange = || broken("the other host answered with what begins no connection");
        let frame = Frame::read(payload).filter(|frame| frame.number == 0).ok_or_else(strange)?;
        match (frame.kind, frame.window(), reply) {
            (Kind::Accept, Some(window), Some(other)) if self.is_line(&other) => Ok((other, window)),
            (Kind::Refuse, ..) => {
                let reason = String::from_utf8_lossy(&frame.body[..frame.body.len().min(MAX_REASON)]).escape_debug().to_string();
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, reason))
            }
            _ => Err(strange()),
        }
    }
}
