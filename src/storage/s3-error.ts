// What an answer of an S3 server, or none, means: whether to ask again, whether the request may have been carried out, and what a person
// can do. Servers differ in their texts but agree on codes, and where they don't, on statuses.

import { isSystemError, MoltError } from '../model/error.ts';
import type { IoContext } from './io-error.ts';
import type { Attempted } from './retry.ts';

/** A request's failure, understood. */
export interface S3Failure extends Attempted {
  readonly kind: 'absent' | 'taken' | 'throttled' | 'retry' | 'unreachable' | 'refused' | 'interrupted' | 'bug';
  /** Whether the server may have done what it was asked. */
  readonly mayHaveHappened: boolean;
  readonly why: string;
  readonly hint?: string;
  /** The server's code or the system's, as in `SlowDown` or `ECONNRESET`. */
  readonly code: string;
}

/** A request that was given up, or whose answer makes no sense, after it was sent. */
export class LostAnswer extends Error {
  override readonly name = 'LostAnswer';
}

/** Everything stops because the user or the system said so. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/**
 * Accepts an answer that has what every S3 server sends. Others answer as well: a captive portal greets any request with a success.
 * @throws {LostAnswer} when the marks are missing
 */
export function checkIsS3(...marks: readonly unknown[]): void {
  if (marks.includes(undefined)) throw new LostAnswer('the answer is not one of an S3 server');
}

interface Meaning {
  readonly kind: S3Failure['kind'];
  readonly why: string;
  readonly hint?: string;
}

const CREDENTIALS =
  'check the profile named by ?profile= (or AWS_PROFILE), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; then try again';
const ENDPOINT = 'check endpoint, region and path-style in the URL of the remote';
const refusedKeys = (why: string): Meaning => ({ kind: 'refused', why, hint: CREDENTIALS });

// By the code in the answer's body, which says more than the status.
const BY_CODE: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: { kind: 'refused', why: 'there is no such bucket', hint: `create the bucket, or ${ENDPOINT}` },
  InvalidBucketName: { kind: 'refused', why: 'the server does not take the bucket’s name', hint: ENDPOINT },
  InvalidAccessKeyId: refusedKeys('the server does not know the access key'),
  SignatureDoesNotMatch: refusedKeys('the secret key is not the one of the access key'),
  ExpiredToken: refusedKeys('the credentials have expired'),
  ExpiredTokenException: refusedKeys('the credentials have expired'),
  InvalidToken: refusedKeys('the session token is not valid'),
  TokenRefreshRequired: refusedKeys('the credentials have expired'),
  CredentialsProviderError: refusedKeys('no credentials were found'),
  AccessDenied: {
    kind: 'refused',
    why: 'the credentials do not allow it, or the object is locked',
    hint: 'docs/remotes.md has the permissions that molt needs; a missing one to list makes an absent object look forbidden',
  },
  AllAccessDisabled: { kind: 'refused', why: 'the provider has disabled the bucket', hint: 'ask the provider' },
  PermanentRedirect: { kind: 'refused', why: 'the bucket is in another region', hint: ENDPOINT },
  AuthorizationHeaderMalformed: { kind: 'refused', why: 'the bucket is in another region', hint: ENDPOINT },
  IllegalLocationConstraintException: { kind: 'refused', why: 'the bucket is in another region', hint: ENDPOINT },
  NotImplemented: {
    kind: 'refused',
    why: 'the server does not offer this',
    hint: 'docs/remotes.md says what molt needs',
  },
  QuotaExceeded: {
    kind: 'refused',
    why: 'the quota of the bucket is used up',
    hint: 'raise the quota, then try again',
  },
  RequestTimeTooSkewed: {
    kind: 'retry',
    why: 'this machine’s clock differs too much from the server’s',
    hint: 'set this machine’s clock (NTP), then try again',
  },
  SlowDown: { kind: 'throttled', why: 'the server asks to slow down' },
  TooManyRequests: { kind: 'throttled', why: 'the server asks to slow down' },
  RequestTimeout: { kind: 'retry', why: 'the server waited in vain for the rest of the request' },
  InternalError: { kind: 'retry', why: 'the server failed' },
};

// What only the network says. None of these leaves a request carried out that did not reach the server.
const NO_CONNECTION: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known (DNS)',
  EAI_AGAIN: 'its name can’t be looked up now (DNS)',
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no network',
  EADDRNOTAVAIL: 'there is no network',
};
const CUT = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE', 'UND_ERR_SOCKET'];
const TLS = /^(CERT_|ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO|HOSTNAME_MISMATCH)/;

interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}

/**
 * Says what an error that a request ended with means.
 * @param hasAnswered whether this server has ever answered; if not, there is no point in trying again for minutes
 */
export function explainS3Error(thrown: unknown, hasAnswered: boolean): S3Failure {
  if (!(thrown instanceof Error)) return bug(String(thrown));
  const error = thrown as SdkError & Error;
  if (thrown instanceof Stopped) return { ...bug('Stopped'), kind: 'interrupted', why: 'it was interrupted' };
  if (thrown instanceof LostAnswer) return lost('LostAnswer', thrown.message);
  const status = error.$metadata?.httpStatusCode ?? error.$response?.statusCode;
  if (status !== undefined) return explainAnswer(error, status);
  if (error.name in BY_CODE) return answer(error.name, BY_CODE[error.name]);
  const code = typeof error.code === 'string' ? error.code : error.name;
  const why = NO_CONNECTION[code];
  if (why !== undefined) {
    const hint = 'check the network, and the endpoint in the URL of the remote';
    return { kind: 'unreachable', why, hint, code, canRetry: hasAnswered, mayHaveHappened: false };
  }
  if (TLS.test(code)) {
    const hint = 'check the endpoint; for a private certificate authority set NODE_EXTRA_CA_CERTS to its certificate';
    const why = `no secure connection to it can be made (${code})`;
    return { kind: 'unreachable', why, hint, code, canRetry: false, mayHaveHappened: false };
  }
  if (CUT.includes(code) || error.name === 'TimeoutError' || /socket hang up|aborted/.test(error.message)) {
    return lost(code, 'the connection broke');
  }
  if (error.message === 'Region is missing') {
    const why = 'no region is set';
    return {
      kind: 'refused',
      why,
      hint: 'add ?region=NAME to the URL of the remote',
      code,
      canRetry: false,
      mayHaveHappened: false,
    };
  }
  return bug(code);
}

/** Returns the MoltError for a failure that is final. */
export function s3Failure(failure: S3Failure, error: unknown, context: IoContext): unknown {
  if (failure.kind === 'bug') return error;
  const { verb, object, place } = context;
  const what = object === undefined ? place : `"${object}" in ${place}`;
  const outcome = context.outcome === undefined ? '' : `; ${context.outcome}`;
  const code =
    failure.kind === 'interrupted'
      ? 'INTERRUPTED'
      : failure.kind === 'refused'
        ? 'REMOTE_REFUSED'
        : 'REMOTE_UNREACHABLE';
  return new MoltError(code, `cannot ${verb} ${what}: ${failure.why}${outcome}`, {
    hint: failure.hint ?? 'try again later; what has arrived is kept',
    details: { serverCode: failure.code, ...(object === undefined ? {} : { object }) },
    cause: plainCause(error),
  });
}

function explainAnswer(error: SdkError, status: number): S3Failure {
  const { name, message } = error;
  const headers = error.$response?.headers ?? {};
  // A redirect's region is the one thing that helps.
  const region = headers['x-amz-bucket-region'];
  if (BY_CODE[name] !== undefined) {
    const meaning = BY_CODE[name];
    if (meaning.why.includes('region') && region !== undefined && /^[a-z0-9-]{1,40}$/.test(region)) {
      return answer(name, { ...meaning, hint: `add ?region=${region} to the URL of the remote` });
    }
    return answer(name, meaning, retryAfter(headers));
  }
  if (status === 404) return answer(name, { kind: 'absent', why: 'there is no such object' });
  if (status === 412) return answer(name, { kind: 'taken', why: 'the name is taken' });
  if (status === 409) return answer(name, { kind: 'retry', why: 'another request for the same object is under way' });
  if (status === 429 || status === 503)
    return answer(name, { kind: 'throttled', why: 'the server asks to slow down' }, retryAfter(headers));
  if (status === 408 || status >= 500) {
    if (status === 501) return answer('NotImplemented', BY_CODE['NotImplemented']);
    return answer(name, { kind: 'retry', why: `the server failed (status ${status})` }, retryAfter(headers));
  }
  if (status === 401 || status === 403) return answer(name, BY_CODE['AccessDenied']);
  if (status >= 300 && status < 400)
    return answer(name, {
      ...(region === undefined ? {} : {}),
      kind: 'refused',
      why: 'the server sends requests elsewhere',
      hint: ENDPOINT,
    });
  // A success that can't be understood: something that is no S3 server, or an answer that was cut.
  if (status < 300) return lost(name, 'the answer is not one of an S3 server');
  const said = /^[\x20-\x7e]{1,120}$/.test(message) && message !== 'UnknownError' ? `: ${message}` : '';
  return answer(name, { kind: 'refused', why: `the server answers ${status} ${name}${said}`, hint: ENDPOINT });
}

function answer(code: string, meaning: Meaning | undefined, retryAfterMs?: number): S3Failure {
  const { kind, why, hint } = meaning ?? bug(code);
  const canRetry = kind === 'retry' || kind === 'throttled';
  return {
    kind,
    why,
    code,
    canRetry,
    mayHaveHappened: canRetry,
    retryAfterMs,
    ...(hint === undefined ? {} : { hint }),
  };
}

function lost(code: string, why: string): S3Failure {
  return { kind: 'unreachable', why, code, canRetry: true, mayHaveHappened: true };
}

function bug(code: string): S3Failure {
  return { kind: 'bug', why: code, code, canRetry: false, mayHaveHappened: true };
}

// Seconds or a date, as RFC 9110 has it; a date counts from the answer's own.
function retryAfter(headers: Readonly<Record<string, string>>): number | undefined {
  const text = headers['retry-after'];
  if (text === undefined) return undefined;
  if (/^[0-9]{1,6}$/.test(text)) return Number(text) * 1_000;
  const ms = Date.parse(text) - Date.parse(headers['date'] ?? '');
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

// The SDK's errors hold whole answers, some of which repeat the access key and the signature.
function plainCause(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined;
  return isSystemError(error, error.name) ? error : new Error(`${error.name}: ${error.message}`);
}
