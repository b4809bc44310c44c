import type { Manifest } from '#proto/api/manifests.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { recentEvents } from './recent-events.ts';

type Item = Manifest['history'][number];

/** Max events in an answer. */
const MAX_EVENTS = 50;

/** Subjects that have events of a manifest. */
const subjects = ['events.manifest.>', 'events.tag.>', 'events.image.>'];

type Data = {
  repository?: string;
  digest?: string;
  from?: string;
  tag?: string | null;
  arrived?: boolean;
  account?: string;
};

/** Retained events of a manifest, newest first. Without the history, there are none. */
export async function manifestHistory(
  bus: HistoryReader,
  repository: string,
  digest: string,
): Promise<Pick<Manifest, 'history' | 'historyComplete'>> {
  const fits = ({ data }: Envelope) => {
    const fields = (data ?? {}) as Data;
    return fields.repository === repository && (fields.digest === digest || fields.from === digest);
  };
  const read = (subject: string) =>
    recentEvents(bus, { subject, limit: MAX_EVENTS, fits }).catch(() => ({ events: [], complete: false }));
  const found = await Promise.all(subjects.map(read));
  const events = found.flatMap((one) => one.events).sort((a, b) => b.sequence - a.sequence);
  return {
    history: events.slice(0, 100).map(({ time, event }) => itemOf(time, event)),
    historyComplete: found.every(({ complete }) => complete),
  };
}

function itemOf(at: number, { type, data }: Envelope): Item {
  const { account, tag, arrived } = data as Data;
  const isOfClients = /^terrace\.(?:manifest|tag)\./.test(type);
  return {
    at,
    type: type.replace(/^terrace\./, ''),
    ...(account !== undefined && { account }),
    ...(typeof tag === 'string' && { tag }),
    ...(isOfClients && { from: arrived ? 'parent' : 'client' }),
  };
}
