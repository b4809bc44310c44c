import { commandLinePage } from './command-line.ts';
import { configurationPage } from './configuration.ts';
import { eventsPage } from './events.ts';
import { faultsPage } from './faults.ts';
import { httpPage } from './http.ts';
import { messagesPage } from './messages.ts';
import { metricsPage } from './metrics.ts';

/**
 * The documents that are generated from the code, each by a file of its name. write.ts writes them (`npm run docs`),
 * reference.test.ts fails if one is stale.
 */
export const pages: Record<string, () => string> = {
  'docs/reference/configuration.md': configurationPage,
  'docs/reference/command-line.md': commandLinePage,
  'docs/reference/events.md': eventsPage,
  'docs/reference/faults.md': faultsPage,
  'docs/reference/http.md': httpPage,
  'docs/reference/metrics.md': metricsPage,
  'docs/design/messages.md': messagesPage,
};
