"""From a photo to one aligned face: detect, choose, cut, measure."""
