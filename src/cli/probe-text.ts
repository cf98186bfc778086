// The capability report of a remote, in lines.

import type { ProbeReport } from '../ops/remote.ts';

/** Returns what a probe found. */
export function describeProbe({ url, findings, decision, leftBehind }: ProbeReport, name: string): string[] {
  const { createOnce, oldestVersionWins, versioning, objectLock, expiry, canDelete, clockSkewMs, locks } = findings;
  const yesNo = (is: boolean): string => (is ? 'yes' : 'NO');
  const rows: [string, string][] = [
    ['Create-once', createOnce === 'enforced' ? 'enforced: of racing writers one wins' : createOnce],
    ...(createOnce === 'enforced' ? [] : [['Oldest version wins', yesNo(oldestVersionWins)] as [string, string]]),
    ['Read after write', yesNo(findings.readAfterWrite)],
    ['Range reads', yesNo(findings.rangeReads)],
    ['Listing', yesNo(findings.listing)],
    ['Versioning', versioning],
    ['Object Lock', objectLock],
    ...(locks === undefined
      ? []
      : [
          [
            'Locks',
            `from birth ${yesNo(locks.fromBirth)}, hold ${yesNo(locks.holds)}, extend ${yesNo(locks.extends)}`,
          ] as [string, string],
        ]),
    ['Expiry rules', expiry],
    ['May delete', canDelete ? 'yes' : 'no: pruning would need it'],
    ['Clock', clockSkewMs === undefined ? 'not told' : describeSkew(clockSkewMs)],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return [
    url,
    ...rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`),
    ...(decision.verdict === 'ok' ? decision.notes.map((note) => `  note: ${note}`) : []),
    ...(leftBehind.length > 0 ? [`  left behind, locked or not deletable: ${leftBehind.join(', ')}`] : []),
    ...(decision.verdict === 'ok'
      ? ['', `added remote ${name}`, '', 'Next:', `  molt push ${name}  send everything there`]
      : []),
  ];
}

function describeSkew(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 2) return "agrees with this machine's";
  return `${seconds} s ${ms > 0 ? 'ahead of' : 'behind'} this machine's`;
}
