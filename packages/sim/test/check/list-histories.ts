/**
 * Histories of transactions over lists, right and wrong, in the notation of `notation.ts`; the wrong
 * ones with the anomaly that must be named, and no other.
 */
import type { AnomalyName } from '../../src/check/list-append.js';
import type { Row } from './register-histories.js';

export const rightLists: readonly Row[] = [
  ['nothing but an empty read', '0-1 x='],
  ['an append, then a read', '0-1 x+1; 2-3 x=1'],
  ['appends in turn', '0-1 x+1; 2-3 x+2; 4-5 x=1.2'],
  ['concurrent appends, first one first', '0-5 x+1; 0-5 x+2; 6-7 x=1.2'],
  ['concurrent appends, second one first', '0-5 x+1; 0-5 x+2; 6-7 x=2.1'],
  ['a read during an append finds nothing', '0-5 x+1; 1-2 x=; 6-7 x=1'],
  ['a read during an append finds it', '0-5 x+1; 1-2 x=1; 6-7 x=1'],
  ['a transaction reads its own append', '0-1 x+1 x=1; 2-3 x=1'],
  ['a transaction reads before and after its append', '0-1 x+1; 2-3 x=1 x+2 x=1.2; 4-5 x=1.2'],
  ['two appends of one transaction', '0-1 x+1 x+2; 2-3 x=1.2'],
  ['two keys at once', '0-1 x+1 y+1; 2-3 x=1 y=1'],
  ['two keys, both old', '0-5 x+1 y+1; 1-2 x= y=; 6-7 x=1 y=1'],
  ['an unanswered append that took effect', '0-? x+1; 2-3 x=1'],
  ['an unanswered append that never did', '0-? x+1; 2-3 x='],
  ['an unanswered append that takes effect late', '0-? x+1; 2-3 x=; 4-5 x+2; 6-7 x=2.1'],
  ['a failed append is not seen', '0-1! x+1; 2-3 x+2; 4-5 x=2'],
  ['an append that nobody reads', '0-1 x+1; 2-3 x+2'],
  ['a chain over two keys', '0-1 x+1; 2-3 x=1 y+1; 4-5 y=1 x=1'],
  ['a reader between two writers', '0-9 x+1; 0-9 x=1 y+1; 0-9 y=1 x=1; 10-11 x=1 y=1'],
  [
    'concurrent transactions over two keys in one order',
    '0-9 x+1 y+1; 0-9 x+2 y+2; 10-11 x=1.2 y=1.2',
  ],
  ['one of two read-and-append waits for the other', '0-9 x= y+1; 0-9 y=1 x+1; 10-11 x=1 y=1'],
  ['two read-only transactions in between', '0-9 x+1; 0-9 y+1; 1-4 x=1 y=; 5-8 x=1 y=1'],
  ['the same element on two keys', '0-1 x+1; 2-3 y+1; 4-5 x=1 y=1'],
];

export const wrongLists: readonly (readonly [AnomalyName, ...Row])[] = [
  ['internal', 'an own append is missing', '0-1 x+1 x='],
  ['internal', 'an own append is not last', '0-1 x+1; 2-3 x+2 x=2.1'],
  ['internal', 'two reads of one transaction differ', '0-9 x+1; 0-9 x= x=1; 10-11 x=1'],
  ['internal', 'an own append is there too early', '0-1 x=1 x+1 x=1.1'],
  ['duplicate-element', 'an element twice', '0-1 x+1; 2-3 x=1.1'],
  ['duplicate-element', 'an element again after another', '0-1 x+1; 2-3 x+2; 4-5 x=1.2.1'],
  ['phantom-element', 'an element that nobody appended', '0-1 x=7'],
  ['phantom-element', 'an element of another key', '0-1 y+7; 2-3 x=7 y=7'],
  [
    'incompatible-order',
    'two readers disagree about the order',
    '0-9 x+1; 0-9 x+2; 10-11 x=1.2; 10-11 x=2.1',
  ],
  [
    'incompatible-order',
    'an append was lost between reads',
    '0-9 x+1; 0-9 x+2; 1-8 x=1; 10-11 x=2',
  ],
  ['G1a', 'a failed append is read', '0-1! x+1; 2-3 x=1'],
  ['G1a', 'a failed append before a good one is read', '0-1! x+1; 2-3 x+2; 4-5 x=1.2'],
  ['G1a', 'a failed append amid good ones is read', '0-1 x+1; 2-3! x+2; 4-5 x+3; 6-7 x=1.2.3'],
  ['G1b', 'half of a transaction is read', '0-9 x+1 x+2; 0-9 x=1; 10-11 x=1.2'],
  ['G1b', 'two thirds of a transaction are read', '0-9 x+1 x+2 x+3; 0-9 x=1.2'],
  ['G1b', 'half of an unanswered transaction is read', '0-? x+1 x+2; 2-3 x=1'],
  [
    'G0',
    'two transactions wrote in opposite orders',
    '0-9 x+1 y+1; 0-9 x+2 y+2; 10-11 x=1.2 y=2.1',
  ],
  [
    'G0',
    'appends of two transactions are interleaved',
    '0-9 x+1 x+3; 0-9 x+2 x+4; 10-11 x=1.2.3.4',
  ],
  [
    'G0',
    'three transactions wrote in a ring',
    '0-9 x+1 z+1; 0-9 x+2 y+2; 0-9 y+3 z+3; 10-11 x=1.2 y=2.3 z=3.1',
  ],
  ['G1c', 'two transactions read each other', '0-9 x+1 y=1; 0-9 y+1 x=1'],
  ['G1c', 'three transactions read each other in a ring', '0-9 x+1 z=1; 0-9 y+1 x=1; 0-9 z+1 y=1'],
  [
    'G1c',
    'one reads the other, which wrote before it',
    '0-9 x+1 y=1; 0-9 x+2 y+1; 10-11 x=1.2 y=1',
  ],
  ['G-single', 'a read sees one half of a transaction', '0-9 x+1 y+1; 0-9 x=1 y=; 10-11 x=1 y=1'],
  ['G-single', 'a lost update', '0-9 x= x+1; 0-9 x= x+2; 10-11 x=1.2'],
  [
    'G-single',
    'a stale read after a read of what depends on it',
    '0-9 x+1; 0-9 x=1 y+1; 0-9 y=1 x=; 10-11 x=1',
  ],
  [
    'G-single',
    'the second update missed the first',
    '0-1 x+1; 2-9 x=1 x+2; 2-9 x=1 x+3; 10-11 x=1.2.3',
  ],
  ['G2', 'write skew', '0-9 x= y+1; 0-9 y= x+1; 10-11 x=1 y=1'],
  ['G2', 'write skew that nobody read', '0-9 x= y+1; 0-9 y= x+1'],
  ['G2', 'write skew over three keys', '0-9 x= y+1; 0-9 y= z+1; 0-9 z= x+1; 10-11 x=1 y=1 z=1'],
  [
    'G2',
    'two readers disagree on the order of two writers',
    '0-9 x+1; 0-9 y+1; 0-9 x=1 y=; 0-9 x= y=1',
  ],
  ['G0-realtime', 'a later append stands before an earlier one', '0-1 x+1; 2-3 x+2; 2-9 x=2.1'],
  ['G0-realtime', 'a late element is first, over two keys', '0-1 x+1; 2-3 x+2 y+1; 4-5 x=2.1 y=1'],
  ['G1c-realtime', 'a read of what was appended after it', '0-1 x=1; 2-3 x+1'],
  ['G1c-realtime', 'read from the future through another key', '0-9 x+1; 1-2 y=1; 3-4 x=1 y+1'],
  ['G-single-realtime', 'a lost append', '0-1 x+1; 2-3 x='],
  ['G-single-realtime', 'a stale read', '0-1 x+1; 2-3 x+2; 4-5 x=1; 6-7 x=1.2'],
  ['G-single-realtime', 'new, then old', '0-20 x+1; 1-2 x=1; 3-4 x=; 21-22 x=1'],
  ['G-single-realtime', 'an unread append before a read without it', '0-1 x+1; 2-3 x+2; 4-5 x=1'],
  [
    'G-single-realtime',
    'a stale read of one of two keys',
    '0-1 x+1; 2-3 y+1; 4-5 x= y=1; 6-7 x=1 y=1',
  ],
  [
    'G2-realtime',
    'a read after another sees less, and a third sees it the other way round',
    '0-20 x+1; 0-20 y+1; 0-20 x= y=1; 1-2 x=1; 3-4 y=; 21-22 x=1 y=1',
  ],
  ['G2-realtime', 'write skew by way of a read', '0-9 x= y+1; 0-1 x+1; 2-3 y=; 10-11 x=1 y=1'],
];
