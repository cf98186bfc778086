// The JSON5 parser, in a module of its own so that it is loaded only for a configuration that is not plain JSON: from a bundle, a
// CommonJS package that is loaded lazily gives nothing but its default export.

import json5 from 'json5';

/** Parses JSON5. @throws {SyntaxError} */
export function parseJson5(text: string): unknown {
  return json5.parse(text);
}
