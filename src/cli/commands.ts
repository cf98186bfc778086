// The table of commands: enough for the top-level help and for finding a command without loading any of them.

import type { Command } from './command.ts';

/** The headings of the top-level help, in order. */
export const COMMAND_GROUPS = [
  'begin',
  'save and see',
  'look back',
  'name moments and lines of history',
  'bring back',
  'run',
  'send and get',
  'look after',
  'more',
] as const;

/** One row of the table. */
export interface CommandEntry {
  /** As the user types it: `status`, `backup list`. */
  readonly name: string;
  readonly group: (typeof COMMAND_GROUPS)[number];
  readonly summary: string;
  /** Loads the command's file. */
  load(): Promise<Command>;
}

/** All commands, in the order of the help within their groups. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'init',
    group: 'begin',
    summary: "make an agent's repository and its first full backup",
    load: async () => (await import('./commands/init.ts')).command,
  },
  {
    name: 'agents',
    group: 'begin',
    summary: 'list the agents of this machine, or of a remote',
    load: async () => (await import('./commands/agents.ts')).command,
  },
  {
    name: 'agent add',
    group: 'begin',
    summary: 'give a repository of this machine a name',
    load: async () => (await import('./commands/agent-add.ts')).command,
  },
  {
    name: 'agent rename',
    group: 'begin',
    summary: 'give an agent another name',
    load: async () => (await import('./commands/agent-rename.ts')).command,
  },
  {
    name: 'agent remove',
    group: 'begin',
    summary: 'forget an agent, with or without its repository',
    load: async () => (await import('./commands/agent-remove.ts')).command,
  },
  {
    name: 'status',
    group: 'save and see',
    summary: 'show what changed since the last commit, and how old it is',
    load: async () => (await import('./commands/status.ts')).command,
  },
  {
    name: 'commit',
    group: 'save and see',
    summary: 'save what changed',
    load: async () => (await import('./commands/commit.ts')).command,
  },
  {
    name: 'backup create',
    group: 'save and see',
    summary: 'make a manual backup, a named or a full one',
    load: async () => (await import('./commands/backup-create.ts')).command,
  },
  {
    name: 'backup list',
    group: 'save and see',
    summary: 'list backups, newest first',
    load: async () => (await import('./commands/backup-list.ts')).command,
  },
  {
    name: 'backup log',
    group: 'save and see',
    summary: 'show what was run, and what came of it',
    load: async () => (await import('./commands/backup-log.ts')).command,
  },
  {
    name: 'log',
    group: 'look back',
    summary: 'read history, newest first',
    load: async () => (await import('./commands/log.ts')).command,
  },
  {
    name: 'tui',
    group: 'look back',
    summary: 'browse history, compare moments and bring one back, on a terminal',
    load: async () => (await import('./commands/tui.ts')).command,
  },
  {
    name: 'show',
    group: 'look back',
    summary: 'show a commit, or a folder or file of one',
    load: async () => (await import('./commands/show.ts')).command,
  },
  {
    name: 'cat',
    group: 'look back',
    summary: 'write a file as it was saved',
    load: async () => (await import('./commands/cat.ts')).command,
  },
  {
    name: 'diff',
    group: 'look back',
    summary: 'compare two moments, or one with the live agent',
    load: async () => (await import('./commands/diff.ts')).command,
  },
  {
    name: 'search',
    group: 'look back',
    summary: 'find when a phrase appeared in files and conversations, and when it went away',
    load: async () => (await import('./commands/search.ts')).command,
  },
  {
    name: 'blame',
    group: 'look back',
    summary: 'tell which commit wrote each line of a file, and what was said before',
    load: async () => (await import('./commands/blame.ts')).command,
  },
  {
    name: 'tag',
    group: 'name moments and lines of history',
    summary: 'name a moment, or list names',
    load: async () => (await import('./commands/tag.ts')).command,
  },
  {
    name: 'branch',
    group: 'name moments and lines of history',
    summary: 'list, make and remove lines of history',
    load: async () => (await import('./commands/branch.ts')).command,
  },
  {
    name: 'switch',
    group: 'name moments and lines of history',
    summary: 'choose the branch that the next commit goes onto',
    load: async () => (await import('./commands/switch.ts')).command,
  },
  {
    name: 'checkout',
    group: 'bring back',
    summary: 'put the files of a moment into a folder',
    load: async () => (await import('./commands/checkout.ts')).command,
  },
  {
    name: 'restore',
    group: 'bring back',
    summary: 'bring an agent back',
    load: async () => (await import('./commands/restore.ts')).command,
  },
  {
    name: 'pod list',
    group: 'run',
    summary: 'list the pods of this machine, and how they are',
    load: async () => (await import('./commands/pod-list.ts')).command,
  },
  {
    name: 'pod start',
    group: 'run',
    summary: 'start a pod, and wait until it is healthy',
    load: async () => (await import('./commands/pod-start.ts')).command,
  },
  {
    name: 'pod stop',
    group: 'run',
    summary: 'stop a pod',
    load: async () => (await import('./commands/pod-stop.ts')).command,
  },
  {
    name: 'pod health',
    group: 'run',
    summary: 'ask a pod how it is',
    load: async () => (await import('./commands/pod-health.ts')).command,
  },
  {
    name: 'pod logs',
    group: 'run',
    summary: 'show what a pod’s agent wrote',
    load: async () => (await import('./commands/pod-logs.ts')).command,
  },
  {
    name: 'pod remove',
    group: 'run',
    summary: 'remove a stopped pod and its state; its agent’s backups stay',
    load: async () => (await import('./commands/pod-remove.ts')).command,
  },
  {
    name: 'run',
    group: 'run',
    summary: 'run an agent under care: restored if its state is missing, saved while it runs and at its end',
    load: async () => (await import('./commands/run.ts')).command,
  },
  {
    name: 'schedule install',
    group: 'run',
    summary: 'have an agent saved every few minutes, in the background',
    load: async () => (await import('./commands/schedule-install.ts')).command,
  },
  {
    name: 'schedule remove',
    group: 'run',
    summary: 'end an agent’s schedule; its backups stay',
    load: async () => (await import('./commands/schedule-remove.ts')).command,
  },
  {
    name: 'schedule status',
    group: 'run',
    summary: 'show what is scheduled, what was done and missed, and what comes next',
    load: async () => (await import('./commands/schedule-status.ts')).command,
  },
  {
    name: 'daemon',
    group: 'run',
    summary: 'keep all scheduled agents saved, in the foreground',
    load: async () => (await import('./commands/daemon.ts')).command,
  },
  {
    name: 'remote add',
    group: 'send and get',
    summary: 'add a bucket or folder to push to, after trying out what it really does',
    load: async () => (await import('./commands/remote-add.ts')).command,
  },
  {
    name: 'remote list',
    group: 'send and get',
    summary: 'list the remotes, and what they held when last seen',
    load: async () => (await import('./commands/remote-list.ts')).command,
  },
  {
    name: 'remote remove',
    group: 'send and get',
    summary: 'forget a remote; what it holds stays there',
    load: async () => (await import('./commands/remote-remove.ts')).command,
  },
  {
    name: 'push',
    group: 'send and get',
    summary: 'send to a remote what it lacks',
    load: async () => (await import('./commands/push.ts')).command,
  },
  {
    name: 'fetch',
    group: 'send and get',
    summary: 'get what a remote has that is not here',
    load: async () => (await import('./commands/fetch.ts')).command,
  },
  {
    name: 'pull',
    group: 'send and get',
    summary: 'get what a remote has, and bring the agent’s branch together with it',
    load: async () => (await import('./commands/pull.ts')).command,
  },
  {
    name: 'clone',
    group: 'send and get',
    summary: 'make an agent of this machine from a remote',
    load: async () => (await import('./commands/clone.ts')).command,
  },
  {
    name: 'export',
    group: 'send and get',
    summary: 'write an agent’s history into one file, or as a Git repository',
    load: async () => (await import('./commands/export.ts')).command,
  },
  {
    name: 'import',
    group: 'send and get',
    summary: 'take in a bundle that molt export wrote',
    load: async () => (await import('./commands/import.ts')).command,
  },
  {
    name: 'verify',
    group: 'look after',
    summary: 'check that every backup can be brought back',
    load: async () => (await import('./commands/verify.ts')).command,
  },
  {
    name: 'prune',
    group: 'look after',
    summary: 'let go what retention does not keep, here and on the remotes',
    load: async () => (await import('./commands/prune.ts')).command,
  },
  {
    name: 'cost',
    group: 'look after',
    summary: 'show what backups cost a month, and what others would',
    load: async () => (await import('./commands/cost.ts')).command,
  },
  {
    name: 'hold add',
    group: 'look after',
    summary: 'keep a backup for ever',
    load: async () => (await import('./commands/hold-add.ts')).command,
  },
  {
    name: 'hold list',
    group: 'look after',
    summary: 'list the backups that are kept for ever',
    load: async () => (await import('./commands/hold-list.ts')).command,
  },
  {
    name: 'hold remove',
    group: 'look after',
    summary: 'let retention decide about a backup again',
    load: async () => (await import('./commands/hold-remove.ts')).command,
  },
  {
    name: 'alert set',
    group: 'look after',
    summary: 'say where alerts go, and what sets them off',
    load: async () => (await import('./commands/alert-set.ts')).command,
  },
  {
    name: 'alert list',
    group: 'look after',
    summary: 'list changes that look like losses and wait for an answer',
    load: async () => (await import('./commands/alert-list.ts')).command,
  },
  {
    name: 'alert answer',
    group: 'look after',
    summary: 'say whether something was lost, so that retention goes on',
    load: async () => (await import('./commands/alert-answer.ts')).command,
  },
  {
    name: 'alert test',
    group: 'look after',
    summary: 'send an alert to see whether it arrives',
    load: async () => (await import('./commands/alert-test.ts')).command,
  },
  {
    name: 'key list',
    group: 'look after',
    summary: 'list the keys that open an agent’s repository',
    load: async () => (await import('./commands/key-list.ts')).command,
  },
  {
    name: 'key add',
    group: 'look after',
    summary: 'add a passphrase, a recovery key, a machine, a recipient or a command',
    load: async () => (await import('./commands/key-add.ts')).command,
  },
  {
    name: 'key remove',
    group: 'look after',
    summary: 'remove a key',
    load: async () => (await import('./commands/key-remove.ts')).command,
  },
  {
    name: 'key rotate',
    group: 'look after',
    summary: 'replace the root key: who was removed can’t read what is saved from now on',
    load: async () => (await import('./commands/key-rotate.ts')).command,
  },
  {
    name: 'key identity',
    group: 'look after',
    summary: 'make a key pair, to be let in by its public half',
    load: async () => (await import('./commands/key-identity.ts')).command,
  },
  {
    name: 'key check',
    group: 'look after',
    summary: 'check which keys open the repository, and who gets in without this machine',
    load: async () => (await import('./commands/key-check.ts')).command,
  },
  {
    name: 'help',
    group: 'more',
    summary: 'explain molt or one of its commands',
    load: async () => (await import('./commands/help.ts')).command,
  },
  {
    name: 'completion',
    group: 'more',
    summary: 'make the shell complete commands, options and names',
    load: async () => (await import('./commands/completion.ts')).command,
  },
  {
    name: 'version',
    group: 'more',
    summary: 'show the version of molt',
    load: async () => (await import('./commands/version.ts')).command,
  },
];
