"""Which faces go on, and into which split: people's decisions, rules, near-copies."""
