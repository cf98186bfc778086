// Reads the pod file that a user gives. On its own, because the YAML parser is large and only init needs it.

import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { MoltError } from '../model/error.ts';

/**
 * Reads a pod.json, or the same as YAML.
 * @throws {MoltError} NOT_FOUND or USAGE
 */
export async function readPodFile(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new MoltError('NOT_FOUND', `can't read the pod file "${path}"`, { cause });
  });
  try {
    const value: unknown = parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new MoltError('USAGE', `"${path}" is neither JSON nor YAML`, { cause });
  }
  throw new MoltError('USAGE', `"${path}" does not describe a pod: it holds no object`);
}
