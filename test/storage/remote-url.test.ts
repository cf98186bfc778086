// The URLs of remotes: what they mean, their shortest spelling, and that none with credentials is taken or repeated.

import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { parseRemoteUrl } from '../../src/storage/remote-url.ts';

const S3 = { scheme: 's3', prefix: '', endpoint: undefined, region: undefined, pathStyle: false, profile: undefined };

const means = test.macro({
  exec(t, text: string, expected: object) {
    const location = parseRemoteUrl(text);
    t.deepEqual<object, object>(location, expected);
    t.deepEqual(parseRemoteUrl(location.url), location);
  },
  title: (_, text: string) => `${text} is understood`,
});

test(means, 's3://agents', { ...S3, bucket: 'agents', url: 's3://agents' });
test(means, 's3://agents/', { ...S3, bucket: 'agents', url: 's3://agents' });
test(means, 's3://agents/my/heron/', { ...S3, bucket: 'agents', prefix: 'my/heron', url: 's3://agents/my/heron' });
test(means, 's3://agents?region=eu-west-1&profile=backup', {
  ...S3,
  bucket: 'agents',
  region: 'eu-west-1',
  profile: 'backup',
  url: 's3://agents?region=eu-west-1&profile=backup',
});
test(means, 's3://a.b-c/x?endpoint=minio.local:9000', {
  ...S3,
  bucket: 'a.b-c',
  prefix: 'x',
  endpoint: 'https://minio.local:9000',
  pathStyle: true,
  url: 's3://a.b-c/x?endpoint=https%3A%2F%2Fminio.local%3A9000',
});
test(means, 's3://agents/x?path-style=false&endpoint=http://127.0.0.1:9000/', {
  ...S3,
  bucket: 'agents',
  prefix: 'x',
  endpoint: 'http://127.0.0.1:9000',
  url: 's3://agents/x?endpoint=http%3A%2F%2F127.0.0.1%3A9000&path-style=false',
});
test(means, 'file:///mnt/my%20disk/molt', {
  scheme: 'file',
  dir: '/mnt/my disk/molt',
  url: 'file:///mnt/my%20disk/molt',
});

const refuses = test.macro({
  exec(t, text: string) {
    const error = t.throws(() => parseRemoteUrl(text));
    t.true(isMoltError(error, 'USAGE'), String(error));
    t.notRegex(`${error?.message} ${isMoltError(error) ? error.hint : ''}`, /hunter2/);
  },
  title: (_, text: string) => `${text} is refused, and no secret is repeated`,
});

for (const text of [
  '',
  'agents',
  '/mnt/disk',
  'https://agents.s3.amazonaws.com',
  's3:///prefix',
  's3://b/',
  's3://-agents',
  's3://agents:9000/x',
  's3://agents//x',
  's3://agents/x#y',
  's3://agents/%2e%2e/x%2f..',
  's3://agents/a b',
  's3://agents/x?color=red',
  's3://agents/x?region=a&region=b',
  's3://agents/x?region=',
  's3://agents/x?path-style=yes',
  's3://agents/x?endpoint=ftp://host',
  's3://agents/x?endpoint=https://host?x=1',
  's3://agents/x?endpoint=https://user:hunter2@host',
  's3://user:hunter2@agents/x',
  's3://agents/x?secret-access-key=hunter2',
  's3://agents/x?X-Amz-Signature=hunter2',
  'file://host/share',
  'file:///dir?x=1',
  'file:///a%2fb',
]) {
  test(refuses, text);
}
