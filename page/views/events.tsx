import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { EventItem, ViewerGap } from '#proto/api/events.ts';
import { openStream, type StreamState } from '../api/event-stream.ts';
import { replaceRoute } from '../browser/location.ts';
import { countText } from '../format/quantities.ts';
import {
  addEntries,
  type Entry,
  type EventList,
  emptyList,
  entryOfEvent,
  entryOfGap,
} from '../state/event-list.ts';
import { EventFilter, type EventFilterValue } from './event-filter.tsx';
import { readHistory } from './event-history.ts';
import { EventTable } from './event-table.tsx';

/** Views other than the first one and those of content. `events.tsx`: the history of the layer, replayed and live. */

/** Interval at which arrived events are shown, in ms, however many they are. */
const FLUSH_MS = 200;
/** Max events that wait to be shown; of more, the newest count. */
const MAX_BUFFERED = 2_000;

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
    let buffer: Entry[] = [];
    let close: (() => void) | undefined;
    const end = new AbortController();
    const flush = () => {
      if (paused.current || buffer.length === 0) return;
      const arrived = buffer;
      buffer = [];
      setList((before) => addEntries(before, arrived));
    };
    const add = (entry: Entry) => {
      buffer.push(entry);
      if (buffer.length > MAX_BUFFERED * 2) buffer = buffer.slice(-MAX_BUFFERED);
    };
    const follow = (after?: number) => {
      close = openStream(
        { type, layer, ...(after !== undefined && { after }) },
        {
          onMessage: (kind, data) => {
            const parsed: unknown = JSON.parse(data);
            add(kind === 'gap' ? entryOfGap(parsed as ViewerGap) : entryOfEvent(parsed as EventItem));
          },
          onState: setStream,
        },
      );
    };
    setList(emptyList);
    setFailure('');
    setStream('replaying');
    readHistory(filter, end.signal, add).then(
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
          {countText(list.received)} received
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
