import type { Gap } from '#proto/bus/history.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { crossingBytes } from '#proto/sync/crossing.ts';
import { formatBytes, shortDigest } from '../terminal/figures.ts';
import { singleLines } from '../terminal/terminal.ts';

/** Events as lines of text or JSON. Pure. */

/**
 * The layer of an event: the name of this layer or, for a layer below, its path: the children that lead to it and its
 * name, joined by `/`. `source` is `/layers/<layer>/<instance>`.
 */
export const layerOf = ({ layer, source }: Envelope): string => layer ?? source.split('/')[2] ?? '';

/** Whether the event belongs to the wanted layer. @param wanted its name, its path, or the last parts of its path */
export const isFrom = (event: Envelope, wanted: string): boolean => {
  const layer = layerOf(event);
  return layer === wanted || layer.endsWith(`/${wanted}`);
};

/** The declared type, such as `tag.moved`. */
export const typeOf = ({ type }: Envelope): string => type.replace(/^terrace\./, '');

/** Whether the event has this type or one below it: `transfer` matches `transfer.started`. */
export const isOf = (event: Envelope, wanted: string): boolean =>
  typeOf(event) === wanted || typeOf(event).startsWith(`${wanted}.`);

/** One JSON object: CloudEvents 1.0, JSON format, with the extensions `sequence` and `layer`. */
export const jsonOf = (sequence: number, event: Envelope): string =>
  JSON.stringify({
    ...event,
    datacontenttype: 'application/json',
    layer: layerOf(event),
    sequence: String(sequence),
  });

/** One line for people: time, sequence, layer, type, subject, progress and other fields. */
export function eventText(sequence: number, stored: Envelope): string {
  const event = singleLines(stored);
  const data = (event.data ?? {}) as Record<string, unknown>;
  return [event.time, String(sequence).padStart(6), layerOf(event), typeOf(event), ...detail(data)].join(
    '  ',
  );
}

export function gapText({ from, to, reason }: Gap): string {
  if (reason === 'lost') return `events from ${from} on are lost: the event store was replaced`;
  if (reason === 'unreadable') return `event ${from} can't be read`;
  const which = to === from ? `event ${from} was` : `events ${from} to ${to} were`;
  const why = reason === 'trimmed' ? ' to free space (see history.lost)' : '';
  return `${which} deleted${why}`;
}

function detail(data: Record<string, unknown>): string[] {
  if (typeof data.to === 'string' && typeof data.toSize === 'number') return deltaDetail(data);
  const { repository, tag, digest, done, size, rate, ...rest } = data;
  const name = [text(repository), text(tag)].filter(Boolean).join(':');
  const subject = [name, typeof digest === 'string' ? `@${shortDigest(digest)}` : ''].join('');
  const speed = typeof rate === 'number' ? `${formatBytes(rate)}/s` : '';
  // The line of `manifest.committed` already shows the media type.
  const { mediaType, ...others } = rest;
  const further = tag === undefined && mediaType !== undefined ? rest : others;
  return [subject, progressOf(data), speed, ...othersOf(further)].filter(Boolean);
}

/** `4.0 MB of 50.0 MB`; of a delta `1.0 MB of 3.1 MB for 49.6 MB`, and at its end `3.1 MB instead of 49.6 MB`. */
function progressOf({ size, done, delta, saved }: Record<string, unknown>): string {
  if (typeof size !== 'number') return '';
  const crossing = { size, delta: numberIn(delta, 'size'), saved: numberIn(saved, 'bytes') };
  const crosses = crossingBytes(crossing);
  if (crossing.saved) {
    const { by } = saved as { by?: unknown };
    return `${formatBytes(crosses)} instead of ${formatBytes(size)}${text(by) && ` (${text(by)})`}`;
  }
  const moved = typeof done === 'number' ? `${formatBytes(done)} of ` : '';
  return `${moved}${formatBytes(crosses)}${crossing.delta ? ` for ${formatBytes(size)}` : ''}`;
}

/** An object with this number, if the value has it. */
function numberIn<N extends string>(value: unknown, name: N): Record<N, number> | undefined {
  const found = (value as Record<string, unknown> | null | undefined)?.[name];
  return typeof found === 'number' ? ({ [name]: found } as Record<N, number>) : undefined;
}

/** The line of a delta: its target, what crosses the link instead of it, its bases, and other fields. */
function deltaDetail({ repository, to, toSize, size, from, ...rest }: Record<string, unknown>): string[] {
  const instead = typeof size === 'number' ? `${formatBytes(size)} instead of ` : '';
  const bases = Array.isArray(from) ? from.map(text).filter(Boolean).join(',') : '';
  return [
    `${text(repository)}@${text(to)}`,
    `${instead}${formatBytes(Number(toSize))}`,
    ...(bases ? [`from=${bases}`] : []),
    ...othersOf(rest),
  ];
}

const othersOf = (fields: Record<string, unknown>): string[] =>
  Object.entries(fields).flatMap(([name, value]) => {
    const shown = text(value);
    return shown === '' || name === 'pass' || name === 'jobId' ? [] : [`${name}=${shown}`];
  });

/** Lists and nested values are only in `--json`. */
function text(value: unknown): string {
  if (typeof value === 'string') return value.startsWith('sha256:') ? shortDigest(value) : value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
