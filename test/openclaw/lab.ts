// A machine of its own for one test file: a home, a model on loopback, a real OpenClaw, and molt as it is built.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExecutionContext, TestFn } from 'ava';
import { startFakeModel, type FakeModel } from './fake-model.ts';
import { QUIET, type Endpoint } from './gateway.ts';
import { findOpenClaw, type OpenClaw } from './installation.ts';

const PROGRAM = path.join(import.meta.dirname, '../../bin/molt.cjs');

/** What a run of molt left behind. */
export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** What the tests of one file share. */
export class Lab {
  readonly dir: string;
  readonly home: string;
  readonly model: FakeModel;
  readonly openclaw: OpenClaw;

  private constructor(dir: string, model: FakeModel, openclaw: OpenClaw) {
    this.dir = dir;
    this.home = path.join(dir, 'home');
    this.model = model;
    this.openclaw = openclaw;
  }

  /** Makes a lab; it is gone when the file is done. What it started by molt must be stopped before. */
  static async make(test: TestFn): Promise<Lab> {
    const openclaw = await findOpenClaw();
    const dir = await realpath(await mkdtemp(path.join(tmpdir(), 'molt-openclaw-')));
    test.after.always('the folders go', () => rm(dir, { recursive: true, force: true }));
    const model = await startFakeModel();
    test.after.always('the model stops', () => model[Symbol.asyncDispose]());
    const lab = new Lab(dir, model, openclaw);
    await mkdir(lab.home);
    return lab;
  }

  /** Runs molt in this home. */
  async run(...argv: string[]): Promise<Run> {
    const startedMs = performance.now();
    const child = spawn(process.execPath, [PROGRAM, ...argv], {
      cwd: this.home,
      env: { HOME: this.home, TZ: 'UTC', PATH: this.openclaw.path, MOLT_PASSPHRASE: 'of the lab' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    return { status, stdout, stderr, durationMs: performance.now() - startedMs };
  }

  /** Runs molt with --json, expects success and returns the document. */
  // oxlint-disable-next-line typescript/no-explicit-any -- what a document holds is what the tests find out
  async json(t: ExecutionContext, ...argv: string[]): Promise<any> {
    const { status, stdout, stderr } = await this.run(...argv, '--json');
    t.is(status, 0, `molt ${argv.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Writes the pod.json of a gateway and returns its path. */
  async writePod(name: string, { port }: Pick<Endpoint, 'port'>): Promise<string> {
    const file = path.join(this.dir, `${name}.pod.json`);
    const pod = {
      name,
      profile: 'openclaw',
      command: ['openclaw', 'gateway', 'run', '--port', '{port:http}', '--bind', 'loopback'],
      env: { ...QUIET, OPENCLAW_STATE_DIR: '{state}', OPENCLAW_GATEWAY_PORT: '{port:http}' },
      ports: [{ name: 'http', port }],
      health: { http: { path: '/readyz', port }, timeoutMs: 300_000 },
      stop: { signal: 'SIGTERM', graceMs: 30_000 },
    };
    await writeFile(file, JSON.stringify(pod));
    return file;
  }
}
