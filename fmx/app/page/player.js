// Frame by frame through what was extracted.

import { Frames } from './extraction.js';

export class Player {
  // shown(packet, index): gets each frame that is to be seen.
  constructor(shown) {
    this.shown = shown;
    this.open(0, 25, []);
  }

  // count: frames, of which `ready` say how many are there. rate: frames a second. rows: of the table.
  open(count, rate, rows) {
    this.pause();
    this.frames = new Frames();
    Object.assign(this, { count, rate, rows, index: 0, ready: count });
    this.times = Array.from({ length: count }, (_, i) => i / rate);
    const verdicts = Array.from({ length: count }, () => []);
    for (const { frame, time, verdict } of rows) {
      this.times[frame] = time;
      verdicts[frame].push(verdict);
    }
    this.verdicts = verdicts.map((of) => (of.length ? of : ['no face']));
  }

  marked(good) {
    return this.verdicts.flatMap((of, i) => (of.every((verdict) => verdict === good) ? [] : [i]));
  }

  async seek(index) {
    this.index = Math.min(Math.max(index, 0), this.count - 1);
    const wanted = this.index, frames = this.frames;
    const packet = await frames.get(wanted);
    if (frames !== this.frames || wanted !== this.index) return;  // Somebody was quicker.
    for (const next of [wanted + 1, wanted + 2, wanted + 3]) if (next < this.ready) frames.get(next);
    await this.shown(packet, wanted);
  }

  at(time) {
    let best = 0;
    this.times.forEach((other, i) => { if (Math.abs(other - time) < Math.abs(this.times[best] - time)) best = i; });
    return best;
  }

  async play() {
    const mine = this.playing = {};
    if (this.index >= this.count - 1) this.index = -1;
    let due = performance.now();
    while (this.playing === mine && this.index < this.count - 1) {
      await this.seek(this.index + 1);
      due = Math.max(due + 1000 / this.rate, performance.now());
      await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
    }
    if (this.playing === mine) this.playing = null;
  }

  pause() {
    this.playing = null;
  }
}
