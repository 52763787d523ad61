// Makes the two fakes of a pair of clips: npm start A.mp4 B.mp4 OUT. Called again, it goes on where it ended.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, parse } from "node:path";
import { setTimeout } from "node:timers/promises";
import { inspect } from "node:util";

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { Side } from "./gen/facefoundry/v1/common_pb.js";
import { ConverterService } from "./gen/facefoundry/v1/converter_pb.js";
import { ExtractorService } from "./gen/facefoundry/v1/extractor_pb.js";
import { TrainerService, Training_State } from "./gen/facefoundry/v1/trainer_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

// Only the signal cancels a call. After `break` or an exception in `for await`, the service works on.
const interrupt = new AbortController();
const { signal } = interrupt;
process.once("SIGINT", () => interrupt.abort());

const at = (name: string) => createGrpcTransport({ baseUrl: `http://${process.env[`FACEFOUNDRY_${name}_ADDRESS`]}` });
const extractor = createClient(ExtractorService, at("EXTRACTOR"));
const trainer = createClient(TrainerService, at("TRAINER"));
const converter = createClient(ConverterService, at("CONVERTER"));
const recipe = { name: "preview", training: { iterations: 20 } };

async function extract(path: string) {
  const { base: fileName, name: id } = parse(path);
  const clip = await readFile(path);
  const upload = await extractor.createUpload({ fileName, sizeBytes: BigInt(clip.length) }, { signal });
  for (const { offsetBytes, sizeBytes, url } of upload.parts)
    await send("PUT", url, clip.subarray(Number(offsetBytes), Number(offsetBytes + sizeBytes)));
  const { event: source } = await last(() => extractor.importSource({ objectUri: upload.objectUri }, { signal }));
  assert(source.case === "source");
  const request = { sourceUri: source.value.uri, sequenceId: id, recipe };
  const { event: extraction } = await last(() => extractor.extract(request, { signal }));
  assert(extraction.case === "extraction");
  return { id, uri: extraction.value.uri };
}

async function main(first: string, second: string, out: string) {
  const [a, b] = [await extract(first), await extract(second)];
  const pair = { extractionAUri: a.uri, extractionBUri: b.uri, pairId: `${a.id}_${b.id}`, recipe };
  const started = await trainer.startTraining(pair, { signal });
  const { training } = await last(() => trainer.watchTraining({ trainingUri: started.training!.uri }, { signal }));
  assert(training?.state === Training_State.SUCCEEDED, training?.failure?.message);
  for (const [target, source, targetSide] of [[a, b, Side.A], [b, a, Side.B]] as const) {
    const ids = { targetId: target.id, sourceId: source.id };
    const request = { modelUri: training.modelUri, targetExtractionUri: target.uri, targetSide, recipe, ...ids };
    const { event: fake } = await last(() => converter.convert(request, { signal }));
    assert(fake.case === "conversion");
    const folder = join(out, `${target.id}_${source.id}`);
    await mkdir(folder, { recursive: true });
    const { files } = await converter.listFiles({ uri: fake.value.uri, pageSize: 500 }, { signal });
    for (const { name, sha256, url } of files) {
      const data = await send("GET", url);
      assert.equal(createHash("sha256").update(data).digest("hex"), sha256, `${name} has other bytes`);
      await writeFile(join(folder, name), data);
    }
  }
}

/** Prints the messages of a stream and returns the last one. A full replica says when to call again. */
async function last<T>(call: () => AsyncIterable<T>): Promise<T> {
  try {
    let message: T | undefined;
    for await (message of call()) console.log(inspect(message, { depth: null, compact: true, breakLength: Infinity }));
    return message!;
  } catch (error) {
    const [retry] = ConnectError.from(error).findDetails(RetryInfoSchema);
    if (ConnectError.from(error).code !== Code.ResourceExhausted || !retry?.retryDelay) throw error;
    await setTimeout(durationMs(retry.retryDelay), undefined, { signal });
    return last(call);
  }
}

async function send(method: string, url: string, body?: Uint8Array<ArrayBuffer>): Promise<Buffer> {
  const response = await fetch(url, { method, body, signal });
  assert(response.ok, `${method} ${new URL(url).pathname}: ${response.status} ${response.statusText}`);
  return Buffer.from(await response.arrayBuffer());
}

main(process.argv[2]!, process.argv[3]!, process.argv[4]!).catch((error) => {
  const failure = ConnectError.from(error);
  console.error(failure.message, ...failure.findDetails(ErrorInfoSchema), ...failure.findDetails(BadRequestSchema));
  process.exitCode = 1;
});
