// `molt key check`: proves that what is at hand opens the repository, and says who gets in when this machine is gone.

import path from 'node:path';
import { checkKeys, type KeyCheck } from '../../ops/key-check.ts';
import { MoltError } from '../../model/error.ts';
import { defineCommand } from '../command.ts';
import { shortSlotId, slotTable } from '../key-text.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The key check command. */
export const command = defineCommand({
  name: 'key check',
  summary: 'check which keys open the repository, and who gets in without this machine',
  description:
    'Tries this machine’s key, the passphrase (--passphrase-file or MOLT_PASSPHRASE) and the recovery key (--recovery-key-file\nor MOLT_RECOVERY_KEY), the identity (MOLT_IDENTITY_FILE) and this machine’s exec commands; what is not given is not tried.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    'recovery-key-file': { type: 'string', value: 'FILE', description: 'read a recovery key from a file' },
    fingerprint: {
      type: 'string',
      value: 'TEXT',
      description: 'the fingerprint that molt init printed, to be compared',
    },
  },
  examples: [
    ['key check', 'check what this machine has'],
    ['key check --recovery-key-file safe.txt', 'check that a written-down recovery key still opens the repository'],
  ],
  async run(context, { agent, options }) {
    const { secrets, env, cwd, output } = context;
    const file = options['recovery-key-file'];
    const isGiven = file !== undefined || Boolean(env['MOLT_RECOVERY_KEY']?.trim());
    const recoveryKey = isGiven
      ? await secrets.recoveryKey(file === undefined ? undefined : path.resolve(cwd, file))
      : undefined;
    const passphrase = await secrets.findPassphrase();
    const check = await checkKeys(makeOpsContext(context), agent, { passphrase, recoveryKey });
    output.result(check, () => [...describe(check), ...wayIn(check)]);
    judge(check, options.fingerprint);
  },
});

function describe({ slots, authentic, fingerprint, generation, outdated }: KeyCheck): string[] {
  const words = { true: 'opens', false: 'does not open', undefined: 'not tried' };
  return [
    ...slotTable(slots, (_, index) => [words[`${slots[index]?.opens}`]]),
    authentic === true
      ? `keyring ${generation} is authentic`
      : `keyring ${generation} was not opened, so it may be anybody's`,
    ...(fingerprint === undefined ? [] : [`fingerprint ${fingerprint}`]),
    ...outdated.map(
      (older) =>
        `keys/${String(older).padStart(6, '0')} still opens with a key that was removed; the next change of keys deletes it`,
    ),
  ];
}

/** Says how to get in without this machine's device key. */
function wayIn({ slots }: KeyCheck): string[] {
  const lasting = slots.filter(({ type }) => type === 'passphrase' || type === 'recovery');
  const proven = lasting.filter(({ opens }) => opens === true);
  const name = (some: typeof lasting): string =>
    some.map((slot) => `${slot.type} ${shortSlotId(slot)} (${slot.label})`).join(', ');
  const lines = [`if this machine dies, a copy of the repository opens with: ${name(lasting)}`];
  if (proven.length === 0) lines.push('none of these was tried now; give a passphrase or recovery key to prove it');
  return lines;
}

function judge(check: KeyCheck, fingerprint: string | undefined): void {
  const given = check.useless.filter((type) => type !== 'device');
  if (given.length > 0) {
    throw new MoltError('WRONG_PASSPHRASE', `the given ${given.map(nameSecret).join(' and ')} opens nothing`, {
      hint: 'molt key list',
    });
  }
  if (check.authentic === undefined) {
    throw new MoltError('WRONG_PASSPHRASE', 'nothing at hand opens this repository', {
      hint: 'give --passphrase-file FILE or --recovery-key-file FILE',
    });
  }
  if (fingerprint !== undefined && plain(fingerprint) !== plain(check.fingerprint ?? '')) {
    throw new MoltError('WRONG_KEY', 'the fingerprint is not the one that was given: this is another repository');
  }
}

function nameSecret(type: KeyCheck['useless'][number]): string {
  return type === 'passphrase' ? 'passphrase' : `${type} key`;
}

function plain(fingerprint: string): string {
  return fingerprint.replace(/\s/g, '').toLowerCase();
}
