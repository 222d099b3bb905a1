// @hot
/** Binary form of client requests. Hot kinds are a region id and the bytes of a command or query. */
import {
  type ByteReader,
  limits,
  MokuError,
  toNodeId,
  toRegionId,
  unreachable,
  utf8,
} from '@moku/base';
import { type BatchWriter, ownBytes, requestTypes } from './batch.js';
import type { ClientRequest } from './contract.js';

/** Bytes of a request that count against the limits: its payload. */
export function requestBytes(request: ClientRequest): number {
  switch (request.kind) {
    case 'execute':
      return request.command.length;
    case 'query':
    case 'inspect':
      return request.query.length;
    case 'describe':
      return request.keyspace === undefined ? 0 : utf8(request.keyspace).length;
    case 'status':
    case 'regions':
    case 'transferLeadership':
      return 0;
    default:
      return unreachable(request);
  }
}

/** Adds `request` to the batch as item `id`. */
export function writeRequest(batch: BatchWriter, id: number, request: ClientRequest): void {
  const { body } = batch;
  batch.begin(requestTypes[request.kind], id);
  switch (request.kind) {
    case 'execute':
      body.uvarint(request.regionId);
      body.raw(request.command);
      break;
    case 'query':
    case 'inspect':
      body.uvarint(request.regionId);
      body.raw(request.query);
      break;
    case 'describe':
      body.u8(request.keyspace === undefined ? 0 : 1);
      if (request.keyspace !== undefined) body.string(request.keyspace);
      break;
    case 'status':
      break;
    case 'regions':
      body.u8(request.withWhy ? 1 : 0);
      break;
    case 'transferLeadership':
      body.uvarint(request.regionId);
      body.uvarint(request.to);
      break;
    default:
      unreachable(request);
  }
  batch.end();
}

/**
 * The request of an item. Throws FRAME_MALFORMED or INVALID_ARGUMENT when it is none; its bytes may
 * alias the message.
 */
export function readRequest(type: number, body: ByteReader): ClientRequest {
  switch (type) {
    case requestTypes.execute: {
      const regionId = toRegionId(body.uvarint());
      return { kind: 'execute', regionId, command: ownBytes(body.raw(body.remaining)) };
    }
    case requestTypes.query: {
      const regionId = toRegionId(body.uvarint());
      return { kind: 'query', regionId, query: ownBytes(body.raw(body.remaining)) };
    }
    default:
      return readRareRequest(type, body);
  }
}

function readRareRequest(type: number, body: ByteReader): ClientRequest {
  const request = readRare(type, body);
  body.finish();
  return request;
}

function readRare(type: number, body: ByteReader): ClientRequest {
  switch (type) {
    case requestTypes.inspect: {
      const regionId = toRegionId(body.uvarint());
      return { kind: 'inspect', regionId, query: ownBytes(body.raw(body.remaining)) };
    }
    case requestTypes.describe:
      return { kind: 'describe', keyspace: readFlag(body) ? readKeyspace(body) : undefined };
    case requestTypes.status:
      return { kind: 'status' };
    case requestTypes.regions:
      return { kind: 'regions', withWhy: readFlag(body) };
    case requestTypes.transferLeadership: {
      const regionId = toRegionId(body.uvarint());
      return { kind: 'transferLeadership', regionId, to: toNodeId(body.uvarint()) };
    }
    default:
      throw new MokuError('FRAME_MALFORMED', { field: 'type', type });
  }
}

function readKeyspace(body: ByteReader): string {
  const name = body.string();
  if (name.length > limits.keyspaceNameBytesMax) {
    const max = limits.keyspaceNameBytesMax;
    throw new MokuError('INVALID_ARGUMENT', { field: 'keyspace', length: name.length, max });
  }
  return name;
}

function readFlag(body: ByteReader): boolean {
  const flag = body.u8();
  if (flag > 1) throw new MokuError('FRAME_MALFORMED', { field: 'flag', flag });
  return flag === 1;
}
