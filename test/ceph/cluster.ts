// A Ceph cluster for one test file, with the project's own scripts, and buckets in it.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

const SCRIPTS = path.join(import.meta.dirname, '../../scripts/ceph');
const KEYS = { accessKeyId: 'moltaccess', secretAccessKey: 'moltsecret' };

const run = promisify(execFile);

/** A running cluster. */
export interface Cluster {
  readonly endpoint: string;
  /** A client that skips molt, for what the owner of a bucket, or an intruder, does. */
  readonly client: S3Client;
  makeBucket(name: string, options?: { readonly objectLock: boolean }): Promise<void>;
  /** Returns a URL of the bucket under a prefix of its own. */
  placeIn(bucket: string): string;
  stop(): Promise<void>;
}

/**
 * Starts a cluster; its keys are put into this process's environment, where storages find them, and wrong ones into the profiles `wrong`
 * and `unknown`.
 */
export async function startCluster(): Promise<Cluster> {
  process.env['AWS_ACCESS_KEY_ID'] = KEYS.accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = KEYS.secretAccessKey;
  const parent = await mkdtemp(path.join(tmpdir(), 'molt-ceph-'));
  const dir = path.join(parent, 'cluster');
  await run(path.join(SCRIPTS, 'start.sh'), [dir]);
  const profiles = { wrong: { ...KEYS, secretAccessKey: 'guess' }, unknown: { ...KEYS, accessKeyId: 'nobody' } };
  const credentials = Object.entries(profiles).map(
    ([name, keys]) =>
      `[${name}]\naws_access_key_id=${keys.accessKeyId}\naws_secret_access_key=${keys.secretAccessKey}\n`,
  );
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = path.join(parent, 'credentials');
  process.env['AWS_CONFIG_FILE'] = path.join(parent, 'config');
  await writeFile(path.join(parent, 'credentials'), credentials.join(''));
  const port = (await readFile(path.join(dir, 'port'), 'utf8')).trim();
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: KEYS,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  let places = 0;
  return {
    endpoint,
    client,
    async makeBucket(name, { objectLock } = { objectLock: false }) {
      await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }));
    },
    placeIn(bucket) {
      places += 1;
      return `s3://${bucket}/place-${places}?endpoint=${endpoint}`;
    },
    async stop() {
      client.destroy();
      await run(path.join(SCRIPTS, 'stop.sh'), [dir]);
      await rm(parent, { recursive: true, force: true });
    },
  };
}
