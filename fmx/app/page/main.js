// The page: what a person does, and what is shown.

import { Camera } from './camera.js';
import { ENDS, ask, cancel, duration, follow, measurements, upload } from './extraction.js';
import { Painter } from './painter.js';
import { Player } from './player.js';
import { Plot } from './plot.js';

const $ = (id) => document.getElementById(id);
const show = (...ids) => ids.forEach((id) => { $(id).hidden = false; });
const hide = (...ids) => ids.forEach((id) => { $(id).hidden = true; });
const FILES = {
  'overlay.mp4': 'Overlay (MP4)', 'masks.zip': 'Masks (PNG, zip)',
  'measurements.csv': 'Measurements (CSV)', 'cutout.webm': 'Cutout (WebM, transparent)',
};
const PING = 60_000;  // Milliseconds; the program keeps the files of those it hears of.

const facts = await (await ask('facts')).json().catch(fail);
const look = { regions: facts.classes.map(() => true), opacity: 0.45, outline: false, beside: false, mirror: false };
const painter = new Painter($('picture'), facts.colors, look);
const player = new Player(showFrame);
const plot = new Plot($('plot'), (time) => { if (player.rows.length && !camera) seek(player.at(time)); });
let stopper = new AbortController(), camera = null, recorder = null, isSending = false;

$('networks').textContent = facts.networks;
$('faces').max = facts.max_faces;
$('limits').textContent = `At most ${facts.max_megabytes} MB, ${facts.max_seconds} s and ${facts.max_megapixels} megapixels. `
  + 'Files stay on the machine where this page comes from, are seen by nobody else, and are removed '
  + `${facts.keep_minutes} minutes after the page is closed. Of the webcam nothing is kept.`;
for (const [id, name] of facts.classes.entries()) {
  if (!id) continue;
  const label = document.createElement('label'), box = document.createElement('input'), swatch = document.createElement('span');
  label.className = 'row';
  Object.assign(box, { type: 'checkbox', checked: true, id: `region-${name}` });
  box.onchange = () => { look.regions[id] = box.checked; painter.redraw(); };
  swatch.className = 'swatch';
  swatch.style.background = `rgb(${facts.colors[id]})`;
  label.append(box, swatch, name.replace('_', ' '));
  $('regions').append(label);
}

$('opacity').oninput = () => { look.opacity = +$('opacity').value; painter.redraw(); };
$('fill').onchange = $('outline').onchange = () => { look.outline = $('outline').checked; painter.redraw(); };
$('beside').onchange = () => { look.beside = $('beside').checked; painter.redraw(); };
$('mirror').onchange = () => { look.mirror = $('mirror').checked; painter.redraw(); };
window.addEventListener('resize', () => painter.redraw());

$('file').onchange = () => { const [file] = $('file').files; $('file').value = ''; if (file) extract(file); };
$('example').onclick = () => extract(null);
$('cancel').onclick = () => { if (isSending) stopper.abort(); else cancel().catch(fail); };
for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $('drop').classList.toggle('over', kind === 'dragover');
    const file = kind === 'drop' && event.dataTransfer.files[0];
    if (file) extract(file);
  });
}
setInterval(() => ask('extraction').catch(() => {}), PING);

// The file is null for the example.
async function extract(file) {
  camera?.stop();
  stopper.abort();
  const mine = stopper = new AbortController();
  clear();
  isSending = false;
  try {
    if (file) await check(file);
    show('progress');
    tell(0, 'Sending …');
    isSending = true;
    await upload(file, { faces: $('faces').value, cutout: $('cutout').checked },
      (share) => tell(share, `Sending: ${Math.round(100 * share)} %`), mine.signal);
    isSending = false;
    await watch(mine);
  } catch (error) {
    if (mine === stopper && error.name !== 'AbortError') fail(error);
  } finally {
    if (mine === stopper) hide('progress');
  }
}

// Follows an extraction to its end.
async function watch(mine) {
  const status = await follow(async (status) => {
    if (mine !== stopper) return;
    const { state, shown, frames, seconds_left: left } = status;
    if (ENDS.includes(state)) return;
    show('progress');
    tell(frames ? shown / frames : 0, state === 'waiting' || !shown ? 'Starting …'
      : state === 'packing' ? 'Packing …'
        : `Frame ${shown} of ${frames}${left === undefined ? '' : `, ${clock(left)} left`}`);
    if (shown) {
      if (!player.count) player.open(frames, status.frame_rate, []);
      player.ready = shown;
      await player.seek(shown - 1);
    }
  }, mine.signal);
  if (mine !== stopper) return;
  if (status.state === 'failed') throw new Error(status.error);
  if (status.state === 'cancelled') throw new Error('Cancelled.');
  if (status.state === 'done') await finish(status);
}

async function finish({ frames, frame_rate: rate, downloads }) {
  const rows = await measurements();
  player.open(frames, rate, rows);
  $('frame').max = frames - 1;
  plot.show(rows, [0, Math.max(player.times.at(-1), 1 / rate)]);
  const marked = player.marked(facts.good);
  $('before').disabled = $('after').disabled = !marked.length;
  $('before').onclick = () => seek(marked.findLast((i) => i < player.index) ?? marked.at(-1));
  $('after').onclick = () => seek(marked.find((i) => i > player.index) ?? marked[0]);
  $('hint').textContent = rows.length ? 'A click in the plot goes to that frame.' : 'No face was found.';
  $('files').replaceChildren(...downloads.map((name) => {
    const link = document.createElement('a');
    Object.assign(link, { href: `extraction/files/${name}`, textContent: FILES[name], className: 'button', download: name });
    return link;
  }));
  show('scrub', 'jump', 'numbers', 'downloads');
  player.note = `${marked.length} of ${frames} frames are not good`;
  await player.seek(0);
}

async function showFrame({ head, picture, labels }, index) {
  show('work');
  painter.show(await createImageBitmap(picture), labels, head.width, head.height);
  $('frame').value = index;
  $('where').textContent = `${index + 1} / ${player.count}`;
  $('verdict').textContent = `${player.verdicts[index].join(', ')}; ${player.note}`;
  if (player.rows.length) plot.mark(player.times[index]);
}

function seek(index) {
  player.pause();
  $('play').textContent = '▶';
  player.seek(index).catch(fail);
}

$('frame').oninput = () => seek(+$('frame').value);
$('back').onclick = () => seek(player.index - 1);
$('on').onclick = () => seek(player.index + 1);
$('play').onclick = async () => {
  if (player.playing) { seek(player.index); return; }
  $('play').textContent = '❚❚';
  await player.play().catch(fail);
  if (!player.playing) $('play').textContent = '▶';
};

$('webcam').onclick = async () => {
  camera?.stop();
  stopper.abort();
  stopper = new AbortController();
  clear();
  look.mirror = $('mirror').checked;
  const mine = new Camera(
    (picture, labels, head) => painter.show(picture, labels, head.width, head.height),
    ({ rate, latency, rows, range }) => {
      $('rate').textContent = rate.toFixed(1);
      $('latency').textContent = latency.toFixed(0);
      plot.show(rows, range);
    },
    (reason) => {
      if (recorder) record();
      camera = null;
      hide('filming');
      if (reason) fail(new Error(reason));
    },
  );
  camera = mine;
  try {
    if (!navigator.mediaDevices) throw new Error('Browsers give a webcam only to pages of this machine (localhost) or of https.');
    await mine.start();
    $('hint').textContent = 'The last 20 seconds; a blink shows as it happens.';
    show('work', 'filming', 'numbers');
  } catch (error) {
    mine.stop(error.name === 'NotFoundError' ? 'There is no webcam here.'
      : error.name === 'NotAllowedError' ? 'The browser was told not to use the webcam.' : error.message);
  }
};
$('off').onclick = () => { camera?.stop(); };
$('record').onclick = () => record();

// Begins to record what is seen, in the browser alone; or ends that.
function record() {
  if (recorder) {
    recorder.stop();
    recorder = null;
    $('record').textContent = 'Record';
    return;
  }
  const pieces = [];
  recorder = new MediaRecorder($('picture').captureStream());
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  recorder.onstop = () => {
    URL.revokeObjectURL($('recording').href);
    Object.assign($('recording'), { href: URL.createObjectURL(new Blob(pieces)), download: 'webcam.webm' });
    show('recording');
  };
  recorder.start();
  $('record').textContent = 'Stop recording';
}

async function check(file) {
  if (file.size > facts.max_megabytes * 1e6) {
    throw new Error(`The file has ${(file.size / 1e6).toFixed(0)} MB; at most ${facts.max_megabytes} MB are taken.`);
  }
  const seconds = await duration(file);
  if (seconds > facts.max_seconds) {
    throw new Error(`The video takes ${seconds.toFixed(0)} s; at most ${facts.max_seconds} s are taken: cut it.`);
  }
}

function clear() {
  hide('error', 'work', 'scrub', 'jump', 'numbers', 'downloads', 'filming', 'progress', 'recording');
  player.open(0, 25, []);
  player.note = '';
  look.mirror = false;
  painter.clear();
  plot.clear();
  $('hint').textContent = '';
}

function tell(share, text) {
  $('progress').querySelector('progress').value = share;
  $('told').textContent = text;
}

function fail(error) {
  if (!error.message) return;
  $('error').textContent = error.message;
  show('error');
}

function clock(seconds) {
  return seconds < 60 ? `${Math.ceil(seconds)} s` : `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')} min`;
}

watch(stopper).catch(fail).finally(() => hide('progress'));  // What this browser began before it was loaded again.
