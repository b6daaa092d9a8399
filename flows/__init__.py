"""When and in what order: one file a stage. A flow reads, cuts in shards, maps tasks, writes at its end."""

import os

from flows import home

# Else TensorFlow tells, too, what else it could have been built for.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
home.use_project_if_home_is_read_only()
