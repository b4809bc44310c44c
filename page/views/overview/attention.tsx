import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Layer, Problem } from '#proto/api/layer.ts';
import type { ParkedList } from '#proto/api/pending.ts';
import { usePolled } from '../../api/polled.ts';
import { mayWrite } from '../../api/session.ts';
import { now } from '../../browser/clock.ts';
import { imageName } from '../../format/names.ts';
import { plural } from '../../format/quantities.ts';
import { agoText, inText } from '../../format/times.ts';
import { retryParked } from '../../parts/actions.ts';
import { Panel, Quiet } from '../../parts/panel.tsx';
import { Shape } from '../../parts/shape.tsx';
import { hrefOf } from '../../state/routes.ts';

/** Problems that are shown before the viewer asks for all. */
const MAX_SHOWN = 6;
const MAX_PARKED = 5;

/** What needs a person, with the remedy. */
export function Attention({ layer }: { layer: Layer }): JSX.Element {
  const [showsAll, setShowsAll] = useState(false);
  const { problems } = layer;
  const shown = showsAll ? problems : problems.slice(0, MAX_SHOWN);
  const hasParked = (layer.sync?.ahead.parked ?? 0) > 0 || layer.link?.code === 'changes-parked';
  return (
    <Panel
      id="attention"
      title="Needs a person"
      aside={problems.length > 0 && plural(problems.length, 'problem')}
      class="attention"
    >
      {problems.length === 0 && !hasParked && <Quiet>Nothing needs a person.</Quiet>}
      <ul>
        {shown.map((problem) => (
          <Entry key={`${problem.code} ${problem.subject ?? ''} ${problem.what}`} problem={problem} />
        ))}
      </ul>
      {problems.length > shown.length && (
        <button type="button" onClick={() => setShowsAll(true)}>
          Show all {problems.length}
        </button>
      )}
      {hasParked && <ParkedChanges />}
    </Panel>
  );
}

const Entry = ({ problem: { severity, what, remedy, since } }: { problem: Problem }): JSX.Element => (
  <li class={`problem tone-${severity}`}>
    <Shape tone={severity} label={severity === 'error' ? 'Error' : 'Warning'} />
    <div>
      <p class="what">
        {what}
        {since !== undefined && <span class="note"> {agoText(since, now.value)}</span>}
      </p>
      <p class="remedy">{remedy}</p>
    </div>
  </li>
);

/** Changes that the parent refused. */
function ParkedChanges(): JSX.Element | null {
  const { value } = usePolled<ParkedList>(`/parked?limit=${MAX_PARKED}`, 15_000);
  const parked = value.value;
  if (!parked || parked.items.length === 0) return null;
  return (
    <div class="parked">
      <header>
        <h3>Changes that the parent refused</h3>
        {mayWrite.value && (
          <button type="button" class="small" onClick={retryParked}>
            Retry parked changes
          </button>
        )}
      </header>
      <ul>
        {parked.items.map(({ repository, reference, reason, since, attempts, retry }) => (
          <li key={`${repository} ${reference}`}>
            <a href={hrefOf({ view: 'manifest', repository, reference })}>
              {imageName(repository, reference)}
            </a>
            <span>{reason}</span>
            <span class="note">
              since {agoText(since, now.value)}, {plural(attempts, 'attempt')}, retried{' '}
              {inText(retry, now.value)}
            </span>
          </li>
        ))}
      </ul>
      {parked.next !== undefined && <p class="note">… and more.</p>}
    </div>
  );
}
