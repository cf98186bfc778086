// Makes text that an agent wrote safe to show: an escape sequence in it must never reach a terminal, where it could hide lines,
// retitle windows or answer for the user.

// The only escape sequences that molt itself writes: bold, dim, red, green, yellow, cyan and their ends. They can't hide anything.
const OWN_STYLE = String.raw`\u001b\[(?:1|2|22|31|32|33|36|39)m`;
// C0 but tab and newline, DEL, C1; then what reorders or hides text: bidirectional controls, zero-width spaces, line separators.
// Zero-width joiners stay: emoji and several scripts are written with them.
const UNSAFE = String.raw`[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]`;
const UNSAFE_TEXT = new RegExp(UNSAFE, 'g');
const UNSAFE_BUT_STYLE = new RegExp(`${OWN_STYLE}|${UNSAFE}`, 'g');

/**
 * Returns the text with every control character but tab and newline made visible: ESC as `^[`, others as `<U+202E>`.
 * @param keepStyles lets molt's own colours through
 */
export function printable(text: string, keepStyles = false): string {
  return text.replace(keepStyles ? UNSAFE_BUT_STYLE : UNSAFE_TEXT, (match) => {
    if (match.length > 1) return match;
    const code = match.charCodeAt(0);
    if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
    return code === 0x7f ? '^?' : `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
  });
}
