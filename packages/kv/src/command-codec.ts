// @hot
/**
 * Binary form of commands. Input is hostile: every count, size and number is bounded before anything
 * is allocated for it, and what is decoded satisfies `validateCommand`.
 *
 *   command   := kind u8, body, nothing behind it
 *   write     := sessionId sequence answeredBelow epochVersion count operation*     (uvarints)
 *   operation := flags u8 [version uvarint] [ttlMs uvarint] key [value]            (length-prefixed)
 *   flags     := bit 0 put; bits 1-2 condition: none, ifAbsent, ifPresent, ifVersion; bit 3 ttl
 */
import {
  ByteReader,
  ByteWriter,
  isMokuError,
  limits,
  MokuError,
  type NodeDescriptor,
  type Timestamp,
  text,
  toNodeId,
  unreachable,
  utf8,
} from '@moku/base';
import {
  checkInteger,
  checkKey,
  checkSize,
  checkValue,
  malformed,
  readCount,
  readTimestamp,
} from './codec-checks.js';
import type { Command, Condition, Operation, SessionRef } from './commands.js';
import { checkBounds } from './keys.js';

const kindOpenSession = 1;
const kindWrite = 2;
const kindExpire = 3;
const kindCreateKeyspace = 4;
const kindRegisterNode = 5;

const flagPut = 1;
const conditionShift = 1;
const conditionMask = 3;
const flagTtl = 8;
const flagsKnown = 15;

/** Least bytes of an operation: flags, key length, one byte of key. */
const operationBytesMin = 3;
/** Least bytes of an expired key: key length, one byte of key, version. */
const expiredBytesMin = 3;
const maxSafe = Number.MAX_SAFE_INTEGER;

const scratch = new ByteWriter(4096);

/** Throws like `validateCommand`. The result is a copy. */
export function encodeCommand(command: Command): Uint8Array {
  validateCommand(command);
  scratch.reset();
  writeCommand(scratch, command);
  checkSize(scratch.length, limits.commandBytesMax, 'command', 'BATCH_TOO_LARGE');
  return scratch.take();
}

/**
 * The command in `bytes`; keys and values alias it. Throws FRAME_MALFORMED for what is no command,
 * and what `validateCommand` throws.
 */
export function decodeCommand(bytes: Uint8Array): Command {
  checkSize(bytes.length, limits.commandBytesMax, 'command', 'BATCH_TOO_LARGE');
  const reader = new ByteReader(bytes);
  const command = readCommand(reader);
  reader.finish();
  validateCommand(command);
  return command;
}

/** The command in `bytes`, or undefined where `decodeCommand` throws: an apply never throws for it. */
export function decodeCommandOrUndefined(bytes: Uint8Array): Command | undefined {
  try {
    return decodeCommand(bytes);
  } catch (error) {
    if (isMokuError(error)) return undefined;
    throw error;
  }
}

/**
 * Throws unless `command` may be proposed: KEY_EMPTY, KEY_TOO_LARGE, VALUE_TOO_LARGE, BATCH_TOO_LARGE,
 * INVALID_ARGUMENT, each with the field and the bound. The gateway refuses what fails here; the apply
 * answers `invalid`.
 */
export function validateCommand(command: Command): void {
  switch (command.type) {
    case 'openSession':
      return;
    case 'write':
      validateSession(command.session);
      checkInteger(command.epochVersion, 0, maxSafe, 'epochVersion');
      validateOperations(command.operations);
      return;
    case 'expire':
      checkInteger(command.keys.length, 1, limits.batchOpsMax, 'keys');
      for (let i = 0; i < command.keys.length; i++) {
        checkKey(command.keys[i]!.key, 'key');
        checkInteger(command.keys[i]!.version, 1, maxSafe, 'version');
      }
      return;
    case 'createKeyspace':
      validateSession(command.session);
      validateName(command.name, limits.keyspaceNameBytesMax, 'name');
      if (command.mode !== 'hash' && command.mode !== 'range') {
        throw new MokuError('INVALID_ARGUMENT', { field: 'mode', expected: 'hash, range' });
      }
      checkBounds(command.mode, command.regions, command.bounds);
      checkInteger(command.replication, 0, limits.nodesMax, 'replication');
      return;
    case 'registerNode':
      toNodeId(command.node.nodeId);
      validateName(command.node.peerAddress, limits.addressBytesMax, 'peerAddress');
      validateName(command.node.clientAddress, limits.addressBytesMax, 'clientAddress');
      return;
    default:
      unreachable(command);
  }
}

function validateSession(session: SessionRef): void {
  checkInteger(session.sessionId, 0, maxSafe, 'sessionId');
  const min = session.sessionId === 0 ? 0 : 1;
  checkInteger(session.sequence, min, maxSafe, 'sequence');
  checkInteger(session.answeredBelow, min, session.sequence, 'answeredBelow');
}

function validateOperations(operations: readonly Operation[]): void {
  if (operations.length === 0) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'operations', value: 0, min: 1 });
  }
  checkSize(operations.length, limits.batchOpsMax, 'operations', 'BATCH_TOO_LARGE');
  let bytes = 0;
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i]!;
    checkKey(operation.key, 'key');
    bytes += operation.key.length;
    if (operation.condition !== undefined && operation.condition.type === 'ifVersion') {
      checkInteger(operation.condition.version, 0, maxSafe, 'ifVersion');
    }
    if (operation.type === 'delete') continue;
    checkValue(operation.value, 'value');
    bytes += operation.value.length;
    if (operation.ttlMs !== undefined) {
      checkInteger(operation.ttlMs, 1, limits.ttlMsMax, 'ttlMs');
    }
  }
  checkSize(bytes, limits.commandBytesMax, 'operations', 'BATCH_TOO_LARGE');
}

/** Well-formed text of 1 … max UTF-8 bytes without control characters. */
function validateName(name: string, max: number, field: string): void {
  if (typeof name !== 'string' || name.length === 0) {
    throw new MokuError('INVALID_ARGUMENT', { field, size: 0, min: 1 });
  }
  const bytes = name.length > max ? undefined : utf8(name);
  if (bytes === undefined || bytes.length > max) {
    throw new MokuError('INVALID_ARGUMENT', { field, size: bytes?.length ?? name.length, max });
  }
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) {
      throw new MokuError('INVALID_ARGUMENT', { field, expected: 'no control characters' });
    }
  }
  // A lone surrogate does not survive UTF-8: two names would become one.
  if (text(bytes) !== name) {
    throw new MokuError('INVALID_ARGUMENT', { field, expected: 'well-formed text' });
  }
}

function writeCommand(writer: ByteWriter, command: Command): void {
  switch (command.type) {
    case 'openSession':
      writer.u8(kindOpenSession);
      return;
    case 'write':
      writer.u8(kindWrite);
      writeSession(writer, command.session);
      writer.uvarint(command.epochVersion);
      writer.uvarint(command.operations.length);
      for (let i = 0; i < command.operations.length; i++) {
        writeOperation(writer, command.operations[i]!);
      }
      return;
    case 'expire':
      writer.u8(kindExpire);
      writer.uvarint(command.keys.length);
      for (let i = 0; i < command.keys.length; i++) {
        writer.bytes(command.keys[i]!.key);
        writer.uvarint(command.keys[i]!.version);
      }
      return;
    case 'createKeyspace':
      writer.u8(kindCreateKeyspace);
      writeSession(writer, command.session);
      writer.string(command.name);
      writer.u8(command.mode === 'hash' ? 0 : 1);
      writer.uvarint(command.regions);
      writer.uvarint(command.replication);
      writer.uvarint(command.bounds.length);
      for (let i = 0; i < command.bounds.length; i++) writer.bytes(command.bounds[i]!);
      return;
    case 'registerNode':
      writer.u8(kindRegisterNode);
      writeNode(writer, command.node);
      return;
    default:
      unreachable(command);
  }
}

function writeSession(writer: ByteWriter, session: SessionRef): void {
  writer.uvarint(session.sessionId);
  writer.uvarint(session.sequence);
  writer.uvarint(session.answeredBelow);
}

function conditionCode(condition: Condition | undefined): number {
  if (condition === undefined) return 0;
  switch (condition.type) {
    case 'ifAbsent':
      return 1;
    case 'ifPresent':
      return 2;
    case 'ifVersion':
      return 3;
    default:
      return unreachable(condition);
  }
}

function writeOperation(writer: ByteWriter, operation: Operation): void {
  const isPut = operation.type === 'put';
  const condition = operation.condition;
  const ttlMs = isPut ? operation.ttlMs : undefined;
  let flags = conditionCode(condition) << conditionShift;
  if (isPut) flags |= flagPut;
  if (ttlMs !== undefined) flags |= flagTtl;
  writer.u8(flags);
  if (condition !== undefined && condition.type === 'ifVersion') writer.uvarint(condition.version);
  if (ttlMs !== undefined) writer.uvarint(ttlMs);
  writer.bytes(operation.key);
  if (isPut) writer.bytes(operation.value);
}

/** Also the form in which meta keeps its roster. */
export function writeNode(writer: ByteWriter, node: NodeDescriptor): void {
  writer.uvarint(node.nodeId);
  writer.string(node.peerAddress);
  writer.string(node.clientAddress);
}

export function readNode(reader: ByteReader): NodeDescriptor {
  const nodeId = toNodeId(reader.uvarint());
  const peerAddress = reader.string();
  const clientAddress = reader.string();
  return { nodeId, peerAddress, clientAddress };
}

function readCommand(reader: ByteReader): Command {
  const kind = reader.u8();
  switch (kind) {
    case kindOpenSession:
      return { type: 'openSession' };
    case kindWrite:
      return readWrite(reader);
    case kindExpire:
      return readExpire(reader);
    case kindCreateKeyspace:
      return readCreateKeyspace(reader);
    case kindRegisterNode:
      return { type: 'registerNode', node: readNode(reader) };
    default:
      throw malformed('command', kind);
  }
}

function readSession(reader: ByteReader): SessionRef {
  const sessionId = reader.uvarint();
  const sequence = reader.uvarint();
  const answeredBelow = reader.uvarint();
  return { sessionId, sequence, answeredBelow };
}

function readWrite(reader: ByteReader): Command {
  const session = readSession(reader);
  const epochVersion = reader.uvarint();
  const count = readCount(
    reader,
    operationBytesMin,
    limits.batchOpsMax,
    'operations',
    'BATCH_TOO_LARGE',
  );
  const operations: Operation[] = [];
  for (let i = 0; i < count; i++) operations.push(readOperation(reader));
  return { type: 'write', session, epochVersion, operations };
}

const ifAbsent: Condition = { type: 'ifAbsent' };
const ifPresent: Condition = { type: 'ifPresent' };

function readCondition(reader: ByteReader, code: number): Condition | undefined {
  if (code === 0) return undefined;
  if (code === 1) return ifAbsent;
  if (code === 2) return ifPresent;
  return { type: 'ifVersion', version: reader.uvarint() as Timestamp };
}

function readOperation(reader: ByteReader): Operation {
  const flags = reader.u8();
  if (flags > flagsKnown) throw malformed('flags', flags);
  const condition = readCondition(reader, (flags >> conditionShift) & conditionMask);
  if ((flags & flagPut) === 0) {
    if ((flags & flagTtl) !== 0) throw malformed('flags', flags);
    return { type: 'delete', key: reader.bytes(), condition };
  }
  const ttlMs = (flags & flagTtl) === 0 ? undefined : reader.uvarint();
  const key = reader.bytes();
  const value = reader.bytes();
  return { type: 'put', key, value, condition, ttlMs };
}

function readExpire(reader: ByteReader): Command {
  const count = readCount(reader, expiredBytesMin, limits.batchOpsMax, 'keys', 'BATCH_TOO_LARGE');
  const keys: { key: Uint8Array; version: Timestamp }[] = [];
  for (let i = 0; i < count; i++) {
    const key = reader.bytes();
    keys.push({ key, version: readTimestamp(reader) });
  }
  return { type: 'expire', keys };
}

function readCreateKeyspace(reader: ByteReader): Command {
  const session = readSession(reader);
  const name = reader.string();
  const modeByte = reader.u8();
  if (modeByte > 1) throw malformed('mode', modeByte);
  const regions = reader.uvarint();
  const replication = reader.uvarint();
  const count = readCount(reader, 2, limits.regionsPerKeyspaceMax, 'bounds');
  const bounds: Uint8Array[] = [];
  for (let i = 0; i < count; i++) bounds.push(reader.bytes());
  const mode = modeByte === 0 ? 'hash' : 'range';
  return { type: 'createKeyspace', session, name, mode, regions, bounds, replication };
}
