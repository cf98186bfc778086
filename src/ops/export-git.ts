// Writes an agent's history as a plain Git repository with the same ids: bare, one pack, packed refs, so that `git clone DIR` and
// `git -C DIR log` work. One pack and not loose objects: thousands of small files take longer to write, copy and delete than their
// content takes to compress, and git reads a pack as fast.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OBJECT } from '../format/layout.ts';
import type { CommitId, GitId } from '../model/ids.ts';
import { listEdges } from '../repo/edges.ts';
import { gitKey } from '../repo/keys.ts';
import { MARK, ObjectTable } from '../repo/object-table.ts';
import { tagTarget } from '../repo/edges.ts';
import type { GitType } from '../repo/objects.ts';
import type { Repository } from '../repo/repository.ts';
import { parseTree, TREE_MODES } from '../repo/trees.ts';
import type { OpsContext } from './context.ts';
import { GitPackWriter } from './git-pack.ts';
import { checkNewFolder, makeFolder } from './new-folder.ts';
import type { OpenAgent } from './open.ts';
import { readChecked } from './place-files.ts';

/** What was written: CLI.md's JSON for `export`. */
export interface ExportGitResult {
  /** The folder; absolute. */
  readonly file: string;
  readonly sizeBytes: number;
  readonly commits: number;
  readonly objects: number;
  readonly refs: readonly string[];
  readonly durationMs: number;
}

/**
 * Exports everything that branches and tags reach.
 * @param options.dir a folder that does not exist or is empty
 * @param options.expired commits that are gone by design: their children are written as where history begins
 * @throws {MoltError} EXISTS, DAMAGED, IO; then nothing is left
 */
export async function exportGit(
  context: OpsContext,
  open: OpenAgent,
  options: { readonly dir: string; readonly expired?: ReadonlySet<CommitId> },
): Promise<ExportGitResult> {
  const startedMs = context.clock.now();
  const dir = await checkNewFolder(context.cwd, options.dir);
  const { repository, agent } = open;
  return makeFolder(context.home, dir, async (temp) => {
    await mkdir(join(temp, 'objects/pack'), { recursive: true });
    await mkdir(join(temp, 'objects/info'));
    await mkdir(join(temp, 'refs/heads'), { recursive: true });
    await mkdir(join(temp, 'refs/tags'));
    const exporting = new Exporting(context, repository, join(temp, 'objects/pack'), options.expired ?? new Set());
    // What molt keeps beside them says nothing to Git.
    const refs = [...repository.refs]
      .filter(([name]) => !name.startsWith('refs/molt/'))
      .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const lines = await exporting.run(refs);
    await writeFile(join(temp, 'packed-refs'), `# pack-refs with: peeled fully-peeled sorted \n${lines.join('')}`);
    await writeFile(join(temp, 'HEAD'), `ref: refs/heads/${agent.branch}\n`);
    await writeFile(join(temp, 'config'), '[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n');
    if (exporting.shallow.size > 0)
      await writeFile(join(temp, 'shallow'), [...exporting.shallow].map((id) => `${id}\n`).join(''));
    const { sizeBytes, objects } = exporting.written;
    const names = refs.map(([name]) => name);
    return {
      file: dir,
      sizeBytes,
      commits: exporting.commits,
      objects,
      refs: names,
      durationMs: context.clock.now() - startedMs,
    };
  });
}

class Exporting {
  readonly shallow = new Set<GitId>();
  commits = 0;
  written = { sizeBytes: 0, objects: 0 };
  readonly #context: OpsContext;
  readonly #repository: Repository;
  readonly #packDir: string;
  readonly #expired: ReadonlySet<CommitId>;
  readonly #seen = new ObjectTable();
  #pack: GitPackWriter | undefined;

  constructor(context: OpsContext, repository: Repository, packDir: string, expired: ReadonlySet<CommitId>) {
    this.#context = context;
    this.#repository = repository;
    this.#packDir = packDir;
    this.#expired = expired;
  }

  /** Writes the pack and returns the lines of packed-refs. */
  async run(refs: readonly (readonly [name: string, id: GitId])[]): Promise<string[]> {
    const pack = await GitPackWriter.create(this.#packDir);
    this.#pack = pack;
    try {
      const lines: string[] = [];
      for (const [name, id] of refs) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const commit = await this.#visitTip(id);
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await this.#visitCommits(commit);
        lines.push(`${id} ${name}\n${commit === id ? '' : `^${commit}\n`}`);
      }
      this.written = await pack.finish();
      return lines;
    } finally {
      await pack.close();
    }
  }

  /** Writes the tag that a ref names, if it is one, and returns the commit. */
  async #visitTip(id: GitId): Promise<GitId> {
    const found = await this.#repository.objects.findGit(id);
    if (found?.type !== 'tag') return id;
    if (this.#isNew(id)) await this.#add('tag', id, found.content);
    return tagTarget(found.content, id);
  }

  async #visitCommits(tip: GitId): Promise<void> {
    const waiting = [tip];
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      if (!this.#isNew(id)) continue;
      this.#context.signal?.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const content = await this.#repository.objects.readGit(id, 'commit');
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await this.#add('commit', id, content);
      this.commits += 1;
      const [tree, ...parents] = listEdges({ key: gitKey(id), type: OBJECT.commit }, content).map(
        ({ key }) => key.toString('hex', 0, 20) as GitId,
      );
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      if (tree !== undefined) await this.#visitTree(tree);
      if (parents.some((parent) => this.#expired.has(parent))) this.shallow.add(id);
      waiting.push(...parents.filter((parent) => !this.#expired.has(parent)));
    }
  }

  async #visitTree(id: GitId): Promise<void> {
    if (!this.#isNew(id)) return;
    const content = await this.#repository.objects.readGit(id, 'tree');
    await this.#add('tree', id, content);
    for (const entry of parseTree(content, id)) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      if (entry.mode === TREE_MODES.tree) await this.#visitTree(entry.id);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      else if (this.#isNew(entry.id)) await this.#addBlob(entry.id);
    }
  }

  async #addBlob(id: GitId): Promise<void> {
    const { sizeBytes } = await this.#repository.objects.readBlobRecord(id);
    const content = readChecked(this.#repository, id, this.#context.signal);
    await this.#pack?.add({ type: 'blob', id, sizeBytes }, content);
    this.#context.reporter.progress({ phase: 'export', doneFiles: this.#seen.count });
  }

  async #add(type: GitType, id: GitId, content: Buffer): Promise<void> {
    await this.#pack?.add({ type, id, sizeBytes: content.length }, [content]);
  }

  #isNew(id: GitId): boolean {
    const number = this.#seen.add(gitKey(id));
    if ((this.#seen.marks(number) & MARK.seen) !== 0) return false;
    this.#seen.mark(number, MARK.seen);
    return true;
  }
}
