/** A WebSocket client that says what the test wants, and remembers what it heard. */
import { WebSocket } from 'ws';
import { until } from './link-nodes.js';

export class RawPeer {
  readonly messages: Buffer[] = [];
  /** `CODE detail` as told by the other end; undefined while open. */
  closeText: string | undefined;
  closeCode: number | undefined;
  readonly ws: WebSocket;

  private constructor(url: string) {
    this.ws = new WebSocket(url, { perMessageDeflate: false, maxPayload: 64 * 1024 * 1024 });
    this.ws.on('message', (data: Buffer) => this.messages.push(data));
    this.ws.on('error', () => {});
    this.ws.on('close', (code, reason) => {
      this.closeCode = code;
      this.closeText = reason.toString();
    });
  }

  static async dial(address: string, path: string): Promise<RawPeer> {
    const peer = new RawPeer(`ws://${address}${path}`);
    await until(() => peer.ws.readyState !== WebSocket.CONNECTING);
    return peer;
  }

  send(data: Uint8Array | string): void {
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(data);
  }

  /** Waits for the other end to close; gives the reason it told. */
  async closed(boundMs = 5_000): Promise<string> {
    await until(() => this.closeText !== undefined, boundMs);
    return this.closeText ?? '';
  }

  async heard(count: number): Promise<Buffer[]> {
    await until(() => this.messages.length >= count || this.closeText !== undefined);
    return this.messages;
  }

  close(): Promise<void> {
    this.ws.terminate();
    return Promise.resolve();
  }
}
