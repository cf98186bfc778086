// Turns a profile's table of patterns into a lookup that is fast enough to ask for every path of every scan.

import type { AreaKind, Classification, PathRule } from './profile.ts';

/** Finds the classification of a path inside an area. */
export type PathTable = (area: AreaKind, path: string) => Classification;

interface CompiledRule {
  readonly pattern: RegExp;
  readonly classification: Classification;
}

/**
 * Compiles a table. Rules are tried in their order, but only those whose first name can match.
 * @param rules each area that is asked for ends with a rule for `**`
 */
export function compilePathTable(rules: readonly PathRule[]): PathTable {
  const areas = new Map<AreaKind, ReturnType<typeof indexRules>>();
  for (const area of new Set(rules.map((rule) => rule.area))) {
    areas.set(area, indexRules(rules.filter((rule) => rule.area === area)));
  }
  return (area, path) => {
    const index = areas.get(area);
    const slash = path.indexOf('/');
    const candidates = index?.byFirstName.get(slash < 0 ? path : path.slice(0, slash)) ?? index?.others ?? [];
    for (const rule of candidates) if (rule.pattern.test(path)) return rule.classification;
    throw new Error(`no rule of area ${area} matches ${path}`);
  };
}

/** Returns the pattern as a regular expression for a whole path. */
export function patternToRegExp(pattern: string): RegExp {
  const names = pattern.split('/');
  let source = '';
  for (const [index, name] of names.entries()) {
    const last = index === names.length - 1;
    if (name === '**') {
      if (last) source = index === 0 ? '.*' : `${source.slice(0, -1)}(?:/.*)?`;
      else source += '(?:.*/)?';
    } else {
      source += name.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*') + (last ? '' : '/');
    }
  }
  return new RegExp(`^${source}$`, 's');
}

function indexRules(rules: readonly PathRule[]) {
  const isLiteral = (name: string) => !name.includes('*');
  const firstNames = rules.map((rule) => rule.path.split('/')[0] ?? '');
  const compiled = rules.map((rule): CompiledRule => {
    const { component, secret = false, excluded = false, why } = rule;
    return { pattern: patternToRegExp(rule.path), classification: { component, secret, excluded, why } };
  });
  const selectRules = (name: string | undefined) =>
    compiled.filter((_, index) => firstNames[index] === name || !isLiteral(firstNames[index] ?? ''));
  return {
    byFirstName: new Map(firstNames.filter(isLiteral).map((name) => [name, selectRules(name)])),
    others: selectRules(undefined),
  };
}
