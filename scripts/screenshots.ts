// `npm run screenshots`: the pictures of the README, made by the real program in a real terminal (tmux) on a real OpenClaw state.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { LABEL, makeSample } from '../test/tmux/sample.ts';
import { Terminal } from '../test/tmux/terminal.ts';
import { drawScreen } from './screenshots/svg.ts';

const ROOT = join(import.meta.dirname, '..');
const PICTURES = join(ROOT, 'docs/pictures');
const COLUMNS = 118;
const ROWS = 30;
const PORT = 18_789;

await import('./build.ts');
const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-pictures-')));
await makeSample(dir, Date.now() - 180_000, PORT);
const env = {
  HOME: dir,
  PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
  MOLT_HOME: join(dir, 'home'),
  TERM: 'xterm-256color',
  LANG: 'C.UTF-8',
  TZ: 'UTC',
};
const command = `${process.execPath} ${join(ROOT, 'bin/molt.cjs')} tui ${LABEL}`;
const terminal = new Terminal(command, env, [COLUMNS, ROWS]);

/** Where the sample lies is nobody's business; the frame around it stays where it is. */
function hidePlace(row: string): string {
  if (!row.includes(dir)) return row;
  const frame = row.lastIndexOf('│');
  const shown = row.slice(0, frame).replace(dir, '/home/ada');
  return `${shown}${' '.repeat(dir.length - '/home/ada'.length)}${row.slice(frame)}`;
}

/** Keeps what the terminal shows as a picture. */
async function picture(name: string): Promise<void> {
  const screen = await terminal.screen(true);
  const rows = screen.split('\n').map(hidePlace);
  writeFileSync(join(PICTURES, `${name}.svg`), drawScreen(rows.join('\n'), COLUMNS));
}

try {
  mkdirSync(PICTURES, { recursive: true });
  execFileSync(process.execPath, [join(ROOT, 'bin/molt.cjs'), 'verify', LABEL], { env, stdio: 'ignore' });
  await terminal.until('36 saves', 'copies 1/1');
  await terminal.press('/');
  await terminal.until('filter');
  await terminal.type('MEMORY.md');
  await terminal.press('Enter');
  await terminal.until('filter "MEMORY.md" 6');
  await terminal.press('Down', 'Down');
  await terminal.until('356B → 41B', '+ - The user likes tea.');
  await picture('timeline');
  await terminal.press('Down');
  await terminal.until('+ - Sister: Grace');
  await terminal.press('c');
  await terminal.until('› a new pod');
  await terminal.press('Enter');
  await terminal.until('name of the new pod');
  await terminal.press('Enter');
  await terminal.until('replaces  nothing');
  await picture('plan');
  await terminal.press('Escape');
  await terminal.until('name of the new pod');
  await terminal.press('Escape');
  await terminal.until('where to?');
  await terminal.press('Escape');
  await terminal.gone('where to?');
  await terminal.press('b');
  await terminal.until('who wrote state/workspace/MEMORY.md', /› .* - Sister: Grace/, '2 turns since');
  await picture('blame');
} finally {
  await terminal.end();
  // The program may still be at leaving.
  rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}
