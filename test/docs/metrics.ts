import { PREFIX } from '../../services/gateway/metrics/exposition.ts';
import { familiesByPart } from '../../services/gateway/metrics/families.ts';
import type { Family } from '../../services/gateway/metrics/family.ts';
import { routes } from '../../services/gateway/metrics/route-classes.ts';
import { code, codes, page, plain, table } from './markdown.ts';

/** docs/reference/metrics.md */

const nameOf = ({ name, type }: Family): string => `${PREFIX}${name}${type === 'counter' ? '_total' : ''}`;

const rowOf = (family: Family): string[] => [
  code(nameOf(family)),
  family.type,
  codes(family.labels),
  plain(family.help),
];

export function metricsPage(): string {
  return page(
    'Metrics',
    'For operators who collect metrics: every metric of `/metrics`, with its type, its labels and its meaning. [Metrics](../operating/metrics.md) says how to collect them.',
    'Every sample has the label `layer`, the name of the layer. No label has a value that grows with the content: no repository, tag, digest or account. `process` is the id of a process, as `terrace status` shows it: a counter begins at 0 with its process, so sum rates over `process`, never the counters. A metric without a value now is absent.',
    `Values of \`route\`: ${codes(routes)}. Values of \`code\` of passes and transfers are [faults](faults.md), or \`other\`.`,
    ...Object.entries(familiesByPart).flatMap(([part, families]) => [
      `## ${part}`,
      table(['Metric', 'Type', 'Labels', 'Meaning'], families.map(rowOf)),
    ]),
  );
}
