// @hot
/** Binary form of answers. */
import { type ByteReader, isErrorCode, MokuError, unreachable } from '@moku/base';
import { answerTypes, type BatchWriter, ownBytes } from './batch.js';
import type { ClientAnswer } from './contract.js';
import { decodePlain, encodePlain } from './plain-value.js';
import { readView, writeView } from './view-codec.js';

/** Adds `answer` to the batch as item `id`. */
export function writeAnswer(batch: BatchWriter, id: number, answer: ClientAnswer): void {
  const { body } = batch;
  batch.begin(answerTypes[answer.kind], id);
  switch (answer.kind) {
    case 'bytes':
      body.raw(answer.bytes);
      break;
    case 'view':
      writeView(body, answer.view);
      break;
    case 'json':
      body.string(encodePlain(answer.value));
      break;
    case 'error':
      body.string(answer.code);
      body.u8(answer.outcome === 'definite' ? 0 : 1);
      body.string(answer.message);
      body.string(encodePlain(answer.details));
      break;
    default:
      unreachable(answer);
  }
  batch.end();
}

/** The answer of an item, as bytes of its own. Throws FRAME_MALFORMED when it is none. */
export function readAnswer(type: number, body: ByteReader): ClientAnswer {
  if (type === answerTypes.bytes) {
    return { kind: 'bytes', bytes: ownBytes(body.raw(body.remaining)) };
  }
  const answer = readRare(type, body);
  body.finish();
  return answer;
}

function readRare(type: number, body: ByteReader): ClientAnswer {
  switch (type) {
    case answerTypes.view:
      return { kind: 'view', view: readView(body) };
    case answerTypes.json:
      return { kind: 'json', value: decodePlain(body.string()) };
    case answerTypes.error:
      return readError(body);
    default:
      throw new MokuError('FRAME_MALFORMED', { field: 'type', type });
  }
}

function readError(body: ByteReader): ClientAnswer {
  const code = body.string();
  const outcome = body.u8() === 0 ? 'definite' : 'maybe';
  const message = body.string();
  const details = decodePlain(body.string());
  if (typeof details !== 'object' || details === null || Array.isArray(details)) {
    throw new MokuError('FRAME_MALFORMED', { field: 'details' });
  }
  // A code of a newer node: what it says of the outcome still counts.
  if (!isErrorCode(code)) {
    return { kind: 'error', code: 'INTERNAL', outcome, message, details: { ...details, code } };
  }
  return { kind: 'error', code, outcome, message, details: { ...details } };
}
