// OpenClaw's files as data: which component each belongs to, which are secrets, which are left out. It covers the SQLite layout
// (seen in 2026.9.6) and the JSON and JSONL layout before it (seen in 2026.5.28). The first line that matches decides.

import type { Component } from '../model/component.ts';
import type { AreaKind, PathRule } from './profile.ts';

const leaveOut = (area: AreaKind, why: string, ...paths: string[]): PathRule[] =>
  paths.map((path) => ({ area, path, component: 'runtime', excluded: true, why }));
const keep = (area: AreaKind, component: Component, why: string, ...paths: string[]): PathRule[] =>
  paths.map((path) => ({ area, path, component, why }));
const keepSecret = (area: AreaKind, component: Component, why: string, ...paths: string[]): PathRule[] =>
  paths.map((path) => ({ area, path, component, secret: true, why }));

const STATE_RULES: readonly PathRule[] = [
  ...leaveOut(
    'state',
    'a cache that OpenClaw fills again',
    'cache/**',
    'plugin-skills/**',
    'sandbox/skills-workspaces/**',
  ),
  ...leaveOut('state', 'locks, shims and captures of the running process', 'tmp/**', '*.update-captures/**'),
  ...leaveOut('state', 'logs', 'logs/**'),
  ...leaveOut(
    'state',
    'checkouts, packages and runtimes that are installed',
    'dev/**',
    'git/**',
    'npm/**',
    'npm-runtime/**',
  ),
  ...leaveOut('state', 'tools and model weights that are downloaded', 'tools/**', 'models/**'),
  ...leaveOut(
    'state',
    'messages in flight, sent twice if brought back',
    'delivery-queue/**',
    'session-delivery-queue/**',
  ),
  ...leaveOut(
    'state',
    'installed packages',
    'extensions/**/node_modules/**',
    'hooks/**/node_modules/**',
    'plugins/**/node_modules/**',
  ),
  ...leaveOut('state', 'a running browser’s locks and caches', 'browser/**/Singleton*', 'browser/**/*Cache*/**'),
  ...leaveOut(
    'state',
    'a lock, socket or half-written file',
    '**/*.sock',
    '**/*.pid',
    '**/*.tmp',
    'agents/*/sessions/**/*.lock',
  ),
  ...keepSecret(
    'state',
    'configuration',
    'the configuration and its older versions',
    'openclaw.json',
    'openclaw.json.*',
    'openclaw*.json*',
  ),
  ...keepSecret('state', 'configuration', 'environment variables', '.env', '.env.*'),
  ...keepSecret(
    'state',
    'configuration',
    'keys and secrets',
    '*.key',
    '*.pem',
    'secrets*/**',
    'gateway.token',
    'gateway.password',
  ),
  ...keepSecret('state', 'configuration', 'secrets that the configuration refers to', 'credentials/onepassword/**'),
  ...keepSecret(
    'state',
    'skills',
    'logins of channels and services',
    'credentials/**',
    'auth*.json',
    'oauth*.json',
    'devices/**',
  ),
  ...keepSecret('state', 'state', 'the device’s identity', 'identity/**'),
  ...keepSecret('state', 'state', 'the shared database', 'state/*.sqlite'),
  ...keepSecret(
    'state',
    'state',
    'databases of the layout before 2026.7',
    'memory/*.sqlite',
    'tasks/*.sqlite',
    'flows/*.sqlite',
  ),
  ...keep(
    'state',
    'state',
    'sessions, jobs and memory',
    'state/**',
    'agents/**',
    'memory/**',
    'tasks/**',
    'flows/**',
    'cron/**',
  ),
  ...keep(
    'state',
    'state',
    'originals kept by a migration',
    'migration/**',
    'session-sqlite-migration-runs/**',
    '*.migrated/**',
  ),
  ...keep('state', 'state', 'sub-agents and their runs', 'subagents/**'),
  ...keep('state', 'skills', 'shared skills', 'skills/**', 'skill-library/**', 'skill-workshop/**'),
  ...keepSecret('state', 'skills', 'a logged-in browser profile', 'browser/**'),
  ...keepSecret('state', 'runtime', 'what the agent may run, and a socket’s token', 'exec-approvals.json'),
  ...keep('state', 'runtime', 'plugins, hooks and policies', 'extensions/**', 'hooks/**', 'plugins/**', 'policies/**'),
  ...keep('state', 'runtime', 'sandboxes', 'sandbox/**', 'sandboxes/**'),
  ...keep('state', 'runtime', 'settings of the program', 'settings/**', 'update-check.json'),
  ...keep('state', 'configuration', 'what molt leaves out', '.moltignore'),
  ...keep('state', 'custom', 'everything else', '**'),
];

const AGENT_RULES: readonly PathRule[] = [
  ...leaveOut(
    'agent',
    'a lock that looks like a database',
    '*.sqlite.generation-lock.sqlite*',
    '*.sqlite.generation-writer.sqlite*',
  ),
  ...leaveOut('agent', 'a lock that looks like a database', '*.sqlite.reindex-lock.sqlite*'),
  ...leaveOut('agent', 'temporary files', '**/tmp/**', '**/.tmp/**', '**/*.tmp', '**/*.sock', '**/*.pid'),
  ...keepSecret('agent', 'state', 'the agent’s sessions, transcripts and memory', '*.sqlite'),
  ...keepSecret('agent', 'skills', 'logins', 'auth*.json', 'oauth*.json'),
  ...keepSecret('agent', 'configuration', 'model providers and their keys', 'models.json'),
  ...keep('agent', 'skills', 'skills that the agent has learned', 'workshop-skills/**', 'skills/**'),
  ...keepSecret('agent', 'state', 'the home of a harness, with its login', 'codex-home/**', 'copilot/**'),
  ...keep('agent', 'configuration', 'what molt leaves out', '.moltignore'),
  ...keep('agent', 'state', 'the agent’s own files', '**'),
];

const WORKSPACE_RULES: readonly PathRule[] = [
  ...keep(
    'workspace',
    'runtime',
    'prompts',
    'AGENTS.md',
    'SOUL.md',
    'IDENTITY.md',
    'TOOLS.md',
    'HEARTBEAT.md',
    'BOOT.md',
    'BOOTSTRAP.md',
  ),
  ...keep('workspace', 'state', 'long-term memory', 'MEMORY.md', 'memory.md', 'USER.md', 'DREAMS.md', 'memory/**'),
  ...keep('workspace', 'state', 'what OpenClaw records about the workspace', '.openclaw/**'),
  ...keep('workspace', 'skills', 'private skills', 'skills/**', '.agents/skills/**'),
  ...keepSecret(
    'workspace',
    'custom',
    'environment variables and keys',
    '**/.env',
    '**/.env.*',
    '**/*.pem',
    '**/*.key',
  ),
  ...keep('workspace', 'configuration', 'what molt leaves out', '.moltignore'),
  ...keep('workspace', 'custom', 'the user’s own files', '**'),
];

const INCLUDE_RULES: readonly PathRule[] = [
  ...keepSecret('include', 'configuration', 'a part of the configuration that lies elsewhere', '**'),
];

/** Every rule of the openclaw profile, in the order in which they are tried. */
export const OPENCLAW_RULES: readonly PathRule[] = [
  ...STATE_RULES,
  ...AGENT_RULES,
  ...WORKSPACE_RULES,
  ...INCLUDE_RULES,
];

/** Folders of the state that have an area's rules wherever the configuration says nothing else. */
export const OPENCLAW_DEFAULT_AREAS: readonly { readonly path: RegExp; readonly kind: AreaKind }[] = [
  { path: /^workspace(?:-[^/]+)?(?=\/|$)/s, kind: 'workspace' },
  { path: /^agents\/[^/]+\/agent(?=\/|$)/s, kind: 'agent' },
];
