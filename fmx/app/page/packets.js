// A frame as the program sends it: see fmx/app/packets.py.

// Gives {head, picture, labels}: numbers, a Blob (empty if none was sent), class ids row by row.
export async function parse(buffer) {
  const lengths = new DataView(buffer);
  const said = lengths.getUint32(0, true), seen = lengths.getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, said)));
  const picture = new Blob([new Uint8Array(buffer, 8 + said, seen)], { type: 'image/jpeg' });
  const flat = new Blob([new Uint8Array(buffer, 8 + said + seen)]).stream();
  const labels = await new Response(flat.pipeThrough(new DecompressionStream('deflate'))).arrayBuffer();
  return { head, picture, labels: new Uint8Array(labels) };
}
