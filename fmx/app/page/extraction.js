// An upload and its extraction: sends the file, asks how far it is, and gets frames.

import { parse } from './packets.js';

const POLL = 400;  // Milliseconds.
const KEPT = 80;  // Frames that the page remembers.
export const ENDS = ['done', 'cancelled', 'failed', 'none'];

export async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `The program answers ${answer.status}.`);
  return answer;
}

// Sends a file; told(share) hears how much is there. Rejects with a sentence.
export function upload(file, { faces, cutout }, told, signal) {
  const query = new URLSearchParams({ faces, cutout: cutout ? 1 : 0, example: file ? 0 : 1 });
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `extraction?${query}`);
    request.upload.onprogress = ({ loaded, total }) => told(total ? loaded / total : 0);
    request.onload = () => {
      if (request.status === 200) resolve();
      else {
        let error = `The program answers ${request.status}.`;
        try { error = JSON.parse(request.response).error; } catch { /* No sentence came. */ }
        reject(new Error(error));
      }
    };
    request.onerror = () => reject(new Error('The connection to the program ended.'));
    request.onabort = () => reject(new Error(''));
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

// Asks until it ends; told(status) hears each answer. Gives the last one.
export async function follow(told, signal) {
  for (;;) {
    const status = await (await ask('extraction', { signal })).json();
    await told(status);
    if (ENDS.includes(status.state)) return status;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

export const cancel = () => ask('extraction', { method: 'DELETE' });

// The table of measurements, as rows.
export async function measurements() {
  const columns = await (await ask('extraction/measurements')).json();
  const names = Object.keys(columns);
  return columns.frame.map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
}

// The frames of one extraction, as {head, picture, labels}.
export class Frames {
  constructor() {
    this.known = new Map();
  }

  get(index) {
    const found = this.known.get(index) ?? this.fetch(index);
    this.known.delete(index);
    this.known.set(index, found);
    for (const old of this.known.keys()) {
      if (this.known.size <= KEPT) break;
      this.known.delete(old);
    }
    return found;
  }

  fetch(index) {
    const found = ask(`extraction/frames/${index}`).then((answer) => answer.arrayBuffer()).then(parse);
    found.catch(() => this.known.delete(index));
    return found;
  }
}

// Seconds that a video takes; null where the browser cannot tell.
export function duration(file) {
  if (!file.type.startsWith('video/')) return Promise.resolve(null);
  return new Promise((resolve) => {
    const video = document.createElement('video');
    const end = (seconds) => { URL.revokeObjectURL(video.src); resolve(Number.isFinite(seconds) ? seconds : null); };
    video.onloadedmetadata = () => end(video.duration);
    video.onerror = () => end(null);
    setTimeout(() => end(null), 3000);
    video.preload = 'metadata';
    video.src = URL.createObjectURL(file);
  });
}
