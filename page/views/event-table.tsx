import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { instantText } from '../format/times.ts';
import { useFirstRows } from '../parts/first-rows.ts';
import { Quiet } from '../parts/panel.tsx';
import { Shape } from '../parts/shape.tsx';
import type { Entry } from '../state/event-list.ts';
import { eventText, gapText, toneOfEvent } from '../state/event-text.ts';

/** Events, newest first. A row opens to all fields of its event. */
export function EventTable({ entries }: { entries: readonly Entry[] }): JSX.Element {
  const [openKey, setOpenKey] = useState('');
  const shown = useFirstRows(entries);
  if (entries.length === 0) return <Quiet>No event matches.</Quiet>;
  return (
    <div class="table-frame">
      <table class="events full">
        <caption class="only-read">Events, newest first</caption>
        <thead>
          <tr>
            <th scope="col" class="figure">
              Sequence
            </th>
            <th scope="col">Time</th>
            <th scope="col" class="wide">
              Layer
            </th>
            <th scope="col">Type</th>
            <th scope="col" class="fills">
              Event
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((entry) => (
            <Row
              key={entry.key}
              entry={entry}
              isOpen={openKey === entry.key}
              toggle={() => setOpenKey(openKey === entry.key ? '' : entry.key)}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

type RowProps = { entry: Entry; isOpen: boolean; toggle: () => void };

function Row({ entry, isOpen, toggle }: RowProps): JSX.Element {
  if ('gap' in entry) {
    return (
      <tr class="gap">
        <td colSpan={5}>
          <Shape tone={entry.gap.reason === 'rate' ? 'quiet' : 'warning'} label="Gap" /> {gapText(entry.gap)}
        </td>
      </tr>
    );
  }
  const { event } = entry;
  return (
    <>
      <tr>
        <th scope="row" class="figure">
          {event.sequence}
        </th>
        <td class="time">{instantText(Date.parse(event.time))}</td>
        <td class="wide">{event.layer ?? ''}</td>
        <td>
          <button type="button" class="plain type" aria-expanded={isOpen} onClick={toggle}>
            <Shape tone={toneOfEvent(event)} />
            {event.type}
          </button>
        </td>
        <td class="fills">{eventText(event)}</td>
      </tr>
      {isOpen && (
        <tr class="detail">
          <td colSpan={5}>
            <pre>{JSON.stringify(event, null, 2)}</pre>
          </td>
        </tr>
      )}
    </>
  );
}
