import { MAX_PROBLEMS, type Problem, type Severity } from '../api/layer.ts';
import { clip } from '../contract/clip.ts';
import { MAX_REASON_LENGTH } from '../contract/fault.ts';
import { formatBytes, plural } from '../contract/quantity-text.ts';
import { NOT_SEEN } from '../status/presence.ts';
import { CHANGES_PARKED, CONTENT_LEFT_OUT, WINDOW_CLOSED } from '../status/status.ts';
import { leftOutText } from '../sync/left-out.ts';
import { pauseText } from '../sync/pause.ts';
import type { LayerStatus } from './layer-status.ts';

/**
 * What needs a person, with the remedy: the alarms of docs/operating/watching.md, of a status of the layer. The command
 * line, the API, the page and the metrics show the same list. Pure.
 *
 * @returns errors first, then in the order of the document
 */
export function problemsOf(status: LayerStatus): Problem[] {
  const all = rules.flatMap((rule) => rule(status));
  const sorted = [
    ...all.filter(({ severity }) => severity === 'error'),
    ...all.filter(({ severity }) => severity === 'warning'),
  ];
  return sorted.slice(0, MAX_PROBLEMS);
}

type Rule = (status: LayerStatus) => Problem[];

const problem = (
  code: string,
  severity: Severity,
  what: string,
  remedy: string,
  { since, subject }: { since?: number | undefined; subject?: string | undefined } = {},
): Problem => ({
  code,
  severity,
  what: clip(what, MAX_REASON_LENGTH),
  remedy,
  ...(since !== undefined && { since }),
  ...(subject !== undefined && { subject: clip(subject, 512) }),
});

const silent: Rule = (status) =>
  status.silent.map((service) =>
    problem(
      'service-silent',
      'error',
      `${service} does not answer`,
      'see data/log/terrace.log; it is started again by itself',
      { subject: service },
    ),
  );

const link: Rule = ({ link: state, syncers, configuration }) => {
  if (!configuration?.parent || !state || syncers.length === 0) return [];
  const { since, detail = 'no reason is known', code, paused } = state;
  if (paused) {
    const remedy = 'resume it with "terrace resume" when its reason is over; what clients push goes up then';
    return [problem('link-paused', 'warning', pauseText(paused), remedy, { since: paused.since })];
  }
  // A new layer, before its first window: there is nothing to check.
  if (state.code === WINDOW_CLOSED) return [];
  if (state.state === 'Offline') {
    const remedy =
      'check network, name and certificate of the parent; clients are still served, and what they push goes up later';
    return [problem('link-offline', 'warning', `the parent does not answer: ${detail}`, remedy, { since })];
  }
  if (state.state !== 'Unhealthy' || code === CHANGES_PARKED || code === CONTENT_LEFT_OUT) return [];
  const remedy = 'see docs/operating/troubleshooting.md for the remedy by message; the next pass tries again';
  return [problem('link-unhealthy', 'error', `the last pass left work undone: ${detail}`, remedy, { since })];
};

const DENIED = 'denied';

const parked: Rule = ({ storage, parked: changes = [], configuration }) => {
  if (configuration?.mode !== 'ReadWrite' || !storage?.outgoing.parked) return [];
  const denied = changes.filter(({ code }) => code === DENIED);
  const total = storage.outgoing.parked;
  const areAllDenied = denied.length > 0 && denied.length === changes.length;
  // The list may have only the first changes: of mixed causes, the others are not counted by cause.
  const bound = denied.length > 0 && !areAllDenied && changes.length < total ? 'at least ' : '';
  const others = denied.length > 0 ? changes.length - denied.length : total;
  const [firstDenied] = denied;
  const first = changes.find(({ code }) => code !== DENIED);
  return [
    ...(firstDenied
      ? [
          problem(
            'push-denied',
            'error',
            `${bound}${plural(areAllDenied ? total : denied.length, 'change')} can't go up: the login may not push: ${firstDenied.reason}`,
            'give the login the right to push, or set mode to ReadOnly; then run a full pass',
            { since: firstDenied.since, subject: firstDenied.repository },
          ),
        ]
      : []),
    ...(others > 0
      ? [
          problem(
            'changes-parked',
            'error',
            `the parent refuses ${bound}${plural(others, 'change')}${first ? `: ${first.reason}` : ''}`,
            'correct the cause at the parent (rights, a locked tag), then retry parked changes',
            { since: first?.since, subject: first && `${first.repository}:${first.reference}` },
          ),
        ]
      : []),
  ];
};

const kept: Rule = ({ storage, configuration }) => {
  const { kept: number = 0, keptIn: [first] = [] } = storage?.outgoing ?? {};
  if (configuration?.mode !== 'ReadWrite' || !configuration.parent || number === 0) return [];
  const what = `${plural(number, 'manifest stays', 'manifests stay')} in this layer: no selection covers ${number === 1 ? 'its repository' : 'their repositories'}${first ? `, such as ${first}` : ''}`;
  const remedy = 'add the repositories to the field repositories, or leave them here';
  return [problem('not-selected', 'warning', what, remedy, { subject: first })];
};

const unmatched: Rule = ({ link: state }) =>
  (state?.unmatched ?? []).map((pattern) =>
    problem(
      'selection-unmatched',
      'warning',
      `the selection ${pattern} matches nothing at the parent`,
      'check its spelling, and the rights of the login',
      { subject: pattern },
    ),
  );

const leftOut: Rule = ({ link: state }) => {
  if (!state?.leftOut) return [];
  const remedy = state.leftOut.first[0]
    ? 'provide the content at the parent, or exclude it; each pass asks for it again'
    : 'rename the repositories at the parent, or select others';
  return [problem('content-left-out', 'warning', leftOutText(state.leftOut), remedy)];
};

const space: Rule = ({ storage }) => {
  if (!storage?.space.low) return [];
  const { free, reserve } = storage.space;
  const what = `new content is rejected: ${formatBytes(free)} are free, and the reserve is ${formatBytes(reserve)}`;
  return [problem('space-low', 'error', what, 'free space on the data volume: docs/operating/full-disk.md')];
};

const damage: Rule = ({ storage }) => [
  ...(storage?.damaged
    ? [
        problem(
          'content-damaged',
          'error',
          `${plural(storage.damaged, 'blob of the data volume is', 'blobs of the data volume are')} damaged`,
          'they come again from the parent or a client; check the disk',
        ),
      ]
    : []),
  ...(storage?.metadata?.length
    ? [
        problem(
          'metadata-damaged',
          'error',
          `the metadata are damaged: ${storage.metadata[0]}`,
          'plan a stop of the layer, then run "terrace repair"',
        ),
      ]
    : []),
];

const audit: Rule = ({ storage }) =>
  storage?.audit
    ? [
        problem(
          'audit-lost',
          'error',
          `${plural(storage.audit.lost, 'audit entry', 'audit entries')} could not be written: ${storage.audit.reason}`,
          'check space and permissions of data/log',
          { since: storage.audit.since },
        ),
      ]
    : [];

const backup: Rule = ({ storage }) => {
  const { failed, last, schedule } = storage?.backup ?? {};
  if (failed) {
    const { target, reason, count, at: since } = failed;
    const what = `${count === 1 ? 'the last backup' : `the last ${count} backups`} failed: ${reason}`;
    const remedy = schedule
      ? 'correct the cause: it is tried again by itself'
      : `correct the cause, then run "terrace backup ${target}"`;
    return [problem('backup-failed', 'warning', what, remedy, { since, subject: target })];
  }
  if (!schedule?.late) return [];
  return [
    problem(
      'backup-late',
      'warning',
      'the last good backup is too old for its schedule',
      'see whether one runs ("terrace status"), and make one with "terrace backup"',
      { since: last?.at, subject: schedule.target },
    ),
  ];
};

const restored: Rule = ({ storage }) => {
  const { report, restored: since } = storage?.restored ?? {};
  if (!report || report.lost === 0) return [];
  const what = `${plural(report.lost, 'tag is', 'tags are')} lost, which changed here after the backup that the layer was restored from: ${report.lostFirst.slice(0, 5).join(', ')}`;
  return [problem('restore-lost', 'warning', what, 'push them again; status names more', { since })];
};

const exchanges: Rule = ({ storage }) =>
  (storage?.exchanges ?? []).flatMap(({ peer = 'the layer above', inbox, outbox }) => [
    ...(inbox?.failure
      ? [
          problem(
            'archive-refused',
            'warning',
            `nothing of ${peer} can be imported: ${inbox.failure.reason}`,
            'correct what the reason names: the folder is polled, and examined again when its files change',
            { since: inbox.failure.since, subject: inbox.folder },
          ),
        ]
      : []),
    ...(outbox?.failure
      ? [
          problem(
            'archive-not-written',
            'warning',
            `nothing can be written for ${peer}: ${outbox.failure.reason}`,
            'correct what the reason names: it is tried again by itself',
            { since: outbox.failure.since, subject: outbox.folder },
          ),
        ]
      : []),
  ]);

const accounts: Rule = ({ storage, services }) => {
  if (storage?.closed) {
    const what = 'the accounts of this layer were lost, and nobody can log in';
    return [problem('accounts-lost', 'error', what, 'create a token with "terrace token create"')];
  }
  const declared = (storage?.accounts ?? []).map((complaint) =>
    problem('account-not-declared', 'warning', complaint, 'correct the configuration document'),
  );
  const isOpen = storage?.tokens === 0 && services.some(({ open }) => open);
  if (!isOpen) return declared;
  const what = 'the layer has no accounts: everyone who reaches it has full access';
  const remedy = 'create a token with "terrace token create", unless it serves this machine only';
  return [...declared, problem('layer-open', 'warning', what, remedy)];
};

const configured: Rule = ({ bridge }) =>
  (bridge?.complaints ?? []).map((complaint) =>
    problem(
      'configuration-refused',
      'error',
      complaint,
      `correct ${bridge?.source}; the previous configuration stays in force`,
    ),
  );

const session: Rule = ({ bridge }) =>
  bridge?.session && !bridge.session.connected
    ? [
        problem(
          'twin-disconnected',
          'warning',
          `${bridge.source} is not connected: ${bridge.session.detail ?? 'no reason is known'}`,
          'check the IoT Edge runtime; the last configuration stays in force',
          { since: bridge.session.since },
        ),
      ]
    : [];

const webhooks: Rule = ({ webhooks: all = [] }) =>
  all
    .filter(({ state }) => state === 'Failing' || state === 'Parked')
    .map(({ name, state, since, failure, behind, more }) =>
      problem(
        state === 'Parked' ? 'webhook-parked' : 'webhook-failing',
        'warning',
        `webhook ${name} takes no events: ${failure?.reason ?? 'no reason is known'}; ${more ? `${behind} or more events wait` : plural(behind, 'event waits', 'events wait')}`,
        state === 'Parked' ? 'it answered 410: correct its address, or remove it' : 'correct the receiver',
        { since, subject: name },
      ),
    );

const history: Rule = ({ history: refused }) =>
  refused
    ? [
        problem(
          'history-refused',
          'warning',
          `the parent refused ${plural(refused.count, 'event')}: ${refused.last.reason}`,
          'correct what the reason names; the entry ends a day after the last refusal',
          { since: refused.since },
        ),
      ]
    : [];

const below: Rule = ({ below: layers = [] }) =>
  layers
    .filter(({ link: state, path }) => state?.code === NOT_SEEN && path.length === 0)
    .map(({ child, link: state }) =>
      problem(
        'layer-not-seen',
        'warning',
        `the layer ${child} below is cut off: ${state?.detail ?? 'no contact'}`,
        'look at it from there: its link, or its machine',
        { since: state?.since, subject: child },
      ),
    );

const unreadable: Rule = ({ unreadable: entries = [] }) =>
  entries.map(({ bucket, key, reason }) =>
    problem(
      'state-unreadable',
      'warning',
      `the state ${bucket}.${key} can't be read: ${reason}`,
      'none is needed: its owner writes it again',
      { subject: `${bucket}.${key}` },
    ),
  );

const bus: Rule = ({ natsServer }) =>
  natsServer?.advisories
    ? [
        problem(
          'nats-server-vulnerable',
          'warning',
          `nats-server ${natsServer.version} has known vulnerabilities: ${natsServer.advisories.map(({ id }) => id).join(', ')}`,
          natsServer.remedy ?? 'install a current version',
        ),
      ]
    : [];

/** In the order of docs/operating/watching.md. */
const rules: Rule[] = [
  ...[
    link,
    parked,
    kept,
    unmatched,
    leftOut,
    space,
    damage,
    audit,
    backup,
    restored,

    exchanges,
    accounts,
    configured,
    session,
  ],
  ...[webhooks, history, below, silent, unreadable, bus],
];
