// Where a sound is digital silence, read from its picture: those columns are as dark as it gets.

const DARKEST = [0x0b, 0x10, 0x20] // the lowest colour of core/audio/spectrogram.py
const TOLERANCE = 24 // of the three channels together: the picture is compressed with losses

// Returns { columns, at(share) }: whether the sound is silent at a time, as a share of its length.
export function silenceIn(picture) {
  const width = picture.naturalWidth, height = picture.naturalHeight
  if (!width) return { columns: 0 }
  const canvas = document.createElement("canvas")
  Object.assign(canvas, { width, height })
  const drawing = canvas.getContext("2d", { willReadFrequently: true })
  let pixels
  try {
    drawing.drawImage(picture, 0, 0)
    pixels = drawing.getImageData(0, 0, width, height).data
  } catch {
    return { columns: 0 } // a browser that lets no script read pictures
  }
  const silent = Array.from({ length: width }, (_, x) => isSilent(pixels, width, height, x))
  return { columns: width, at: share => silent[Math.min(width - 1, Math.floor(share * width))] }
}

function isSilent(pixels, width, height, x) {
  for (let y = 0; y < height; y++) {
    const place = 4 * (y * width + x)
    if (DARKEST.reduce((sum, value, channel) => sum + Math.abs(pixels[place + channel] - value), 0) > TOLERANCE) return false
  }
  return true
}
