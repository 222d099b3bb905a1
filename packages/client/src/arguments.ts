/**
 * Callers in plain JavaScript hand in anything. Each check refuses with INVALID_ARGUMENT (definite) and
 * names the field, before anything is sent.
 */
import { MokuError } from '@moku/base';

function refuse(field: string, value: unknown, rule: string): never {
  throw new MokuError('INVALID_ARGUMENT', {
    field,
    type: value === null ? 'null' : typeof value,
    rule,
  });
}

export function checkArray(value: unknown, field: string): void {
  if (!Array.isArray(value)) refuse(field, value, 'an array');
}

/** Strings are iterable, but never what was meant. */
export function checkIterable(value: unknown, field: string): void {
  const isIterable = typeof value === 'object' && value !== null && Symbol.iterator in value;
  if (!isIterable) refuse(field, value, 'an iterable');
}

export function checkPair(value: unknown, field: string): void {
  if (!Array.isArray(value) || value.length !== 2) refuse(field, value, 'a pair of key and value');
}

/** Options may be left out; given, they are an object. */
export function checkOptions(value: unknown, field = 'options'): void {
  if (value !== undefined && (typeof value !== 'object' || value === null))
    refuse(field, value, 'an object');
}

export function checkSignal(value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal))
    refuse('signal', value, 'an AbortSignal');
}
