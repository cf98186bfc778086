// What a system is told in order to run the daemon in the background: a systemd unit, a launchd agent, or a line of a crontab. Pure text.

import { MoltError } from '../model/error.ts';

/** What is run, and for whom. */
export interface ServiceSpec {
  /** `molt-daemon`, with a hash behind it where the folder is not the usual one. */
  readonly name: string;
  /** The program and its words; the program by its absolute path, since a service has no shell's PATH. */
  readonly command: readonly [program: string, ...words: string[]];
  /** MOLT_HOME; absolute. */
  readonly home: string;
}

// A longer line is cut off by cron (MAX_COMMAND of Vixie's).
const LONGEST_CRON_LINE = 990;
// oxlint-disable-next-line no-control-regex -- what no path in a unit or crontab can be written with
const CONTROL = /[\u0000-\u001f\u007f]/;

/** Returns a systemd unit, for a user's own services or for the whole system. */
export function renderUnit(spec: ServiceSpec, scope: 'user' | 'system'): string {
  checkWords(spec);
  const [program] = spec.command;
  if (/["'\\]/.test(program))
    throw new MoltError('USAGE', `systemd runs no program with quotes or backslashes in its path: ${program}`, {
      hint: 'install Node elsewhere, or choose --with cron',
    });
  // `:` keeps systemd from replacing variables; before version 244 it is not known, so only where it is needed.
  const prefix = spec.command.some((word) => word.includes('$')) ? ':' : '';
  const command = spec.command.map((word) => quoteForSystemd(word)).join(' ');
  return `# Written by molt schedule install; molt schedule remove takes it away.
[Unit]
Description=molt daemon: backups of the agents in ${spec.home.replaceAll('%', '%%')}
StartLimitIntervalSec=0
${scope === 'system' ? 'Wants=network-online.target\nAfter=network-online.target\n' : ''}
[Service]
Type=exec
ExecStart=${prefix}${command}
Restart=always
RestartSec=30
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec=300
UMask=0077
Nice=10
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=${scope === 'user' ? 'default.target' : 'multi-user.target'}
`;
}

/** Returns the property list of a launchd agent. */
export function renderPlist(spec: ServiceSpec, label: string, logFile: string): string {
  checkWords(spec);
  const text = (value: string): string => `<string>${escapeXml(value)}</string>`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Written by molt schedule install; molt schedule remove takes it away. -->
<plist version="1.0">
<dict>
  <key>Label</key>
  ${text(label)}
  <key>ProgramArguments</key>
  <array>
${spec.command.map((word) => `    ${text(word)}`).join('\n')}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ThrottleInterval</key>
  <integer>30</integer>
  <key>ExitTimeOut</key>
  <integer>300</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardOutPath</key>
  ${text(logFile)}
  <key>StandardErrorPath</key>
  ${text(logFile)}
</dict>
</plist>
`;
}

/**
 * Returns the two lines of a crontab: what they are, and the entry. Every five minutes it starts a daemon unless one runs, so a daemon that
 * ended is back soon, also after a start of the machine.
 */
export function renderCronLines(spec: ServiceSpec): string {
  checkWords(spec);
  const command = [...spec.command, '--unless-running'].map((word) => quoteForCron(word)).join(' ');
  const line = `*/5 * * * * ${command} >/dev/null 2>&1`;
  if (line.length > LONGEST_CRON_LINE)
    throw new MoltError('USAGE', 'the paths of molt and its folder are too long for a line of a crontab', {
      hint: 'choose a shorter --home, or run molt daemon by other means',
    });
  return `${cronMark(spec.name)}\n${line}\n`;
}

/**
 * Returns a crontab with molt's lines at its end, or where they were; every other line stays as it is.
 * @param crontab its bytes (latin1), in whatever encoding they are; so is what is returned
 */
export function addCronLines(crontab: string, spec: ServiceSpec): string {
  const lines = Buffer.from(renderCronLines(spec), 'utf8').toString('latin1');
  const at = findCronLines(crontab, spec.name);
  if (at !== undefined) return crontab.slice(0, at.from) + lines + crontab.slice(at.to);
  const gap = crontab === '' || crontab.endsWith('\n') ? '' : '\n';
  return crontab + gap + lines;
}

/** Returns a crontab without molt's lines; every other line stays as it is. */
export function removeCronLines(crontab: string, name: string): string {
  const at = findCronLines(crontab, name);
  return at === undefined ? crontab : crontab.slice(0, at.from) + crontab.slice(at.to);
}

function findCronLines(crontab: string, name: string): { readonly from: number; readonly to: number } | undefined {
  const mark = `${cronMark(name)}\n`;
  const from = crontab.startsWith(mark) ? 0 : crontab.indexOf(`\n${mark}`) + 1;
  if (from === 0 && !crontab.startsWith(mark)) return undefined;
  const entry = from + mark.length;
  const end = crontab.indexOf('\n', entry);
  const to = end === -1 ? crontab.length : end + 1;
  // Somebody may have taken the entry out by hand and left the mark.
  return { from, to: crontab.slice(entry, to).includes(' daemon ') ? to : entry };
}

function cronMark(name: string): string {
  return `# ${name}, written by molt schedule install; molt schedule remove takes it and the next line away`;
}

// systemd.service(5), "Command lines", and systemd.unit(5), "Specifiers".
function quoteForSystemd(word: string): string {
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;
}

/** For a shell, within a crontab: there `%` ends the command, and not every cron takes the backslash before it away again. */
function quoteForCron(word: string): string {
  if (/^[A-Za-z0-9_./:=@-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", String.raw`'\''`).replaceAll('%', String.raw`'"$(printf '\045')"'`)}'`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function checkWords({ command, home }: ServiceSpec): void {
  const odd = [...command, home].find((word) => CONTROL.test(word));
  if (odd === undefined) return;
  throw new MoltError('USAGE', `a service can't be given ${JSON.stringify(odd)}, which has control characters`, {
    hint: 'move it to a path without them',
  });
}
