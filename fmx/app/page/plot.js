// Measurements over time, on a canvas; a click on it says at which time.

const PANELS = [
  { key: 'mouth_opening', title: 'mouth opening, of the face', from: 0, digits: 2 },
  { key: 'left_eye_opening', title: 'left eye opening (▾ blink)', from: 0, digits: 2, blink: 'left_blink' },
  { key: 'right_eye_opening', title: 'right eye opening (▾ blink)', from: 0, digits: 2, blink: 'right_blink' },
  { key: 'area_facial_skin', title: 'skin, pixels', from: 0, digits: 0 },
  { key: 'confidence', title: 'confidence', from: 0.8, to: 1, digits: 2 },
];
const FACES = ['#2f7fd0', '#d9772b', '#3a9b52', '#a259c4', '#c0486b', '#7d6b52'];
export const VERDICTS = { good: '#4a9d5b', refound: '#3b82c4', bridged: '#8e6fc9', doubtful: '#e09f2d', lost: '#d5493f' };
const LEFT = 46, RIGHT = 10, STRIP = 44, TITLE = 18;
const GAP = 1.5;  // Frames: where more are missing a line does not go on.

export class Plot {
  constructor(canvas, chosen) {
    this.canvas = canvas;
    this.clear();
    const seek = (event) => {
      const box = canvas.getBoundingClientRect();
      const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
      const [from, to] = this.range;
      chosen(from + Math.min(Math.max(share, 0), 1) * (to - from));
    };
    canvas.addEventListener('pointerdown', seek);
    canvas.addEventListener('pointermove', (event) => { if (event.buttons) seek(event); });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  clear() {
    this.rows = [];
    this.range = [0, 1];
    this.cursor = null;
    this.draw();
  }

  // rows: of the table of measurements, in order; range: seconds at the left and the right end.
  show(rows, range) {
    this.rows = rows;
    this.range = range;
    this.draw();
  }

  mark(time) {
    this.cursor = time;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const context = this.canvas.getContext('2d');
    context.scale(scale, scale);
    context.font = '11px system-ui, sans-serif';
    const style = getComputedStyle(document.documentElement);
    this.ink = getComputedStyle(this.canvas).color;
    this.line = style.getPropertyValue('--plot-line') || '#8885';
    const faces = [...new Set(this.rows.map((row) => row.face))].sort((a, b) => a - b);
    const each = (height - STRIP) / PANELS.length;
    PANELS.forEach((panel, i) => {
      this.drawPanel(context, panel, faces, { top: i * each + TITLE, bottom: (i + 1) * each - 6, width });
    });
    this.drawStrip(context, height - STRIP + 2, width);
    if (this.cursor !== null) {
      context.fillStyle = this.ink;
      context.fillRect(this.x(this.cursor, width) - 0.75, 0, 1.5, height - STRIP + 18);
    }
  }

  x(time, width) {
    const [from, to] = this.range;
    return LEFT + ((time - from) / (to - from || 1)) * (width - LEFT - RIGHT);
  }

  drawPanel(context, panel, faces, { top, bottom, width }) {
    const values = this.rows.map((row) => row[panel.key]).filter((value) => value !== null && value !== undefined);
    const from = Math.min(panel.from, ...values);
    const to = panel.to ?? Math.max(from + 10 ** -panel.digits * 5, ...values) * 1.08;
    const y = (value) => bottom - ((value - from) / (to - from)) * (bottom - top);
    context.fillStyle = this.ink;
    context.textAlign = 'left';
    context.fillText(panel.title, LEFT, top - 6);
    context.textAlign = 'right';
    context.fillText(to.toFixed(panel.digits), LEFT - 5, top + 8);
    context.fillText(from.toFixed(panel.digits), LEFT - 5, bottom);
    context.strokeStyle = this.line;
    context.lineWidth = 1;
    context.strokeRect(LEFT, top, width - LEFT - RIGHT, bottom - top);
    context.save();
    context.beginPath();
    context.rect(LEFT, top - 8, width - LEFT - RIGHT, bottom - top + 9);
    context.clip();
    faces.forEach((face, i) => {
      const rows = this.rows.filter((row) => row.face === face);
      const color = FACES[i % FACES.length];
      if (panel.blink) this.drawBlinks(context, rows, panel.blink, color, top, bottom, width);
      context.strokeStyle = context.fillStyle = color;
      context.lineWidth = 1.6;
      context.beginPath();
      let before = null;
      for (const row of rows) {
        const value = row[panel.key];
        if (value === null || value === undefined) { before = null; continue; }
        const at = [this.x(row.time, width), y(value)];
        if (before !== null && row.frame - before < GAP) context.lineTo(...at);
        else { context.moveTo(...at); context.lineTo(at[0] + 1, at[1]); }
        before = row.frame;
      }
      context.stroke();
    });
    context.restore();
  }

  drawBlinks(context, rows, key, color, top, bottom, width) {
    context.fillStyle = color;
    for (let i = 0; i < rows.length; i++) {
      if (!rows[i][key]) continue;
      const first = i;
      while (i + 1 < rows.length && rows[i + 1][key] && rows[i + 1].frame - rows[i].frame < GAP) i++;
      const left = this.x(rows[first].time, width), right = this.x(rows[i].time, width);
      context.globalAlpha = 0.25;
      context.fillRect(left - 1.5, top, right - left + 3, bottom - top);
      context.globalAlpha = 1;
      const middle = (left + right) / 2;
      context.beginPath();
      context.moveTo(middle - 4, top - 7);
      context.lineTo(middle + 4, top - 7);
      context.lineTo(middle, top);
      context.fill();
    }
  }

  // Below all: the worst verdict of each frame, and the times.
  drawStrip(context, top, width) {
    const worst = new Map();
    const order = Object.keys(VERDICTS);
    for (const { time, verdict } of this.rows) {
      if (order.indexOf(verdict) >= order.indexOf(worst.get(time) ?? 'good')) worst.set(time, verdict);
    }
    const one = Math.max(2, (width - LEFT - RIGHT) / Math.max(worst.size, 1));
    context.save();
    context.beginPath();
    context.rect(LEFT, top, width - LEFT - RIGHT, 12);
    context.clip();
    for (const [time, verdict] of worst) {
      context.fillStyle = VERDICTS[verdict];
      context.fillRect(this.x(time, width) - one / 2, top, one + 0.5, 12);
    }
    context.restore();
    context.fillStyle = this.ink;
    context.textAlign = 'right';
    context.fillText('verdict', LEFT - 5, top + 10);
    const [from, to] = this.range;
    for (const [share, align] of [[0, 'left'], [0.5, 'center'], [1, 'right']]) {
      context.textAlign = align;
      const time = from + share * (to - from);
      context.fillText(`${time.toFixed(1)} s`, this.x(time, width), top + 28);
    }
  }
}
