// Choose faces, and cut them out with their eyes level: fer_tasks/faces/choose.py, fer_tasks/faces/crop.py.

import {cutOut} from "./resample.mjs";

const twoDigits = (value) => Math.round(100 * value) / 100;
const areaOf = ({box}) => box[2] * box[3];

// The faces that training would have taken, the largest first.
export function choose(faces, {min_score, min_face}) {
  const good = faces.filter(({box, score}) => score >= min_score && Math.min(twoDigits(box[2]), twoDigits(box[3])) >= min_face);
  return good.sort((one, other) => areaOf(other) - areaOf(one));
}

// The affine map from photo to crop: it moves the box's middle to the crop's and makes the eyes level.
function mapOf({box, landmarks}, margin, size) {
  const [row, column, height, width] = box.map(twoDigits);
  const [[leftRow, leftColumn], [rightRow, rightColumn]] = landmarks.map((point) => point.map(twoDigits));
  const angle = Math.atan2(rightRow - leftRow, rightColumn - leftColumn);
  const scale = size / (Math.max(height, width) * (1 + margin));
  const along = scale * Math.cos(angle), across = scale * Math.sin(angle);
  const x = column + width / 2, y = row + height / 2;
  return [
    [along, across, size / 2 - along * x - across * y],
    [-across, along, size / 2 + across * x - along * y],
  ];
}

// The crop of a face: bytes, `size` px, 3 channels.
export function cutFace(photo, face, {margin, size}) {
  return cutOut(photo, mapOf(face, margin, size), size);
}
