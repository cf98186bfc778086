// `molt key add passphrase|recovery|device`: one more way into a repository.

import path from 'node:path';
import { addKey, type KeyChange, type NewKey } from '../../ops/key.ts';
import { dropRecoveryKeyFile, writeRecoveryKeyFile } from '../../ops/recovery-key-file.ts';
import { MoltError } from '../../model/error.ts';
import { type Context, defineCommand } from '../command.ts';
import { shortSlotId } from '../key-text.ts';
import { makeOpsContext } from '../ops-context.ts';

const TYPES = ['passphrase', 'recovery', 'device'] as const;

/** The key add command. */
export const command = defineCommand({
  name: 'key add',
  summary: 'add a passphrase, a recovery key or this machine’s key',
  description:
    'passphrase asks for a new one (or --new-passphrase-file); recovery makes a key and prints it once; device lets this machine\nin unattended, by the key file in its home.',
  words: [{ name: 'type', required: true, description: 'passphrase, recovery or device' }],
  options: {
    label: { type: 'string', value: 'TEXT', description: 'what to call the new key' },
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
    ['key add device -a my-agent', 'let this machine in without a passphrase'],
  ],
  async run(context, { agent, options, words }) {
    const type = TYPES.find((known) => known === words.type);
    if (type === undefined) {
      throw new MoltError('USAGE', `'${words.type}' is no type of key`, { hint: `the types are ${TYPES.join(', ')}` });
    }
    refuseStray(type, options);
    const ops = makeOpsContext(context);
    const { label } = options;
    const add = (newKey: NewKey): Promise<KeyChange> => addKey(ops, agent, newKey);
    if (type === 'device') return report(context, await add({ type, label }));
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
  const owners = { 'recovery-key-file': 'recovery', 'new-passphrase-file': 'passphrase' };
  for (const [name, owner] of Object.entries(owners)) {
    if (options[name] !== undefined && type !== owner)
      throw new MoltError('USAGE', `--${name} goes with a ${owner} key only`);
  }
}

function resolveFile(context: Context, file: string | undefined): string | undefined {
  return file === undefined ? undefined : path.resolve(context.cwd, file);
}
