import { plural } from '../../contract/quantity-text.ts';
import { CHANGES_PARKED, CONTENT_LEFT_OUT, WINDOW_CLOSED } from '../../status/status.ts';
import { leftOutText } from '../../sync/left-out.ts';
import { pauseText } from '../../sync/pause.ts';
import { totalSavings } from '../savings.ts';
import { problem, type Rule } from './problem.ts';

/** The link to the parent, and what does not cross it. Pure. */

export const link: Rule = ({ link: state, storage, syncers, configuration }) => {
  if (!configuration?.parent) return [];
  // Storage decides: a syncer that does not answer has not reported it.
  const paused = storage?.paused ?? (syncers.length > 0 ? state?.paused : undefined);
  if (paused) {
    const remedy = 'resume it with "terrace resume" when its reason is over; what clients push goes up then';
    return [problem('link-paused', 'warning', pauseText(paused), remedy, { since: paused.since })];
  }
  if (!state || syncers.length === 0) return [];
  const { since, detail = 'no reason is known', code } = state;
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

export const parked: Rule = ({ storage, parked: changes = [], configuration }) => {
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

export const kept: Rule = ({ storage, configuration }) => {
  const { kept: number = 0, keptIn: [first] = [] } = storage?.outgoing ?? {};
  if (configuration?.mode !== 'ReadWrite' || !configuration.parent || number === 0) return [];
  const what = `${plural(number, 'manifest stays', 'manifests stay')} in this layer: no selection covers ${number === 1 ? 'its repository' : 'their repositories'}${first ? `, such as ${first}` : ''}`;
  const remedy = 'add the repositories to the field repositories, or leave them here';
  return [problem('not-selected', 'warning', what, remedy, { subject: first })];
};

export const unmatched: Rule = ({ link: state }) =>
  (state?.unmatched ?? []).map((pattern) =>
    problem(
      'selection-unmatched',
      'warning',
      `the selection ${pattern} matches nothing at the parent`,
      'check its spelling, and the rights of the login',
      { subject: pattern },
    ),
  );

export const leftOut: Rule = ({ link: state }) => {
  if (!state?.leftOut) return [];
  const remedy = state.leftOut.first[0]
    ? 'provide the content at the parent, or exclude it; each pass asks for it again'
    : 'rename the repositories at the parent, or select others';
  return [problem('content-left-out', 'warning', leftOutText(state.leftOut), remedy)];
};

export const deltas: Rule = ({ syncers }) => {
  const { mismatched = 0, mismatchedAt: at } = totalSavings(syncers) ?? {};
  if (at === undefined) return [];
  const what = `${plural(mismatched, 'delta')} made other bytes than intended, which were dropped: the content crossed the link in full`;
  const remedy =
    'check memory and disk of this machine and of the other side, and report it with "terrace events --type delta.mismatched"; delta.mode: off in the document stops deltas';
  return [problem('delta-mismatched', 'warning', what, remedy, { since: at })];
};
