import { test } from 'node:test';
import { stringify } from 'yaml';
import { missing, promtool, rulesFile, TemporaryFiles } from './prometheus.ts';
import { always, growing, type Series, series, withCause } from './series.ts';

/** Layers of each kind, and in each situation that is nobody's fault: what fires there, after 30 hours. */

const none = '_x400';
const absent = (name: string, labels = '') => series(name, labels, none);
const noParent: Series[] = [
  ...['terrace_link_up', 'terrace_link_window_open', 'terrace_link_paused', 'terrace_unmatched_selections'],
  ...['terrace_pass_last_success_timestamp_seconds', 'terrace_sync_known_timestamp_seconds'],
  ...['terrace_sync_behind_seconds', 'terrace_sync_behind_failed_tags', 'terrace_events_refused'],
].map((name) => absent(name));
const states = ['Online', 'Syncing', 'Offline', 'Unhealthy', 'unknown'];
const paused = series('terrace_link_paused', '', always(1));
const longAgo = series('terrace_pass_last_success_timestamp_seconds', '', always(-100_000));
const started = (process: string, values: string) =>
  series('terrace_process_start_time_seconds', `service="gateway",process="${process}"`, values);
const unsent = (values: string) => series('terrace_outgoing_changes', 'state="unsent"', values);

/** Samples are 5 minutes apart: 360 of them are 30 hours. */
const situations: Record<string, [series: Series[], firing: string[]]> = {
  'a top layer': [
    [
      ...noParent,
      absent('terrace_left_out', 'kind="image"'),
      ...states.map((state) => absent('terrace_link_state', `state="${state}"`)),
    ],
    [],
  ],
  'a window that closed with work left': [
    [
      series('terrace_link_window_open', '', '0x340 1x60'),
      series('terrace_link_up', '', '0x340 1x60'),
      series('terrace_sync_behind_seconds', '', growing(300)),
      unsent('1x200 0x10 1x190'),
    ],
    [],
  ],
  'a link that has been paused for a day': [
    [
      paused,
      longAgo,
      unsent(always(3)),
      series('terrace_link_up', '', always(0)),
      series('terrace_sync_behind_seconds', '', growing(300)),
    ],
    ['TerraceLinkPaused'],
  ],
  'a parent that never provides some content': [
    [longAgo, series('terrace_left_out', 'kind="image"', always(2))],
    ['TerraceContentLeftOut'],
  ],
  'the same, and the parent is away': [
    [
      longAgo,
      series('terrace_left_out', 'kind="image"', always(2)),
      series('terrace_sync_known_timestamp_seconds', '', always(-100_000)),
    ],
    ['TerraceContentLeftOut', 'TerraceNoGoodPass'],
  ],
  'an outage that ended half an hour ago': [
    [series('terrace_passes_total', 'outcome="failed",process="p"', '0x345 1+1x8 9x60')],
    [],
  ],
  'gateways that miss a scrape in turn': [
    [started('p', '1x345 _ 1 _ 1 _ 1 _ 1x60'), started('q', '2x346 _ 2 _ 2 _ 2 _ 2x60')],
    [],
  ],
  'five gateways that are started again at an upgrade': [
    [...'pqrst'].flatMap((name) => [started(name, '1x352 _x50'), started(`${name}2`, '_x353 2x47')]),
    [],
  ],
  'changes that wait for more than a day, while each tenth scrape is missed': [
    [unsent(`${'1x8 _ '.repeat(40)}`)],
    ['TerraceChangesUnsent'],
  ],
  'a receiver of the audit log that is always a few entries behind': [
    [series('terrace_audit_receiver_backlog_entries', '', always(4))],
    [],
  ],
  'a receiver of the audit log that is connected and takes too little': [
    [series('terrace_audit_receiver_backlog_entries', '', growing(300))],
    ['TerraceAuditNotForwarded'],
  ],
  'a first synchronization that ended hours ago': [
    [series('terrace_storage_free_bytes', '', '60000000000x290 60000000000-2000000000x25 9000000000x80')],
    [],
  ],
};

test('nothing fires for what is in order in a layer of its kind, and what lasts fires over missed scrapes', {
  skip: missing,
}, async () => {
  await using files = await TemporaryFiles.create();
  const tests = Object.entries(situations).map(([name, [cause, firing]]) => ({
    name,
    interval: '5m',
    input_series: withCause(cause),
    promql_expr_test: [
      {
        expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
        eval_time: '30h',
        exp_samples: firing.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
      },
    ],
  }));
  const text = stringify({ rule_files: [rulesFile], evaluation_interval: '5m', tests });
  promtool(['test', 'rules', await files.write('tests.yml', text)]);
});
