import type { JSX } from 'preact';
import type { Layer } from '#proto/api/layer.ts';
import type { Manifest, ManifestHistory } from '#proto/api/manifests.ts';
import { usePolled } from '../../api/polled.ts';
import { imageName, mediaText, pullName } from '../../format/names.ts';
import { bytesText } from '../../format/quantities.ts';
import { Copy } from '../../parts/copy.tsx';
import { Facts, Panel, Pending, Quiet } from '../../parts/panel.tsx';
import { originText, signedText } from '../../state/image-origin.ts';
import { manifestPath } from '../../state/requests.ts';
import { hrefOf } from '../../state/routes.ts';
import { History, LeftOut, Parts, Platforms, Referrers } from './manifest-parts.tsx';

const EVERY_MS = 30_000;

type ManifestProps = { repository: string; reference: string; layer: Layer };

/** One manifest: what it consists of, what refers to it, where it came from. */
export function ManifestView({ repository, reference, layer }: ManifestProps): JSX.Element {
  const { value, error } = usePolled<Manifest>(manifestPath({ repository, reference }), EVERY_MS);
  const manifest = value.value;
  return (
    <article class="view">
      <nav class="crumbs" aria-label="Path">
        <a href="#/repositories">Repositories</a>
        <a href={hrefOf({ view: 'repository', repository, differing: false })}>{repository}</a>
      </nav>
      <header class="view-head">
        <h1>{imageName(repository, reference)}</h1>
      </header>
      {manifest ? (
        <Details manifest={manifest} reference={reference} layer={layer} />
      ) : (
        <Pending error={error.value} />
      )}
    </article>
  );
}

function Details({
  manifest,
  reference,
  layer,
}: {
  manifest: Manifest;
  reference: string;
  layer: Layer;
}): JSX.Element {
  const { repository, digest, mediaType, artifactType, subject, total, size, annotations } = manifest;
  const { image, origin } = manifest;
  const history = usePolled<ManifestHistory>(
    `${manifestPath({ repository, reference: digest })}/history`,
    EVERY_MS,
  );
  const pull = pullName(layer.url ?? location.host, repository, reference);
  return (
    <div class="manifest">
      <Panel id="manifest" title={mediaText(mediaType)}>
        <Facts
          facts={[
            [
              'Digest',
              <>
                <code>{digest}</code> <Copy text={digest} label="Copy the digest" />
              </>,
            ],
            [
              'Name for clients',
              <>
                <code>{pull}</code> <Copy text={pull} label="Copy the name" />
              </>,
            ],
            ['Size', `${bytesText(image?.total ?? total)}, of which the manifest ${bytesText(size)}`],
            ['Origin', origin && originText(origin)],
            ['Signatures', image && signedText(image.attached ?? [])],
            ['Media type', <code>{mediaType}</code>],
            ['Artifact type', artifactType && <code>{artifactType}</code>],
            [
              'Refers to',
              subject && <a href={hrefOf({ view: 'manifest', repository, reference: subject })}>{subject}</a>,
            ],
          ]}
        />
      </Panel>
      <Platforms manifest={manifest} />
      <Parts manifest={manifest} />
      <LeftOut manifest={manifest} />
      <Referrers manifest={manifest} />
      <History history={history.value.value} error={history.error.value} />
      <Annotations annotations={annotations} />
    </div>
  );
}

const Annotations = ({ annotations }: Pick<Manifest, 'annotations'>): JSX.Element => (
  <Panel id="annotations" title="Annotations">
    {Object.keys(annotations).length === 0 ? (
      <Quiet>None.</Quiet>
    ) : (
      <Facts class="long" facts={Object.entries(annotations)} />
    )}
  </Panel>
);
