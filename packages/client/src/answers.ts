/**
 * What a node's answer means when it is not the one that was hoped for.
 */
import { MokuError } from '@moku/base';
import type { ClientAnswer } from '@moku/transport';

/** The error that an unexpected answer stands for. */
export function raised(answer: ClientAnswer): MokuError {
  if (answer.kind !== 'error') return new MokuError('MALFORMED_REQUEST', { answer: answer.kind });
  return new MokuError(answer.code, answer.details).withOutcome(answer.outcome);
}
