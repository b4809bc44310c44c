import type { JSX } from 'preact';
import type { Pass, Passes } from '#proto/api/link.ts';
import { usePolled } from '../../api/polled.ts';
import { now } from '../../browser/clock.ts';
import { imageName } from '../../format/names.ts';
import { durationText } from '../../format/quantities.ts';
import { agoText, clockText } from '../../format/times.ts';
import { type Column, DataTable } from '../../parts/data-table.tsx';
import { Panel, Pending, Quiet } from '../../parts/panel.tsx';
import { State } from '../../parts/shape.tsx';
import { endText, passText } from '../../state/event-text.ts';

const SHOWN = 6;
const EVERY_MS = 15_000;

/** The last passes that did something, newest first. */
export function PassesPanel(): JSX.Element {
  const { value, error } = usePolled<Passes>(`/passes?limit=${SHOWN}`, EVERY_MS);
  const passes = value.value;
  return (
    <Panel id="passes" title="Last passes" aside={<a href="#/events?type=pass.finished">All</a>}>
      {!passes && <Pending error={error.value} />}
      {passes?.items.length === 0 && (
        <Quiet>None that changed something, as far as events are retained.</Quiet>
      )}
      {passes && passes.items.length > 0 && (
        <DataTable
          caption="Last passes"
          columns={columns}
          rows={passes.items}
          keyOf={({ sequence }) => String(sequence)}
        />
      )}
    </Panel>
  );
}

const columns: Column<Pass>[] = [
  {
    title: 'Ended',
    isHeader: true,
    cell: ({ finished }) => <span title={agoText(finished, now.value)}>{clockText(finished)}</span>,
  },
  {
    title: 'Result',
    cell: ({ result }) =>
      result.ok ? <State tone="good" word="Done" /> : <State tone="warning" word={endText(result)} />,
  },
  { title: 'Changes', cell: ({ result }) => passText(result) },
  { title: 'Took', figure: true, cell: ({ result }) => durationText(result.ms) },
  { title: 'Cause', wide: true, cell: ({ cause }) => cause ?? '' },
  { title: 'First failure', fills: true, cell: ({ result }) => failureText(result) },
];

function failureText({ failures: [first] }: Pass['result']): string {
  if (!first) return '';
  return `${first.repository ? `${imageName(first.repository, first.tag)}: ` : ''}${first.reason}`;
}
