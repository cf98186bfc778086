// A user's machine with stand-ins for systemctl, launchctl, loginctl and crontab.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { System } from '../../src/ops/service.ts';

/** Programs of the system, as small as they can be. They keep what they are told in $TOLD, and what is so in files under $WORKS. */
const STAND_INS: Readonly<Record<string, string>> = {
  systemctl: `echo "systemctl $*" >>"$TOLD"
case "$*" in
  *show-environment*) [ -e "$WORKS/systemd" ] ;;
  *is-active*) [ -e "$WORKS/active" ] ;;
  *is-enabled*) [ -e "$WORKS/enabled" ] ;;
  *restart*) : >"$WORKS/active" ;;
  *enable*) : >"$WORKS/enabled" ;;
  *disable*) rm -f "$WORKS/active" "$WORKS/enabled" ;;
esac`,
  launchctl: `echo "launchctl $*" >>"$TOLD"
case "$1" in
  print) [ -e "$WORKS/loaded" ] ;;
  bootstrap) : >"$WORKS/loaded" ;;
  bootout) [ -e "$WORKS/loaded" ] && rm "$WORKS/loaded" ;;
esac`,
  crontab: `if [ "$1" = - ]; then cat >"$WORKS/crontab"; exit; fi
if [ -e "$WORKS/unreadable" ]; then echo 'you are not allowed to use this program' >&2; exit 1; fi
[ -e "$WORKS/crontab" ] || { echo 'no crontab for user' >&2; exit 1; }
cat "$WORKS/crontab"`,
  loginctl: 'echo no',
};

/** A machine that can be asked what its programs were told. */
export interface TestSystem extends System {
  readonly dir: string;
  /** What systemctl and launchctl were told. */
  told(): string;
  /** Makes something true of the machine. */
  set(name: string, text?: string): void;
  get(name: string): string;
}

/** Makes a user's machine that has these programs. */
export function makeSystem(
  t: ExecutionContext,
  programs: readonly string[],
  changes: Partial<System> = {},
): TestSystem {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-service-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const folder of ['bin', 'works', 'home']) mkdirSync(join(dir, folder));
  for (const name of programs) {
    writeFileSync(join(dir, 'bin', name), `#!/bin/sh\n${STAND_INS[name]}\n`);
    chmodSync(join(dir, 'bin', name), 0o755);
  }
  for (const name of ['sh', 'cat', 'rm', 'echo']) symlinkSync(`/bin/${name}`, join(dir, 'bin', name));
  const userHome = join(dir, 'home');
  return {
    platform: 'linux',
    uid: 1000,
    env: { PATH: join(dir, 'bin'), HOME: userHome, TOLD: join(dir, 'told'), WORKS: join(dir, 'works') },
    userHome,
    ...changes,
    dir,
    told: () => (existsSync(join(dir, 'told')) ? readFileSync(join(dir, 'told'), 'utf8') : ''),
    set: (name, text = '') => writeFileSync(join(dir, 'works', name), text, 'latin1'),
    get: (name) => readFileSync(join(dir, 'works', name), 'latin1'),
  };
}
