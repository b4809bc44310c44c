import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Layer } from '#proto/api/layer.ts';
import { changesToPush } from '#proto/sync/changes-to-push.ts';
import { now } from '../../browser/clock.ts';
import { bytesText, countText } from '../../format/quantities.ts';
import { announce } from '../../parts/notices.tsx';
import { Shape } from '../../parts/shape.tsx';
import { hrefOf } from '../../state/routes.ts';
import { verdictOf } from '../../state/verdict.ts';

/** Is the layer equal to its parent, and if not, what is missing and until when. */
export function VerdictPanel({ layer }: { layer: Layer }): JSX.Element {
  const { tone, headline, detail, until } = verdictOf(layer, now.value);
  useEffect(() => announce(`${layer.name}: ${headline}`), [layer.name, headline]);
  return (
    <section class={`verdict tone-${tone}`} aria-labelledby="verdict">
      <Shape tone={tone} />
      <div class="verdict-text">
        <h1 id="verdict">{headline}</h1>
        <p>{detail}</p>
        {until && <p class="verdict-until">{until[0]?.toUpperCase() + until.slice(1)}</p>}
      </div>
      {layer.sync && <Figures layer={layer} />}
    </section>
  );
}

function Figures({ layer: { sync } }: { layer: Layer }): JSX.Element | null {
  if (!sync) return null;
  const { behind, ahead, conflicts, leftOut } = sync;
  const list = (state: string) => hrefOf({ view: 'repositories', match: '', state });
  return (
    <ul class="figures" aria-label="Differences from the parent">
      <Figure
        count={behind.tags}
        name="missing here"
        note={behind.tags > 0 ? bytesText(behind.bytes) : ''}
        href={list('behind')}
      />
      <Figure count={changesToPush(ahead)} name="to push" href={list('ahead')} />
      <Figure count={ahead.parked} name="refused" href="#attention" />
      <Figure count={conflicts} name={conflicts === 1 ? 'conflict' : 'conflicts'} href="#attention" />
      <Figure count={leftOut} name="incomplete" href="#attention" />
    </ul>
  );
}

type FigureProps = { count: number; name: string; note?: string; href: string };

const Figure = ({ count, name, note, href }: FigureProps): JSX.Element => (
  <li class={count === 0 ? 'none' : ''}>
    {count > 0 && href.startsWith('#/') ? (
      <a href={href}>{countText(count)}</a>
    ) : (
      <span>{countText(count)}</span>
    )}
    <small>
      {name}
      {note && <>, {note}</>}
    </small>
  </li>
);
