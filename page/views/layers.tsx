import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { LayerBelow, Layers } from '#proto/api/layers.ts';
import { usePolled } from '../api/polled.ts';
import { mayWrite } from '../api/session.ts';
import { now } from '../browser/clock.ts';
import { bytesText, countText, plural } from '../format/quantities.ts';
import { agoText } from '../format/times.ts';
import { deactivateChild } from '../parts/actions.ts';
import { type Column, DataTable } from '../parts/data-table.tsx';
import { Pending, Quiet } from '../parts/panel.tsx';
import { State } from '../parts/shape.tsx';
import { type LayerRow, rowsOf, summaryOf, syncView } from '../state/layer-tree.ts';
import { linkView } from '../state/link-view.ts';

const EVERY_MS = 5_000;

/** The layers below, as a tree to any depth. */
export function LayersView(): JSX.Element {
  const { value, error } = usePolled<Layers>('/layers', EVERY_MS);
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const layers = value.value;
  const toggle = (key: string) => {
    const next = new Set(folded);
    if (!next.delete(key)) next.add(key);
    setFolded(next);
  };
  return (
    <article class="view">
      <header class="view-head">
        <h1>Layers below</h1>
        {layers && <Summary layers={layers} />}
      </header>
      {!layers && <Pending error={error.value} />}
      {layers?.items.length === 0 && <Quiet>No layer below has reported to this one.</Quiet>}
      {layers && layers.items.length > 0 && (
        <DataTable
          caption="Layers below"
          columns={columnsOf(toggle)}
          rows={rowsOf(layers.items, folded)}
          keyOf={({ key }) => key}
        />
      )}
      {layers?.more && <p class="note">There are more layers than this answer has.</p>}
    </article>
  );
}

function Summary({ layers: { items } }: { layers: Layers }): JSX.Element {
  const { layers, inSync, cutOff } = summaryOf(items);
  return (
    <p class="note">
      {plural(layers, 'layer')}, {countText(inSync)} in sync, {countText(cutOff)} cut off
    </p>
  );
}

function columnsOf(toggle: (key: string) => void): Column<LayerRow>[] {
  return [
    { title: 'Layer', isHeader: true, cell: (row) => <Name row={row} toggle={toggle} /> },
    { title: 'Link', cell: ({ layer }) => <LinkCell layer={layer} /> },
    { title: 'Against its parent', fills: true, cell: ({ layer }) => <SyncCell layer={layer} /> },
    {
      title: 'Last sync',
      wide: true,
      cell: ({ layer: { link } }) => {
        const last = link?.lastSync ?? link?.comparedAt;
        return last === undefined ? 'never' : agoText(last, now.value);
      },
    },
    { title: 'Seen', cell: ({ layer }) => agoText(layer.seen, now.value) },
    { title: 'Mode', wide: true, cell: ({ layer }) => layer.mode ?? '' },
    {
      title: 'Tags',
      figure: true,
      wide: true,
      cell: ({ layer }) => (layer.held ? countText(layer.held.tags) : ''),
    },
    {
      title: 'Content',
      figure: true,
      wide: true,
      cell: ({ layer }) => (layer.held ? bytesText(layer.held.bytes) : ''),
    },
    {
      title: 'Action',
      cell: ({ layer, depth }) =>
        depth === 0 &&
        mayWrite.value && (
          <button type="button" class="small" onClick={() => deactivateChild(layer.path[0] ?? '')}>
            Deactivate
          </button>
        ),
    },
  ];
}

function Name({ row, toggle }: { row: LayerRow; toggle: (key: string) => void }): JSX.Element {
  const { layer, depth, key, isOpen, hidden } = row;
  const name = layer.path.at(-1) ?? '';
  return (
    <span class="tree-name" style={{ paddingInlineStart: `${depth * 1.4}em` }}>
      {layer.children.length > 0 ? (
        <button
          type="button"
          class="plain fold"
          aria-expanded={isOpen}
          aria-label={`Layers below ${name}`}
          onClick={() => toggle(key)}
        >
          {isOpen ? '▾' : '▸'}
        </button>
      ) : (
        <span class="fold" />
      )}
      <span>
        {name}
        {layer.name !== name && <span class="note"> {layer.name}</span>}
        {hidden > 0 && <span class="note"> +{hidden}</span>}
      </span>
      <span class="only-read">, level {depth + 1} below</span>
    </span>
  );
}

function LinkCell({ layer }: { layer: LayerBelow }): JSX.Element {
  const { tone, label, detail } = linkView(layer.link);
  return <State tone={tone} word={label} title={detail} />;
}

const SyncCell = ({ layer }: { layer: LayerBelow }): JSX.Element => <State {...syncView(layer, now.value)} />;
