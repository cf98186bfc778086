// The names of refs (FORMAT.md, "Segments: the record").

/** No ref's name is longer; to be asked before REF_NAME is, whose memory grows with the text. */
export const REF_MAX_LENGTH = 240;

/** Names of refs: a branch, a tag or something of molt's own, by git-check-ref-format's rules, a little stricter. */
export const REF_NAME =
  // oxlint-disable-next-line no-control-regex -- control characters are what it refuses
  /^refs\/(heads|tags|molt\/[a-z]{1,16})\/(?!.*(\.\.|\/\/|@\{|\.lock(\/|$)|\/\.))[^\s~^:?*[\\\u0000-\u001f\u007f./][^\s~^:?*[\\\u0000-\u001f\u007f]{0,200}(?<![./])$/;
