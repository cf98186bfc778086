// How texts are made alike before a phrase is looked for: what a person means by the same words.

/** Which differences count. */
export interface FoldOptions {
  /** Capital and small letters differ. */
  readonly isExact: boolean;
}

const SPACES = /\s+/gu;

/**
 * Returns a text as it is compared: composed characters (NFC), each run of white space one space, none at the ends, and small letters
 * unless case counts. What folds exactly to something folds to it in small letters too.
 */
export function foldText(text: string, { isExact }: FoldOptions = { isExact: false }): string {
  const plain = text.normalize('NFC').replace(SPACES, ' ').trim();
  // A sigma at the end of a word is another letter only as long as it stands there.
  return isExact ? plain : plain.toLowerCase().replaceAll('ς', 'σ');
}
