"""The checks of the add-ons: one file each. Pure."""
