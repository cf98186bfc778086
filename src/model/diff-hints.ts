// What a profile knows of one file that helps to compare it by meaning, as plain data.

/** Which values in a file are secrets, beside those that their names or looks give away. */
export interface SecretHints {
  /** Every text and number in the file is a secret. */
  readonly all?: boolean;
  /** Key paths whose texts are secrets, and all below them: `*` stands for one name. */
  readonly paths?: readonly (readonly string[])[];
}

/** A table whose rows are the records of conversations. */
export interface ConversationTable {
  readonly table: string;
  /** The columns with the conversation's id, the record's number in it (from 0), and the record as JSON, plain or zstd-compressed. */
  readonly session: string;
  readonly sequence: string;
  readonly json: string;
  readonly zstd?: string;
  /** A table that says what people call a conversation, and its columns. */
  readonly names?: { readonly table: string; readonly session: string; readonly name: string };
}

/** A column that holds secrets. */
export interface SecretColumn {
  readonly table: RegExp;
  /** `*` stands for all but the key. */
  readonly column: string;
  /** Only in rows where another column is so. */
  readonly where?: { readonly column: string; readonly value: RegExp };
}

/** What is known of a file. */
export interface DiffHints {
  readonly secrets?: SecretHints;
  readonly conversations?: ConversationTable;
  /** Columns of a database whose content is a secret, all of it or (JSON) each text in it. */
  readonly secretColumns?: readonly SecretColumn[];
  /** Tables that are worked out from others. */
  readonly derivedTables?: RegExp;
}
