// Checks every object of a bucket of FaceFoundry: parts by the SHA-256 in their keys, documents by the one in their
// metadata. Prints each object that does not verify, and then exits with code 1.
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { Client } from 'minio';

const setting = (name) => process.env[`FACEFOUNDRY_STORE_${name}`];
const [endPoint, port] = setting('ENDPOINT').split(':');
const keys = { accessKey: setting('ACCESS_KEY'), secretKey: setting('SECRET_KEY') };
const store = new Client({ endPoint, port: port && Number(port), useSSL: setting('SECURE') === 'true', ...keys });
const digested = /(?:-([0-9a-f]{64})(?:\.[A-Za-z0-9.]+)?|\.json)$/;
const given = /^(uploads\/[^/]+\/|runs\/[^/]+\/input\/)/; // objects of callers have no digest
const [bucket, verified] = [setting('BUCKET'), { documents: 0, parts: 0 }];
let unverified = 0;
for await (const { name } of store.listObjectsV2(bucket, '', true)) {
  const match = digested.exec(name);
  if (!match || given.test(name)) continue;
  const [body, hash] = [await store.getObject(bucket, name), createHash('sha256')];
  await pipeline(body, hash);
  const [expected, received] = [match[1] ?? body.headers['x-amz-meta-sha256'], hash.digest('hex')];
  if (received === expected) verified[match[1] ? 'parts' : 'documents'] += 1;
  else unverified += 1, console.log(`${name}: expected SHA-256 ${expected}, received ${received}`);
}
console.log(`${verified.documents} documents and ${verified.parts} parts verified, ${unverified} unverified`);
process.exitCode = unverified ? 1 : 0;
