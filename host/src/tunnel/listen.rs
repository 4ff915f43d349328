//! Taking the connections of other hosts.

use std::io;
use std::sync::Arc;

use async_nats::{Message, Subject, Subscriber};
use futures::StreamExt as _;
use futures::future::select_all;

use super::frame::{self, Frame, Kind};
use super::stream::{Ends, LEAST, Tunnel};
use super::{Link, MAX_ACCEPTED, Tunnels, WINDOW, broken, place};
use crate::connections::{self, Nats};
use crate::settings;

/// Takes the connections of other hosts until it is dropped; from then on they are told that nobody does.
pub struct Listener {
    tunnels: Arc<Tunnels>,
    ears: Vec<Ear>,
}

/// What listens by one server.
struct Ear {
    server: Arc<Nats>,
    subject: settings::Subject,
    /// None until there is a connection to the server for the first time. The client has it last through
    /// the later ones.
    heard: Option<Subscriber>,
}

impl Tunnels {
    /// Listens as the host of this id. A server that is not there is waited for.
    pub fn listen(self: &Arc<Tunnels>, id: &str) -> Listener {
        let ear = |server: &Arc<Nats>| Ear { server: Arc::clone(server), subject: self.subject(id), heard: None };
        Listener { tunnels: Arc::clone(self), ears: self.servers.iter().map(ear).collect() }
    }

    /// Takes the connection that a message asks for.
    async fn accept(&self, server: &Arc<Nats>, asked: Message) -> io::Result<Tunnel> {
        let strange = || broken("it was sent what begins no connection");
        let asks = Frame::read(asked.payload).filter(|frame| (frame.kind, frame.number) == (Kind::Open, 0));
        let window = asks.and_then(|frame| frame.window()).filter(|window| *window >= LEAST);
        // Whoever may send here might have us send to where he may not.
        let other = asked.reply.filter(|other| self.is_line(other)).ok_or_else(strange)?;
        let link = Link::to(server).await?;
        let Some(window) = window else {
            link.refuse(other, "what asks for a connection has too little room, or is of another version").await?;
            return Err(strange());
        };
        let Some(place) = place(&self.accepted) else {
            let why = format!("the host has taken {MAX_ACCEPTED} connections by NATS already");
            link.refuse(other, &why).await?;
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        };
        let own = Subject::from(self.line()?);
        let incoming = link.client.subscribe(own.clone()).await.map_err(io::Error::other)?;
        let accept = frame::write(Kind::Accept, 0, &WINDOW.to_be_bytes());
        link.client.publish_with_reply(other.clone(), own.clone(), accept).await.map_err(io::Error::other)?;
        Tunnel::new(link, Ends { own, incoming, other, window }, place)
    }
}

impl Link {
    async fn refuse(&self, other: Subject, why: &str) -> io::Result<()> {
        self.client.publish(other, frame::write(Kind::Refuse, 0, why.as_bytes())).await.map_err(io::Error::other)
    }
}

impl Listener {
    /// The next connection; `None` when there are none any more, since the clients of the servers have ended.
    pub async fn next(&mut self) -> Option<Tunnel> {
        loop {
            if self.ears.is_empty() {
                return None;
            }
            let (asked, at, _) = select_all(self.ears.iter_mut().map(|ear| Box::pin(ear.next()))).await;
            let Some(asked) = asked else {
                self.ears.remove(at);
                continue;
            };
            let server = &self.ears[at].server;
            match self.tunnels.accept(server, asked).await {
                Ok(tunnel) => return Some(tunnel),
                Err(error) => tracing::debug!(server = server.name(), %error, "a connection by NATS did not come about"),
            }
        }
    }
}

impl Ear {
    /// What is heard next; `None` when the client has ended. May be dropped and asked for anew.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(heard) = &mut self.heard {
                return heard.next().await;
            }
            let mut link = self.server.link();
            match Link::to(&self.server).await {
                Ok(to) => match to.client.subscribe(self.subject.to_string()).await {
                    Ok(heard) => self.heard = Some(heard),
                    Err(error) => {
                        tracing::warn!(server = self.server.name(), %error, "other hosts cannot reach this one by NATS");
                        return None;
                    }
                },
                // It tries again by itself. Where it has not even begun, the runtime ends.
                Err(_) => {
                    link.wait_for(|link| matches!(link, connections::Link::Up(_))).await.ok()?;
                }
            }
        }
    }
}
