#!/usr/bin/env bash
# Expected: `break` in `for await` over the messages of a gRPC call ends the call, as leaving the loop does in Rust.
# Seen: with grpc-js the call goes on. Its stream is destroyed, but the server never sees a cancellation; only
# `call.cancel()` sends one.
# It matters: a program that takes the first frames or the first progress of a long job and leaves the loop keeps a GPU
# or a slot of the server busy until the whole job is done, for a result that nobody reads.
# Run on 2026-11-29 with Node 20.20.2, @grpc/grpc-js 1.14.7. Needs Node and npm instead of Python.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
cat >break.mjs <<'JS'
import { setTimeout } from "node:timers/promises";

import * as grpc from "@grpc/grpc-js";

const text = { requestSerialize: Buffer.from, requestDeserialize: String };
const method = { ...text, responseSerialize: Buffer.from, responseDeserialize: String };
const service = { count: { path: "/Counter/Count", requestStream: false, responseStream: true, ...method } };

let sent, cancelled;
const server = new grpc.Server();
server.addService(service, {
  count(call) {
    [sent, cancelled] = [0, false];
    const timer = setInterval(() => call.write(`${++sent}`), 50);
    call.on("cancelled", () => {
      cancelled = true;
      clearInterval(timer);
    });
  },
});
const port = await new Promise((resolve) =>
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
);
const Client = grpc.makeGenericClientConstructor(service, "Counter");
const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());

async function firstMessage(leave) {
  const call = client.count("all");
  call.on("error", () => {});
  for await (const _ of call) {
    leave(call);
    break;
  }
  await setTimeout(3000);
  return cancelled;
}

const byCancel = await firstMessage((call) => call.cancel());
console.log(`call.cancel() and break: the server saw the end: ${byCancel}, after ${sent} messages`);
const byBreak = await firstMessage(() => {});
console.log(`break alone: the server saw the end: ${byBreak}; 3 s later it has sent ${sent} messages`);
if (!byCancel || byBreak) {
  console.error("The behaviour has changed: only call.cancel() ended the call.");
  process.exit(1);
}
process.exit(0);
JS
node break.mjs
