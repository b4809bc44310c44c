import { render } from 'preact';
import { probeWith } from './api/connection.ts';
import { prefetch, refresh, startPolling } from './api/polled.ts';
import { get } from './api/request.ts';
import { mayWrite, readSession, session } from './api/session.ts';
import { startClock } from './browser/clock.ts';
import { go, startLocation } from './browser/location.ts';
import { nextTheme, startPreferences } from './browser/preferences.ts';
import { startPrefetch } from './browser/prefetch.ts';
import { focusFilter, type Shortcut, startShortcuts } from './browser/shortcuts.ts';
import { syncNow } from './parts/actions.ts';
import { App } from './shell/app.tsx';
import { showHelp } from './shell/help.tsx';
import './style/page.css';

/**
 * The page of a layer, at `/ui/` of its gateway. It reads and acts through the operator's API (`proto/api/`) alone, and
 * asks no other host.
 *
 * `api/` requests and keeps answers, `state/` makes of them what is shown, without a browser, `format/` writes values,
 * `parts/` and `views/` show them, `browser/` has preferences, clock, address and keys, `shell/` the frame. `build.ts`
 * bundles it.
 */

const shortcuts: Shortcut[] = [
  { keys: 'g o', text: 'Overview', run: () => go({ view: 'overview' }) },
  { keys: 'g r', text: 'Repositories', run: () => go({ view: 'repositories', match: '', state: '' }) },
  { keys: 'g l', text: 'Layers below', run: () => go({ view: 'layers' }) },
  { keys: 'g e', text: 'Events', run: () => go({ view: 'events', type: '', layer: '', since: '' }) },
  { keys: 'g a', text: 'Accounts', run: () => go({ view: 'accounts' }) },
  { keys: 'g s', text: 'Settings', run: () => go({ view: 'settings' }) },
  { keys: '/', text: 'Filter', run: focusFilter },
  { keys: 's', text: 'Sync now', run: () => mayWrite.peek() && syncNow() },
  { keys: 'r', text: 'Read everything again', run: () => refresh() },
  { keys: 't', text: 'Colours: automatic, light, dark', run: nextTheme },
  { keys: '?', text: 'This list', run: showHelp },
];

startPreferences();
startClock();
startLocation();
startPolling();
startPrefetch(prefetch);
startShortcuts(shortcuts);
probeWith(async () => {
  await readSession();
  if (session.peek().state === 'active') await get('/layer');
});
render(<App shortcuts={shortcuts} />, document.body);
void readSession().catch(() => {});
session.subscribe(({ state }) => {
  if (state === 'active') refresh();
});
