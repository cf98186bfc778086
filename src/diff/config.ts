// Configuration: JSON, JSON5, YAML and environment files, compared by key path, with secrets masked.

import json5 from 'json5';
import { parseDocument } from 'yaml';
import type { SecretHints } from '../model/diff-hints.ts';
import { MASK, type ConfigChange, type ConfigDiff } from '../model/semantic-diff.ts';
import { isSecretAt, looksSecret, maskText } from './secrets.ts';
import { shortenPair } from './shorten.ts';
import { diffValues, encodeValue, formatPath, namesOf, TooComplex, type Step, type ValueChange } from './values.ts';

/** The forms of configuration that are read. */
export type ConfigFormat = ConfigDiff['format'];

/** How to show differences. */
export interface ValueOptions {
  readonly showSecrets: boolean;
  readonly secrets: SecretHints;
  /** Changes beyond these are only counted; 500 unless given. */
  readonly maxChanges?: number;
  /** Values are cut at so many characters; 300 unless given. */
  readonly maxCharacters?: number;
}

const MOST_CHANGES = 500;
const MOST_CHARACTERS = 300;
/** Larger ones are compared as text. The parsers of JSON5 and YAML are slow, and what is written by hand is small. */
const MOST_BYTES: Readonly<Record<ConfigFormat, number>> = {
  json: 8 << 20,
  json5: 512 << 10,
  yaml: 256 << 10,
  env: 1 << 20,
};
/** Integers that a double can't hold. */
const LONG_NUMBER = /\d{16,}/;

/** Returns which form of configuration a path names; undefined if none. */
export function findConfigFormat(path: string): ConfigFormat | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  if (/^\.env(?:\.|$)|\.env$/.test(name)) return 'env';
  if (/\.json5|\.jsonc/.test(name)) return 'json5';
  // Copies that a program keeps of its configuration: openclaw.json.bak, .bak.1, .last-good.
  if (/\.json(?:\.|$)/.test(name)) return 'json';
  return /\.ya?ml(?:\.|$)/.test(name) ? 'yaml' : undefined;
}

/** Parses a configuration; undefined for what is none, or too much. An empty text is no value. */
export function parseConfig(
  text: string,
  format: ConfigFormat,
): { readonly value: unknown; readonly format: ConfigFormat } | undefined {
  if (Buffer.byteLength(text) > MOST_BYTES[format]) return undefined;
  try {
    if (format === 'env') return { value: parseEnvironment(text), format };
    if (text.trim() === '') return { value: undefined, format };
    if (format === 'yaml') return { value: parseYamlText(text), format };
    if (format === 'json') {
      const value = tryJson(text);
      // OpenClaw reads JSON5 from files that are called .json.
      return value === undefined ? parseConfig(text, 'json5') : { value: value.value, format };
    }
    return { value: json5.parse(text), format };
  } catch {
    // Not what its name says, or nested so deeply that its parser gave up.
    return undefined;
  }
}

function tryJson(text: string): { readonly value: unknown } | undefined {
  try {
    if (!LONG_NUMBER.test(text)) return { value: JSON.parse(text) };
    const exact = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
      typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
        ? BigInt(context?.source ?? 0)
        : value;
    return { value: JSON.parse(text, exact) };
  } catch {
    return undefined;
  }
}

function parseYamlText(text: string): unknown {
  const document = parseDocument(text, { schema: 'core', prettyErrors: false, logLevel: 'error' });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  // Aliases may make a small text a huge tree.
  return document.toJS({ maxAliasCount: 100 });
}

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*=\s*(.*?)\s*$/;

function parseEnvironment(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split(/\r?\n/)) {
    const [, name, value = ''] = ASSIGNMENT.exec(line) ?? [];
    if (name !== undefined)
      Object.defineProperty(values, name, { value: unquote(value), enumerable: true, configurable: true });
  }
  return values;
}

function unquote(value: string): string {
  const quote = value[0];
  return (quote === '"' || quote === "'") && value.length > 1 && value.endsWith(quote) ? value.slice(1, -1) : value;
}

/**
 * Returns how two configurations differ; undefined if they can't be compared by their values.
 * @param before undefined for no file
 */
export function diffConfig(
  before: string | undefined,
  after: string | undefined,
  format: ConfigFormat,
  options: ValueOptions,
): ConfigDiff | undefined {
  const old = before === undefined ? { value: undefined, format } : parseConfig(before, format);
  const now = after === undefined ? { value: undefined, format } : parseConfig(after, format);
  if (old === undefined || now === undefined) return undefined;
  // A side that is not there has nothing in it: then each value comes or goes.
  const empty = (value: unknown, other: unknown): unknown =>
    value !== undefined
      ? value
      : Array.isArray(other)
        ? []
        : typeof other === 'object' && other !== null
          ? {}
          : undefined;
  try {
    const changes = diffValues(empty(old.value, now.value), empty(now.value, old.value));
    const most = options.maxChanges ?? MOST_CHANGES;
    const listed = changes.slice(0, most).map((change) => describeChange(change, options));
    return {
      kind: 'config',
      format: after === undefined ? old.format : now.format,
      changes: listed,
      more: changes.length - listed.length,
    };
  } catch (error) {
    // A RangeError is a stack that overflowed.
    if (error instanceof TooComplex || error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * Returns a difference as it is shown.
 * @param above the names above the document that the path leads into, for those who look for secrets
 */
export function describeChange(
  { path, change, ...values }: ValueChange,
  options: ValueOptions,
  above: readonly string[] = [],
): ConfigChange {
  const names = [...above, ...namesOf(path)];
  const show = (value: unknown): { readonly plain: string; readonly shown: string } => {
    const plain = encodeValue(value);
    const masked = options.showSecrets ? value : maskValue(names, value, options.secrets);
    return { plain, shown: masked === MASK ? MASK : encodeValue(masked) };
  };
  const before = change === 'added' || values.before === undefined ? undefined : show(values.before);
  const after = change === 'removed' || values.after === undefined ? undefined : show(values.after);
  const isSecret = [before, after].some((one) => one !== undefined && one.plain !== one.shown);
  const cut = shortenPair(before?.shown, after?.shown, options.maxCharacters ?? MOST_CHARACTERS);
  return {
    path: formatPath(options.showSecrets ? path : path.map((step) => maskStep(step))),
    change,
    ...(cut.before !== undefined && { before: cut.before }),
    ...(cut.after !== undefined && { after: cut.after }),
    ...(isSecret && { secret: true as const }),
  };
}

/** A key may itself be the secret: tokens are sometimes kept by their own value. */
function maskStep(step: Step): Step {
  if ('key' in step) return looksSecret(step.key) ? { key: MASK } : step;
  return step.identity !== undefined && looksSecret(step.identity) ? { ...step, identity: MASK } : step;
}

/** Returns a value with the secrets in it masked. @param names the names on the way to it */
function maskValue(names: readonly string[], value: unknown, hints: SecretHints): unknown {
  if (Array.isArray(value)) return value.map((one) => maskValue(names, one, hints));
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [
        looksSecret(key) ? MASK : key,
        maskValue([...names, key], one, hints),
      ]),
    );
  }
  if (isSecretAt(names, value, hints)) return MASK;
  return typeof value === 'string' ? maskText(value) : value;
}
