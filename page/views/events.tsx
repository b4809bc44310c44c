import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { openStream, type StreamState } from '../api/event-stream.ts';
import { replaceRoute } from '../browser/location.ts';
import { countText } from '../format/quantities.ts';
import { addEntries, type Entry, type EventList, emptyList, Waiting } from '../state/event-list.ts';
import { EventFilter, type EventFilterValue } from './event-filter.tsx';
import { readHistory } from './event-history.ts';
import { EventTable } from './event-table.tsx';

/** Views other than the first one and those of content. `events.tsx`: the history of the layer, replayed and live. */

/** Interval at which arrived events are shown, in ms; that of more than anybody reads. */
const FLUSH_MS = 200;
const BUSY_FLUSH_MS = 1_000;
/** Events in an interval that nobody reads one by one. */
const BUSY_EVENTS = 20;
/** Max events a second: a link may be slow, and more than the table shows pass by unread. */
const RATE = 50;

const STATES: Record<StreamState, string> = {
  connecting: 'Connecting …',
  open: 'Live',
  waiting: 'Not connected: retrying, and resuming where it ended',
};

export function EventsView(filter: EventFilterValue): JSX.Element {
  const [list, setList] = useState<EventList>(emptyList);
  const [stream, setStream] = useState<StreamState | 'replaying'>('connecting');
  const [failure, setFailure] = useState('');
  const [isPaused, setPaused] = useState(false);
  const paused = useRef(isPaused);
  paused.current = isPaused;
  const { type, layer, since } = filter;
  const key = JSON.stringify([type, layer, since]);
  useEffect(() => {
    const replayed: Entry[] = [];
    const waiting = new Waiting();
    let flushedAt = 0;
    let close: (() => void) | undefined;
    const end = new AbortController();
    const flush = () => {
      if (paused.current || replayed.length + waiting.count === 0) return;
      const now = performance.now();
      if (waiting.count > BUSY_EVENTS && now - flushedAt < BUSY_FLUSH_MS) return;
      flushedAt = now;
      const before = replayed.splice(0);
      const { arrived, skipped } = waiting.take();
      setList((list) => addEntries(addEntries(list, before), arrived, skipped));
    };
    const follow = (after?: number) => {
      close = openStream(
        { type, layer, rate: RATE, ...(after !== undefined && { after }) },
        {
          onMessage: (kind, data) => waiting.add(kind, data),
          onState: setStream,
        },
      );
    };
    setList(emptyList);
    setFailure('');
    setStream('replaying');
    readHistory(filter, end.signal, (entry) => replayed.push(entry)).then(
      (after) => {
        flush();
        if (!end.signal.aborted) follow(after);
      },
      (error: Error) => {
        if (end.signal.aborted) return;
        setFailure(error.message);
        follow();
      },
    );
    const timer = setInterval(flush, FLUSH_MS);
    return () => {
      end.abort();
      clearInterval(timer);
      close?.();
    };
  }, [key]);

  const table = useMemo(() => <EventTable entries={list.entries} />, [list]);
  return (
    <article class="view">
      <header class="view-head">
        <h1>Events</h1>
        <EventFilter value={filter} onChange={(next) => replaceRoute({ view: 'events', ...next })} />
      </header>
      <p class="stream-state">
        <span class={`stream ${isPaused ? 'waiting' : stream}`}>
          {isPaused ? 'Paused' : stream === 'replaying' ? 'Reading the history …' : STATES[stream]}
        </span>
        <span class="note">
          {countText(list.received)} events
          {list.dropped > 0 && `, the last ${countText(list.entries.length)} shown`}
        </span>
        <button type="button" onClick={() => setPaused(!isPaused)} aria-pressed={isPaused}>
          {isPaused ? 'Continue' : 'Pause'}
        </button>
      </p>
      {failure && <p class="failure">{failure}</p>}
      {table}
    </article>
  );
}
