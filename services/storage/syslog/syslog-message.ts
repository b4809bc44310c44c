import type { AuditLine } from '../audit/audit-line.ts';

/**
 * Lines of the audit log as syslog messages (RFC 5424). Pure.
 *
 *   <PRI>1 TIMESTAMP HOSTNAME terrace PROCID MSGID [terrace@32473 id="…" layer="…" …] sentence
 *
 * MSGID is the action. The structured data has all fields of the entry but `time`; a list repeats its parameter, and
 * fields of `detail` are named `detail.<field>`. 32473 is the enterprise number for examples (RFC 5612): Terrace has
 * none of its own.
 */

/** Where messages come from. */
export type SyslogOrigin = { facility: number; host: string; process: string };

/** Max bytes of a message: what a receiver should accept over TLS (RFC 5425, 4.3.1). */
export const MAX_MESSAGE_BYTES = 8_192;
/** Max bytes of a value before it is escaped, and of the sentence. */
const MAX_VALUE_BYTES = 1_024;
/** Bytes kept free for the parameter `cut`. */
const CUT_BYTES = 400;
/** Max entries of a list. */
const MAX_LISTED = 20;

const SD_ID = 'terrace@32473';
/** RFC 5424, table 2. */
const severities = { warning: 4, notice: 5 };
const WARNINGS: readonly unknown[] = ['refused', 'failed'];
const NIL = '-';

/** Control characters (C0, DEL, C1), format characters and line separators: receivers show messages on terminals. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)$/;

/** The message of a line. Of one that is damaged, its text is the sentence. */
export function syslogMessage({ id, fields, text }: AuditLine, origin: SyslogOrigin): Buffer {
  if (!fields) {
    return message(
      origin,
      { id, damaged: true },
      `damaged line of the audit log: ${text}`,
      'damaged',
      'warning',
    );
  }
  const { time, id: _id, detail, ...rest } = fields;
  const details = typeof detail === 'object' && detail !== null ? Object.entries(detail) : [];
  const named = details.map(([name, value]) => [`detail.${name}`, value]);
  const severity = WARNINGS.includes(rest.outcome) ? 'warning' : 'notice';
  const all = { id, ...rest, ...Object.fromEntries(named) };
  return message({ ...origin, time }, all, sentenceOf(rest), String(rest.action ?? NIL), severity);
}

/** Says that entries are missing. @param at when, in ms since 1970 */
export function lossMessage(
  lost: { count: number; at: number; layer: string },
  origin: SyslogOrigin,
): Buffer {
  const { count, at, layer } = lost;
  const time = new Date(at).toISOString();
  const entries = count === 1 ? '1 audit entry is' : `${count} audit entries are`;
  const sentence = `${entries} missing here: the audit log overran while this receiver was away`;
  const id = `lost-${at}-${count}`;
  return message({ ...origin, time }, { id, layer, lost: count }, sentence, 'audit/lost', 'warning');
}

/** Octet counting (RFC 5425, 4.3; RFC 6587, 3.4.1). */
export const framed = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`${bytes.byteLength} `), bytes]);

function message(
  { facility, host, process, time }: SyslogOrigin & { time?: unknown },
  fields: Record<string, unknown>,
  sentence: string,
  action: string,
  severity: keyof typeof severities,
): Buffer {
  const header = [
    `<${facility * 8 + severities[severity]}>1`,
    typeof time === 'string' && TIME.test(time) ? time : NIL,
    printable(host, 255),
    'terrace',
    printable(process, 128),
    printable(action, 32),
  ].join(' ');
  const text = msgOf(sentence);
  const room = MAX_MESSAGE_BYTES - header.length - Buffer.byteLength(text) - SD_ID.length - 4;
  return Buffer.from(`${header} ${structuredData(fields, room)} ${text}`);
}

/** @param room for the parameters, in bytes */
function structuredData(fields: Record<string, unknown>, room: number): string {
  const cut = new Set<string>();
  let params = '';
  let left = room - CUT_BYTES;
  for (const [field, value] of Object.entries(fields)) {
    const name = field.replace(/[^\x21-\x7e]|[="\]]/g, '').slice(0, 32);
    const values = Array.isArray(value) ? value : [value];
    if (name === '' || value === undefined) continue;
    if (values.length > MAX_LISTED) cut.add(name);
    for (const one of values.slice(0, MAX_LISTED)) {
      const full = visible(typeof one === 'object' ? JSON.stringify(one) : String(one));
      const clipped = clipBytes(full, MAX_VALUE_BYTES);
      const param = ` ${name}="${clipped.replace(/["\\\]]/g, '\\$&')}"`;
      const bytes = Buffer.byteLength(param);
      if (clipped !== full || bytes > left) cut.add(name);
      if (bytes > left) continue;
      left -= bytes;
      params += param;
    }
  }
  const names =
    cut.size > 0 ? ` cut="${clipBytes([...cut].join(' '), CUT_BYTES - 10).replaceAll('\\', '\\\\')}"` : '';
  return `[${SD_ID}${params}${names}]`;
}

/** MSG: text that is not ASCII begins with the byte order mark (RFC 5424, 6.4). */
function msgOf(sentence: string): string {
  const text = clipBytes(visible(sentence), MAX_VALUE_BYTES);
  return isAscii(text) ? text : `\ufeff${text}`;
}

function sentenceOf(fields: Record<string, unknown>): string {
  const { action, outcome, account, person, address, repository, reference, digest, reason, count } = fields;
  const mark = String(reference).includes(':') ? '@' : ':';
  const named = repository && reference ? `${repository}${mark}${reference}` : repository;
  const what = named ?? digest ?? fields.subject ?? fields.child;
  return [
    `${action} ${outcome}`,
    account === undefined ? '' : ` by ${account}`,
    person === undefined ? '' : ` (${person})`,
    address === undefined ? '' : ` from ${address}`,
    what === undefined ? '' : `: ${what}`,
    count === undefined ? '' : `; ${count} times`,
    reason === undefined ? '' : `; ${reason}`,
  ].join('');
}

/** PRINTUSASCII of the header (RFC 5424, 6). */
const printable = (text: string, max: number): string =>
  text.replace(/[^\x21-\x7e]/g, '').slice(0, max) || NIL;

function visible(text: string): string {
  if (isAscii(text)) return text;
  return text
    .toWellFormed()
    .replace(UNSAFE, (unsafe) => `\\u{${(unsafe.codePointAt(0) as number).toString(16)}}`);
}

const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** The beginning of the text, ending in `…` if it is cut, in at most `max` bytes of UTF-8. */
function clipBytes(text: string, max: number): string {
  if (text.length * 3 <= max || Buffer.byteLength(text) <= max) return text;
  let cut = text.slice(0, max);
  while (Buffer.byteLength(cut) > max - 3) {
    const excess = Buffer.byteLength(cut) - (max - 3);
    cut = cut.slice(0, cut.length - Math.max(1, Math.floor(excess / 3)));
  }
  return `${cut.replace(/[\ud800-\udbff]$/, '')}…`;
}
