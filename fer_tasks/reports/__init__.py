"""The pages and their pictures: what they show, and how it is drawn."""
