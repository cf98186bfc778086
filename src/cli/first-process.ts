// As the first process of a container, molt would get every process whose parent has ended as a child, and a Node can't wait for those:
// they would stay in the table of processes for ever. A shell does nothing else than wait. So molt puts one in its place, and runs as
// its only child.

import { existsSync } from 'node:fs';

const SHELL = '/bin/sh';

/** Passes signals on, waits for every child, and ends as molt ends. */
const SCRIPT = `
exec 3<&0
for signal in TERM INT HUP; do trap "kill -$signal \\$child 2>/dev/null" $signal; done
"$@" <&3 3<&- &
child=$!
while :; do
  wait $child
  status=$?
  kill -0 $child 2>/dev/null || exit $status
done
`;

/**
 * Replaces this process by a shell that runs the same command line as its child. Returns where that can't be, or is not needed: then
 * molt goes on by itself.
 */
export function leaveFirstPlace(): void {
  if (process.pid !== 1 || process.execve === undefined || !existsSync(SHELL)) return;
  const line = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(SHELL, ['sh', '-c', SCRIPT, 'molt', ...line], process.env);
}
