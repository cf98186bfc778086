// S3 storage on the suite's own server: the contract in every kind of bucket.

import test from 'ava';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import type { RemoteOptions } from '../../src/storage/remote.ts';
import { storageContract } from './contract.ts';
import { type BucketSetup, startS3Server } from './s3-server.ts';

process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';

const KINDS: Record<string, readonly [BucketSetup, RemoteOptions]> = {
  's3, plain bucket': [{}, {}],
  's3, versioned bucket': [{ versioned: true }, { rules: { createOnce: 'conditional', versioned: true } }],
  's3, versioned bucket that ignores conditions': [
    { versioned: true, conditional: 'ignored' },
    { rules: { createOnce: 'oldest-version', versioned: true } },
  ],
  's3, bucket with locks from birth': [
    { versioned: true, objectLock: true },
    {
      rules: { createOnce: 'conditional', versioned: true },
      lock: { mode: 'governance', days: 1 },
      bypassGovernance: true,
    },
  ],
};

for (const [name, [setup, options]] of Object.entries(KINDS)) {
  storageContract(test, name, async (t) => {
    const server = await startS3Server(t, setup);
    return async () => openRemoteStorage(server.url, options);
  });
}
