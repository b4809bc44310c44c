import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Layer } from '#proto/api/layer.ts';
import { connection } from '../api/connection.ts';
import { usePolled } from '../api/polled.ts';
import { session } from '../api/session.ts';
import { setLayerTime } from '../browser/clock.ts';
import { route } from '../browser/location.ts';
import type { Shortcut } from '../browser/shortcuts.ts';
import { Confirmation } from '../parts/dialog.tsx';
import { announce, Notices } from '../parts/notices.tsx';
import { Pending, Quiet } from '../parts/panel.tsx';
import type { Route } from '../state/routes.ts';
import { verdictOf } from '../state/verdict.ts';
import { AccountsView } from '../views/accounts.tsx';
import { ManifestView } from '../views/content/manifest.tsx';
import { RepositoriesView } from '../views/content/repositories.tsx';
import { TagsView } from '../views/content/tags.tsx';
import { EventsView } from '../views/events.tsx';
import { LayersView } from '../views/layers.tsx';
import { LoginView } from '../views/login.tsx';
import { Overview } from '../views/overview/overview.tsx';
import { SettingsView } from '../views/settings.tsx';
import { Header } from './header.tsx';
import { Help } from './help.tsx';

const EVERY_MS = 5_000;

export function App({ shortcuts }: { shortcuts: readonly Shortcut[] }): JSX.Element {
  const current = session.value;
  const { reason } = connection.value;
  return (
    <>
      {current.state === 'active' ? (
        <Layered />
      ) : (
        <>
          <Header layer={undefined} />
          <main id="main" tabIndex={-1}>
            {current.state === 'none' && <LoginView notice={current.notice} />}
            {current.state === 'unknown' && <Quiet>Waiting for the gateway of this layer …</Quiet>}
            {current.state === 'unknown' && reason && <Quiet>{reason}</Quiet>}
          </main>
        </>
      )}
      <Confirmation />
      <Help shortcuts={shortcuts} />
      <Notices />
    </>
  );
}

/** All views but the login: they need the layer. */
function Layered(): JSX.Element {
  const { value, error } = usePolled<Layer>('/layer', EVERY_MS);
  const layer = value.value;
  const { state } = connection.value;
  useEffect(() => {
    if (layer) setLayerTime(layer.now);
  }, [layer]);
  useEffect(() => {
    if (state === 'lost')
      announce('This layer does not answer. The page shows the last known state and retries.');
  }, [state]);
  useEffect(() => {
    if (layer) document.title = titleOf(layer, state === 'lost');
  }, [layer, state]);
  return (
    <>
      <Header layer={layer} />
      <main id="main" tabIndex={-1} class={state === 'lost' ? 'stale' : ''}>
        {layer ? <View route={route.value} layer={layer} /> : <Pending error={error.value} />}
      </main>
    </>
  );
}

/** In a row of tabs, the state comes first. */
function titleOf(layer: Layer, isLost: boolean): string {
  if (isLost) return `No answer: ${layer.name}`;
  const errors = layer.problems.filter(({ severity }) => severity === 'error').length;
  const { headline } = verdictOf(layer, layer.now);
  return `${errors > 0 ? `(${errors}) ` : ''}${headline}: ${layer.name}`;
}

function View({ route: at, layer }: { route: Route; layer: Layer }): JSX.Element {
  switch (at.view) {
    case 'overview':
      return <Overview layer={layer} />;
    case 'repositories':
      return <RepositoriesView match={at.match} state={at.state} />;
    case 'repository':
      return <TagsView repository={at.repository} differing={at.differing} />;
    case 'manifest':
      return <ManifestView repository={at.repository} reference={at.reference} layer={layer} />;
    case 'events':
      return <EventsView type={at.type} layer={at.layer} since={at.since} />;
    case 'layers':
      return <LayersView />;
    case 'accounts':
      return <AccountsView />;
    case 'settings':
      return <SettingsView layer={layer} />;
    default:
      return <Quiet>This page has no view “{at.path}”.</Quiet>;
  }
}
