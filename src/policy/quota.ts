// What the Free plan allows, and when to warn.

/** The Free plan's bounds (product-page.md). */
const FREE_BYTES = 5e9;
const FREE_BACKUPS = 3;
/** From this share on there is a warning. */
const WARN_SHARE = 0.8;

/** How much of a quota is used. */
export interface Quota {
  readonly plan: 'free';
  /** On each remote: now, and in the long run. */
  readonly storedBytes: number;
  readonly expectedBytes: number;
  readonly mostBytes: number;
  /** Full, manual and safety backups that have their content. */
  readonly backups: number;
  readonly mostBackups: number;
  /** What is used up (`full`), nearly so (`near`), or will be (`growing`); or more backups than the plan has. Null if nothing is. */
  readonly warning: 'full' | 'near' | 'growing' | 'backups' | null;
}

/** Judges how much of the Free plan is used. @param expectedBytes what will lie there in the long run */
export function judgeQuota(storedBytes: number, expectedBytes: number, backups: number): Quota {
  const warning =
    storedBytes > FREE_BYTES
      ? 'full'
      : storedBytes >= WARN_SHARE * FREE_BYTES
        ? 'near'
        : expectedBytes > FREE_BYTES
          ? 'growing'
          : backups > FREE_BACKUPS
            ? 'backups'
            : null;
  const most = { mostBytes: FREE_BYTES, mostBackups: FREE_BACKUPS };
  return { plan: 'free', storedBytes, expectedBytes, backups, ...most, warning };
}
