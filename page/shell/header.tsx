import type { JSX } from 'preact';
import type { Layer } from '#proto/api/layer.ts';
import { connection, retryNow } from '../api/connection.ts';
import { forgetAll } from '../api/polled.ts';
import { logOut, session } from '../api/session.ts';
import { now } from '../browser/clock.ts';
import { route } from '../browser/location.ts';
import { nextTheme, theme } from '../browser/preferences.ts';
import { durationText } from '../format/quantities.ts';
import { clockText } from '../format/times.ts';
import { Shape } from '../parts/shape.tsx';
import { showHelp } from './help.tsx';

/** The frame of all views: `header.tsx`, `help.tsx`, and `app.tsx`, which shows the view that the address names. */

const VIEWS: [view: string, href: string, name: string][] = [
  ['overview', '#/', 'Overview'],
  ['repositories', '#/repositories', 'Repositories'],
  ['layers', '#/layers', 'Layers below'],
  ['events', '#/events', 'Events'],
  ['accounts', '#/accounts', 'Accounts'],
  ['settings', '#/settings', 'Settings'],
];

const isCurrent = (view: string) =>
  route.value.view === view || (view === 'repositories' && /^(repository|manifest)$/.test(route.value.view));

export const Header = ({ layer }: { layer: Layer | undefined }): JSX.Element => (
  <header class="top">
    <button type="button" class="skip" onClick={skip}>
      Skip to content
    </button>
    <a class="brand" href="#/">
      <Mark />
      <span>{layer?.name ?? 'Terrace'}</span>
    </a>
    {layer && (
      <nav aria-label="Views">
        <ul>
          {VIEWS.map(([view, href, name]) => (
            <li key={view}>
              <a href={href} aria-current={isCurrent(view) ? 'page' : undefined}>
                {name}
              </a>
            </li>
          ))}
        </ul>
      </nav>
    )}
    <Connection />
    <div class="tools">
      <button type="button" onClick={nextTheme} title="Colours">
        <svg class="half" viewBox="0 0 16 16" aria-hidden="true">
          <circle cx="8" cy="8" r="6.3" />
          <path d="M8 1.7a6.3 6.3 0 0 1 0 12.6z" />
        </svg>
        <span class="only-read">Colours: </span>
        {{ system: 'Auto', light: 'Light', dark: 'Dark' }[theme.value]}
      </button>
      <button type="button" onClick={showHelp} aria-label="Keys and shapes" title="Keys and shapes">
        ?
      </button>
      <Account />
    </div>
  </header>
);

/** The fragment of the address names the view, so this moves the focus and not the address. */
function skip(): void {
  document.getElementById('main')?.focus();
}

const Mark = (): JSX.Element => (
  <svg class="brand-mark" viewBox="0 0 20 20" aria-hidden="true">
    <path d="M1 4h8v4h5v4h5v5H1z" />
  </svg>
);

/** Time of the layer while it answers; else since when it does not, and when the page asks again. */
function Connection(): JSX.Element {
  const { state, since, retryAt, reason } = connection.value;
  const instant = now.value;
  if (state !== 'lost') {
    return (
      <p class="connection">
        <span class="only-read">
          {state === 'connected' ? 'Connected. Time of the layer: ' : 'Connecting. '}
        </span>
        <span>{clockText(instant)}</span>
      </p>
    );
  }
  const wait =
    retryAt === undefined ? '' : `, next attempt in ${durationText(Math.max(0, retryAt - Date.now()))}`;
  return (
    <p class="connection lost">
      <Shape tone="error" />
      <span title={reason}>
        No answer from this layer for {durationText(Date.now() - since)}
        {wait}
      </span>
      <button type="button" onClick={retryNow}>
        Try now
      </button>
    </p>
  );
}

function Account(): JSX.Element | null {
  const current = session.value;
  if (current.state !== 'active') return null;
  const { name, open, may } = current.session;
  if (open) {
    return (
      <span class="account" title="This layer has no accounts: everyone who reaches it may do everything">
        open layer
      </span>
    );
  }
  const leave = () => void logOut().then(forgetAll);
  return (
    <>
      <span class="account" title={may.join(', ')}>
        {name}
        {!may.includes('operate/write') && <small> reads only</small>}
      </span>
      <button type="button" onClick={leave}>
        Log out
      </button>
    </>
  );
}
