import { backoffMs } from '#proto/async/backoff.ts';
import { withQuery } from '../state/routes.ts';
import { API } from './request.ts';
import { readSession } from './session.ts';

/** Server-sent events of the layer. A stream that ends is opened again where it ended, after a backoff. */
export type StreamFilter = {
  /** Types, separated by commas; empty: all. */
  type?: string;
  layer?: string;
  /** Max events a second; of more, the newest come, behind a gap. */
  rate: number;
  /** The stream begins after this sequence; absent: with the next event. */
  after?: number;
};

export type StreamState = 'connecting' | 'open' | 'waiting';

export type StreamHandlers = {
  /** A stored event, or one named `gap`, as JSON. */
  onMessage: (kind: 'event' | 'gap', data: string) => void;
  onState?: (state: StreamState) => void;
};

const BACKOFF = { firstMs: 1_000, maxMs: 30_000 };

/** Runs until the returned function is called. While the tab is hidden it is closed: browsers allow few streams. */
export function openStream(filter: StreamFilter, { onMessage, onState }: StreamHandlers): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = filter.after;
  let failures = 0;
  let isClosed = false;

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const retry = () => {
    close();
    if (isClosed || document.hidden) return;
    failures += 1;
    onState?.('waiting');
    timer = setTimeout(open, backoffMs(failures, BACKOFF));
  };
  const receive = (kind: 'event' | 'gap') => (message: MessageEvent<string>) => {
    const sequence = Number(message.lastEventId);
    if (message.lastEventId !== '' && Number.isInteger(sequence)) last = sequence;
    onMessage(kind, message.data);
  };
  const open = () => {
    close();
    onState?.('connecting');
    // The browser sends Last-Event-ID only when it reconnects by itself, which it does without a backoff.
    const { type, layer, rate } = filter;
    const query = { type, layer, rate, after: last };
    const opened = new EventSource(withQuery(`${API}/events/stream`, query));
    source = opened;
    opened.onopen = () => {
      failures = 0;
      onState?.('open');
    };
    opened.onmessage = receive('event');
    opened.addEventListener('gap', receive('gap'));
    opened.addEventListener('end', () => {
      // The right may have ended.
      void readSession().catch(() => {});
      retry();
    });
    opened.onerror = () => {
      // A refusal has no status here: the session says whether a login is needed.
      if (opened.readyState === EventSource.CLOSED) void readSession().catch(() => {});
      retry();
    };
  };
  const onVisibility = () => {
    if (document.hidden) close();
    else if (!source) open();
  };
  document.addEventListener('visibilitychange', onVisibility);
  if (!document.hidden) open();
  return () => {
    isClosed = true;
    document.removeEventListener('visibilitychange', onVisibility);
    close();
  };
}
