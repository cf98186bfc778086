// A machine of its own for one test file: a home, a model on loopback, a real OpenClaw, and molt as it is built.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { startFakeModel, type FakeModel } from './fake-model.ts';
import { QUIET, READY_TIMEOUT_MS, type Endpoint } from './gateway.ts';
import { findOpenClaw, type OpenClaw } from './installation.ts';

const PROGRAM = path.join(import.meta.dirname, '../../bin/molt.cjs');

/** What a run of molt left behind. */
export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** A pod that molt made. */
export interface RestoredPod extends Endpoint {
  readonly stateDir: string;
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

  /** Makes a lab. */
  static async make(): Promise<Lab> {
    const openclaw = await findOpenClaw();
    const dir = await realpath(await mkdtemp(path.join(tmpdir(), 'molt-openclaw-')));
    const model = await startFakeModel();
    const lab = new Lab(dir, model, openclaw);
    await mkdir(lab.home);
    return lab;
  }

  /** Stops all pods of this home and removes the lab. */
  async remove(): Promise<void> {
    const { status, stdout } = await this.run('pod', 'list', '--json');
    const names: string[] = status === 0 ? JSON.parse(stdout).map(({ name }: { name: string }) => name) : [];
    await Promise.all(names.map((name) => this.run('pod', 'stop', name)));
    await this.model[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
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

  /** Finds a pod of this machine, and reads its token where OpenClaw reads it. */
  async findPod(t: ExecutionContext, name: string): Promise<RestoredPod> {
    const pods: { name: string; endpoint: string; dir: string }[] = await this.json(t, 'pod', 'list');
    const pod = pods.find((one) => one.name === name);
    if (pod === undefined) throw new Error(`there is no pod ${name} in ${JSON.stringify(pods)}`);
    const config = JSON.parse(await readFile(path.join(pod.dir, 'openclaw.json'), 'utf8'));
    return { stateDir: pod.dir, port: Number(new URL(pod.endpoint).port), token: config.gateway.auth.token };
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
      health: { http: { path: '/readyz', port }, timeoutMs: READY_TIMEOUT_MS },
      stop: { signal: 'SIGTERM', graceMs: 30_000 },
    };
    await writeFile(file, JSON.stringify(pod));
    return file;
  }
}
