// Made by microhost of test/talk/v1/talk.proto: do not edit.

#[rustfmt::skip]
#[allow(dead_code, reason = "a service uses what it needs of this")]
const DESCRIPTORS_0: ::microhost_sdk::proto::Descriptors = ::microhost_sdk::proto::Descriptors {
    digest: 0x20b23010480a006a,
    bytes: b"\n\xbe\x01\n\x1bgoogle/protobuf/empty.proto\x12\x0fgoogle.protobuf\"\x07\n\x05EmptyB}\n\x13com.google.protobufB\nEmptyProtoP\x01Z.google.golang.org/protobuf/types/known/emptypb\xf8\x01\x01\xa2\x02\x03GPB\xaa\x02\x1eGoogle.Protobuf.WellKnownTypesb\x06proto3\n\xdd\x06\n\x17test/talk/v1/talk.proto\x12\x0ctest.talk.v1\x1a\x1bgoogle/protobuf/empty.proto\"\x1a\n\x04Line\x12\x12\n\x04text\x18\x01 \x01(\tR\x04text\"t\n\x04Wish\x12&\n\x04line\x18\x01 \x01(\x0b2\x12.test.talk.v1.LineR\x04line\x12\x14\n\x05times\x18\x02 \x01(\rR\x05times\x12 \n\tthen_fail\x18\x03 \x01(\tH\x00R\x08thenFail\x88\x01\x01B\x0c\n\n_then_fail\"7\n\x05Count\x12\x14\n\x05lines\x18\x01 \x01(\x04R\x05lines\x12\x18\n\x07letters\x18\x02 \x01(\x04R\x07letters2\x8b\x02\n\x04Talk\x12-\n\x03Say\x12\x12.test.talk.v1.Line\x1a\x12.test.talk.v1.Line\x122\n\x06Listen\x12\x12.test.talk.v1.Wish\x1a\x12.test.talk.v1.Line0\x01\x121\n\x04Tell\x12\x12.test.talk.v1.Line\x1a\x13.test.talk.v1.Count(\x01\x122\n\x04Chat\x12\x12.test.talk.v1.Line\x1a\x12.test.talk.v1.Line(\x010\x01\x129\n\x07Nothing\x12\x16.google.protobuf.Empty\x1a\x16.google.protobuf.EmptyJ\xb5\x02\n<\n\x04\x04\x01\x02\x02\x12\x03\x00\x00\x00\x1a/ Fails so after that many lines, if it is set.\n\n%\n\x02\x06\x00\x12\x03\x00\x00\x00\x1a\x1a One method of each kind.\n\n\x1c\n\x04\x06\x00\x02\x00\x12\x03\x00\x00\x00\x1a\x0f Says it back.\n\n\x1e\n\x04\x06\x00\x02\x01\x12\x03\x00\x00\x00\x1a\x11 Repeats a line.\n\n.\n\x04\x06\x00\x02\x02\x12\x03\x00\x00\x00\x1a! Counts lines and their letters.\n\n/\n\x04\x06\x00\x02\x03\x12\x03\x00\x00\x00\x1a\" Says each line back as it comes.\n\n/\n\x04\x06\x00\x02\x04\x12\x03\x00\x00\x00\x1a\" Takes nothing and gives nothing.\nb\x06proto3",
};
#[rustfmt::skip]
#[allow(dead_code, reason = "a service uses what it needs of this")]
pub mod test {
    pub mod talk {
        pub mod v1 {
            #[derive(Clone, PartialEq, Eq, Hash, ::microhost_sdk::proto::prost::Message)]
            #[prost(prost_path = "::microhost_sdk::proto::prost")]
            pub struct Line {
                #[prost(string, tag = "1")]
                pub text: ::microhost_sdk::proto::prost::alloc::string::String,
            }
            impl ::microhost_sdk::proto::prost::Name for Line {
                const NAME: &'static str = "Line";
                const PACKAGE: &'static str = "test.talk.v1";
                fn full_name() -> ::microhost_sdk::proto::prost::alloc::string::String {
                    "test.talk.v1.Line".into()
                }
                fn type_url() -> ::microhost_sdk::proto::prost::alloc::string::String {
                    "/test.talk.v1.Line".into()
                }
            }
            #[derive(Clone, PartialEq, Eq, Hash, ::microhost_sdk::proto::prost::Message)]
            #[prost(prost_path = "::microhost_sdk::proto::prost")]
            pub struct Wish {
                #[prost(message, optional, tag = "1")]
                pub line: ::core::option::Option<Line>,
                #[prost(uint32, tag = "2")]
                pub times: u32,
                /// Fails so after that many lines, if it is set.
                #[prost(string, optional, tag = "3")]
                pub then_fail: ::core::option::Option<
                    ::microhost_sdk::proto::prost::alloc::string::String,
                >,
            }
            impl ::microhost_sdk::proto::prost::Name for Wish {
                const NAME: &'static str = "Wish";
                const PACKAGE: &'static str = "test.talk.v1";
                fn full_name() -> ::microhost_sdk::proto::prost::alloc::string::String {
                    "test.talk.v1.Wish".into()
                }
                fn type_url() -> ::microhost_sdk::proto::prost::alloc::string::String {
                    "/test.talk.v1.Wish".into()
                }
            }
            #[derive(
                Clone,
                Copy,
                PartialEq,
                Eq,
                Hash,
                ::microhost_sdk::proto::prost::Message
            )]
            #[prost(prost_path = "::microhost_sdk::proto::prost")]
            pub struct Count {
                #[prost(uint64, tag = "1")]
                pub lines: u64,
                #[prost(uint64, tag = "2")]
                pub letters: u64,
            }
            impl ::microhost_sdk::proto::prost::Name for Count {
                const NAME: &'static str = "Count";
                const PACKAGE: &'static str = "test.talk.v1";
                fn full_name() -> ::microhost_sdk::proto::prost::alloc::string::String {
                    "test.talk.v1.Count".into()
                }
                fn type_url() -> ::microhost_sdk::proto::prost::alloc::string::String {
                    "/test.talk.v1.Count".into()
                }
            }
            /// One method of each kind.
            pub trait Talk: 'static {
                /// Says it back.
                fn say(
                    request: Line,
                ) -> impl ::core::future::Future<
                    Output = ::core::result::Result<
                        Line,
                        ::microhost_sdk::proto::Failure,
                    >,
                >;
                /// Repeats a line.
                fn listen(
                    request: Wish,
                    replies: ::microhost_sdk::proto::Replies<Line>,
                ) -> impl ::core::future::Future<
                    Output = ::core::result::Result<(), ::microhost_sdk::proto::Failure>,
                >;
                /// Counts lines and their letters.
                fn tell(
                    requests: ::microhost_sdk::proto::Requests<Line>,
                ) -> impl ::core::future::Future<
                    Output = ::core::result::Result<
                        Count,
                        ::microhost_sdk::proto::Failure,
                    >,
                >;
                /// Says each line back as it comes.
                fn chat(
                    requests: ::microhost_sdk::proto::Requests<Line>,
                    replies: ::microhost_sdk::proto::Replies<Line>,
                ) -> impl ::core::future::Future<
                    Output = ::core::result::Result<(), ::microhost_sdk::proto::Failure>,
                >;
                /// Takes nothing and gives nothing.
                fn nothing(
                    request: (),
                ) -> impl ::core::future::Future<
                    Output = ::core::result::Result<(), ::microhost_sdk::proto::Failure>,
                >;
            }
            /// Serves an implementation of [`Talk`]: `microhost_sdk::serve!(TalkServer<Mine>);`
            pub struct TalkServer<T>(::core::marker::PhantomData<T>);
            impl<T: Talk> ::microhost_sdk::proto::Service for TalkServer<T> {
                const NAME: &'static str = "test.talk.v1.Talk";
                const DESCRIPTORS: ::microhost_sdk::proto::Descriptors = super::super::super::DESCRIPTORS_0;
                async fn call(
                    head: ::microhost_sdk::handler::Head,
                    message: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<
                    ::std::vec::Vec<u8>,
                    ::microhost_sdk::proto::Failure,
                > {
                    match head.method.as_str() {
                        "Say" => {
                            ::microhost_sdk::proto::serve::call(message, T::say).await
                        }
                        "Nothing" => {
                            ::microhost_sdk::proto::serve::call(message, T::nothing)
                                .await
                        }
                        _ => {
                            let _ = message;
                            ::core::result::Result::Err(
                                ::microhost_sdk::proto::serve::unknown(&head),
                            )
                        }
                    }
                }
                async fn open(
                    head: ::microhost_sdk::handler::Head,
                    requests: ::microhost_sdk::handler::Requests,
                    replies: ::microhost_sdk::handler::Replies,
                ) -> ::core::result::Result<(), ::microhost_sdk::proto::Failure> {
                    match head.method.as_str() {
                        "Say" => {
                            ::microhost_sdk::proto::serve::unary(
                                    requests,
                                    replies,
                                    T::say,
                                )
                                .await
                        }
                        "Listen" => {
                            ::microhost_sdk::proto::serve::server_stream(
                                    requests,
                                    replies,
                                    T::listen,
                                )
                                .await
                        }
                        "Tell" => {
                            ::microhost_sdk::proto::serve::client_stream(
                                    requests,
                                    replies,
                                    T::tell,
                                )
                                .await
                        }
                        "Chat" => {
                            ::microhost_sdk::proto::serve::bidi_stream(
                                    requests,
                                    replies,
                                    T::chat,
                                )
                                .await
                        }
                        "Nothing" => {
                            ::microhost_sdk::proto::serve::unary(
                                    requests,
                                    replies,
                                    T::nothing,
                                )
                                .await
                        }
                        _ => {
                            let _ = (requests, replies);
                            ::core::result::Result::Err(
                                ::microhost_sdk::proto::serve::unknown(&head),
                            )
                        }
                    }
                }
            }
            /// Calls test.talk.v1.Talk through a [`Transport`](::microhost_sdk::proto::Transport).
            #[derive(Clone, Debug)]
            pub struct TalkClient<T>(T);
            impl<T: ::microhost_sdk::proto::Transport> TalkClient<T> {
                /// A client that calls through `transport`.
                pub fn new(transport: T) -> Self {
                    Self(transport)
                }
                /// Says it back.
                pub async fn say(
                    &self,
                    request: &Line,
                ) -> ::core::result::Result<Line, ::microhost_sdk::proto::Failure> {
                    ::microhost_sdk::proto::client::unary(
                            &self.0,
                            "test.talk.v1.Talk",
                            "Say",
                            request,
                        )
                        .await
                }
                /// Repeats a line.
                pub async fn listen(
                    &self,
                    request: &Wish,
                ) -> ::core::result::Result<
                    ::microhost_sdk::proto::Receiver<Line, T::Receiving>,
                    ::microhost_sdk::proto::Failure,
                > {
                    ::microhost_sdk::proto::client::server_stream(
                            &self.0,
                            "test.talk.v1.Talk",
                            "Listen",
                            request,
                        )
                        .await
                }
                /// Counts lines and their letters.
                pub async fn tell(
                    &self,
                ) -> ::core::result::Result<
                    (
                        ::microhost_sdk::proto::Sender<Line, T::Sending>,
                        ::microhost_sdk::proto::Receiver<Count, T::Receiving>,
                    ),
                    ::microhost_sdk::proto::Failure,
                > {
                    ::microhost_sdk::proto::client::client_stream(
                            &self.0,
                            "test.talk.v1.Talk",
                            "Tell",
                        )
                        .await
                }
                /// Says each line back as it comes.
                pub async fn chat(
                    &self,
                ) -> ::core::result::Result<
                    (
                        ::microhost_sdk::proto::Sender<Line, T::Sending>,
                        ::microhost_sdk::proto::Receiver<Line, T::Receiving>,
                    ),
                    ::microhost_sdk::proto::Failure,
                > {
                    ::microhost_sdk::proto::client::bidi_stream(
                            &self.0,
                            "test.talk.v1.Talk",
                            "Chat",
                        )
                        .await
                }
                /// Takes nothing and gives nothing.
                pub async fn nothing(
                    &self,
                    request: &(),
                ) -> ::core::result::Result<(), ::microhost_sdk::proto::Failure> {
                    ::microhost_sdk::proto::client::unary(
                            &self.0,
                            "test.talk.v1.Talk",
                            "Nothing",
                            request,
                        )
                        .await
                }
            }
        }
    }
}
