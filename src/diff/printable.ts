// Makes text that an agent wrote safe to show: an escape sequence in it must never reach a terminal, where it could hide lines,
// retitle windows or answer for the user.

// C0 but tab and newline, DEL, C1; then what reorders or hides text: bidirectional controls, zero-width spaces, line separators.
// Zero-width joiners stay: emoji and several scripts are written with them.
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Returns the text with every control character but tab and newline made visible: ESC as `^[`, others as `<U+202E>`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
    if (code === 0x7f) return '^?';
    return `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
  });
}
