#!/usr/bin/env node
// Stands in for podman and docker where none runs: writes down what it is called with, and keeps the state of one container in a file.

import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const DIR = path.dirname(process.argv[1]);
const words = process.argv.slice(2);
const container = path.join(DIR, 'container.json');
const behaviour = existsSync(path.join(DIR, 'behaviour')) ? readFileSync(path.join(DIR, 'behaviour'), 'utf8') : '';

const call = { words };
const file = words[words.indexOf('--env-file') + 1];
if (words.includes('--env-file'))
  call.envFile = { mode: statSync(file).mode & 0o777, text: readFileSync(file, 'utf8') };
appendFileSync(path.join(DIR, 'calls'), `${JSON.stringify(call)}\n`);

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(125);
}

switch (words[0]) {
  case 'version':
    if (behaviour === 'dead') fail('Cannot connect to the Docker daemon at unix:///var/run/docker.sock.');
    console.log('4.3.1');
    break;
  case 'run': {
    if (behaviour === 'refuses') fail('Error: crun: cgroups in hybrid mode not supported');
    const hasDied = behaviour === 'dies';
    const State = { Status: hasDied ? 'exited' : 'running', Pid: hasDied ? 0 : 4242, ExitCode: hasDied ? 3 : 0 };
    writeFileSync(
      container,
      JSON.stringify([{ State, RestartCount: 0, Config: { Labels: { 'molt.generation': '1' } } }]),
    );
    console.log('0123456789ab');
    break;
  }
  case 'container':
  case 'logs':
  case 'stop':
  case 'rm':
    if (!existsSync(container)) fail(`Error: no such container ${words.at(-1)}`);
    if (words[0] === 'container') process.stdout.write(readFileSync(container));
    if (words[0] === 'logs') process.stdout.write('first\nsecond\n');
    if (words[0] === 'rm') rmSync(container);
    break;
  case 'exec':
    process.exit(0);
    break;
  default:
    fail(`unknown command ${words[0]}`);
}
