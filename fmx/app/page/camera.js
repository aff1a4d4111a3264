// The webcam: frames go to the program one by one and come back as masks.

import { parse } from './packets.js';

const WIDTH = 640, HEIGHT = 480;  // Asked of the camera, and the most that is sent.
const AHEAD = 2;  // Frames on their way: one is labelled while the next is packed.
const SECONDS = 20;  // Of the plot.
const COUNTED = 2000;  // Milliseconds over which frames are counted.

export class Camera {
  // shown(picture, labels, head): gets each frame. told({rate, latency, rows, range}): the numbers.
  // ended(reason): the camera is off; reason is '' where a person wanted that.
  constructor(shown, told, ended) {
    Object.assign(this, { shown, told, ended, waiting: [], rows: [], done: [] });
  }

  async start() {
    this.stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, facingMode: 'user' },
    });
    this.video = document.createElement('video');
    Object.assign(this.video, { srcObject: this.stream, muted: true, playsInline: true });
    await this.video.play();
    const scale = Math.min(WIDTH / this.video.videoWidth, HEIGHT / this.video.videoHeight, 1);
    this.canvas = new OffscreenCanvas(
      Math.round(this.video.videoWidth * scale), Math.round(this.video.videoHeight * scale));
    this.socket = new WebSocket(new URL('live', location.href.replace(/^http/, 'ws')));
    this.socket.binaryType = 'arraybuffer';
    this.socket.onopen = () => this.send();
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = ({ code }) => this.stop(
      code === 4409 ? 'Your webcam is on in another tab already.'
        : code === 4401 ? 'The program forgot this page: load it again.'
          : 'The connection to the program ended.');
  }

  stop(reason = '') {
    if (this.isOff) return;
    this.isOff = true;
    if (this.socket) this.socket.close();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.waiting.forEach(({ picture }) => picture.close());
    this.ended(reason);
  }

  async send() {
    if (this.isOff || this.isPacking || this.waiting.length >= AHEAD) return;
    this.isPacking = true;
    await this.newFrame();
    if (this.isOff) return;
    const time = performance.now();
    this.canvas.getContext('2d').drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    const [blob, picture] = await Promise.all([
      this.canvas.convertToBlob({ type: 'image/jpeg', quality: 0.85 }), createImageBitmap(this.canvas),
    ]);
    this.isPacking = false;
    if (this.isOff || this.socket.readyState !== WebSocket.OPEN) return;
    this.waiting.push({ picture, time });
    this.socket.send(blob);
    this.send();
  }

  // Waits until the camera has another frame than the last one.
  newFrame() {
    if (this.video.currentTime !== this.last) {
      this.last = this.video.currentTime;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.video.requestVideoFrameCallback(() => {
        this.last = this.video.currentTime;
        resolve();
      });
    });
  }

  async receive(buffer) {
    const { head, labels } = await parse(buffer);
    if (this.isOff) return;
    const { picture, time } = this.waiting.shift();
    this.send();
    this.shown(picture, labels, head);
    const now = performance.now();
    this.done = [...this.done.filter((at) => now - at < COUNTED), now];
    const span = now - this.done[0];
    this.rows.push(...head.rows);
    const last = head.rows[0]?.time ?? this.rows.at(-1)?.time ?? 0;
    this.rows = this.rows.filter((row) => row.time > last - SECONDS);
    this.told({
      rate: span ? ((this.done.length - 1) / span) * 1000 : 0,
      latency: now - time,
      rows: this.rows,
      range: [Math.max(last - SECONDS, 0), Math.max(last, SECONDS)],
    });
  }
}
