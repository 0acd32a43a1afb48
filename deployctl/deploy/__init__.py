"""The recipes: up, down, status, over a World of ports. Order only; decisions are elsewhere."""
