import { MAX_PROBLEMS, type Problem } from '../../api/layer.ts';
import type { LayerStatus } from '../layer-status.ts';
import { below, exchanges, history, webhooks } from './layer-problems.ts';
import { deltas, kept, leftOut, link, parked, unmatched } from './link-problems.ts';
import type { Rule } from './problem.ts';
import { accounts, bus, configured, session, silent, unreadable } from './service-problems.ts';
import { audit, backup, damage, restored, space } from './volume-problems.ts';

/**
 * What needs a person, with the remedy: the alarms of docs/operating/watching.md, of a status of the layer. The command
 * line, the API, the page and the metrics show the same list. Each file has the rules of one subject. Pure.
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

/** In the order of docs/operating/watching.md. */
const rules: Rule[] = [
  ...[
    link,
    parked,
    kept,
    unmatched,
    leftOut,
    deltas,
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
