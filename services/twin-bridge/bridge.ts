import type { Bus, Log } from '#proto/bus.ts';
import { configurationRefused } from '#proto/configuration.ts';
import { type Overrides, type Resolved, resolveDocument } from '#proto/document.ts';
import { files } from '#proto/document-files.ts';
import { bridgeStatus } from '#proto/status.ts';
import { Declarer } from './declare.ts';
import { Publisher } from './publish.ts';
import type { DocumentSource, Found } from './source.ts';

/** A complaint may be about a file that is put right without the document: look again. */
const LOOK_AGAIN_MS = 5_000;

/** What stands over the document, and what beneath it. */
export type Beside = { overrides?: Overrides; defaults?: Overrides };

/** From a source of documents to the state on the bus. An invalid document changes nothing. */
export function bridge(
  bus: Bus,
  log: Log,
  source: DocumentSource,
  beside: Beside = {},
  lookAgainMs = LOOK_AGAIN_MS,
): Disposable {
  const publisher = new Publisher(bus, log);
  const declarer = new Declarer(bus, log);
  let last: Found | undefined;
  let complaints: string[] = [];
  const take = (found: Found) => {
    last = found;
    const resolved = resolve(found, beside);
    const before = complaints;
    complaints = 'complaints' in resolved ? resolved.complaints : [];
    if ('configuration' in resolved) {
      publisher.want(resolved.configuration);
      declarer.want(resolved.accounts);
    } else if (complaints.join('\n') !== before.join('\n')) {
      log.warn({ complaints, source: source.name }, 'the document is not valid, nothing is changed');
      bus.publish(configurationRefused, { source: source.name, complaints });
    }
  };
  const watching = source.watch(take);
  const looking = setInterval(() => {
    if (last && complaints.length > 0) take(last);
  }, lookAgainMs).unref();
  const unserve = bus.serve(bridgeStatus, async () => ({ source: source.name, complaints }));
  return {
    [Symbol.dispose]() {
      unserve();
      clearInterval(looking);
      watching[Symbol.dispose]();
      publisher[Symbol.dispose]();
      declarer[Symbol.dispose]();
    },
  };
}

function resolve(found: Found, beside: Beside): Resolved {
  if ('complaint' in found) return { complaints: [found.complaint] };
  return resolveDocument({ ...found, ...beside, ...files });
}
