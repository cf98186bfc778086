// How people are shown sizes, durations and counts.

import { stripVTControlCharacters } from 'node:util';

// East Asian wide and full-width letters, and emoji: two columns on a terminal.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** Returns a size as people read it, in powers of 1000: `512B`, `2.3MB`, `120GB`. */
export function formatSize(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  // From 999.5 on a value would be shown as 1000.
  while (unit < UNITS.length - 1 && Math.abs(value) >= (unit === 0 ? 1000 : 999.5)) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, '')}${UNITS[unit]}`;
}

/** Returns a duration as people read it: `340ms`, `2.3s`, `4m 05s`, `2h 03m`, `3d 04h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)}ms`;
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1)}s`;
  const seconds = Math.round(durationMs / 1000);
  const pad = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${pad(seconds % 60)}s`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 48) return `${hours}h ${pad(Math.floor((seconds % 3600) / 60))}m`;
  return `${Math.floor(hours / 24)}d ${pad(hours % 24)}h`;
}

/** Returns a count with its noun: `1 file`, `2 files`. */
export function formatCount(count: number, singular: string, plural = `${singular}s`): string {
  return `${count} ${count === 1 ? singular : plural}`;
}

/** Returns how many columns a text takes on a terminal. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of stripVTControlCharacters(text)) columns += WIDE.test(character) ? 2 : 1;
  return columns;
}
