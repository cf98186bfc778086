// What is known of OpenClaw's files that helps to compare them by meaning: where its secrets are, and where its conversations.

import type { ConversationTable, DiffHints, SecretHints } from '../model/diff-hints.ts';

/** The configuration, its older versions, and what it includes: most of it is no secret. */
const CONFIG_FILE = /^state\/openclaw[^/]*\.json[^/]*$|^roots\/[^/]+\/[^/]+\.json5?$/;
const CONFIG_SECRETS: SecretHints = {
  paths: [
    ['mcp', 'servers', '*', 'env'],
    ['mcp', 'servers', '*', 'headers'],
    ['models', 'providers', '*', 'headers'],
    ['env'],
    ['secrets', 'providers', '*', 'env'],
    ['skills', 'entries', '*', 'env'],
  ],
};
/** Names and prices of models, and their keys. */
const MODELS_FILE = /^state\/agents\/[^/]+\/agent\/models\.json$/;
const MODELS_SECRETS: SecretHints = { paths: [['providers', '*', 'headers']] };

const TRANSCRIPTS: ConversationTable = {
  table: 'transcript_events',
  session: 'session_id',
  sequence: 'seq',
  json: 'event_json',
  zstd: 'event_zstd',
  names: { table: 'session_windows', session: 'session_id', name: 'session_key' },
};

const DATABASE: DiffHints = {
  conversations: TRANSCRIPTS,
  secretColumns: [
    { table: /^secret_store_entries$/, column: 'value' },
    {
      table: /^config_machine_state$/,
      column: 'value_json',
      where: { column: 'state_key', value: /auth|secret|token|credential/i },
    },
    { table: /^auth_profile_(?:store|state)$/, column: 'store_json' },
    { table: /^config_revision_keys$/, column: '*' },
    { table: /^(?:device_auth|device_pairing|channel_pairing|mcp_oauth|web_push|apns)_/, column: '*' },
  ],
  // Diagnostics of each turn, and what is worked out from transcripts and memory files.
  derivedTables: /^(?:trajectory_runtime_events|memory_index_|memory_embedding_cache|session_transcript_index)/,
};

/** Returns what is known of a file. @param path in the commit tree */
export function openClawDiffHints(path: string): DiffHints {
  if (path.endsWith('.sqlite')) return DATABASE;
  if (CONFIG_FILE.test(path)) return { secrets: CONFIG_SECRETS };
  return MODELS_FILE.test(path) ? { secrets: MODELS_SECRETS } : {};
}
