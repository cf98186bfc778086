// Prices as users give them, under "prices" in MOLT_HOME/config.json; what is left out is as on the product page.

import { MoltError } from '../model/error.ts';
import { findNearest } from '../model/nearest.ts';
import { PRODUCT_PRICES, type Prices } from './cost.ts';

const NAMES = ['storageGbMonth', 'egressGb', 'restoreGb', 'put', 'get', 'list', 'head', 'delete'] as const;

/**
 * Returns the prices of a JSON value: `{"currency": "€", "storageGbMonth": 0.023, "egressGb": 0.09, "restoreGb": 0.09, "put": 0.005, …}`;
 * requests by the thousand.
 * @param place where it stands, for errors
 * @throws {MoltError} USAGE when it is none
 */
export function parsePrices(value: unknown, place: string): Prices {
  if (value === undefined) return PRODUCT_PRICES;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(`${place} is not an object`);
  const given = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(given)) {
    if (name === 'currency' || NAMES.some((known) => known === name)) continue;
    const nearest = findNearest(name.slice(0, 60), [...NAMES, 'currency']);
    throw wrong(
      `${place} has no price "${name.slice(0, 60)}"`,
      nearest === undefined ? undefined : `did you mean ${nearest}`,
    );
  }
  const price = (name: (typeof NAMES)[number], otherwise: number): number => {
    const found = given[name] ?? otherwise;
    if (typeof found === 'number' && Number.isFinite(found) && found >= 0) return found;
    throw wrong(`"${name}" in ${place} is not a number from 0 up`);
  };
  const { currency = PRODUCT_PRICES.currency } = given;
  if (typeof currency !== 'string' || !/^\S{1,4}$/u.test(currency))
    throw wrong(`"currency" in ${place} is not one to four characters`);
  const { thousand } = PRODUCT_PRICES;
  return {
    currency,
    storageGbMonth: price('storageGbMonth', PRODUCT_PRICES.storageGbMonth),
    egressGb: price('egressGb', PRODUCT_PRICES.egressGb),
    restoreGb: price('restoreGb', PRODUCT_PRICES.restoreGb),
    thousand: {
      put: price('put', thousand.put),
      get: price('get', thousand.get),
      list: price('list', thousand.list),
      head: price('head', thousand.head),
      delete: price('delete', thousand.delete),
    },
  };
}

function wrong(
  message: string,
  hint = '{"prices": {"storageGbMonth": 0.023, "egressGb": 0.09, "put": 0.005, "get": 0.0004}}',
): MoltError {
  return new MoltError('USAGE', message, { hint });
}
