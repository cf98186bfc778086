// OpenClaw as its users have it, from npm: the version and all that it needs are pinned in package/, installed once and kept.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const ROOT = path.join(import.meta.dirname, '../..');
const PINNED = path.join(import.meta.dirname, 'package');
const CACHE = path.join(ROOT, 'node_modules/.cache/molt-openclaw');
/** The project's own Node, which `openclaw` finds by its name. */
const NODE_BIN = path.join(ROOT, 'node_modules/.bin');

const run = promisify(execFile);

/** An installed OpenClaw. */
export interface OpenClaw {
  readonly version: string;
  /** A PATH with `openclaw`, the project's Node and the system's own programs. */
  readonly path: string;
  /** How long installing took; undefined where it was there already. */
  readonly installMs: number | undefined;
}

/** Returns the OpenClaw of the folder MOLT_TEST_OPENCLAW if that is set, and else the pinned one, which is installed if it isn't yet. */
export async function findOpenClaw(): Promise<OpenClaw> {
  const given = process.env['MOLT_TEST_OPENCLAW'];
  if (given !== undefined) return await describe(given);
  const { dependencies } = JSON.parse(await readFile(path.join(PINNED, 'package.json'), 'utf8'));
  const dir = path.join(CACHE, dependencies.openclaw);
  if (existsSync(dir)) return await describe(dir);
  const startedMs = performance.now();
  await install(dir);
  return await describe(dir, performance.now() - startedMs);
}

/** Installs into a folder beside, so that a broken off installation is never taken for one. */
async function install(dir: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const staging = await mkdtemp(`${dir}.new-`);
  try {
    await cp(PINNED, staging, { recursive: true });
    await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: staging,
      env: { ...process.env, PATH: `${NODE_BIN}:${process.env['PATH']}` },
      maxBuffer: 2 ** 26,
    });
    await rename(staging, dir);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function describe(dir: string, installMs?: number): Promise<OpenClaw> {
  const modules = path.join(dir, 'node_modules');
  const { version } = JSON.parse(await readFile(path.join(modules, 'openclaw/package.json'), 'utf8'));
  return { version, path: `${modules}/.bin:${NODE_BIN}:/usr/local/bin:/usr/bin:/bin`, installMs };
}
