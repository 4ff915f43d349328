//! What generated clients are made of, and the way that they call by.

use std::future::Future;
use std::marker::PhantomData;

use prost::Message;

use super::Failure;

/// A way to call methods by name. A generated client takes any; the messages are protobuf.
pub trait Transport {
    /// The way for a call's messages.
    type Sending: Sending;
    /// A reply's messages.
    type Receiving: Receiving;

    /// Makes a unary call.
    fn call(&self, service: &str, method: &str, message: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, Failure>>;

    /// Begins a call of any kind. Dropping both of what it returns cancels it.
    fn open(&self, service: &str, method: &str) -> impl Future<Output = Result<(Self::Sending, Self::Receiving), Failure>>;
}

/// The way for a call's messages. Dropping it ends them, and the call goes on.
pub trait Sending {
    /// Sends a message. It waits while the service is slower than the caller; it fails when the service
    /// takes no more.
    fn send(&mut self, message: Vec<u8>) -> impl Future<Output = Result<(), Failure>>;
}

/// A reply's messages.
pub trait Receiving {
    /// The next message; none when the call has ended well.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Failure>>;
}

/// The way for a call's messages. Dropping it ends them, and the call goes on.
#[derive(Debug)]
pub struct Sender<T, S> {
    way: S,
    of: PhantomData<fn(T)>,
}

impl<T: Message, S: Sending> Sender<T, S> {
    /// Sends a message. It waits while the service is slower than the caller; it fails when the service
    /// takes no more.
    pub async fn send(&mut self, message: &T) -> Result<(), Failure> {
        self.way.send(message.encode_to_vec()).await
    }
}

/// A reply's messages.
#[derive(Debug)]
pub struct Receiver<T, R> {
    way: R,
    of: PhantomData<fn() -> T>,
}

impl<T: Message + Default, R: Receiving> Receiver<T, R> {
    /// The next message; none when the call has ended well.
    pub async fn next(&mut self) -> Result<Option<T>, Failure> {
        self.way.next().await?.map(|message| decode(&message)).transpose()
    }

    /// The only message of a reply that is not a stream to the caller. It ends the call.
    pub async fn only(mut self) -> Result<T, Failure> {
        let Some(message) = self.next().await? else {
            return Err(Failure::internal("the reply has no message, and one was expected"));
        };
        match self.next().await? {
            None => Ok(message),
            Some(_) => Err(Failure::internal("the reply has more than one message, and one was expected")),
        }
    }
}

fn decode<T: Message + Default>(message: &[u8]) -> Result<T, Failure> {
    T::decode(message).map_err(|error| Failure::internal(format!("the reply cannot be read: {error}")))
}

/// Calls a unary method.
pub async fn unary<T: Transport, O: Message + Default>(
    transport: &T,
    service: &str,
    method: &str,
    request: &impl Message,
) -> Result<O, Failure> {
    decode(&transport.call(service, method, request.encode_to_vec()).await?)
}

/// Calls a method whose reply is a stream.
pub async fn server_stream<T: Transport, O: Message + Default>(
    transport: &T,
    service: &str,
    method: &str,
    request: &impl Message,
) -> Result<Receiver<O, T::Receiving>, Failure> {
    let (mut sending, way) = transport.open(service, method).await?;
    // Where the service does not take it, the reply says why.
    let _ = sending.send(request.encode_to_vec()).await;
    Ok(Receiver { way, of: PhantomData })
}

/// Calls a method whose request is a stream.
pub async fn client_stream<T: Transport, I: Message, O: Message + Default>(
    transport: &T,
    service: &str,
    method: &str,
) -> Result<(Sender<I, T::Sending>, Receiver<O, T::Receiving>), Failure> {
    bidi_stream(transport, service, method).await
}

/// Calls a method of streams both ways.
pub async fn bidi_stream<T: Transport, I: Message, O: Message + Default>(
    transport: &T,
    service: &str,
    method: &str,
) -> Result<(Sender<I, T::Sending>, Receiver<O, T::Receiving>), Failure> {
    let (sending, receiving) = transport.open(service, method).await?;
    Ok((Sender { way: sending, of: PhantomData }, Receiver { way: receiving, of: PhantomData }))
}
