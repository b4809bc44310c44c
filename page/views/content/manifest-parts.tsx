import type { JSX } from 'preact';
import type { Manifest, ManifestHistory } from '#proto/api/manifests.ts';
import type { RequestError } from '../../api/request.ts';
import { mediaText, shortDigest } from '../../format/names.ts';
import { bytesText, countText, plural } from '../../format/quantities.ts';
import { instantText } from '../../format/times.ts';
import { DataTable } from '../../parts/data-table.tsx';
import { Panel, Pending, Quiet } from '../../parts/panel.tsx';
import { State } from '../../parts/shape.tsx';
import { hrefOf } from '../../state/routes.ts';

/** Sections of the view of a manifest. One without entries is left out where it would say nothing. */

type Props = { manifest: Manifest };

const Here = ({ here }: { here: boolean }): JSX.Element =>
  here ? <State tone="good" word="here" /> : <State tone="warning" word="not here" />;

const Code = ({ digest }: { digest: string }): JSX.Element => (
  <code title={digest}>{shortDigest(digest)}</code>
);

export function Platforms({ manifest: { platforms, repository } }: Props): JSX.Element | null {
  if (platforms.length === 0) return null;
  return (
    <Panel id="platforms" title="Platforms" aside={plural(platforms.length, 'entry', 'entries')}>
      <DataTable
        caption="Platforms"
        rows={platforms}
        keyOf={({ digest, platform }) => `${platform} ${digest}`}
        columns={[
          {
            title: 'Platform',
            isHeader: true,
            fills: true,
            cell: ({ platform }) => platform ?? 'none named',
          },
          {
            title: 'Manifest',
            cell: ({ digest, here }) =>
              here ? (
                <a href={hrefOf({ view: 'manifest', repository, reference: digest })}>
                  {shortDigest(digest)}
                </a>
              ) : (
                <Code digest={digest} />
              ),
          },
          { title: 'Size', figure: true, cell: ({ size }) => bytesText(size) },
          { title: 'State', cell: Here },
        ]}
      />
    </Panel>
  );
}

export function Parts({ manifest: { config, layers, omitted } }: Props): JSX.Element | null {
  const parts = [...(config ? [config] : []), ...layers];
  if (parts.length === 0) return null;
  const rows = parts.map((part, index) => ({ ...part, index }));
  return (
    <Panel id="parts" title="Configuration and layers" aside={plural(layers.length, 'layer')}>
      <DataTable
        caption="Configuration and layers"
        rows={rows}
        keyOf={({ index }) => String(index)}
        columns={[
          {
            title: 'Kind',
            isHeader: true,
            fills: true,
            cell: ({ mediaType }) => <span title={mediaType}>{mediaText(mediaType)}</span>,
          },
          { title: 'Digest', cell: Code },
          { title: 'Size', figure: true, cell: ({ size }) => bytesText(size) },
          { title: 'State', cell: Here },
        ]}
      />
      {omitted !== undefined && omitted > 0 && <p class="note">… and {countText(omitted)} more</p>}
    </Panel>
  );
}

export function LeftOut({ manifest: { leftOut } }: Props): JSX.Element | null {
  if (leftOut.length === 0) return null;
  return (
    <Panel id="left-out" title="Left out of this index" aside={plural(leftOut.length, 'entry', 'entries')}>
      <DataTable
        caption="Left out of this index"
        rows={leftOut}
        keyOf={({ digest }) => digest}
        columns={[
          { title: 'Platform', isHeader: true, fills: true, cell: ({ platform }) => platform },
          { title: 'Manifest', cell: Code },
          {
            title: 'Why',
            cell: ({ unavailable }) =>
              unavailable ? (
                <State tone="warning" word="the parent does not provide it" />
              ) : (
                <State tone="quiet" word="not selected" />
              ),
          },
        ]}
      />
    </Panel>
  );
}

const KINDS = { signature: 'Signature', sbom: 'SBOM', attestation: 'Attestation', other: 'Other' };

export function Referrers({ manifest: { referrers, moreReferrers, repository } }: Props): JSX.Element {
  return (
    <Panel
      id="referrers"
      title="Signatures, SBOMs and other referrers"
      aside={`${plural(referrers.length, 'referrer')}${moreReferrers ? ' and more' : ''}`}
    >
      {referrers.length === 0 ? (
        <Quiet>Nothing refers to it: it has no signature and no SBOM here.</Quiet>
      ) : (
        <DataTable
          caption="Referrers"
          rows={referrers}
          keyOf={({ digest }) => digest}
          columns={[
            { title: 'Kind', isHeader: true, cell: ({ kind }) => KINDS[kind] },
            {
              title: 'Artifact type',
              fills: true,
              wide: true,
              cell: ({ artifactType }) => artifactType ?? '',
            },
            {
              title: 'Manifest',
              cell: ({ digest }) => (
                <a href={hrefOf({ view: 'manifest', repository, reference: digest })}>
                  {shortDigest(digest)}
                </a>
              ),
            },
            { title: 'Size', figure: true, cell: ({ size }) => bytesText(size) },
          ]}
        />
      )}
    </Panel>
  );
}

const ORIGINS = { parent: 'from the parent', client: 'from a client', child: 'from a layer below' };

export type HistoryProps = { history: ManifestHistory | undefined; error: RequestError | undefined };

export function History({ history, error }: HistoryProps): JSX.Element {
  return (
    <Panel id="history" title="Where it came from">
      {!history ? (
        <Pending error={error} />
      ) : history.items.length === 0 ? (
        <Quiet>No retained event names it{history.complete ? '' : ' among those that were searched'}.</Quiet>
      ) : (
        <DataTable
          caption="Events of this manifest"
          rows={history.items.map((item, index) => ({ ...item, index }))}
          keyOf={({ index }) => String(index)}
          columns={[
            { title: 'Time', isHeader: true, cell: ({ at }) => instantText(at) },
            { title: 'Event', cell: ({ type }) => type },
            { title: 'Tag', cell: ({ tag }) => tag ?? '' },
            { title: 'Origin', cell: ({ from }) => (from ? ORIGINS[from] : '') },
            { title: 'Account', fills: true, cell: ({ account }) => account ?? '' },
          ]}
        />
      )}
    </Panel>
  );
}
