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

/** A column's numbers in the array that *make* makes for so many; doubles are exact for nanoseconds up to 104 days. */
export async function unpacked<T extends Float64Array | Int32Array | Uint8Array>(text: string, make: (count: number) => T): Promise<T> {
  const colon = text.indexOf(":");
  const count = Number(text.slice(0, colon));
  const packed = fromBase64(text.slice(colon + 1));
  const view = new DataView(packed.buffer);
  const encoding = view.getUint8(0);
  const width = view.getUint8(1);
  const first = Number(view.getBigUint64(2, true));
  const planes = await inflated(packed.subarray(14, 14 + view.getUint32(10, true)));
  if (planes.length !== count * width) throw new Error("a column has another length than it should");
  return restored(make(count), planes, width, encoding, first);
}

function restored<T extends Float64Array | Int32Array | Uint8Array>(numbers: T, planes: Uint8Array, width: number, encoding: number, first: number): T {
  const count = numbers.length;
  const [second, third, fourth] = [count, 2 * count, 3 * count];
  let value = encoding === PLAIN ? 0 : first;
  for (let i = 0; i < count; i++) {
    let step = planes[i]!;
    if (width > 1) step |= planes[second + i]! << 8;
    if (width > 2) step = (step | (planes[third + i]! << 16)) + planes[fourth + i]! * 0x1000000;
    if (width > 4) {
      let high = 0;
      for (let plane = 7; plane > 3; plane--) high = high * 256 + planes[plane * count + i]!;
      step += high * 0x100000000;
    }
    if (encoding === PLAIN) value = step;
    else value += encoding !== ZIGZAG ? step : step % 2 ? -(step + 1) / 2 : step / 2;
    numbers[i] = value;
  }
  return numbers;
}
