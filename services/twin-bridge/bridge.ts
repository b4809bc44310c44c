import type { Bus, Log } from '#proto/bus/bus.ts';
import { limitComplaints } from '#proto/document/complaints.ts';
import { configurationRefused } from '#proto/document/configuration.ts';
import { type ConfigurationField, getConfiguration } from '#proto/document/field-report.ts';
import { files } from '#proto/document/files.ts';
import { describeFields } from '#proto/document/resolve/describe-fields.ts';
import { type Overrides, type Resolved, resolveDocument } from '#proto/document/resolve/resolve.ts';
import { bridgeStatus, type TwinSession } from '#proto/status/status.ts';
import { Declarer } from './declare.ts';
import { Publisher } from './publish.ts';
import type { DesiredState } from './report/layer-view.ts';
import type { DocumentSource, SourceState } from './source/source.ts';

/**
 * The twin-bridge turns a configuration document into the configuration of the layer. In an IoT Edge module, it also
 * reports the layer to the module twin and answers direct methods.
 *
 * service.ts picks the source from the environment; module.ts adds the parts of an IoT Edge module. `startBridge`
 * resolves each document of its source (source/) with proto/document/resolve. A valid document goes to the bus
 * (publish.ts), its accounts to storage (declare.ts). An invalid one changes nothing: its complaints are logged,
 * published as an event, and part of `bridgeStatus`. iot-edge/ is the connection to edgeHub, report/ the reported
 * properties, and methods/ the direct methods.
 */

/** Interval at which a document with complaints is resolved again, in ms: a file that it names may have been fixed. */
const RECHECK_MS = 5_000;

/** Fields above and below the document, and properties of its source. */
export type BridgeOptions = {
  overrides?: Overrides;
  defaults?: Overrides;
  /** The document arrives after the start: fields that take effect only at the start are complaints. */
  late?: boolean;
  /** State of the connection to the source, if that can fail. */
  session?: () => TwinSession;
};

export type Bridge = Disposable & {
  /** State of the last document. */
  desired(): DesiredState;
  /** Sets the callback for changes of `desired()`. */
  onChange(changed: () => void): void;
};

/** Applies the documents of a source until disposed. */
export function startBridge(
  bus: Bus,
  log: Log,
  source: DocumentSource,
  { session, ...options }: BridgeOptions = {},
  recheckMs = RECHECK_MS,
): Bridge {
  let last: SourceState | undefined;
  let complaints: string[] = [];
  let fields: ConfigurationField[] = [];
  let changed = () => {};
  const publisher = new Publisher(bus, log, () => changed());
  const declarer = new Declarer(bus, log, () => changed());
  const apply = (document: SourceState) => {
    last = document;
    const resolved = resolve(document, options);
    const previous = complaints;
    complaints = 'complaints' in resolved ? limitComplaints(resolved.complaints) : [];
    if ('configuration' in resolved) {
      fields = describeFields(resolved.document, resolved.origins, options.late === true);
      publisher.want(resolved.configuration);
      declarer.want(resolved.accounts);
    } else if (complaints.join('\n') !== previous.join('\n')) {
      log.warn(
        { complaints, source: source.name },
        'the configuration document is not valid; it is not applied',
      );
      bus.publish(configurationRefused, { source: source.name, complaints });
      publisher.refuse(complaints);
    }
    changed();
    return complaints.length === 0;
  };
  const state = (): DesiredState['state'] => {
    if (!last) return 'unknown';
    if (complaints.length > 0) return 'refused';
    return publisher.isApplied && declarer.isApplied ? 'applied' : 'pending';
  };
  const desired = (): DesiredState => ({
    ...(last?.version !== undefined && { version: last.version }),
    state: state(),
    complaints,
  });
  const watching = source.watch(apply);
  const recheck = setInterval(() => {
    if (last && complaints.length > 0) apply(last);
  }, recheckMs).unref();
  const unserve = bus.serve(bridgeStatus, async () => {
    const { version } = desired();
    // A twin may be unreachable for long: until it answers, the last configuration is the one to use.
    const isExpected = last !== undefined || session === undefined;
    const pending = isExpected && complaints.length === 0 && !publisher.isApplied;
    return {
      source: source.name,
      complaints,
      ...(version !== undefined && { version }),
      ...(pending && { pending }),
      ...(session && { session: session() }),
    };
  });
  const unserveFields = bus.serve(getConfiguration, async () => {
    const { version } = desired();
    return { fields, complaints, source: source.name, ...(version !== undefined && { version }) };
  });
  return {
    desired,
    onChange(call) {
      changed = call;
    },
    [Symbol.dispose]() {
      unserve();
      unserveFields();
      clearInterval(recheck);
      watching[Symbol.dispose]();
      publisher[Symbol.dispose]();
      declarer[Symbol.dispose]();
    },
  };
}

function resolve(document: SourceState, options: Omit<BridgeOptions, 'session'>): Resolved {
  if ('complaint' in document) return { complaints: [document.complaint] };
  return resolveDocument({ ...document, ...options, ...files });
}
