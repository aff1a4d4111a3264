// Masks over a picture, on a canvas.

const NARROW = 560;  // Pixels of the page; there two pictures stand on each other.

export class Painter {
  // colors: [r, g, b] of each class. look: what a person chose, see `main.js`; it may change.
  constructor(canvas, colors, look) {
    this.canvas = canvas;
    this.colors = colors;
    this.look = look;
    this.mask = new OffscreenCanvas(1, 1);
    this.shown = null;
  }

  // picture: anything that a canvas can draw. labels: class ids [height * width].
  show(picture, labels, width, height) {
    if (this.shown && this.shown.picture !== picture) this.shown.picture.close?.();
    this.shown = { picture, labels, width, height };
    this.redraw();
  }

  clear() {
    this.shown?.picture.close?.();
    this.shown = null;
    this.canvas.width = this.canvas.height = 0;
  }

  redraw() {
    if (!this.shown) return;
    const { picture, labels, width, height } = this.shown;
    const { beside, mirror } = this.look;
    const isBelow = beside && this.canvas.parentElement.clientWidth < NARROW;
    const size = [beside && !isBelow ? 2 * width : width, isBelow ? 2 * height : height];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) {
      [this.canvas.width, this.canvas.height] = size;
    }
    this.paintMask(labels, width, height);
    const context = this.canvas.getContext('2d');
    const put = (image, x, y) => {
      context.setTransform(mirror ? -1 : 1, 0, 0, 1, x + (mirror ? width : 0), y);
      context.drawImage(image, 0, 0, width, height);
    };
    put(picture, 0, 0);
    const at = [beside && !isBelow ? width : 0, isBelow ? height : 0];
    if (beside) put(picture, ...at);
    put(this.mask, ...at);
  }

  paintMask(labels, width, height) {
    if (this.mask.width !== width || this.mask.height !== height) {
      this.mask = new OffscreenCanvas(width, height);
    }
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const { regions, opacity, outline } = this.look;
    const alpha = Math.round(255 * opacity);
    const inks = this.colors.map(([r, g, b], id) =>
      id && regions[id] ? ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0 : 0);
    const kept = labels.map((id) => (regions[id] ? id : 0));
    const reach = outline ? Math.max(1, Math.round(Math.max(width, height) / 480)) : 0;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const id = kept[i];
        if (!id) continue;
        if (!outline || isEdge(kept, i, x, y, width, height, reach)) pixels[i] = inks[id];
      }
    }
    this.mask.getContext('2d').putImageData(image, 0, 0);
  }
}

// Whether another class, or the end of the picture, is so near.
function isEdge(labels, i, x, y, width, height, reach) {
  if (x < reach || y < reach || x >= width - reach || y >= height - reach) return true;
  const id = labels[i];
  return labels[i - reach] !== id || labels[i + reach] !== id
    || labels[i - reach * width] !== id || labels[i + reach * width] !== id;
}
