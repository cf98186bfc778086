// Branded ids and names. A Git id is 40 lower-case hex digits; a chunk or pack id is 64.

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Any Git object id: SHA-1 of the object's Git form, 40 lower-case hex digits. An address, never the integrity check. */
export type GitId = Brand<string, 'GitId'>;
/** The Git id of a commit. */
export type CommitId = GitId & { readonly commit?: never };
/** The Git id of a tree. */
export type TreeId = GitId & { readonly tree?: never };
/** The Git id of a blob. */
export type BlobId = GitId & { readonly blob?: never };
/** The Git id of an annotated tag. */
export type TagId = GitId & { readonly tag?: never };
/** The keyed id of a chunk or chunk-list node: HMAC-SHA-256, 64 lower-case hex digits. */
export type ChunkId = Brand<string, 'ChunkId'>;
/** The SHA-256 of a container's own bytes, which is its name: 64 lower-case hex digits. */
export type PackId = Brand<string, 'PackId'>;
/** A segment's number in its storage's log, from 1. */
export type SegmentSeq = Brand<number, 'SegmentSeq'>;
/** A repository's random id, 32 lower-case hex digits. */
export type RepositoryId = Brand<string, 'RepositoryId'>;
/** A storage's random id, 32 lower-case hex digits. */
export type StorageId = Brand<string, 'StorageId'>;

const GIT_ID = /^[0-9a-f]{40}$/;

/** Says whether a text has the form of a full Git id. */
export function isGitId(text: string): text is GitId {
  return GIT_ID.test(text);
}

// Ten digits stay unique in years of commits: among 100,000 of them two share their first ten with a chance of one in 200.
const SHORT_DIGITS = 10;

/** Returns a Git id as people are shown it: its first digits. */
export function shortId(id: GitId): string {
  return id.slice(0, SHORT_DIGITS);
}
