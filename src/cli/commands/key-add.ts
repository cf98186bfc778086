// `molt key add passphrase|recovery|device|recipient|exec`: one more way into a repository.

import path from 'node:path';
import { addKey, type KeyChange, type NewKey } from '../../ops/key.ts';
import { dropRecoveryKeyFile, writeRecoveryKeyFile } from '../../ops/recovery-key-file.ts';
import { MoltError } from '../../model/error.ts';
import { type Context, defineCommand } from '../command.ts';
import { shortSlotId } from '../key-text.ts';
import { makeOpsContext } from '../ops-context.ts';

const TYPES = ['passphrase', 'recovery', 'device', 'recipient', 'exec'] as const;

/** The key add command. */
export const command = defineCommand({
  name: 'key add',
  summary: 'add a passphrase, a recovery key, a machine, a recipient or a command',
  description:
    'passphrase asks for a new one (or --new-passphrase-file); recovery makes a key and prints it once; device lets this machine\nin unattended, by the key file in its home; --recipient lets in who has the private half of a public key (molt key identity);\n--exec lets a command wrap the key, such as one that asks a key service (docs/exec-slot.md).',
  words: [{ name: 'type', description: 'passphrase, recovery, device; with --recipient or --exec it may be left out' }],
  options: {
    label: { type: 'string', value: 'TEXT', description: 'what to call the new key' },
    recipient: { type: 'string', value: 'PUBKEY', description: 'let in who has the private half: molt-public-1-…' },
    exec: { type: 'string', value: 'COMMAND', description: 'let this shell command wrap and unwrap the key' },
    'recovery-key-file': {
      type: 'string',
      value: 'FILE',
      description: 'write the recovery key to this new file instead of printing it',
    },
    'new-passphrase-file': { type: 'string', value: 'FILE', description: 'read the new passphrase from a file' },
  },
  examples: [
    ['key add passphrase', 'ask for another passphrase'],
    ['key add recovery --label safe --recovery-key-file safe.txt', 'make a recovery key and write it to a new file'],
    ['key add --recipient molt-public-1-… --label ana', 'let a colleague or a pod in without a passphrase'],
    ['key add --exec "node kms.mjs" --label kms', 'let a key service in'],
    ['key add device -a my-agent', 'let this machine in without a passphrase'],
  ],
  async run(context, { agent, options, words }) {
    const word =
      words.type ??
      (options.recipient !== undefined ? 'recipient' : options.exec !== undefined ? 'exec' : 'given: nothing');
    const type = TYPES.find((known) => known === word);
    if (type === undefined) {
      throw new MoltError('USAGE', `'${word}' is no type of key`, { hint: `the types are ${TYPES.join(', ')}` });
    }
    refuseStray(type, options);
    const ops = makeOpsContext(context);
    const { label } = options;
    const add = (newKey: NewKey): Promise<KeyChange> => addKey(ops, agent, newKey);
    if (type === 'device') return report(context, await add({ type, label }));
    if (type === 'recipient') {
      return report(context, await add({ type, label, publicKey: need(options.recipient, '--recipient PUBKEY') }));
    }
    if (type === 'exec') {
      return report(context, await add({ type, label, command: need(options.exec, '--exec COMMAND') }));
    }
    if (type === 'passphrase') {
      const file = resolveFile(context, options['new-passphrase-file']);
      return report(
        context,
        await add({
          type,
          label,
          passphrase: () => context.secrets.newPassphrase('the repository', file, 'give --new-passphrase-file FILE'),
        }),
      );
    }
    return addRecovery(context, add, label, resolveFile(context, options['recovery-key-file']));
  },
});

async function addRecovery(
  context: Context,
  add: (newKey: NewKey) => Promise<KeyChange>,
  label: string | undefined,
  file: string | undefined,
): Promise<void> {
  let key = '';
  let isWritten = false;
  const keep = async (text: string): Promise<void> => {
    key = text;
    if (file === undefined) return;
    await writeRecoveryKeyFile(file, text);
    isWritten = true;
  };
  let change: KeyChange;
  try {
    change = await add({ type: 'recovery', label, keep });
  } catch (error) {
    if (isWritten && file !== undefined) await dropRecoveryKeyFile(file);
    throw error;
  }
  report(context, change, file === undefined ? { recoveryKey: key } : { recoveryKeyFile: file });
}

function report(
  context: Context,
  { slot, generation }: KeyChange,
  recovery: Readonly<Record<string, string>> = {},
): void {
  context.output.result({ ...slot, generation, ...recovery }, () => [
    `added ${slot.type} key ${shortSlotId(slot)} (${slot.label})`,
    ...(recovery['recoveryKeyFile'] === undefined
      ? []
      : [`the recovery key is in ${recovery['recoveryKeyFile']}: keep it elsewhere than this machine`]),
    ...(recovery['recoveryKey'] === undefined
      ? []
      : ['', `    ${recovery['recoveryKey']}`, '', 'Write this recovery key down now: it is not shown again.']),
  ]);
}

/** An option that does nothing for a type of key is a misunderstanding. */
function refuseStray(type: (typeof TYPES)[number], options: Readonly<Record<string, unknown>>): void {
  const owners = {
    recipient: 'recipient',
    exec: 'exec',
    'recovery-key-file': 'recovery',
    'new-passphrase-file': 'passphrase',
  };
  for (const [name, owner] of Object.entries(owners)) {
    if (options[name] !== undefined && type !== owner)
      throw new MoltError('USAGE', `--${name} goes with a key of type ${owner} only`);
  }
}

function need(value: string | undefined, option: string): string {
  if (value !== undefined && value !== '') return value;
  throw new MoltError('USAGE', `key add needs ${option}`);
}

function resolveFile(context: Context, file: string | undefined): string | undefined {
  return file === undefined ? undefined : path.resolve(context.cwd, file);
}
