import type { Envelope } from '#proto/contract/envelope.ts';
import { PAUSED, WINDOW_CLOSED } from '#proto/status/status.ts';
import type { Tone } from '../terminal/colour.ts';
import { typeOf } from './event-text.ts';

/** Colours of events, as of the states in `terrace status`: what failed, what needs attention, what is well again. */

type Data = Record<string, unknown>;

/** Of a state that an event announces; none for any other state. */
const states: Record<string, Tone> = {
  Online: 'good',
  Connected: 'good',
  Unhealthy: 'warning',
  Failing: 'warning',
  Parked: 'warning',
  Offline: 'bad',
  Away: 'bad',
};
/** A link that waits for its window, or that an operator paused, is not in use: nothing failed. */
const byLink = (data: Data): Tone | undefined => {
  if (data.code === WINDOW_CLOSED) return undefined;
  return data.code === PAUSED ? 'warning' : byState(data);
};
const byState = ({ state }: Data): Tone | undefined =>
  typeof state === 'string' && Object.hasOwn(states, state) ? states[state] : undefined;
const isSome = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : Number(value) > 0);

/** By type; by its fields, where those decide. */
const tones: Record<string, Tone | ((data: Data) => Tone | undefined)> = {
  'backup.completed': ({ missing }) => (missing === undefined ? undefined : 'warning'),
  'backup.failed': 'bad',
  'blob.damaged': 'bad',
  'configuration.refused': 'bad',
  // The target crosses the link in full; one that is hardly smaller is no fault.
  'delta.failed': ({ poor }) => (poor === true ? undefined : 'warning'),
  'delta.mismatched': 'warning',
  'image.failed': 'bad',
  'transfer.failed': 'bad',
  'history.lost': 'warning',
  'history.refused': 'warning',
  'archive.conflict': 'warning',
  'image.conflict': 'warning',
  'image.incomplete': 'warning',
  'image.parked': 'warning',
  'job.dropped': 'warning',
  'link.paused': 'warning',
  'transfer.delayed': 'warning',
  'link.resumed': 'good',
  'forwarding.changed': ({ lost, ...data }) => (isSome(lost) ? 'bad' : byState(data)),
  'link.changed': byLink,
  'webhook.changed': byState,
  'space.changed': ({ low }) => (low === true ? 'bad' : 'good'),
  'scrub.finished': ({ damaged, metadata }) => (isSome(damaged) || isSome(metadata) ? 'bad' : undefined),
  // A pass that its window ended has not failed.
  'pass.finished': ({ failed, parked, leftOut }) =>
    isSome(failed) ? 'bad' : isSome(parked) || leftOut !== undefined ? 'warning' : undefined,
};

/** The colour of the event's line; undefined for most. */
export function toneOf(event: Envelope): Tone | undefined {
  const type = typeOf(event);
  const tone = Object.hasOwn(tones, type) ? tones[type] : undefined;
  return typeof tone === 'function' ? tone((event.data ?? {}) as Data) : tone;
}
