// How a bucket is set up, as far as it tells: versions, default locks, and rules that delete by themselves.

import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  type LifecycleRule,
} from '@aws-sdk/client-s3';
import { isMoltError } from '../model/error.ts';
import type { LockMode } from './remote.ts';
import type { S3Connection } from './s3-connection.ts';
import type { S3Keys } from './s3-keys.ts';

/** A bucket's settings. `unknown`: the credentials may not ask, or the server has no such setting to ask for. */
export interface BucketSettings {
  readonly versioning: 'on' | 'off' | 'suspended' | 'unknown';
  /** Whether versions can be locked, and how those are that come without a lock of their own. */
  readonly objectLock: 'on' | 'off' | 'unknown';
  readonly defaultLock: { readonly mode: LockMode; readonly days: number } | undefined;
  /** Whether rules of the bucket delete objects under our prefix, or old versions of them. */
  readonly expiry: 'none' | 'objects' | 'old-versions' | 'unknown';
}

/** Reads what a bucket tells about itself. */
export async function readBucketSettings(
  connection: S3Connection,
  keys: S3Keys,
  label: string,
): Promise<BucketSettings> {
  const Bucket = keys.bucket;
  const doing = { verb: 'look up', place: label } as const;
  const versioning = await askQuietly(
    connection.ask(
      doing,
      'get',
      () => new GetBucketVersioningCommand({ Bucket }),
      ({ Status }) => {
        return Status === 'Enabled' ? 'on' : Status === 'Suspended' ? 'suspended' : 'off';
      },
    ),
    'off',
  );
  const lock = await askQuietly(
    connection.ask(
      doing,
      'get',
      () => new GetObjectLockConfigurationCommand({ Bucket }),
      (output) => output.ObjectLockConfiguration,
    ),
    undefined,
  );
  const rules = await askQuietly(
    connection.ask(
      doing,
      'get',
      () => new GetBucketLifecycleConfigurationCommand({ Bucket }),
      ({ Rules }) => Rules ?? [],
    ),
    [],
  );
  const retention = lock === 'unknown' ? undefined : lock?.Rule?.DefaultRetention;
  return {
    versioning,
    objectLock: lock === 'unknown' ? lock : lock?.ObjectLockEnabled === 'Enabled' ? 'on' : 'off',
    defaultLock:
      retention?.Mode === undefined
        ? undefined
        : {
            mode: retention.Mode === 'COMPLIANCE' ? 'compliance' : 'governance',
            days: retention.Days ?? (retention.Years ?? 0) * 365,
          },
    expiry: rules === 'unknown' ? rules : findExpiry(rules, keys.key('')),
  };
}

/** Says what the rules of a bucket delete under a prefix. Filters by tag or size are taken to hit: our objects have no tags, but may get some. */
export function findExpiry(rules: readonly LifecycleRule[], prefix: string): 'none' | 'objects' | 'old-versions' {
  const hits = rules.filter((rule) => {
    // oxlint-disable-next-line typescript/no-deprecated -- buckets set up long ago still have it
    const scope = rule.Filter?.Prefix ?? rule.Filter?.And?.Prefix ?? rule.Prefix ?? '';
    return rule.Status === 'Enabled' && (scope.startsWith(prefix) || prefix.startsWith(scope));
  });
  if (hits.some(({ Expiration }) => Expiration?.Days !== undefined || Expiration?.Date !== undefined)) return 'objects';
  return hits.some((rule) => rule.NoncurrentVersionExpiration !== undefined) ? 'old-versions' : 'none';
}

/** Waits for a setting: `absent` when there is none, `unknown` when the server says no. */
async function askQuietly<T>(asking: Promise<T | undefined>, absent: T): Promise<T | 'unknown'> {
  try {
    return (await asking) ?? absent;
  } catch (error) {
    if (isMoltError(error, 'REMOTE_REFUSED') && error.details['serverCode'] !== 'NoSuchBucket') return 'unknown';
    throw error;
  }
}
