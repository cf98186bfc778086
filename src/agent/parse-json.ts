// Parses a configuration: plain JSON at once, and JSON5, whose parser is loaded only for what isn't.

/** @throws {SyntaxError} when it is neither */
export async function parseJson(text: string): Promise<unknown> {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const { parseJson5 } = await import('./json5.ts');
    return parseJson5(text);
  }
}
