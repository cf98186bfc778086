// The fields of a pod.json, read one by one with an error that names the field. Its values may be hostile: no text with a NUL or
// control character, no name that is an option, no number out of its range gets past here.

import { constants } from 'node:os';
import { MoltError } from '../model/error.ts';
import { printable } from '../model/printable.ts';
import { isSecretVariable } from '../model/secret-variables.ts';

const LABEL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const WORD = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
// A reference of an image: registry, path, tag and digest; it begins with no dash.
const IMAGE = /^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,511}$/;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const URL_PATH = /^\/[^\u0000-\u0020\u007f-\uffff]{0,1023}$/;
// Lines and tabs are fine in an argument or a value; a NUL would end it early.
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f]/;
const MAX_TEXT = 32_768;
const MAX_ITEMS = 1000;

/** An object of a pod.json. Absent and null fields are undefined. */
export class PodFields {
  readonly value: Readonly<Record<string, unknown>>;
  readonly #path: string;

  /** @param path where the object stands: empty, `health.` or `ports[0].` */
  constructor(value: unknown, path: string) {
    this.#path = path;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.problem('', 'is no object');
    this.value = value as Record<string, unknown>;
  }

  /** Returns the error for a field. */
  problem(name: string, problem: string): MoltError {
    const field = `${this.#path}${name}`.replace(/\.$/, '');
    const subject = field === '' ? 'it' : `"${printable(field)}"`;
    return new MoltError('USAGE', `this is no pod.json: ${subject} ${problem}`, {
      hint: 'docs/pods.md says what a pod.json may hold',
      details: { field },
    });
  }

  required<T>(name: string, value: T | undefined): T {
    if (value === undefined) throw this.problem(name, 'is missing');
    return value;
  }

  text(name: string): string | undefined {
    const value = this.#get(name);
    return value === undefined ? undefined : this.#text(name, value);
  }

  flag(name: string, byDefault: boolean): boolean {
    const value = this.#get(name) ?? byDefault;
    if (typeof value !== 'boolean') throw this.problem(name, 'is neither true nor false');
    return value;
  }

  integer(name: string, least: number, most: number): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value;
    throw this.problem(name, `is no whole number from ${least} to ${most}`);
  }

  port(name: string): number | undefined {
    return this.integer(name, 1, 65_535);
  }

  portOrName(name: string): number | string | undefined {
    return typeof this.#get(name) === 'string' ? this.text(name) : this.port(name);
  }

  choice<const T extends string>(name: string, choices: readonly T[], byDefault: T): T {
    const value = this.#get(name) ?? byDefault;
    const choice = choices.find((one) => one === value);
    if (choice === undefined) throw this.problem(name, `is none of ${choices.join(', ')}`);
    return choice;
  }

  label(name: string): string | undefined {
    return this.#matching(name, LABEL, 'can’t be a name: letters, digits, dots, dashes and underscores, up to 63');
  }

  word(name: string): string | undefined {
    return this.#matching(name, WORD, 'can’t be a name: a letter, then letters, digits, dashes and underscores');
  }

  image(name: string): string | undefined {
    return this.#matching(name, IMAGE, 'can’t be an image');
  }

  urlPath(name: string): string | undefined {
    return this.#matching(name, URL_PATH, 'can’t be a path: it begins with a slash and has no spaces');
  }

  signal(name: string): NodeJS.Signals | undefined {
    const text = this.text(name);
    if (text === undefined || Object.hasOwn(constants.signals, text)) return text as NodeJS.Signals | undefined;
    throw this.problem(name, 'is no signal, as SIGTERM is');
  }

  command(name: string): readonly string[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const words = this.#items(name, value).map((word, index) => this.#text(`${name}[${index}]`, word));
    if (!words[0]) throw this.problem(name, 'is empty: it is a list of words, the program first');
    return words;
  }

  /** Names of environment variables. */
  names(name: string): readonly string[] | undefined {
    const value = this.#get(name);
    return value === undefined
      ? undefined
      : this.#items(name, value).map((one, index) => this.#envName(`${name}[${index}]`, one));
  }

  environment(name: string): Readonly<Record<string, string>> {
    const fields = this.part(name);
    if (fields === undefined) return {};
    const entries = Object.entries(fields.value);
    if (entries.length > MAX_ITEMS) throw this.problem(name, `has more than ${MAX_ITEMS} entries`);
    return Object.fromEntries(entries.map(([key, value]) => [this.#envName(name, key), fields.#text(key, value)]));
  }

  part(name: string): PodFields | undefined {
    const value = this.#get(name);
    return value === undefined ? undefined : new PodFields(value, `${this.#path}${name}.`);
  }

  list<T>(name: string, parse: (fields: PodFields) => T): readonly T[] | undefined {
    const value = this.#get(name);
    return value === undefined
      ? undefined
      : this.#items(name, value).map((one, index) => parse(new PodFields(one, `${this.#path}${name}[${index}].`)));
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.value, name) ? (this.value[name] ?? undefined) : undefined;
  }

  #items(name: string, value: unknown): readonly unknown[] {
    if (!Array.isArray(value)) throw this.problem(name, 'is no list');
    if (value.length > MAX_ITEMS) throw this.problem(name, `has more than ${MAX_ITEMS} entries`);
    return value;
  }

  #text(name: string, value: unknown): string {
    if (typeof value !== 'string') throw this.problem(name, 'is no text');
    if (value.length > MAX_TEXT || UNSAFE.test(value))
      throw this.problem(name, 'is too long or has control characters');
    return value;
  }

  #matching(name: string, pattern: RegExp, problem: string): string | undefined {
    const text = this.text(name);
    if (text === undefined || pattern.test(text)) return text;
    throw this.problem(name, problem);
  }

  #envName(name: string, value: unknown): string {
    if (typeof value !== 'string' || !ENV_NAME.test(value)) throw this.problem(name, 'is no name of a variable');
    if (isSecretVariable(value))
      throw this.problem(name, `is ${value}, which is molt’s own and never given to an agent`);
    return value;
  }
}
