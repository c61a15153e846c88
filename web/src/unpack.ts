// Columns of integers as src/spprof/export/_columns.py packs them: differences or plain numbers, in the narrowest
// integers, bytes of equal significance together, deflated; here with their number in front, and as Base64.

const PLAIN = 0;
const ZIGZAG = 2;

async function inflated(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The numbers of a column. They are doubles: nanoseconds are exact up to 104 days. */
export async function unpacked(text: string): Promise<Float64Array> {
  const colon = text.indexOf(":");
  const count = Number(text.slice(0, colon));
  const packed = fromBase64(text.slice(colon + 1));
  const view = new DataView(packed.buffer);
  const encoding = view.getUint8(0);
  const width = view.getUint8(1);
  const first = Number(view.getBigUint64(2, true));
  const planes = await inflated(packed.subarray(14, 14 + view.getUint32(10, true)));
  if (planes.length !== count * width) throw new Error("a column has another length than it should");
  const numbers = new Float64Array(count);
  for (let plane = width - 1; plane >= 0; plane--) {
    const start = plane * count;
    for (let i = 0; i < count; i++) numbers[i] = numbers[i]! * 256 + planes[start + i]!;
  }
  if (encoding === PLAIN) return numbers;
  let value = first;
  for (let i = 0; i < count; i++) {
    const step = numbers[i]!;
    value += encoding !== ZIGZAG ? step : step % 2 ? -(step + 1) / 2 : step / 2;
    numbers[i] = value;
  }
  return numbers;
}
