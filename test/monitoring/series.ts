/** Series of a layer, for the tests of rules by `promtool`. */

const LAYER = 'layer="plant",job="terrace",instance="plant:5000"';
export const series = (name: string, labels: string, values: string) => ({
  series: `${name}{${[LAYER, labels].filter(Boolean).join(',')}}`,
  values,
});
export type Series = ReturnType<typeof series>;

/** Samples of 14 hours, each two minutes, to 8 days, each half an hour. The first one is at 1970-01-01. */
const SAMPLES = 400;
/** Two hours. */
export const END_S = 7_200;
export const always = (value: number) => `${value}x${SAMPLES}`;
/** @param by with each sample */
export const growing = (by: number, from = 0) => `${from}${by < 0 ? '-' : '+'}${Math.abs(by)}x${SAMPLES}`;

/** A layer in which nothing is wrong. */
const healthy: Series[] = [
  series('up', '', always(1)),
  ...['gateway', 'storage', 'syncer', 'twin-bridge'].flatMap((service) => [
    series('terrace_service_up', `service="${service}"`, always(1)),
    series('terrace_process_start_time_seconds', `service="${service}",process="p"`, always(0)),
    series('terrace_process_event_loop_active_seconds_total', `service="${service}",process="p"`, growing(6)),
  ]),
  series('terrace_http_requests_total', 'route="blob",method="GET",code="200",process="p"', growing(600)),
  series('terrace_http_requests_total', 'route="blob",method="GET",code="500",process="p"', growing(1)),
  series('terrace_configuration_complaints', '', always(0)),
  series('terrace_twin_connected', '', always(1)),
  series('terrace_bus_advisories', '', always(0)),
  series('terrace_link_up', '', always(1)),
  ...['Online', 'Syncing', 'Offline', 'Unhealthy', 'unknown'].map((state) =>
    series('terrace_link_state', `state="${state}"`, always(state === 'Online' ? 1 : 0)),
  ),
  series('terrace_link_window_open', '', always(1)),
  series('terrace_link_paused', '', always(0)),
  series('terrace_pass_last_success_timestamp_seconds', '', growing(1_800)),
  series('terrace_passes_total', 'outcome="failed",process="p"', always(0)),
  series('terrace_passes_total', 'outcome="ok",process="p"', growing(1)),
  series('terrace_sync_known_timestamp_seconds', '', growing(1_800)),
  series('terrace_sync_behind_seconds', '', always(60)),
  series('terrace_sync_behind_failed_tags', '', always(0)),
  ...['unsent', 'withdrawn', 'parked', 'kept'].map((state) =>
    series('terrace_outgoing_changes', `state="${state}"`, always(0)),
  ),
  series('terrace_left_out', 'kind="image"', always(0)),
  series('terrace_unmatched_selections', '', always(0)),
  series('terrace_events_refused', '', always(0)),
  series('terrace_deltas_total', 'outcome="mismatched",process="p"', always(0)),
  series('terrace_storage_low', '', always(0)),
  series('terrace_storage_free_bytes', '', always(60_000_000_000)),
  series('terrace_storage_reserve_bytes', '', always(500_000_000)),
  series('terrace_storage_free_inodes', '', always(1_000_000)),
  series('terrace_storage_reserve_inodes', '', always(10_000)),
  series('terrace_storage_damaged_blobs', '', always(0)),
  series('terrace_storage_metadata_damaged', '', always(0)),
  series('terrace_audit_lost_total', '', always(0)),
  series('terrace_audit_receiver_up', '', always(1)),
  series('terrace_audit_receiver_backlog_entries', '', always(0)),
  series('terrace_accounts_lost', '', always(0)),
  series('terrace_accounts_not_as_declared', '', always(0)),
  series('terrace_certificate_expiry_timestamp_seconds', 'certificate="layer"', always(END_S + 60 * 86_400)),
  series('terrace_child_link_up', 'child="line"', always(1)),
  series('terrace_child_last_seen_timestamp_seconds', 'child="line"', growing(1_800)),
  series('terrace_webhook_up', 'webhook="hooks"', always(1)),
];

/** The healthy series, with these in the place of those of the same name and labels. */
export const withCause = (cause: Series[]) => [
  ...healthy.filter((one) => !cause.some((other) => other.series === one.series)),
  ...cause,
];
