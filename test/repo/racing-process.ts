// A process of its own that commits to a repository as fast as it can, against others.
// usage: racing-process.ts <dir> <index> <commits>; prints the ids of its commits as JSON

import { DirectoryStorage } from '../../src/storage/directory.ts';
import { commitInRace, openRepository } from './support.ts';

const [dir = '', index = '0', commits = '0'] = process.argv.slice(2);
const repository = await openRepository(await DirectoryStorage.open(dir));
const ids: string[] = [];
for (let round = 0; round < Number(commits); round += 1) {
  const path = `file-${index}`;
  ids.push(
    await commitInRace(repository, { [path]: `${path} in round ${round}` }, `process ${index} round ${round}\n`),
  );
}
process.stdout.write(JSON.stringify(ids));
