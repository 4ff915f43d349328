//! The answers of every kind of method.

use std::time::Duration;

use microhost_sdk::proto::prost::Message;
use microhost_sdk::proto::{Failure, Replies, Requests};
use microhost_sdk::time::sleep;

use crate::metadata::{set_headers, set_trailers};
use crate::proto::connectrpc::conformance::v1::unary_response_definition::Response;
use crate::proto::connectrpc::conformance::v1::{
    BidiStreamRequest, BidiStreamResponse, ClientStreamRequest, ClientStreamResponse, ConformancePayload, ConformanceService,
    IdempotentUnaryRequest, IdempotentUnaryResponse, ServerStreamRequest, ServerStreamResponse, StreamResponseDefinition, UnaryRequest,
    UnaryResponse, UnaryResponseDefinition, UnimplementedRequest, UnimplementedResponse,
};
use crate::seen::Seen;

/// Answers as it is told to.
pub struct Obedient;

impl ConformanceService for Obedient {
    async fn unary(request: UnaryRequest) -> Result<UnaryResponse, Failure> {
        let mut seen = Seen::default();
        seen.add(&request);
        Ok(UnaryResponse { payload: one(request.response_definition, seen).await? })
    }

    async fn idempotent_unary(request: IdempotentUnaryRequest) -> Result<IdempotentUnaryResponse, Failure> {
        let mut seen = Seen::default();
        seen.add(&request);
        Ok(IdempotentUnaryResponse { payload: one(request.response_definition, seen).await? })
    }

    async fn unimplemented(_: UnimplementedRequest) -> Result<UnimplementedResponse, Failure> {
        Err(Failure::unimplemented("this method is there to be called in vain"))
    }

    async fn server_stream(request: ServerStreamRequest, replies: Replies<ServerStreamResponse>) -> Result<(), Failure> {
        let mut seen = Seen::default();
        seen.add(&request);
        let answer = Answer::begin(request.response_definition, &replies)?;
        answer.finish(seen, &replies, |payload| ServerStreamResponse { payload }).await
    }

    async fn client_stream(mut requests: Requests<ClientStreamRequest>) -> Result<ClientStreamResponse, Failure> {
        let mut seen = Seen::default();
        let mut definition = None;
        let mut first = true;
        while let Some(request) = requests.next().await? {
            seen.add(&request);
            if std::mem::replace(&mut first, false) {
                definition = request.response_definition;
            }
        }
        Ok(ClientStreamResponse { payload: one(definition, seen).await? })
    }

    async fn bidi_stream(mut requests: Requests<BidiStreamRequest>, replies: Replies<BidiStreamResponse>) -> Result<(), Failure> {
        let response = |payload| BidiStreamResponse { payload };
        let mut seen = Seen::default();
        let Some(first) = requests.next().await? else { return Ok(()) };
        seen.add(&first);
        let mut answer = Answer::begin(first.response_definition, &replies)?;
        // In full duplex a reply goes out before the next request is waited for.
        while !first.full_duplex || answer.reply(&mut seen, &replies, response).await? {
            match requests.next().await? {
                Some(request) => seen.add(&request),
                None => break,
            }
        }
        answer.finish(seen, &replies, response).await
    }
}

/// The payload of a call with one reply.
async fn one(definition: Option<UnaryResponseDefinition>, mut seen: Seen) -> Result<Option<ConformancePayload>, Failure> {
    let Some(definition) = definition else { return Ok(seen.payload(Vec::new())) };
    set_headers(&definition.response_headers)?;
    set_trailers(&definition.response_trailers)?;
    delay(definition.response_delay_ms).await;
    match definition.response {
        Some(Response::Error(error)) => Err(seen.failure(error)),
        Some(Response::ResponseData(data)) => Ok(seen.payload(data)),
        None => Ok(seen.payload(Vec::new())),
    }
}

/// What is left to do of an answer with many replies.
struct Answer {
    definition: StreamResponseDefinition,
    data: std::vec::IntoIter<Vec<u8>>,
}

impl Answer {
    /// Begins the reply, so that the caller has its headers before any delay.
    fn begin<T: Message + Default>(definition: Option<StreamResponseDefinition>, replies: &Replies<T>) -> Result<Answer, Failure> {
        let mut definition = definition.unwrap_or_default();
        set_headers(&definition.response_headers)?;
        set_trailers(&definition.response_trailers)?;
        replies.begin();
        let data = std::mem::take(&mut definition.response_data).into_iter();
        Ok(Answer { definition, data })
    }

    /// Sends the next reply; says whether there was one left.
    async fn reply<T: Message + Default>(
        &mut self,
        seen: &mut Seen,
        replies: &Replies<T>,
        response: fn(Option<ConformancePayload>) -> T,
    ) -> Result<bool, Failure> {
        let Some(data) = self.data.next() else { return Ok(false) };
        delay(self.definition.response_delay_ms).await;
        replies.send(response(seen.payload(data))).await?;
        Ok(true)
    }

    /// Sends what is left, and ends the call as it is to end.
    async fn finish<T: Message + Default>(
        mut self,
        mut seen: Seen,
        replies: &Replies<T>,
        response: fn(Option<ConformancePayload>) -> T,
    ) -> Result<(), Failure> {
        while self.reply(&mut seen, replies, response).await? {}
        match self.definition.error {
            Some(error) => Err(seen.failure(error)),
            None => Ok(()),
        }
    }
}

async fn delay(milliseconds: u32) {
    if milliseconds > 0 {
        sleep(Duration::from_millis(milliseconds.into())).await;
    }
}
