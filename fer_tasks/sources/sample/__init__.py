"""The generated sample: drawn portraits with planted defects."""
