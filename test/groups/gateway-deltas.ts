import { runInTurn } from '../support/in-turn.ts';

await runInTurn('gateway-deltas');
