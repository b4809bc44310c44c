import type { Gap, Past } from '#proto/bus/history.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { type Crossing, crossingBytes } from '#proto/sync/crossing.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { typeOf } from './event-text.ts';

/** State of a transfer, derived from events alone. Pure. */
export type ReplayedTransfer = {
  direction: Direction;
  /** Of a pull, which is one transfer for all repositories: the repository of its latest event. */
  repository: string;
  digest: string;
  size: number;
  state: 'moving' | 'waiting' | 'paused' | 'finished' | 'failed';
  /** What crosses the link instead of the blob: `done` counts bytes of it. */
  delta?: Crossing['delta'];
  /** Once it is finished, if less than the blob crossed the link. */
  saved?: Crossing['saved'];
  /** Bytes at the far end, as of the latest event. */
  done: number;
  syncer: string;
  /** Time and sequence of the latest event of this transfer. */
  time: string;
  sequence: number;
  /** While it waits: time of the next attempt, in ms since 1970. */
  until?: number;
  /** Why it waits or has failed. */
  reason?: string;
  /** What the events leave unknown about it. */
  unknown?: string;
};

export type Replay = { transfers: Map<string, ReplayedTransfer>; gaps: Gap[]; last: number };

type TransferData = Pick<
  ReplayedTransfer,
  'direction' | 'repository' | 'digest' | 'size' | 'syncer' | 'delta' | 'saved'
> & {
  present?: number;
  held?: boolean;
  done?: number;
  until?: number;
  reason?: string;
};

const states: Record<string, ReplayedTransfer['state']> = {
  'transfer.started': 'moving',
  'transfer.progressed': 'moving',
  'transfer.delayed': 'waiting',
  'transfer.paused': 'paused',
  'transfer.finished': 'finished',
  'transfer.failed': 'failed',
};

export const emptyReplay = (): Replay => ({ transfers: new Map(), gaps: [], last: 0 });

/**
 * Applies one event or one gap. Events of layers below are skipped: they say nothing about transfers of this layer.
 * After a gap, the progress of all unfinished transfers is unknown.
 */
export function apply(replay: Replay, past: Past): void {
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
  const data = event.data as TransferData;
  const { direction, repository, digest, size, syncer, delta, saved } = data;
  const key = keyOf(data);
  const before = replay.transfers.get(key);
  // The blob was there already: what is known of how it came still holds.
  if (data.held && before?.state === 'finished') return;
  const begun = type === 'transfer.started' || (before !== undefined && !isOver(before));
  const unknown = begun || isOver({ state }) ? undefined : 'it started before the first stored event';
  replay.transfers.set(key, {
    ...{ direction, repository, digest, size, state, syncer, sequence },
    time: event.time,
    ...(delta && { delta }),
    ...(saved && { saved }),
    done: state === 'finished' ? crossingBytes(data) : (data.done ?? data.present ?? before?.done ?? 0),
    ...(state === 'waiting' && data.until !== undefined && { until: data.until }),
    ...(data.reason !== undefined && { reason: data.reason }),
    ...(unknown && { unknown }),
  });
}

function miss(replay: Replay, gap: Gap): void {
  replay.gaps.push(gap);
  const { from, to } = gap;
  for (const [key, transfer] of replay.transfers) {
    if (isOver(transfer)) continue;
    const unknown = `its progress: events from ${from}${to === undefined ? '' : ` to ${to}`} are missing`;
    replay.transfers.set(key, { ...transfer, unknown });
  }
}

/** Storage has the blob: the transfer is finished, even if its syncer died before it could publish that. */
function committed(replay: Replay, sequence: number, event: Envelope): void {
  const { digest } = event.data as { digest: string };
  const transfer = replay.transfers.get(digest);
  if (!transfer || isOver(transfer)) return;
  const { unknown: _unknown, until: _until, reason: _reason, ...rest } = transfer;
  replay.transfers.set(digest, {
    ...rest,
    state: 'finished',
    done: crossingBytes(rest),
    time: event.time,
    sequence,
  });
}

export const isOver = ({ state }: Pick<ReplayedTransfer, 'state'>): boolean =>
  state === 'finished' || state === 'failed';

/** A pull is one transfer for all repositories, a push is one for each repository. */
const keyOf = ({ direction, repository, digest }: TransferData): string =>
  direction === 'down' ? digest : `${repository}!${digest}`;
