import { accessSync, constants } from 'node:fs';
import type { Bus, Log } from '#proto/bus.ts';
import { configurationRefused } from '#proto/configuration.ts';
import { type Overrides, type Resolved, resolveDocument } from '#proto/document.ts';
import { bridgeStatus } from '#proto/status.ts';
import { Publisher } from './publish.ts';
import type { DocumentSource, Found } from './source.ts';

/** From a source of documents to the state on the bus. An invalid document changes nothing. */
export function bridge(bus: Bus, log: Log, source: DocumentSource, overrides: Overrides): Disposable {
  const publisher = new Publisher(bus, log);
  let complaints: string[] = [];
  const watching = source.watch((found) => {
    const resolved = resolve(found, overrides);
    complaints = 'complaints' in resolved ? resolved.complaints : [];
    if ('configuration' in resolved) publisher.want(resolved.configuration);
    else {
      log.warn({ complaints, source: source.name }, 'the document is not valid, nothing is changed');
      bus.publish(configurationRefused, { source: source.name, complaints });
    }
  });
  const unserve = bus.serve(bridgeStatus, async () => ({ source: source.name, complaints }));
  return {
    [Symbol.dispose]() {
      unserve();
      watching[Symbol.dispose]();
      publisher[Symbol.dispose]();
    },
  };
}

function resolve(found: Found, overrides: Overrides): Resolved {
  if ('complaint' in found) return { complaints: [found.complaint] };
  return resolveDocument({ ...found, overrides, readable });
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
