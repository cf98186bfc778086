// `molt key rotate`: a new root key, for whoever is to be let in from now on.

import path from 'node:path';
import { rotateKeys, type Rotation, type RotationPlan } from '../../ops/key-rotate.ts';
import { dropRecoveryKeyFile, writeRecoveryKeyFile } from '../../ops/recovery-key-file.ts';
import { type Context, defineCommand } from '../command.ts';
import { shortSlotId } from '../key-text.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The key rotate command. */
export const command = defineCommand({
  name: 'key rotate',
  summary: 'replace the root key: who was removed can’t read what is saved from now on',
  description:
    'Recipients, this machine, its exec commands and the passphrase (asked for, MOLT_PASSPHRASE or --passphrase-file) are let in\nanew; a new recovery key takes the place of the old ones. Whoever can’t be carried over is named first. What was saved so\nfar stays readable to who could read it. The fingerprint changes: tell it to recipients, by a way that they trust.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    'recovery-key-file': {
      type: 'string',
      value: 'FILE',
      description: 'write the new recovery key to this new file instead of printing it',
    },
  },
  examples: [
    ['key rotate', 'rotate, after naming who is locked out'],
    ['key rotate my-agent --yes --passphrase-file pass --recovery-key-file new.txt', 'rotate in a script'],
  ],
  async run(context, { agent, options }) {
    const { secrets, output, reporter, cwd } = context;
    const given = options['recovery-key-file'];
    const file = given === undefined ? undefined : path.resolve(cwd, given);
    let key = '';
    const rotation = await rotateKeys(makeOpsContext(context), agent, {
      passphrase: async () => {
        reporter.pause();
        return (await secrets.findPassphrase()) ?? askIfPossible(context);
      },
      agree: (plan) => agree(context, plan),
      keep: async (text) => {
        if (file !== undefined) await writeRecoveryKeyFile(file, text);
        key = text;
      },
    }).catch(async (error: unknown) => {
      if (file !== undefined && key !== '') await dropRecoveryKeyFile(file);
      throw error;
    });
    const recovery = file === undefined ? { recoveryKey: key } : { recoveryKeyFile: file };
    output.result({ ...rotation, ...recovery }, () => describe(rotation, file, key));
    output.note('what was saved before stays readable with the old keys (docs/security.md)');
  },
});

/** Asks on a terminal; elsewhere the slot is named as lost. */
async function askIfPossible({ secrets }: Context): Promise<string | undefined> {
  return process.stdin.isTTY ? secrets.passphrase('the new keys') : undefined;
}

async function agree(context: Context, { lost, replaced }: RotationPlan): Promise<boolean> {
  for (const slot of lost) {
    context.reporter.warn(`${slot.type} key ${shortSlotId(slot)} (${slot.label}) will be locked out: ${slot.reason}`);
  }
  const locked = lost.length === 0 ? '' : `, lock out ${lost.map(shortSlotId).join(', ')}`;
  const old = replaced.length === 1 ? 'the recovery key' : `all ${replaced.length} recovery keys`;
  return context.confirm(`rotate the keys${locked}${replaced.length === 0 ? '' : ` and replace ${old}`}?`);
}

function describe({ epoch, kept, replaced, fingerprint }: Rotation, file: string | undefined, key: string): string[] {
  return [
    `rotated: the root key is now of epoch ${epoch}`,
    ...kept.map((slot) => `still let in: ${slot.type} key ${shortSlotId(slot)} (${slot.label})`),
    ...replaced.map((slot) => `replaced: recovery key ${shortSlotId(slot)} (${slot.label})`),
    `fingerprint ${fingerprint}`,
    ...(file === undefined
      ? [
          '',
          `    ${key}`,
          '',
          'Write this recovery key down now: it is not shown again, and the old one opens nothing new.',
        ]
      : [`the new recovery key is in ${file}: keep it elsewhere than this machine`]),
  ];
}
