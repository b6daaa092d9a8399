"""Ask a trained model what faces show: in pictures, folders, videos and what a camera sees."""
