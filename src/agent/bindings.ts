// The values that a pod wants in files of its state folder (`bindings` of pod.json): a port in a JSON file, a path in a YAML file.
// Both names come from a repository, so neither is trusted.

import { extname } from 'node:path';
import { MoltError } from '../model/error.ts';
import { findInside, quote, readInside, replaceInside } from './inside.ts';
import { type Edit, editJson, setAt, valueAt } from './json-edit.ts';
import { parseJson } from './parse-json.ts';
import type { Binding, RebindChange, RootDirs } from './revival.ts';

const STATE = 'state';
const YAML_SUFFIXES: ReadonlySet<string> = new Set(['.yaml', '.yml']);
const JSON_SUFFIXES: ReadonlySet<string> = new Set(['.json', '.json5', '.jsonc']);
const REFUSED_NAMES: ReadonlySet<string> = new Set(['', '.', '..']);
const REFUSED_KEYS: ReadonlySet<string> = new Set(['', '__proto__']);

/**
 * Sets the values. A file in which all of them are set already is not written.
 * @throws {MoltError} USAGE when a binding is none, or its file or place isn't there; HOSTILE when it would lead out of the state
 *   folder; DAMAGED when the file can't be parsed; IO
 */
export async function applyBindings(dirs: RootDirs, bindings: readonly Binding[]): Promise<RebindChange[]> {
  const byFile = Map.groupBy(bindings, ({ file }) => checkFile(file));
  const changes: RebindChange[] = [];
  for (const [file, some] of byFile) {
    const path = `${STATE}/${file}`;
    const real = findInside(dirs, path);
    if (real === undefined) {
      throw new MoltError('USAGE', `a binding names ${quote(file)}, and there is no such file in the state folder`, {
        hint: 'correct "bindings" in the pod file',
      });
    }
    const text = readInside(real, path);
    // oxlint-disable-next-line no-await-in-loop -- few files, each read and written whole
    const { edited, changed } = await editFile(file, text, some);
    if (changed.length === 0) continue;
    replaceInside(real, path, edited);
    changes.push(...changed.map(({ path: what }) => ({ path, what, count: 1 })));
  }
  return changes;
}

/** Returns a file's name, if it leads to a file that bindings can change. */
function checkFile(file: unknown): string {
  if (typeof file !== 'string') throw notABinding('its "file" is no text');
  const isPlain = !file.includes('\0') && file.split('/').every((name) => !REFUSED_NAMES.has(name));
  if (!isPlain)
    throw new MoltError('HOSTILE', `a binding names ${quote(file)}, which is no path inside the state folder`, {
      details: { file },
    });
  const suffix = extname(file).toLowerCase();
  if (YAML_SUFFIXES.has(suffix) || JSON_SUFFIXES.has(suffix)) return file;
  throw notABinding(`${quote(file)} is neither .json, .json5 nor .yaml`);
}

function checkPath({ path, file }: Binding): string[] {
  const names = typeof path === 'string' ? path.split('.') : [''];
  if (names.some((name) => REFUSED_KEYS.has(name)))
    throw notABinding(`its "path" in ${quote(file)} is not made of names with dots between them`);
  return names;
}

function notABinding(why: string): MoltError {
  return new MoltError('USAGE', `a binding of the pod is none: ${why}`, { hint: 'correct "bindings" in the pod file' });
}

interface EditedFile {
  readonly edited: string;
  readonly changed: readonly Binding[];
}

async function editFile(file: string, text: string, bindings: readonly Binding[]): Promise<EditedFile> {
  const wanted = bindings.map((binding) => ({ binding, path: checkPath(binding) }));
  try {
    if (YAML_SUFFIXES.has(extname(file).toLowerCase())) {
      const { editYaml, readYaml } = await import('./bindings-yaml.ts');
      const { edits, changed } = findEdits(wanted, (path) => readYaml(text, path));
      return { edited: editYaml(text, edits), changed };
    }
    const content = await parseJson(text);
    const { edits, changed } = findEdits(wanted, (path) => valueAt(content, path));
    const stuck = edits.find((edit) => !setAt(structuredClone(content), edit));
    if (stuck !== undefined) throw notABinding(`${quote(file)} has no place "${stuck.path.join('.')}"`);
    return { edited: await editJson(text, edits), changed };
  } catch (cause) {
    if (cause instanceof MoltError) throw cause;
    // What a parser says quotes the text, and there may be a secret in it.
    const kind = YAML_SUFFIXES.has(extname(file).toLowerCase()) ? 'YAML' : 'JSON or JSON5';
    throw new MoltError('DAMAGED', `a binding names ${quote(file)}, which is no ${kind} with such a place`, {
      hint: 'correct the file, or take it out of "bindings" in the pod file',
    });
  }
}

function findEdits(
  wanted: readonly { readonly binding: Binding; readonly path: string[] }[],
  read: (path: readonly string[]) => unknown,
): { readonly edits: Edit[]; readonly changed: Binding[] } {
  const edits: Edit[] = [];
  const changed: Binding[] = [];
  for (const { binding, path } of wanted) {
    const before = read(path);
    const value = asBefore(binding.value, before);
    if (JSON.stringify(before) === JSON.stringify(value)) continue;
    edits.push({ path, value });
    changed.push(binding);
  }
  return { edits, changed };
}

/** A port that was filled into a text becomes a number where a number stood. */
function asBefore(value: unknown, before: unknown): unknown {
  return typeof before === 'number' && typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
}
