// Thin boxes are painted into a picture pixel by pixel: tens of thousands of them in a frame are too many for a canvas.

export class Pixels {
  private image: ImageData | null = null;
  private words = new Uint32Array(0);
  private context!: CanvasRenderingContext2D;
  private ratio = 1;
  private readonly known = new Map<string, number>();

  /** Starts a picture of the size of the canvas. */
  begin(context: CanvasRenderingContext2D, background: string): this {
    const { width, height } = context.canvas;
    this.context = context;
    this.ratio = context.getTransform().a;
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = context.createImageData(width, height);
      this.words = new Uint32Array(this.image.data.buffer);
    }
    this.words.fill(this.word(background));
    return this;
  }

  /** A box, in CSS pixels. */
  fill(x: number, y: number, width: number, height: number, colour: string): void {
    const image = this.image!;
    const left = Math.round(x * this.ratio);
    const right = Math.min(Math.max(Math.round((x + width) * this.ratio), left + 1), image.width);
    const top = Math.max(Math.round(y * this.ratio), 0);
    const bottom = Math.min(Math.round((y + height) * this.ratio), image.height);
    const word = this.word(colour);
    for (let row = top; row < bottom; row++) {
      const start = row * image.width;
      for (let at = start + left; at < start + right; at++) this.words[at] = word;
    }
  }

  /** Puts the picture on the canvas. */
  end(): void {
    this.context.putImageData(this.image!, 0, 0);
  }

  /** A colour "#rrggbb" as the machine has it in an image. */
  private word(colour: string): number {
    let word = this.known.get(colour);
    if (word === undefined) {
      const part = (at: number): number => parseInt(colour.slice(at, at + 2), 16);
      word = new Uint32Array(new Uint8Array([part(1), part(3), part(5), 255]).buffer)[0]!;
      this.known.set(colour, word);
    }
    return word;
  }
}
