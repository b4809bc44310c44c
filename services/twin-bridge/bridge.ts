import type { Bus, Log } from '#proto/bus/bus.ts';
import { fewer } from '#proto/document/complaints.ts';
import { configurationRefused } from '#proto/document/configuration.ts';
import { files } from '#proto/document/files.ts';
import { type Overrides, type Resolved, resolveDocument } from '#proto/document/resolve/resolve.ts';
import { bridgeStatus, type Session } from '#proto/status/status.ts';
import { Declarer } from './declare.ts';
import { Publisher } from './publish.ts';
import type { DesiredState } from './report/seen.ts';
import type { DocumentSource, Found } from './source/source.ts';

/** A complaint may be about a file that is put right without the document: look again. */
const LOOK_AGAIN_MS = 5_000;

/** What stands over the document and beneath it, and what it is. */
export type BridgeOptions = {
  overrides?: Overrides;
  defaults?: Overrides;
  /** It comes after the start: fields that count only there are complaints. */
  late?: boolean;
  /** How its source is reached, where that can fail. */
  session?: () => Session;
};

export type Bridge = Disposable & {
  /** What has become of the document that was found last. */
  desired(): DesiredState;
  /** Calls when that is otherwise. */
  onChange(changed: () => void): void;
};

/** From a source of documents to the state on the bus. An invalid document changes nothing. */
export function bridge(
  bus: Bus,
  log: Log,
  source: DocumentSource,
  { session, ...beside }: BridgeOptions = {},
  lookAgainMs = LOOK_AGAIN_MS,
): Bridge {
  const publisher = new Publisher(bus, log);
  const declarer = new Declarer(bus, log);
  let last: Found | undefined;
  let complaints: string[] = [];
  let changed = () => {};
  const take = (found: Found) => {
    last = found;
    const resolved = resolve(found, beside);
    const before = complaints;
    complaints = 'complaints' in resolved ? fewer(resolved.complaints) : [];
    if ('configuration' in resolved) {
      publisher.want(resolved.configuration);
      declarer.want(resolved.accounts);
    } else if (complaints.join('\n') !== before.join('\n')) {
      log.warn({ complaints, source: source.name }, 'the document is not valid, nothing is changed');
      bus.publish(configurationRefused, { source: source.name, complaints });
    }
    changed();
    return complaints.length === 0;
  };
  const desired = (): DesiredState => ({
    ...(last?.version !== undefined && { version: last.version }),
    state: !last ? 'unknown' : complaints.length > 0 ? 'refused' : 'applied',
    complaints,
  });
  const watching = source.watch(take);
  const looking = setInterval(() => {
    if (last && complaints.length > 0) take(last);
  }, lookAgainMs).unref();
  const unserve = bus.serve(bridgeStatus, async () => {
    const { version } = desired();
    return {
      source: source.name,
      complaints,
      ...(version !== undefined && { version }),
      ...(session && { session: session() }),
    };
  });
  return {
    desired,
    onChange(call) {
      changed = call;
    },
    [Symbol.dispose]() {
      unserve();
      clearInterval(looking);
      watching[Symbol.dispose]();
      publisher[Symbol.dispose]();
      declarer[Symbol.dispose]();
    },
  };
}

function resolve(found: Found, beside: Omit<BridgeOptions, 'session'>): Resolved {
  if ('complaint' in found) return { complaints: [found.complaint] };
  return resolveDocument({ ...found, ...beside, ...files });
}
