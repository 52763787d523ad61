// Checks every object of a bucket of FaceFoundry: parts by the SHA-256 in their keys, documents by the one in their
// metadata. Prints each object that does not verify, and then exits with code 1.
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { Client } from 'minio';

const setting = (name) => process.env[`FACEFOUNDRY_STORE_${name}`];
const [endPoint, port] = setting('ENDPOINT').split(':');
const useSSL = setting('SECURE') === 'true';
const store = new Client({
  endPoint, port: Number(port) || undefined, useSSL, accessKey: setting('ACCESS_KEY'), secretKey: setting('SECRET_KEY'),
});
const [bucket, verified, given] = [setting('BUCKET'), { documents: 0, parts: 0 }, /^(uploads\/|runs\/[^/]+\/input\/)/];
let unverified = 0;
for await (const { name } of store.listObjectsV2(bucket, '', true)) {
  const inKey = /-([0-9a-f]{64})(\.[A-Za-z0-9.]+)?$/.exec(name)?.[1];
  if (given.test(name) || !(inKey || name.endsWith('.json'))) continue; // objects of callers are not checked
  const [body, hash] = [await store.getObject(bucket, name), createHash('sha256')];
  await pipeline(body, hash);
  const [expected, received] = [inKey ?? body.headers['x-amz-meta-sha256'], hash.digest('hex')];
  if (received === expected) verified[inKey ? 'parts' : 'documents'] += 1;
  else unverified += 1, console.log(`${name}: expected SHA-256 ${expected}, received ${received}`);
}
console.log(`${verified.documents} documents and ${verified.parts} parts verified, ${unverified} unverified`);
process.exitCode = unverified ? 1 : 0;
