import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { PREFIX } from '../../services/gateway/metrics/exposition.ts';
import { families } from '../../services/gateway/metrics/families.ts';
import { missing, promtool, rules, rulesFile, TemporaryFiles, textOf } from './prometheus.ts';
import { always, END_S, growing, type Series, series, withCause } from './series.ts';

/** The alert rules and the dashboard of deploy/monitoring: `promtool` runs the rules over series of a day. */

const INTERVALS = { short: '2m', long: '30m' } as const;
type Span = keyof typeof INTERVALS;

/** What is wrong when each alert fires: these series take the place of the healthy ones of the same labels. */
const causes: Record<string, Series[]> = {
  TerraceDown: [series('up', '', always(0))],
  TerraceServiceDown: [series('terrace_service_up', 'service="syncer"', always(0))],
  TerraceServiceRestarts: ['p', 'q', 'r', 's', 't', 'u'].map((process, index) =>
    series(
      'terrace_process_start_time_seconds',
      `service="syncer",process="${process}"`,
      `${index === 0 ? '' : `_x${30 + 5 * index} `}${index}x${index === 0 ? 34 : index === 5 ? 300 : 4}`,
    ),
  ),
  TerraceEventLoopBusy: [
    series('terrace_process_event_loop_active_seconds_total', 'service="syncer",process="p"', growing(118)),
  ],
  TerraceRequestsFail: [
    series('terrace_http_requests_total', 'route="blob",method="GET",code="500",process="p"', growing(60)),
  ],
  TerraceConfigurationRefused: [series('terrace_configuration_complaints', '', always(2))],
  TerraceTwinDisconnected: [series('terrace_twin_connected', '', always(0))],
  TerraceBusAdvisory: [series('terrace_bus_advisories', '', always(1))],
  TerraceLinkDown: [series('terrace_link_up', '', always(0))],
  TerraceLinkPaused: [series('terrace_link_up', '', always(0)), series('terrace_link_paused', '', always(1))],
  TerraceNoGoodPass: [series('terrace_pass_last_success_timestamp_seconds', '', always(-100_000))],
  TerraceNoPassYet: [
    series('terrace_pass_last_success_timestamp_seconds', '', '_x400'),
    series('terrace_sync_known_timestamp_seconds', '', '_x400'),
  ],
  TerracePassesFail: [
    series('terrace_passes_total', 'outcome="failed",process="p"', growing(1)),
    series('terrace_link_state', 'state="Unhealthy"', always(1)),
  ],
  TerraceBehind: [series('terrace_sync_behind_seconds', '', always(20_000))],
  TerraceTagsFail: [series('terrace_sync_behind_failed_tags', '', always(3))],
  TerraceChangesRefused: [series('terrace_outgoing_changes', 'state="parked"', always(1))],
  TerraceChangesUnsent: [series('terrace_outgoing_changes', 'state="unsent"', always(1))],
  TerraceContentLeftOut: [series('terrace_left_out', 'kind="image"', always(1))],
  TerraceSelectionUnmatched: [series('terrace_unmatched_selections', '', always(1))],
  TerraceEventsRefused: [series('terrace_events_refused', '', always(1))],
  TerraceDeltaMismatched: [series('terrace_deltas_total', 'outcome="mismatched",process="p"', growing(1))],
  TerraceDiskLow: [series('terrace_storage_low', '', always(1))],
  TerraceDiskFills: [series('terrace_storage_free_bytes', '', growing(-100_000_000, 60_000_000_000))],
  TerraceInodesLow: [series('terrace_storage_free_inodes', '', always(15_000))],
  TerraceContentDamaged: [series('terrace_storage_damaged_blobs', '', always(1))],
  TerraceMetadataDamaged: [series('terrace_storage_metadata_damaged', '', always(1))],
  TerraceAuditLost: [series('terrace_audit_lost_total', '', always(1))],
  TerraceAuditNotForwarded: [
    series('terrace_audit_receiver_up', '', always(0)),
    series('terrace_audit_receiver_backlog_entries', '', always(4)),
  ],
  TerraceArchiveRefused: [series('terrace_archive_import_failed', 'peer="shore"', always(1))],
  TerraceBackupFailed: [series('terrace_backup_failed', '', always(1))],
  TerraceBackupLate: [series('terrace_backup_late_timestamp_seconds', '', always(-1_000))],
  TerraceAccountsLost: [series('terrace_accounts_lost', '', always(1))],
  TerraceAccountsNotAsDeclared: [series('terrace_accounts_not_as_declared', '', always(1))],
  TerraceCertificateEnds: [
    series('terrace_certificate_expiry_timestamp_seconds', 'certificate="layer"', always(END_S + 5 * 86_400)),
  ],
  TerraceCertificateEndsSoon: [
    series('terrace_certificate_expiry_timestamp_seconds', 'certificate="layer"', always(END_S + 3_600)),
  ],
  TerraceChildDown: [series('terrace_child_link_up', 'child="line"', always(0))],
  TerraceChildNotSeen: [
    series('terrace_child_last_seen_timestamp_seconds', 'child="line"', always(-100_000)),
  ],
  TerraceWebhookFails: [series('terrace_webhook_up', 'webhook="hooks"', always(0))],
};

/** Alerts of what lasts for hours. */
const slow = [
  'TerraceNoPassYet',
  'TerraceLinkPaused',
  'TerraceChangesUnsent',
  'TerraceContentLeftOut',
  'TerraceSelectionUnmatched',
];

/** Alerts that fire together with one. */
const together: Record<string, string[]> = { TerraceCertificateEndsSoon: ['TerraceCertificateEnds'] };

const caseOf = (span: Span, name: string, cause: Series[], firing: string[]) => ({
  name,
  interval: INTERVALS[span],
  input_series: withCause(cause),
  promql_expr_test: [
    {
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: span === 'short' ? '2h' : '30h',
      exp_samples: firing.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
    },
  ],
});

for (const span of ['short', 'long'] as const) {
  const title = `each alert of a ${span} time fires for its cause alone, and none in a layer in order`;
  test(title, { skip: missing }, async () => {
    await using files = await TemporaryFiles.create();
    const cases = Object.entries(causes)
      .filter(([alert]) => slow.includes(alert) === (span === 'long'))
      .map(([alert, cause]) => caseOf(span, alert, cause, [alert, ...(together[alert] ?? [])]));
    const inOrder = span === 'short' ? [caseOf(span, 'in order', [], [])] : [];
    const text = stringify({
      rule_files: [rulesFile],
      evaluation_interval: INTERVALS[span],
      tests: [...inOrder, ...cases],
    });
    promtool(['test', 'rules', await files.write('tests.yml', text)]);
  });
}

test('each alert has a cause in these tests', () => {
  assert.deepEqual(Object.keys(causes).sort(), rules.map(({ alert }) => alert).sort());
});

test('promtool accepts the rules and the example of a configuration', { skip: missing }, () => {
  promtool(['check', 'rules', '--lint-fatal', rulesFile]);
  assert.doesNotThrow(() =>
    promtool(['check', 'config', '--syntax-only', rulesFile.replace('terrace.rules', 'prometheus')]),
  );
});

test('each alert has a severity, and a summary and a remedy in sentences', () => {
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(info|warning|critical)$/, alert);
    assert.match(annotations.summary, /^[A-Z{].*\.$/, alert);
    assert.match(annotations.remedy, /^[A-Z0-9t].*\.$/, alert);
  }
});

type Panel = { id: number; title: string; targets?: { expr: string }[] };
const dashboard = JSON.parse(textOf('dashboard.json')) as {
  panels: Panel[];
  templating: { list: { name: string; type: string }[] };
};
const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** Names of the series of a metric. */
const known = new Set(
  families.flatMap(({ name, type }) => {
    if (type === 'counter') return [`${PREFIX}${name}_total`];
    return type === 'histogram'
      ? ['_bucket', '_sum', '_count'].map((end) => `${PREFIX}${name}${end}`)
      : [PREFIX + name];
  }),
);

test('rules and dashboard use metrics that exist, and the dashboard shows all that have an alert', () => {
  const namesIn = (text: string) => text.match(/\bterrace_[a-z_]+/g) ?? [];
  for (const expression of [...expressions, ...rules.map(({ expr }) => expr)]) {
    assert.deepEqual(
      namesIn(expression).filter((name) => !known.has(name)),
      [],
      expression,
    );
  }
  const shown = new Set(expressions.flatMap(namesIn));
  const hidden = rules.flatMap(({ expr }) => namesIn(expr)).filter((name) => !shown.has(name));
  assert.deepEqual([...new Set(hidden)].sort(), HIDDEN);
});
/** Seen as an alert only. */
const HIDDEN = [
  'terrace_accounts_lost',
  'terrace_accounts_not_as_declared',
  'terrace_audit_receiver_up',
  'terrace_bus_advisories',
  'terrace_process_event_loop_active_seconds_total',
  'terrace_process_start_time_seconds',
  'terrace_storage_free_inodes',
  'terrace_storage_reserve_inodes',
  'terrace_sync_known_timestamp_seconds',
];

test('promtool accepts each expression of the dashboard, and each panel selects its layers', {
  skip: missing,
}, async () => {
  assert.deepEqual(
    dashboard.templating.list.map(({ name, type }) => [name, type]),
    [
      ['datasource', 'datasource'],
      ['layer', 'query'],
    ],
  );
  const ids = dashboard.panels.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  await using files = await TemporaryFiles.create();
  const recorded = expressions.map((expr, index) => {
    assert.match(expr, /layer=~"\$layer"/);
    return {
      record: `panel:${index}`,
      expr: expr.replaceAll('$__rate_interval', '1m').replaceAll('$layer', '.*'),
    };
  });
  const text = stringify({ groups: [{ name: 'panels', rules: recorded }] });
  promtool(['check', 'rules', await files.write('panels.yml', text)]);
});
