/**
 * Values of administration (status, details of errors) as JSON text: no hot path, no types of its own,
 * nothing that a decoder would build by name.
 */
import { MokuError } from '@moku/base';

/** JSON text of `value`. Big integers become decimal text, bytes base64, undefined null. */
export function encodePlain(value: unknown): string {
  return JSON.stringify(value, replace) ?? 'null';
}

function replace(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  // A Buffer has made itself an object by now; what it was is still in its holder.
  const original = (this as Readonly<Record<string, unknown>>)[key];
  if (original instanceof Uint8Array) return Buffer.from(original).toString('base64');
  return value;
}

/** The value of untrusted JSON text, without any `__proto__`. Throws FRAME_MALFORMED. */
export function decodePlain(text: string): unknown {
  try {
    return JSON.parse(text, withoutProto) as unknown;
  } catch (cause) {
    throw new MokuError('FRAME_MALFORMED', { field: 'json' }, { cause });
  }
}

function withoutProto(key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}
