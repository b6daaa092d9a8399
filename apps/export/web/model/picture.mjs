// Pictures as the browser decodes them: upright, transparent pixels on white, their colours as the file has them.

const MOST = 16_000_000; // px that are looked at: of larger pictures a smaller copy, as some phones allow no more
const UNREADABLE = "This browser cannot read the picture: it is damaged, or of a kind that the browser does not know.";

// {width, height, channels, pixels}, and `full`, the size of the picture, of which this is `scale` times as large.
export async function opened(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {colorSpaceConversion: "none"});
  } catch {
    throw new Error(UNREADABLE);
  }
  const full = {width: bitmap.width, height: bitmap.height};
  const scale = Math.min(1, Math.sqrt(MOST / (full.width * full.height)));
  const [width, height] = [full.width, full.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const {data} = context.getImageData(0, 0, width, height), pixels = new Uint8ClampedArray(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    pixels[to++] = data[from];
    pixels[to++] = data[from + 1];
    pixels[to++] = data[from + 2];
  }
  return {width, height, channels: 3, pixels, full, scale};
}

// A picture of 3 channels as the data URL of a PNG.
export async function dataUrl({width, height, pixels}) {
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    image.data.set([pixels[from], pixels[from + 1], pixels[from + 2], 255], to);
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
  return `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`;
}
