"""Choose the clean faces and their splits: rules, near-copies, people's decisions."""
