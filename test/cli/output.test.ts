// What reaches stdout and stderr, in each mode, and what never does.

import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { exitStatus } from '../../src/cli/exit.ts';
import { createOutput, type OutputMode } from '../../src/cli/output.ts';
import { createReporter, describeProgress } from '../../src/cli/reporter.ts';
import { columnsOf, formatDuration, formatSize, formatTable } from '../../src/cli/text.ts';
import { MoltError } from '../../src/model/error.ts';
import { recordingStream } from './fakes.ts';

function make(mode: Partial<OutputMode> = {}, isTTY = false) {
  const stdout = recordingStream(isTTY);
  const stderr = recordingStream(isTTY);
  const output = createOutput(
    'molt',
    { stdout, stderr },
    { json: false, quiet: false, verbose: false, colour: false, ...mode },
  );
  return { stdout, stderr, output };
}

test('a result is text, or with --json one document', (t) => {
  const text = make();
  text.output.result({ a: 1 }, () => ['one', 'two']);
  t.is(text.stdout.text(), 'one\ntwo\n');
  const json = make({ json: true });
  json.output.line('streamed');
  json.output.result({ a: 1 }, () => {
    throw new Error('not with --json');
  });
  t.is(json.stdout.text(), '{"a":1}\n');
  t.throws(() => json.output.result({}, () => ''), { message: 'a command has one result' });
});

test('remarks go to stderr as far as they are wanted', (t) => {
  const say = (mode: Partial<OutputMode>) => {
    const { output, stdout, stderr } = make(mode);
    output.note('note');
    output.detail('detail');
    output.warn('careful');
    t.is(stdout.text(), '');
    return stderr.text();
  };
  t.is(say({}), 'note\nwarning: careful\n');
  t.is(say({ verbose: true }), 'note\ndetail\nwarning: careful\n');
  t.is(say({ quiet: true }), 'warning: careful\n');
  t.is(say({ json: true, verbose: true }), '');
});

test('only our own colours get through to the terminal', (t) => {
  const { output, stdout } = make({ colour: true }, true);
  output.line(`${output.style('red', 'red')} \u001b[8mhidden\u001b[0m \u001b]0;title\u0007`);
  t.is(stdout.text(), '\u001b[31mred\u001b[39m ^[[8mhidden^[[0m ^[]0;title^G\n');
  const plain = make();
  plain.output.line(`${plain.output.style('red', 'red')} \u001b[31mx`);
  t.is(plain.stdout.text(), 'red ^[[31mx\n');
});

test('bytes of a file are written as they are to a pipe, and printable to a terminal', async (t) => {
  const pipe = make();
  await pipe.output.bytes(Buffer.from('a\u001b[2J\n'));
  t.is(pipe.stdout.text(), 'a\u001b[2J\n');
  const terminal = make({}, true);
  const bytes = Buffer.from('ü\u001b[2J\n');
  await terminal.output.bytes(bytes.subarray(0, 1));
  await terminal.output.bytes(bytes.subarray(1));
  t.is(terminal.stdout.text(), 'ü^[[2J\n');
});

test('an error shows its message and hint, and its causes with --verbose', (t) => {
  const error = new MoltError('IO', "can't read 'x'", {
    hint: 'molt verify',
    cause: new Error('EIO', { cause: 'disk' }),
  });
  const plain = make();
  plain.output.error(error);
  t.is(plain.stderr.text(), "molt: can't read 'x'\nhint: molt verify\n");
  const verbose = make({ verbose: true });
  verbose.output.error(error);
  t.is(verbose.stderr.text(), "molt: can't read 'x'\nbecause: EIO\nbecause: disk\nhint: molt verify\n");
  const json = make({ json: true });
  json.output.error(new MoltError('AMBIGUOUS', 'two', { details: { ids: [1] } }));
  t.deepEqual(JSON.parse(json.stderr.text()), { error: { code: 'AMBIGUOUS', message: 'two', details: { ids: [1] } } });
});

test('an unknown error shows its stack and says that it is a bug', (t) => {
  const { output, stderr } = make();
  output.error(new TypeError('x is undefined'));
  t.regex(stderr.text(), /TypeError: x is undefined\n +at .*\n(.*\n)*molt: this is a bug/);
  const json = make({ json: true });
  json.output.error(new TypeError('x is undefined'));
  t.like(JSON.parse(json.stderr.text()), { error: { code: 'INTERNAL' } });
});

test('a reader that has gone is forgotten, a full disk is told', async (t) => {
  const fail = async (code: string) => {
    const { output, stdout } = make();
    stdout.destroy(Object.assign(new Error(code), { code }));
    await setImmediate();
    output.line('into nothing');
    return output.finish();
  };
  t.is(await fail('EPIPE'), undefined);
  t.is((await fail('ENOSPC'))?.code, 'IO');
});

test('the exit status follows from the code of the error alone', (t) => {
  t.is(exitStatus(new Error('bug')), 1);
  t.is(exitStatus(new MoltError('USAGE', 'x')), 2);
  t.is(exitStatus(new MoltError('PARTIAL', 'x')), 3);
  t.is(exitStatus(new MoltError('TOO_OLD', 'x')), 4);
  t.is(exitStatus(new MoltError('NO_REPOSITORY', 'x')), 10);
  t.is(exitStatus(new MoltError('RUNNING', 'x')), 11);
  t.is(exitStatus(new MoltError('WRONG_PASSPHRASE', 'x')), 12);
  t.is(exitStatus(new MoltError('TRUNCATED', 'x')), 13);
  t.is(exitStatus(new MoltError('REMOTE_REFUSED', 'x')), 14);
  t.is(exitStatus(new MoltError('FENCED', 'x')), 15);
  t.is(exitStatus(new MoltError('NEWER_FORMAT', 'x')), 16);
  t.is(exitStatus(new MoltError('UNHEALTHY', 'x')), 17);
  t.is(exitStatus(new MoltError('INTERRUPTED', 'x')), 130);
});

test('sizes have at most one decimal and never four digits', (t) => {
  const cases: [number, string][] = [
    [0, '0B'],
    [999, '999B'],
    [1000, '1KB'],
    [2_345_678, '2.3MB'],
    [1_800_000, '1.8MB'],
    [99_949, '99.9KB'],
    [99_999, '100KB'],
    [999_499, '999KB'],
    [999_999, '1MB'],
    [500_000_000, '500MB'],
    [1.5e12, '1.5TB'],
  ];
  for (const [size, text] of cases) t.is(formatSize(size), text);
});

test('durations are told in two units at most', (t) => {
  const cases: [number, string][] = [
    [340, '340ms'],
    [2345, '2.3s'],
    [59_960, '1m 00s'],
    [245_000, '4m 05s'],
    [7_380_000, '2h 03m'],
    [172_799_000, '47h 59m'],
    [273_600_000, '3d 04h'],
  ];
  for (const [ms, text] of cases) t.is(formatDuration(ms), text);
});

test('a table is aligned by what the terminal shows', (t) => {
  t.deepEqual(
    formatTable(
      [
        ['a', '1B', 'x\ny'],
        ['日本', '12KB', ''],
        ['\u001b[31mred\u001b[39m', '3B', 'z'],
      ],
      [1],
    ),
    ['a       1B  x y', '日本  12KB', '\u001b[31mred\u001b[39m     3B  z'],
  );
  t.is(columnsOf('👍é'), 3);
});

test('elsewhere than on a terminal progress is a line per phase and now and then, after the first second', (t) => {
  let now = 0;
  const { output, stderr } = make();
  const reporter = createReporter(output, stderr, { now: () => now });
  const at = (ms: number, phase: string, doneBytes: number) => {
    now = ms;
    reporter.progress({ phase, doneBytes, totalBytes: 100 });
  };
  at(0, 'scan', 0);
  at(999, 'scan', 1);
  at(1000, 'scan', 2);
  at(5999, 'scan', 3);
  at(6000, 'scan', 4);
  at(6001, 'read', 5);
  t.is(stderr.text(), 'scan 2B of 100B, 2B/s, 49.0s left\nscan 4B of 100B, 1B/s, 2m 24s left\nread 5B of 100B\n');
});

test('a step that is done once more is timed anew', (t) => {
  let now = 0;
  const { output, stderr } = make();
  const reporter = createReporter(output, stderr, { now: () => now });
  reporter.progress({ phase: 'verify', doneBytes: 90, totalBytes: 100 });
  now = 9000;
  reporter.progress({ phase: 'verify', doneBytes: 1, totalBytes: 100 });
  t.is(stderr.text(), 'verify 1B of 100B\n');
});

test('with --quiet and --json there is no progress', (t) => {
  for (const mode of [{ quiet: true }, { json: true }]) {
    let now = 0;
    const { output, stderr } = make(mode, true);
    const reporter = createReporter(output, stderr, { now: () => (now += 2000) });
    reporter.progress({ phase: 'scan' });
    reporter.warn('careful');
    t.is(stderr.text(), 'json' in mode ? '' : 'warning: careful\n');
  }
});

test('progress is told in bytes and files, as far as they are known', (t) => {
  t.is(describeProgress({ phase: 'scan' }), 'scan');
  t.is(
    describeProgress({ phase: 'push', doneBytes: 20e6, totalBytes: 50e6 }, 2000),
    'push 20MB of 50MB, 10MB/s, 3.0s left',
  );
  t.is(describeProgress({ phase: 'push', doneBytes: 20e6, totalBytes: 50e6 }, 500), 'push 20MB of 50MB');
  t.is(describeProgress({ phase: 'scan', doneFiles: 1 }), 'scan 1 file');
  t.is(
    describeProgress({ phase: 'read', doneBytes: 120e6, totalBytes: 477e6, doneFiles: 3, totalFiles: 2800 }),
    'read 120MB of 477MB, 3 of 2800 files',
  );
});
