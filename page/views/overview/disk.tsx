import type { JSX } from 'preact';
import type { Layer } from '#proto/api/layer.ts';
import { mayWrite } from '../../api/session.ts';
import { bytesText, countText } from '../../format/quantities.ts';
import { collectGarbage, scrub } from '../../parts/actions.ts';
import { Panel, Quiet } from '../../parts/panel.tsx';
import { State } from '../../parts/shape.tsx';

/** Free space below this multiple of the reserve is shown as a warning. */
const NEAR = 2;

/** Content of the layer, free space and the reserve. */
export function DiskPanel({ layer }: { layer: Layer }): JSX.Element {
  const { space, held } = layer;
  const aside = mayWrite.value && (
    <div class="buttons small">
      <button type="button" onClick={collectGarbage}>
        Collect garbage
      </button>
      <button type="button" onClick={scrub}>
        Scrub
      </button>
    </div>
  );
  return (
    <Panel id="disk" title="Disk" aside={aside}>
      {space ? <Space space={space} held={held?.bytes ?? 0} /> : <Quiet>Storage does not answer.</Quiet>}
    </Panel>
  );
}

function Space({ space, held }: { space: NonNullable<Layer['space']>; held: number }): JSX.Element {
  const { free, reserve, inodes, low } = space;
  const total = held + free;
  const isNear = free < reserve * NEAR;
  const usable = Math.max(0, free - reserve);
  const tone = low ? 'error' : isNear ? 'warning' : 'quiet';
  const word = low ? 'Below the reserve: no new content' : isNear ? 'Close to the reserve' : 'Room left';
  const share = (bytes: number) => `${total > 0 ? (bytes / total) * 100 : 0}%`;
  return (
    <div class={`disk tone-${tone}`}>
      <p class="disk-state">
        <State tone={tone} word={word} />
        <strong>{bytesText(usable)} usable</strong>
      </p>
      <div
        class="disk-bar"
        role="img"
        aria-label={`${bytesText(held)} of content, ${bytesText(free)} free, of which ${bytesText(reserve)} are the reserve`}
      >
        <span class="held" style={{ width: share(held) }} />
        <span class="usable" style={{ width: share(usable) }} />
        <span class="reserve" style={{ width: share(Math.min(free, reserve)) }} />
      </div>
      <ul class="disk-legend">
        <li class="held">content {bytesText(held)}</li>
        <li class="usable">free {bytesText(free)}</li>
        <li class="reserve">reserve {bytesText(reserve)}</li>
        {inodes && (
          <li class={inodes.free < inodes.reserve ? 'tone-error' : ''}>
            {countText(inodes.free)} files free
          </li>
        )}
      </ul>
    </div>
  );
}
