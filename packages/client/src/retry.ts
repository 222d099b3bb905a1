/**
 * The words of retrying: an answer as an error, and how long to pause before the next attempt.
 */
import { MokuError } from '@moku/base';
import type { ClientAnswer } from '@moku/transport';

const pauseMsMin = 10;
const pauseMsMax = 400;

/** Pause before attempt `attempt` (1, 2, …): doubles up to 400 ms; the last half is spread by the attempt's parity of callers. */
export function pauseMs(attempt: number): number {
  return Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(attempt - 1, 10));
}

/** The error that an unexpected answer stands for. */
export function raised(answer: ClientAnswer): MokuError {
  if (answer.kind !== 'error') return new MokuError('MALFORMED_REQUEST', { answer: answer.kind });
  return new MokuError(answer.code, answer.details).withOutcome(answer.outcome);
}
