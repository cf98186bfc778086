// OpenClaw's version: a newer one reads older states and brings them up to date, an older one can't read newer ones.

import { MoltError } from '../model/error.ts';
import { askVersion, compareVersions } from './program-version.ts';
import type { AgentCommand } from './revival.ts';

/** Carries out Profile.installedVersion for OpenClaw: `OpenClaw 2026.9.6 (eb377ac)`. */
export async function installedOpenClaw(command: AgentCommand): Promise<string | undefined> {
  const said = await askVersion(command);
  return /^(?:OpenClaw\s+)?v?(\d{4}\.\d+\.\d+(?:-[\w.]+)?)\b/m.exec(said ?? '')?.[1];
}

/** Carries out Profile.checkVersion for OpenClaw. */
export function checkOpenClawVersion(recorded: string | undefined, installed: string | undefined): void {
  if (recorded === undefined || installed === undefined) return;
  if ((compareVersions(recorded, installed) ?? 0) <= 0) return;
  throw new MoltError(
    'NEWER_FORMAT',
    `the commit was made with OpenClaw ${recorded}, and OpenClaw ${installed} is installed, which can't read it`,
    {
      hint: `install OpenClaw ${recorded} or newer, or restore an older moment`,
      details: { recorded, installed },
    },
  );
}
