// Opens a log, which makes its tables if nobody has, and puts one entry into it.

import { PostgresLog } from '../../src/catalog/postgres-log.ts';
import { entry } from '../catalog/entries.ts';

const [url = '', number = '0'] = process.argv.slice(2);
await using log = await PostgresLog.open(url);
await log.append([entry(Number(number))]);
