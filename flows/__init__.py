"""When and in what order: one file a stage. A flow reads, cuts in shards, maps tasks, writes at its end."""

import os

os.environ.setdefault(
    "TF_CPP_MIN_LOG_LEVEL", "2"
)  # else TensorFlow tells at every start that there is no GPU
