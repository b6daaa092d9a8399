"""What the pages that this program serves share: who may ask, and where they listen."""
