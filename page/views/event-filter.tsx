import type { JSX } from 'preact';

/** `since`: a local time, or a sequence; empty: the last events. `type`: types, separated by commas. */
export type EventFilterValue = { type: string; layer: string; since: string };

/** Groups of types that answer a question. */
const GROUPS: [name: string, types: string][] = [
  ['All events', ''],
  ['Link and passes', 'link.changed,pass.started,pass.planned,pass.finished'],
  ['Content', 'manifest.committed,manifest.deleted,tag.moved,tag.deleted,blob.committed,blob.unlinked'],
  [
    'Images and transfers',
    'image.started,image.finished,image.failed,transfer.started,transfer.finished,transfer.failed',
  ],
  ['Deltas', 'delta.made,delta.offered,delta.applied,delta.failed,delta.mismatched'],
  [
    'Failures',
    'image.failed,image.parked,image.conflict,image.incomplete,transfer.failed,job.dropped,blob.damaged,history.lost,history.refused,configuration.refused,backup.failed',
  ],
  [
    'Maintenance',
    'garbage.collected,scrub.finished,backup.completed,space.changed,storage.started,configuration.changed,account.changed',
  ],
];

type Props = { value: EventFilterValue; onChange: (next: EventFilterValue) => void };

/** The filter applies when the form is sent: a replay is read again then. */
export function EventFilter({ value, onChange }: Props): JSX.Element {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const entered = (name: string) => String(form.get(name) ?? '').trim();
    const typed = entered('types').replace(/\s+/g, '');
    onChange({ type: typed, layer: entered('layer'), since: entered('sequence') || entered('since') });
  };
  const isSequence = /^\d+$/.test(value.since);
  return (
    <form class="filter events" aria-label="Filter" onSubmit={submit} key={JSON.stringify(value)}>
      <label>
        <span>Group</span>
        <select
          value={GROUPS.some(([, types]) => types === value.type) ? value.type : 'other'}
          onChange={(event) => onChange({ ...value, type: event.currentTarget.value })}
        >
          {GROUPS.map(([name, types]) => (
            <option key={name} value={types}>
              {name}
            </option>
          ))}
          <option value="other" disabled>
            As typed
          </option>
        </select>
      </label>
      <label>
        <span>Types</span>
        <input
          type="search"
          name="types"
          defaultValue={value.type}
          placeholder="tag.moved, link.changed"
          maxLength={1_000}
        />
      </label>
      <label>
        <span>Layer</span>
        <input name="layer" defaultValue={value.layer} placeholder="any" maxLength={128} />
      </label>
      <label>
        <span>From</span>
        <input type="datetime-local" name="since" defaultValue={isSequence ? '' : value.since} step={1} />
      </label>
      <label>
        <span>or sequence</span>
        <input
          name="sequence"
          inputMode="numeric"
          pattern="\d*"
          defaultValue={isSequence ? value.since : ''}
          size={8}
        />
      </label>
      <button type="submit">Replay</button>
    </form>
  );
}
