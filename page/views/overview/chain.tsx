import type { JSX } from 'preact';
import type { Layer } from '#proto/api/layer.ts';
import type { LayerBelow, Layers } from '#proto/api/layers.ts';
import type { Link } from '#proto/api/link.ts';
import { mayWrite } from '../../api/session.ts';
import { now } from '../../browser/clock.ts';
import { hostText } from '../../format/names.ts';
import { bytesText, countText, plural, rateText } from '../../format/quantities.ts';
import { agoText } from '../../format/times.ts';
import { pauseLink, resumeLink, syncFull, syncNow } from '../../parts/actions.ts';
import { Shape } from '../../parts/shape.tsx';
import { summaryOf, syncView, toneOf } from '../../state/layer-tree.ts';
import { lastSyncText, linkView, scheduleText } from '../../state/link-view.ts';

/** Max layers directly below that are shown one by one, those that need attention first. */
const MAX_SHOWN = 12;

type ChainProps = { layer: Layer; link: Link | undefined; layers: Layers | undefined };

/** The layers from the parent at the top to the layers below, with the links between them. */
export function Chain({ layer, link, layers }: ChainProps): JSX.Element {
  return (
    <section class="chain" aria-labelledby="chain">
      <h2 id="chain" class="only-read">
        Chain of layers
      </h2>
      <ol>
        {layer.parent && (
          <li class="node parent">
            <Node kind="Parent" name={hostText(layer.parent.url)} />
            <LinkBlock layer={layer} link={link} />
          </li>
        )}
        <li class="node self" aria-current="true">
          <Node kind="This layer" name={layer.name} note={heldText(layer)} mode={layer.mode} />
        </li>
        <Below layers={layers} />
      </ol>
    </section>
  );
}

type NodeProps = { kind: string; name: string; note?: string | undefined; mode?: string | undefined };

const Node = ({ kind, name, note, mode }: NodeProps): JSX.Element => (
  <div class="node-box">
    <span class="kind">
      {kind}
      {mode && <em>{mode}</em>}
    </span>
    <strong class="node-name">{name}</strong>
    {note && <span class="note">{note}</span>}
  </div>
);

function heldText({ held }: Layer): string | undefined {
  if (!held) return undefined;
  return `${plural(held.repositories, 'repository', 'repositories')}, ${plural(held.tags, 'tag')}, ${bytesText(held.bytes)}`;
}

function LinkBlock({ layer, link }: { layer: Layer; link: Link | undefined }): JSX.Element {
  const known = link?.known ?? layer.linkKnown;
  const paused = link?.paused;
  const view = linkView(layer.link, { known, paused });
  const limit = link?.bandwidth.find(({ inForce }) => inForce)?.limit;
  const schedule = paused ? undefined : scheduleText(layer.link, now.value);
  return (
    <div class={`link tone-${view.tone}`}>
      <div class="link-state">
        <Shape tone={view.tone} />
        <strong class="link-name">{view.label}</strong>
        <span class="note">{lastSyncText(layer.link, now.value)}</span>
      </div>
      {view.detail && <p class="link-detail">{view.detail}</p>}
      <p class="note">
        {[schedule, limit !== undefined ? `limit ${rateText(limit)}` : undefined].filter(Boolean).join(', ')}
      </p>
      {mayWrite.value && <LinkButtons isPaused={paused !== undefined} />}
    </div>
  );
}

const LinkButtons = ({ isPaused }: { isPaused: boolean }): JSX.Element => (
  <div class="buttons">
    {isPaused ? (
      <button type="button" class="primary" onClick={resumeLink}>
        Resume link
      </button>
    ) : (
      <>
        <button type="button" onClick={syncNow}>
          Sync now
        </button>
        <button type="button" onClick={syncFull}>
          Full pass
        </button>
        <button type="button" onClick={pauseLink}>
          Pause
        </button>
      </>
    )}
  </div>
);

function Below({ layers }: { layers: Layers | undefined }): JSX.Element | null {
  if (!layers || layers.items.length === 0) return null;
  const sorted = [...layers.items].sort((a, b) => urgency(b) - urgency(a));
  const shown = sorted.slice(0, MAX_SHOWN);
  const { layers: count, inSync, cutOff } = summaryOf(layers.items);
  return (
    <li class="node below">
      <div class="below-head">
        <a href="#/layers">{plural(count, 'layer')} below</a>
        <span class="note">
          {countText(inSync)} in sync{cutOff > 0 && `, ${countText(cutOff)} cut off`}
        </span>
      </div>
      <ul>
        {shown.map((layer) => (
          <Child key={layer.path.join('/')} layer={layer} />
        ))}
      </ul>
      {sorted.length > shown.length && <a href="#/layers">… and {sorted.length - shown.length} more</a>}
    </li>
  );
}

const ORDER = ['quiet', 'good', 'busy', 'unknown', 'warning', 'error'];
const urgency = (layer: LayerBelow) => ORDER.indexOf(toneOf(layer));

function Child({ layer }: { layer: LayerBelow }): JSX.Element {
  const view = linkView(layer.link);
  const tone = toneOf(layer);
  const isOnline = view.label === 'Online';
  const figure = layer.sync ? syncView(layer, now.value).word : 'State not reported';
  const seen = isOnline ? `seen ${agoText(layer.seen, now.value)}` : lastSyncText(layer.link, now.value);
  return (
    <li class={`child tone-${tone}`}>
      <Shape tone={tone} />
      <div>
        <strong class="child-name">{layer.path.at(-1)}</strong>
        <span class="child-state">{view.tone === 'error' ? view.label : figure}</span>
        <span class="note">
          {view.tone === 'busy' && `${view.label}, `}
          {seen}
        </span>
        <LowerLayers layers={layer.children} />
      </div>
    </li>
  );
}

/** The layers below a child, in a line: one that is cut off shows here, too. */
function LowerLayers({ layers }: { layers: LayerBelow[] }): JSX.Element | null {
  if (layers.length === 0) return null;
  const { layers: count, inSync, cutOff, tone } = summaryOf(layers);
  return (
    <span class={`lower tone-${tone}`}>
      {tone !== 'good' && tone !== 'quiet' && <Shape tone={tone} />}
      {plural(count, 'layer')} below: {countText(inSync)} in sync
      {cutOff > 0 && `, ${countText(cutOff)} cut off`}
    </span>
  );
}
