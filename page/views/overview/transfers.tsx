import type { JSX } from 'preact';
import type { Layer } from '#proto/api/layer.ts';
import type { ImageTransfer, Transfers } from '#proto/api/transfers.ts';
import { usePolled } from '../../api/polled.ts';
import { now } from '../../browser/clock.ts';
import { imageName } from '../../format/names.ts';
import { bytesText, durationText, percentOf, plural, rateText } from '../../format/quantities.ts';
import { Bar } from '../../parts/bar.tsx';
import { Panel, Pending, Quiet } from '../../parts/panel.tsx';
import { hrefOf } from '../../state/routes.ts';
import { savingsTexts } from '../../state/savings.ts';

/** Images that are shown before the others are only counted. */
const MAX_SHOWN = 8;
const EVERY_MS = 2_000;

/** Running transfers by image, and what deltas save. */
export function TransfersPanel({ layer }: { layer: Layer }): JSX.Element {
  const { value, error } = usePolled<Transfers>('/transfers', EVERY_MS);
  const transfers = value.value;
  if (!transfers) {
    return (
      <Panel id="transfers" title="Transfers">
        <Pending error={error.value} />
      </Panel>
    );
  }
  const { images, rate } = transfers;
  const shown = images.slice(0, MAX_SHOWN);
  const rates = [
    ...(rate.down > 0 ? [`↓ ${rateText(rate.down)}`] : []),
    ...(rate.up > 0 ? [`↑ ${rateText(rate.up)}`] : []),
  ].join('  ');
  return (
    <Panel id="transfers" title="Transfers" aside={rates}>
      {images.length === 0 && <Quiet>Nothing crosses the link.</Quiet>}
      <ul class="transfers">
        {shown.map((image) => (
          <Image key={`${image.direction} ${image.repository} ${image.tag ?? ''}`} image={image} />
        ))}
      </ul>
      {images.length > shown.length && (
        <p class="note">… and {plural(images.length - shown.length, 'more image')}</p>
      )}
      {savingsTexts(layer, now.value).map((text) => (
        <p key={text} class="note">
          {text}
        </p>
      ))}
    </Panel>
  );
}

function Image({ image }: { image: ImageTransfer }): JSX.Element {
  const { repository, tag, direction, blobs, bytes, done, saved, rate, left, by } = image;
  const percent = percentOf(done, bytes);
  const name = imageName(repository, tag);
  const time = left === undefined ? 'time left unknown' : `${durationText(left * 1_000)} left`;
  return (
    <li class="transfer">
      <span class="direction" title={direction === 'down' ? 'From the parent' : 'To the parent'}>
        <span aria-hidden="true">{direction === 'down' ? '↓' : '↑'}</span>
        <span class="only-read">{direction === 'down' ? 'From the parent: ' : 'To the parent: '}</span>
      </span>
      {tag ? (
        <a class="name" href={hrefOf({ view: 'manifest', repository, reference: tag })}>
          {name}
        </a>
      ) : (
        <span class="name">{name}</span>
      )}
      <strong class="percent">{percent} %</strong>
      <Bar percent={percent} text={`${name}: ${percent} %`} />
      <p class="note">
        <span>
          {bytesText(done)} of {bytesText(bytes)}, {rate ? rateText(rate) : 'waiting'}, {time}
        </span>
        <span title={by.join(', ')}>
          {saved ? `${bytesText(saved)} saved, ` : ''}
          {plural(blobs, 'blob')}, {by.length === 1 ? by[0] : plural(by.length, 'syncer')}
        </span>
      </p>
    </li>
  );
}
