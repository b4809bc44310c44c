import type { Gap, Past } from '#proto/bus/history.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { typeOf } from './event-text.ts';

/** The state of every transfer, as the events alone tell it. Pure. */
export type Transfer = {
  direction: Direction;
  /** On the way down, the one that it was last asked for in. */
  repository: string;
  digest: string;
  size: number;
  state: 'moving' | 'waiting' | 'paused' | 'finished' | 'failed';
  /** Bytes that are at the far end, as far as it was told. */
  done: number;
  syncer: string;
  /** When, and by which event, it came into this state or last told of it. */
  time: string;
  sequence: number;
  /** Of one that waits: when it goes on, in ms since 1970. */
  until?: number;
  /** Why it waits, or was given up. */
  reason?: string;
  /** What the events can't tell of it. */
  unknown?: string;
};

export type Replay = { transfers: Map<string, Transfer>; gaps: Gap[]; last: number };

type Told = Pick<Transfer, 'direction' | 'repository' | 'digest' | 'size' | 'syncer'> & {
  present?: number;
  done?: number;
  until?: number;
  reason?: string;
};

const states: Record<string, Transfer['state']> = {
  'transfer.started': 'moving',
  'transfer.progressed': 'moving',
  'transfer.delayed': 'waiting',
  'transfer.paused': 'paused',
  'transfer.finished': 'finished',
  'transfer.failed': 'failed',
};

export const begin = (): Replay => ({ transfers: new Map(), gaps: [], last: 0 });

/** What is known after one more event (those of layers below say nothing of this one), or after a gap: of what was under way then, nobody knows how it went on. */
export function take(replay: Replay, past: Past): void {
  if ('gap' in past) {
    miss(replay, past.gap);
    return;
  }
  const { sequence, event, child } = past;
  replay.last = sequence;
  if (child !== undefined) return;
  const type = typeOf(event);
  if (type === 'blob.committed') committed(replay, sequence, event);
  if (type === 'history.lost' && (event.data as Gap).reason === 'lost') miss(replay, event.data as Gap);
  const state = states[type];
  if (!state) return;
  const told = event.data as Told;
  const { direction, repository, digest, size, syncer } = told;
  const key = keyOf(told);
  const before = replay.transfers.get(key);
  const begun = type === 'transfer.started' || (before !== undefined && !isOver(before));
  const unknown = begun || isOver({ state }) ? undefined : 'its beginning is before the first event';
  replay.transfers.set(key, {
    ...{ direction, repository, digest, size, state, syncer, sequence },
    time: event.time,
    done: state === 'finished' ? size : (told.done ?? told.present ?? before?.done ?? 0),
    ...(state === 'waiting' && told.until !== undefined && { until: told.until }),
    ...(told.reason !== undefined && { reason: told.reason }),
    ...(unknown && { unknown }),
  });
}

function miss(replay: Replay, gap: Gap): void {
  replay.gaps.push(gap);
  const { from, to } = gap;
  for (const [key, transfer] of replay.transfers) {
    if (isOver(transfer)) continue;
    const unknown = `how it went on: events from ${from}${to === undefined ? '' : ` to ${to}`} are missing`;
    replay.transfers.set(key, { ...transfer, unknown });
  }
}

/** Storage has it, whoever did not live to say that the transfer is finished. */
function committed(replay: Replay, sequence: number, event: Envelope): void {
  const { digest } = event.data as { digest: string };
  const transfer = replay.transfers.get(digest);
  if (!transfer || isOver(transfer)) return;
  const { unknown: _unknown, until: _until, reason: _reason, ...rest } = transfer;
  replay.transfers.set(digest, {
    ...rest,
    state: 'finished',
    done: rest.size,
    time: event.time,
    sequence,
  });
}

export const isOver = ({ state }: Pick<Transfer, 'state'>): boolean =>
  state === 'finished' || state === 'failed';

/** What comes here is one transfer for all repositories, what goes up one for each of them. */
const keyOf = ({ direction, repository, digest }: Told): string =>
  direction === 'down' ? digest : `${repository}!${digest}`;
