// Calls a host by Connect's own client for Node: every kind of call, over each protocol and codec.
//
// Its arguments: the folder that the packages are installed in, the host's URL, and the file of
// descriptors that protoc made from `microhost gen proto`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, baseUrl, descriptors] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { createFileRegistry, fromBinary } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");
const { Code, ConnectError, createClient } = require("@connectrpc/connect");
const { compressionGzip, createConnectTransport, createGrpcTransport, createGrpcWebTransport } = require("@connectrpc/connect-node");

/** Milliseconds that one check may take; a call that hangs fails with `deadline_exceeded` before that. */
const SOON = 30_000;
const LIMIT = { timeoutMs: 20_000 };

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const service = registry.getService("example.streams.Streams");
assert(service, "the descriptors have the service");

/** Messages that are sent when the test says so. */
class Sent {
  #waiting = [];
  #wake;
  #done = false;

  send(message) {
    this.#waiting.push(message);
    this.#wake?.();
  }

  end() {
    this.#done = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.#waiting.length > 0) yield this.#waiting.shift();
      if (this.#done) return;
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }
}

async function* messages(values) {
  for (const value of values) yield { value };
}

/** The messages of a reply, and the error that it ended with. */
async function outcome(reply) {
  const values = [];
  try {
    for await (const { value } of reply) values.push(value);
  } catch (error) {
    assert(error instanceof ConnectError, String(error));
    return { values, error };
  }
  return { values };
}

async function all(reply) {
  const { values, error } = await outcome(reply);
  if (error) throw error;
  return values;
}

/** What each protocol has to do, whichever version of HTTP it is over. */
const CHECKS = {
  async "a unary call is answered"(client) {
    const { value } = await client.ended({}, LIMIT);
    assert(value >= 0n);
  },

  async "the server's messages come in order"(client) {
    assert.deepEqual(await all(client.countdown({ from: 5n }, LIMIT)), [4n, 3n, 2n, 1n, 0n]);
    assert.deepEqual(await all(client.countdown({ from: 0n }, LIMIT)), []);
    const items = await all(client.produce({ count: 1000, size: 100 }, LIMIT));
    assert.equal(items.length, 1000);
    assert(items.every((item) => item.length === 100));
  },

  async "the client's messages are all read"(client) {
    const numbers = Array.from({ length: 200 }, (_, number) => number - 10);
    const { value } = await client.sum(messages(numbers), LIMIT);
    assert.equal(value, BigInt(numbers.reduce((sum, number) => sum + number, 0)));
    assert.equal((await client.sum(messages([]), LIMIT)).value, 0n);
  },

  async "what goes both ways comes back as it was"(client) {
    const small = Array.from({ length: 30 }, (_, number) => new Uint8Array(number * 10).fill(number));
    const large = [new Uint8Array(1 << 18).fill(1), new Uint8Array(1 << 18).fill(2)];
    for (const items of [small, large]) {
      const replies = await all(client.echo(messages(items), LIMIT));
      assert.equal(replies.length, items.length);
      assert(replies.every((reply, place) => Buffer.compare(reply, items[place]) === 0));
    }
  },

  async "records go both ways"(client) {
    const notes = [{ id: 1, text: "hä", tags: ["a", ""] }, { id: 2 ** 32 - 1, text: "", tags: [] }];
    const shouted = [];
    for await (const { id, text, tags } of client.shout(each(notes), LIMIT)) shouted.push({ id, text, tags });
    assert.deepEqual(shouted, notes.map((note) => ({ ...note, text: note.text.toUpperCase() })));
  },

  async "the server answers after the client has closed its side"(client) {
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    assert.deepEqual(await all(client.collect(messages(numbers), LIMIT)), numbers);
  },

  async "a call fails before its first message"(client) {
    const { values, error } = await outcome(client.fallible({ number: 1 }, LIMIT));
    assert.deepEqual([values, error?.code], [[], Code.NotFound], String(error));
  },

  async "a call fails after its messages"(client) {
    const { values, error } = await outcome(client.fallible({ number: 102 }, LIMIT));
    assert.deepEqual([values, error?.code], [[0, 1, 2], Code.Aborted], String(error));
    assert.equal(error.rawMessage, "it was too much");
    assert.deepEqual(await all(client.fallible({ number: 2 }, LIMIT)), [0, 1]);
  },

  async "a trap in mid-stream is an internal error"(client) {
    const { values, error } = await outcome(client.trapAfter({ count: 2 }, LIMIT));
    assert.equal(error?.code, Code.Internal, `${values}: ${error}`);
    assert.deepEqual(values, [0, 1].slice(0, values.length));
  },

  async "metadata goes before and after the messages"(client) {
    const seen = {};
    const options = {
      ...LIMIT,
      headers: { "x-say": "hello" },
      onHeader: (headers) => (seen.before = headers.get("x-before")),
      onTrailer: (trailers) => (seen.after = trailers.get("x-after")),
    };
    assert.deepEqual(await all(client.metadata({}, options)), ["hello"]);
    assert.deepEqual(seen, { before: "1", after: "late" });
  },

  async "a deadline ends a stream"(client) {
    const { values, error } = await outcome(client.tick({ milliseconds: 1 }, { timeoutMs: 200 }));
    assert.equal(error?.code, Code.DeadlineExceeded, String(error));
    assert(values.length > 0 && values.every((value, place) => value === BigInt(place)), `${values}`);
  },

  async "the client leaves a stream that has no end"(client) {
    const leave = new AbortController();
    const seen = [];
    const reply = client.tick({ milliseconds: 1 }, { ...LIMIT, signal: leave.signal });
    await assert.rejects(
      async () => {
        for await (const { value } of reply) {
          seen.push(value);
          if (value === 3n) leave.abort();
        }
      },
      (error) => ConnectError.from(error).code === Code.Canceled,
    );
    assert.deepEqual(seen.slice(0, 4), [0n, 1n, 2n, 3n]);
    // By leaving the loop, too.
    for await (const item of client.endless({ size: 1000 }, LIMIT)) {
      assert.equal(item.value.length, 1000);
      break;
    }
  },
};

/** What needs both directions at once, which HTTP/2 has and browsers' HTTP/1.1 has not. */
const DUPLEX = {
  async "each message is answered before the next is sent"(client) {
    const sent = new Sent();
    const reply = client.echo(sent, LIMIT)[Symbol.asyncIterator]();
    for (let turn = 0; turn < 20; turn++) {
      const value = new Uint8Array([turn]);
      sent.send({ value });
      assert.equal(Buffer.compare((await reply.next()).value.value, value), 0);
    }
    sent.end();
    assert.equal((await reply.next()).done, true);
  },

  async "an answer comes while the client could still send"(client) {
    const sent = new Sent();
    sent.send({ value: "only" });
    assert.equal((await client.first(sent, LIMIT)).value, "only");
    sent.end();
  },

  async "a deadline ends a call whose server does not read"(client) {
    const sent = new Sent();
    sent.send({ value: new Uint8Array([1]) });
    const error = await client.deaf(sent, { timeoutMs: 300 }).then(
      () => assert.fail("it should fail"),
      (error) => ConnectError.from(error),
    );
    assert.equal(error.code, Code.DeadlineExceeded, String(error));
    sent.end();
  },
};

async function* each(items) {
  yield* items;
}

const packed = { acceptCompression: [compressionGzip], sendCompression: compressionGzip, compressMinBytes: 1 };
const TRANSPORTS = [];
for (const useBinaryFormat of [true, false]) {
  const codec = useBinaryFormat ? "proto" : "json";
  for (const httpVersion of ["1.1", "2"]) {
    const options = { baseUrl, httpVersion, useBinaryFormat };
    const over = `${codec} over HTTP/${httpVersion}`;
    TRANSPORTS.push([`Connect, ${over}`, httpVersion, createConnectTransport(options)]);
    TRANSPORTS.push([`gRPC-Web, ${over}`, httpVersion, createGrpcWebTransport(options)]);
  }
  const options = { baseUrl, httpVersion: "2", useBinaryFormat };
  TRANSPORTS.push([`gRPC, ${codec}`, "2", createGrpcTransport(options)]);
  TRANSPORTS.push([`Connect, ${codec}, packed`, "2", createConnectTransport({ ...options, ...packed })]);
  TRANSPORTS.push([`gRPC, ${codec}, packed`, "2", createGrpcTransport({ ...options, ...packed })]);
}

let failures = 0;
for (const [name, httpVersion, transport] of TRANSPORTS) {
  const client = createClient(service, transport);
  const checks = { ...CHECKS, ...(httpVersion === "2" ? DUPLEX : {}) };
  for (const [claim, check] of Object.entries(checks)) {
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`not done within ${SOON} ms`)), SOON)));
    try {
      await Promise.race([check(client), late]);
    } catch (error) {
      failures += 1;
      console.log(`${name}: ${claim}: ${error.stack ?? error}`);
    } finally {
      clearTimeout(timer);
    }
  }
}
console.log(failures === 0 ? "ok" : `${failures} failed`);
// Connections that are kept open for more calls would keep the program, too.
process.exit(failures === 0 ? 0 : 1);
