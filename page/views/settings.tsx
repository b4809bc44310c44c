import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ConfigurationAnswer } from '#proto/api/configuration.ts';
import type { Layer } from '#proto/api/layer.ts';
import { usePolled } from '../api/polled.ts';
import { now } from '../browser/clock.ts';
import { bytesText, plural } from '../format/quantities.ts';
import { agoText } from '../format/times.ts';
import { type Column, DataTable } from '../parts/data-table.tsx';
import { Panel, Pending, Quiet } from '../parts/panel.tsx';
import { Shape } from '../parts/shape.tsx';

const EVERY_MS = 15_000;

/** Settings in force, each with its source, and the processes of the layer. */
export function SettingsView({ layer }: { layer: Layer }): JSX.Element {
  const { value, error } = usePolled<ConfigurationAnswer>('/configuration', EVERY_MS);
  const configuration = value.value;
  return (
    <article class="view">
      <header class="view-head">
        <h1>Settings in force</h1>
        {configuration?.source && (
          <p class="note">
            Document: <code>{configuration.source}</code>
            {configuration.version !== undefined && `, version ${configuration.version}`}
            {configuration.pending && ', being put in force'}
          </p>
        )}
      </header>
      {configuration ? <Fields configuration={configuration} /> : <Pending error={error.value} />}
      <Processes layer={layer} />
    </article>
  );
}

function Fields({
  configuration: { fields, complaints, known },
}: {
  configuration: ConfigurationAnswer;
}): JSX.Element {
  const [showsAll, setShowsAll] = useState(true);
  const shown = showsAll ? fields : fields.filter(({ source }) => source !== 'default');
  return (
    <>
      {complaints.length > 0 && (
        <Panel id="complaints" title="The last document is not in force" class="attention">
          <ul>
            {complaints.map((complaint) => (
              <li key={complaint} class="problem tone-error">
                <Shape tone="error" label="Error" />
                <p>{complaint}</p>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {!known && (
        <Quiet>The service that reads the configuration does not answer: sources are not known.</Quiet>
      )}
      <Panel
        id="fields"
        title="Fields"
        aside={
          <label class="check">
            <input type="checkbox" checked={!showsAll} onChange={() => setShowsAll(!showsAll)} /> only those
            that are set
          </label>
        }
      >
        <DataTable caption="Fields" columns={columns} rows={shown} keyOf={({ field }) => field} />
      </Panel>
    </>
  );
}

const valueText = (value: unknown): string => {
  if (value === undefined) return 'not set';
  return typeof value === 'string' ? value : JSON.stringify(value);
};

const columns: Column<ConfigurationAnswer['fields'][number]>[] = [
  { title: 'Field', isHeader: true, cell: ({ field }) => <code>{field}</code> },
  {
    title: 'Value',
    fills: true,
    cell: ({ value }) => <span class={value === undefined ? 'note' : 'value'}>{valueText(value)}</span>,
  },
  { title: 'Source', cell: ({ source }) => <span class={source === 'default' ? 'note' : ''}>{source}</span> },
  { title: 'Takes effect', wide: true, cell: ({ atStart }) => (atStart ? 'at the next start' : 'at once') },
];

const Processes = ({ layer: { services, silent, coordinator, version } }: { layer: Layer }): JSX.Element => (
  <Panel
    id="processes"
    title="Processes"
    aside={`version ${version}, ${plural(services.length, 'process', 'processes')}`}
  >
    {silent.length > 0 && (
      <p class="failure">
        <Shape tone="error" />
        <span>Not answering: {silent.join(', ')}</span>
      </p>
    )}
    <DataTable
      caption="Processes"
      rows={services}
      keyOf={({ instance }) => instance}
      columns={[
        { title: 'Service', isHeader: true, cell: ({ service }) => service },
        {
          title: 'Instance',
          fills: true,
          cell: ({ instance }) => `${instance}${instance === coordinator ? ' (makes the passes)' : ''}`,
        },
        { title: 'Host', wide: true, cell: ({ host }) => host },
        { title: 'Started', cell: ({ started }) => agoText(started, now.value) },
        { title: 'Memory', figure: true, cell: ({ memory }) => bytesText(memory) },
      ]}
    />
  </Panel>
);
