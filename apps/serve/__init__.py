"""The page and the API: `monday-fer serve` asks a trained model over HTTP."""
