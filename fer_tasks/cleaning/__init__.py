"""Select the clean faces and their splits, by rules, near-copies and people's decisions."""
