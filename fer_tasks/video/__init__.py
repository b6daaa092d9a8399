"""What video takes beyond pictures: frames with true times, tracks, smoothing, a timeline, a WebM file."""
